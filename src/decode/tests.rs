use etherparse::{IpFragOffset, IpHeaders, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use rpcscope_parsers::Side;

use super::*;
use crate::flow::Bare;

const ETHERNET: u16 = 1;
const RAW: u16 = 101;

fn packet(link: u16, data: &[u8]) -> Packet<'_> {
    Packet {
        number: 7,
        time: Timestamp(1_000),
        link: LinkType(link),
        interface: 0,
        capture_point: CapturePoint::default(),
        wire_len: data.len() as u32,
        data,
    }
}

/// IPv4 TCP from 10.0.0.1:4000 to 10.0.0.2:80 with the payload `body`, without a link.
fn tcp4(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(4000, 80, 1000, 500)
        .ack(77)
        .write(&mut out, body)
        .unwrap();
    out
}

fn address6(last: u8) -> [u8; 16] {
    [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
}

/// IPv6 UDP from port 4000 to 80.
fn udp6(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv6(address6(1), address6(2), 64).udp(4000, 80).write(&mut out, body).unwrap();
    out
}

fn udp4(port: u16, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    PacketBuilder::ipv4([192, 168, 0, 1], [192, 168, 0, 2], 64)
        .udp(55555, port)
        .write(&mut out, body)
        .unwrap();
    out
}

/// IPv4 head with any payload.
fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut head =
        Ipv4Header::new(body.len() as u16, 64, IpNumber(protocol), [172, 16, 0, 1], [172, 16, 0, 2]).unwrap();
    head.identification = 99;
    let mut out = head.to_bytes().to_vec();
    out.extend_from_slice(body);
    out
}

fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
    let head = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: body.len() as u16,
        next_header: IpNumber(next),
        hop_limit: 64,
        source: address6(1),
        destination: address6(2),
    };
    [&head.to_bytes()[..], body].concat()
}

fn ethernet(number: u16, body: &[u8]) -> Vec<u8> {
    [&[2; 6][..], &[4; 6], &number.to_be_bytes(), body].concat()
}

fn tag(next: u16, body: &[u8]) -> Vec<u8> {
    [&[0, 42][..], &next.to_be_bytes(), body].concat()
}

#[track_caller]
fn decoded<'a>(decoder: &'a mut Decoder, packet: &Packet<'a>) -> Segment<'a> {
    match decoder.decode(packet) {
        Decoded::Segment(segment) => segment,
        Decoded::Skipped(skip) => panic!("skipped: {}", skip.reason()),
        Decoded::Elsewhere => panic!("there is one share"),
    }
}

#[track_caller]
fn skipped(packet: &Packet<'_>) -> Skip {
    match Decoder::default().decode(packet) {
        Decoded::Skipped(skip) => skip,
        other => panic!("{other:?}"),
    }
}

/// Decodes, checks the five-tuple of [`tcp4`] and returns the payload.
#[track_caller]
fn body_of_tcp4(link: u16, data: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::default();
    let segment = decoded(&mut decoder, &packet(link, data));
    assert_eq!(segment.key.a.to_string(), "10.0.0.1:4000");
    assert_eq!(segment.key.b.to_string(), "10.0.0.2:80");
    assert_eq!((segment.key.network, segment.side, segment.packet), (Network::Tcp, Side::A, 7));
    assert_eq!(segment.missing, 0);
    segment.payload.to_vec()
}

#[test]
fn tcp_fields() {
    let mut decoder = Decoder::default();
    let data = tcp4(b"hello");
    let segment = decoded(&mut decoder, &packet(RAW, &data));
    let flags = TcpFlags { ack: true, ..TcpFlags::default() };
    assert_eq!(segment.transport, Transport::Tcp(TcpHead { seq: 1000, ack: 77, flags }));
    let mut data = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64)
        .tcp(80, 4000, 5, 0)
        .syn()
        .fin()
        .rst()
        .write(&mut data, &[])
        .unwrap();
    let segment = decoded(&mut decoder, &packet(RAW, &data));
    assert_eq!(segment.side, Side::B);
    let flags = TcpFlags { fin: true, syn: true, rst: true, ack: false };
    assert_eq!(segment.transport, Transport::Tcp(TcpHead { seq: 5, ack: 0, flags }));
}

/// The header that macOS writes before a packet of that link type.
fn pktap(link: u32, packet: &[u8]) -> Vec<u8> {
    [&108_u32.to_le_bytes()[..], &1_u32.to_le_bytes(), &link.to_le_bytes(), &[0; 96], packet].concat()
}

#[test]
fn every_link() {
    let ip = tcp4(b"hello");
    let cooked_v1 = [&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0][..], &ip].concat();
    let cooked_v2 = [&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &ip].concat();
    let snap = [&[2; 12][..], &[0, 60, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip].concat();
    let cases = [
        (1, ethernet(0x0800, &ip)),
        (1, snap),
        (113, cooked_v1),
        (276, cooked_v2),
        (0, [&[2, 0, 0, 0][..], &ip].concat()),
        (0, [&[0, 0, 0, 2][..], &ip].concat()),
        (108, [&[0, 0, 0, 2][..], &ip].concat()),
        (12, ip.clone()),
        (14, ip.clone()),
        (101, ip.clone()),
        (228, ip.clone()),
        (9, [&[0xff, 3, 0, 0x21][..], &ip].concat()),
        (9, [&[0x21][..], &ip].concat()),
        (50, [&[0xff, 3, 0x21][..], &ip].concat()),
        (50, [&[0x0f, 0, 8, 0][..], &ip].concat()),
        (104, [&[0x8f, 0, 8, 0][..], &ip].concat()),
        (51, [&[0x11, 0, 0, 7, 0, 47, 0, 0x21][..], &ip].concat()),
        (166, [&[0, 0xff, 3, 0, 0x21][..], &ip].concat()),
        (204, [&[1, 0xff, 3, 0, 0x21][..], &ip].concat()),
        (100, [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &ip].concat()),
        (100, [&[6, 6, 3][..], &ip].concat()),
        (109, [&[2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &ip].concat()),
        (117, [&[61, 2][..], &[0; 62], &ip].concat()),
        (138, [&[7; 16][..], &[8, 0], &ip].concat()),
        (239, [&[2, 0, 0, 5, 6, 0, 10, 0, 1, 2, 0, 0, 49, 0, 9, 0][..], &ip].concat()),
        (239, [&[2, 0, 0, 5, 0, 49, 0, 9][..], &ip].concat()),
        (242, [&[8, 0, 0, 0][..], &ip].concat()),
        (242, [&[9; 40][..], &[8, 0, 0, 0], &ip].concat()),
        (252, [&[0, 12, 0, 4, b'i', b'p', 0, 0, 0, 0, 0, 0][..], &ip].concat()),
        (258, pktap(1, &ethernet(0x0800, &ip))),
        (258, pktap(0, &[&[2, 0, 0, 0][..], &ip].concat())),
        (149, pktap(12, &ip)),
    ];
    for (link, data) in cases {
        assert_eq!(body_of_tcp4(link, &data), b"hello", "link {link}");
    }
    let six = udp6(b"datagram");
    for (link, data) in
        [(229, six.clone()), (0, [&[30, 0, 0, 0][..], &six].concat()), (1, ethernet(0x86dd, &six))]
    {
        let mut decoder = Decoder::default();
        let segment = decoded(&mut decoder, &packet(link, &data));
        assert_eq!(segment.key.a.to_string(), "[fd00::1]:4000");
        assert_eq!(segment.transport, Transport::Udp { packet_id: 0 });
        assert_eq!(segment.payload, b"datagram");
    }
}

/// Frames of IEEE 802.11 that carry no packet, or none that can be read.
#[test]
fn of_wireless_frames_only_whole_plain_data_is_read() {
    let frame = |head: [u8; 2], sequence: u8, qos: &[u8]| {
        let head = [&head[..], &[0; 20], &[sequence, 0], qos, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat();
        [&head[..], &udp4(80, b"datagram")].concat()
    };
    let mut decoder = Decoder::default();
    for (data, expected) in [
        (frame([0x88, 1], 0, &[0x80, 0]), Skip::NotIp),
        (frame([0x48, 1], 0, &[]), Skip::NotIp),
        (frame([0x80, 0], 0, &[]), Skip::NotIp),
        (frame([0x08, 0x41], 0, &[]), Skip::Encrypted),
        (frame([0x08, 0x05], 0, &[]), Skip::Fragment),
        (frame([0x08, 1], 1, &[]), Skip::Fragment),
        (vec![0x08, 1, 0, 0], Skip::Malformed),
    ] {
        let skipped = decoder.decode(&packet(105, &data));
        assert!(matches!(skipped, Decoded::Skipped(skip) if skip == expected), "{data:?}: {skipped:?}");
    }
    for data in [frame([0x08, 1], 0x10, &[]), frame([0x88, 0x82], 0, &[0, 0, 1, 2, 3, 4])] {
        assert_eq!(decoded(&mut decoder, &packet(105, &data)).payload, b"datagram");
    }
}

#[test]
fn unknown_link_is_counted_and_named() {
    let mut decoder = Decoder::default();
    let data = [0; 40];
    assert!(matches!(decoder.decode(&packet(119, &data)), Decoded::Skipped(Skip::Link)));
    assert_eq!(decoder.skipped(Skip::Link), 1);
    assert_eq!(decoder.unknown_link(), Some(LinkType(119)));
    assert_eq!(LinkType(119).to_string(), "IEEE802_11_PRISM (119)");
    assert_eq!(LinkType(60_000).to_string(), "60000");
}

#[test]
fn what_packets_end_at_is_counted_by_its_number() {
    let mut decoder = Decoder::default();
    let lldp = ethernet(0x88cc, &[0; 40]);
    let ospf = ethernet(0x0800, &ipv4(89, &[0; 20]));
    for (link, data) in [(ETHERNET, &lldp), (ETHERNET, &ospf), (ETHERNET, &lldp), (119, &lldp)] {
        assert!(matches!(decoder.decode(&packet(link, data)), Decoded::Skipped(_)));
    }
    let ended: Vec<_> = decoder.ended().iter().map(|(at, count)| (at.to_string(), *count)).collect();
    let expected = [
        ("Ethernet type 0x88cc (LLDP)", 2),
        ("IP protocol 89 (OSPF)", 1),
        ("link type IEEE802_11_PRISM (119)", 1),
    ];
    assert_eq!(ended, expected.map(|(at, count)| (at.to_owned(), count)));
    // Many different ones do not take more memory.
    for number in 0x9000..0x9200_u16 {
        assert!(matches!(decoder.decode(&packet(ETHERNET, &ethernet(number, &[]))), Decoded::Skipped(_)));
    }
    assert_eq!(decoder.ended().len(), MAX_ENDED);
}

/// The payload of a datagram that Wireshark exported keeps its ends; that of a stream has lost its place.
#[test]
fn exported_datagrams_are_datagrams() {
    let exported = |port_type: u8| {
        let name = [&[0, 12, 0, 4][..], b"dns\0"].concat();
        let ends = [0, 20, 0, 4, 10, 0, 0, 2, 0, 21, 0, 4, 10, 0, 0, 1, 0, 24, 0, 4, 0, 0, 0, port_type];
        let ports = [0, 25, 0, 4, 0, 0, 0, 53, 0, 26, 0, 4, 0, 0, 0x10, 0, 0, 0, 0, 0];
        [&name[..], &ends, &ports, b"payload"].concat()
    };
    let mut decoder = Decoder::default();
    let datagram = exported(3);
    let segment = decoded(&mut decoder, &packet(252, &datagram));
    assert_eq!((segment.payload, segment.side), (&b"payload"[..], Side::B));
    assert_eq!(
        (segment.key.a.to_string(), segment.key.b.to_string()),
        ("10.0.0.1:4096".into(), "10.0.0.2:53".into())
    );
    assert_eq!(skipped(&packet(252, &exported(2))), Skip::Exported);
}

#[test]
fn tags_and_labels() {
    let ip = tcp4(b"x");
    let label = [0, 1, 0x00, 64];
    let last = [0, 2, 0x01, 64];
    let frame = ethernet(0x0800, &ip);
    for data in [
        ethernet(0x8100, &tag(0x0800, &ip)),
        ethernet(0x88a8, &tag(0x8100, &tag(0x0800, &ip))),
        ethernet(0x9100, &tag(0x8100, &tag(0x0800, &ip))),
        ethernet(0x8847, &[&label[..], &last, &ip].concat()),
        ethernet(0x8847, &[&last[..], &[0, 0, 0, 0], &frame].concat()),
        ethernet(0x8847, &[&last[..], &frame].concat()),
        ethernet(0x8100, &tag(0x8848, &[&last[..], &frame].concat())),
        ethernet(0x8864, &[&[0x11, 0, 0, 9, 0, 43, 0, 0x21][..], &ip, b"padding"].concat()),
        ethernet(0x8100, &tag(0x8864, &[&[0x11, 0, 0, 9, 0, 44, 0xc0, 0x21][..6], &[0, 0x21], &ip].concat())),
        ethernet(0x88a8, &tag(0x88e7, &[&[0, 0, 1, 2][..], &frame].concat())),
        ethernet(0x8926, &[&[0, 1, 0, 2, 8, 0][..], &ip].concat()),
        ethernet(0x892f, &[&[0, 60, 0, 7, 8, 0][..], &ip].concat()),
        ethernet(0x22f3, &[&[0, 0x40, 0, 1, 0, 2, 9, 9, 9, 9][..], &frame].concat()),
        ethernet(0x894f, &[&[0x0f, 0xc6, 1, 3][..], &[0; 20], &frame].concat()),
        ethernet(0x894f, &[&[0x0f, 0xc2, 2, 1][..], &[0; 4], &ip].concat()),
    ] {
        assert_eq!(body_of_tcp4(ETHERNET, &data), b"x");
    }
}

#[test]
fn tunnels() {
    let ip = tcp4(b"x");
    let frame = ethernet(0x0800, &ip);
    let vxlan = [&[8, 0, 0, 0, 0, 0, 5, 0][..], &frame].concat();
    let policy = [&[0x88, 0, 0, 9, 0, 0, 5, 0][..], &frame].concat();
    let geneve = [&[1, 0, 0x65, 0x58, 0, 0, 5, 0, 1, 2, 3, 4][..], &frame].concat();
    let geneve_ip = [&[0, 0, 0x08, 0x00, 0, 0, 5, 0][..], &ip].concat();
    let gre = [&[0, 0, 8, 0][..], &ip].concat();
    let gre_all = [&[0xb0, 0, 8, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2][..], &ip].concat();
    let [label, last] = [[0, 1, 0, 64], [0, 2, 1, 64]];
    let nvgre = [&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0][..], &frame].concat();
    let erspan = [&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0][..], &frame].concat();
    for data in [
        udp4(4789, &vxlan),
        udp4(8472, &vxlan),
        udp4(4789, &policy),
        udp4(6081, &geneve),
        udp4(6081, &geneve_ip),
        ipv4(47, &gre),
        ipv4(47, &gre_all),
        ipv4(47, &nvgre),
        ipv4(47, &erspan),
        ipv4(4, &ip),
        ipv4(94, &ip),
        ipv6(4, &ip),
        ipv4(97, &[&[0x30, 0][..], &frame].concat()),
        ipv4(
            47,
            &[&[0x30, 0x81, 0x88, 0x0b, 0, 45, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21][..], &ip]
                .concat(),
        ),
        ipv4(47, &[&[0, 0, 0x88, 0x0b, 0, 0x21][..], &ip].concat()),
        ipv4(47, &[&[0, 0, 0x88, 0x3e][..], &ip].concat()),
        ipv4(47, &[&[0, 0, 0x88, 0x3e, 1, 2, 3, 4][..], &ip].concat()),
        udp4(4790, &[&[0x0c, 0, 0, 1, 0, 0, 5, 0][..], &ip].concat()),
        udp4(4790, &[&[0x0c, 0, 0, 3, 0, 0, 5, 0][..], &frame].concat()),
        udp4(2152, &[&[0x30, 0xff, 0, 41, 0, 0, 0, 1][..], &ip].concat()),
        udp4(
            2152,
            &[&[0x34, 0xff, 0, 53, 0, 0, 0, 1, 0, 0, 0, 0x85, 2, 0, 0, 0, 0, 0, 0, 0][..], &ip].concat(),
        ),
        udp4(1701, &[&[0, 2, 0, 1, 0, 2, 0xff, 3, 0, 0x21][..], &ip].concat()),
        udp4(1701, &[&[0x4a, 2, 0, 57, 0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 0x21][..], &ip].concat()),
        udp4(6635, &[&label[..], &last, &ip].concat()),
        ipv4(137, &[&[0, 2, 1, 64][..], &ip].concat()),
        udp4(4789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &ethernet(0x8100, &tag(0x0800, &ip))].concat()),
    ] {
        assert_eq!(body_of_tcp4(RAW, &data), b"x");
    }
    let mut decoder = Decoder::default();
    let data = ipv4(41, &udp6(b"six in four"));
    assert_eq!(decoded(&mut decoder, &packet(RAW, &data)).payload, b"six in four");
    for before in [&[][..], &[0, 0, 1, 2, 3, 4, 5, 6], &[0, 1, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8, 0]] {
        let data = udp4(3544, &[before, &udp6(b"teredo")].concat());
        assert_eq!(decoded(&mut decoder, &packet(RAW, &data)).payload, b"teredo");
    }
}

#[test]
fn a_datagram_on_a_tunnel_port_is_no_tunnel_by_itself() {
    for body in [&b"hello world, no tunnel at all"[..], &[8, 0, 0, 0, 0, 0, 5, 1], &[8; 40], &[]] {
        for port in [4789, 8472, 6081, 4790, 2152, 3544, 1701, 6635] {
            let data = udp4(port, body);
            let mut decoder = Decoder::default();
            let segment = decoded(&mut decoder, &packet(RAW, &data));
            assert_eq!((segment.payload, segment.key.b.port), (body, port), "port {port}");
        }
    }
}

#[test]
fn nesting_is_bounded() {
    let mut data = tcp4(b"x");
    for _ in 0..walk::MAX_HEADS / 2 - 1 {
        data = ipv4(4, &data);
    }
    assert_eq!(body_of_tcp4(RAW, &data), b"x");
    assert_eq!(skipped(&packet(RAW, &ipv4(4, &data))), Skip::TooDeep);
}

#[test]
fn extension_heads() {
    let tcp = &tcp4(b"x")[20..];
    // Hop-by-hop of 8 bytes, routing of 16, destination options of 8, authentication of 12, an atomic fragment.
    let options = [
        &[43, 0, 1, 4, 0, 0, 0, 0][..],
        &[60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[51, 0, 1, 4, 0, 0, 0, 0],
        &[44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[6, 0, 0, 0, 0, 0, 0, 1],
        tcp,
    ]
    .concat();
    let mut decoder = Decoder::default();
    let data = ipv6(0, &options);
    assert_eq!(decoded(&mut decoder, &packet(RAW, &data)).payload, b"x");
}

#[test]
fn padding_is_no_payload_and_what_the_snap_length_cut_is_missing() {
    let mut frame = ethernet(0x0800, &tcp4(b""));
    frame.resize(60, 0xee);
    assert_eq!(body_of_tcp4(ETHERNET, &frame), b"");

    let frame = ethernet(0x0800, &tcp4(&[5; 100]));
    for len in 0..frame.len() {
        let packet = Packet { wire_len: frame.len() as u32, ..packet(ETHERNET, &frame[..len]) };
        let mut decoder = Decoder::default();
        match decoder.decode(&packet) {
            Decoded::Segment(segment) => {
                assert!(len >= 54, "{len}");
                assert_eq!((segment.payload.len(), segment.missing), (len - 54, (154 - len) as u32));
            }
            Decoded::Skipped(skip) => {
                assert!(len < 54, "{len}");
                assert_eq!(skip, Skip::Truncated);
            }
            Decoded::Elsewhere => panic!("there is one share"),
        }
    }
}

#[test]
fn cut_within_tcp_options_keeps_the_length_of_the_payload() {
    let mut data = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(4000, 80, 1000, 500)
        .options_raw(&[1; 12])
        .unwrap()
        .write(&mut data, &[9; 30])
        .unwrap();
    let packet = Packet { wire_len: data.len() as u32, ..packet(RAW, &data[..44]) };
    let mut decoder = Decoder::default();
    let segment = decoded(&mut decoder, &packet);
    assert_eq!((segment.payload.len(), segment.missing), (0, 30));
}

#[test]
fn length_left_to_the_network_card() {
    let mut data = tcp4(&[1; 3000]);
    data[2..4].copy_from_slice(&[0, 0]);
    assert_eq!(body_of_tcp4(RAW, &data).len(), 3000);
    let cut = Packet { wire_len: data.len() as u32, ..packet(RAW, &data[..1040]) };
    let mut decoder = Decoder::default();
    let segment = decoded(&mut decoder, &cut);
    assert_eq!((segment.payload.len(), segment.missing), (1000, 2000));

    let mut data = udp6(&[1; 300]);
    data[4..6].copy_from_slice(&[0, 0]);
    data[44..46].copy_from_slice(&[0, 0]);
    assert_eq!(decoded(&mut decoder, &packet(RAW, &data)).payload.len(), 300);
}

#[test]
fn what_is_not_tcp_or_udp() {
    assert_eq!(skipped(&packet(ETHERNET, &ethernet(0x0806, &[0; 46]))), Skip::NotIp);
    assert_eq!(skipped(&packet(ETHERNET, &ethernet(39, &[0x42; 46]))), Skip::NotIp);
    assert_eq!(skipped(&packet(0, &[7, 0, 0, 0, 1, 2])), Skip::NotIp);
    assert_eq!(skipped(&packet(RAW, &ipv4(1, &[8, 0, 0, 0, 0, 0, 0, 0]))), Skip::OtherTransport);
    assert_eq!(skipped(&packet(RAW, &ipv6(59, &[]))), Skip::OtherTransport);
    // An IPv6 extension number in IPv4 is some other protocol.
    assert_eq!(skipped(&packet(RAW, &ipv4(60, &[6, 0, 0, 0, 0, 0, 0, 0]))), Skip::OtherTransport);
    assert_eq!(skipped(&packet(RAW, &ipv4(50, &[0; 30]))), Skip::Encrypted);
    assert_eq!(skipped(&packet(RAW, &ipv4(6, &[0; 19]))), Skip::Malformed);
    assert_eq!(skipped(&packet(RAW, &[0x52; 40])), Skip::Malformed);
    let mut bad = tcp4(b"");
    bad[32] = 0x40;
    assert_eq!(skipped(&packet(RAW, &bad)), Skip::Malformed);
    bad[32] = 0xf0;
    assert_eq!(skipped(&packet(RAW, &bad)), Skip::Malformed);
    let mut bad = tcp4(b"");
    bad[2..4].copy_from_slice(&[0, 19]);
    assert_eq!(skipped(&packet(RAW, &bad)), Skip::Malformed);
}

/// Cuts the payload of an IPv4 packet without options into fragments of `size` bytes.
fn fragments4(whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let pieces = whole[20..].chunks(size);
    let last = pieces.len() - 1;
    pieces
        .enumerate()
        .map(|(i, piece)| {
            let (IpHeaders::Ipv4(mut head, _), _) = IpHeaders::from_slice(whole).unwrap() else {
                panic!("not IPv4");
            };
            head.identification = 4321;
            head.dont_fragment = false;
            head.more_fragments = i != last;
            head.fragment_offset = IpFragOffset::try_new((i * size / 8) as u16).unwrap();
            head.total_len = (20 + piece.len()) as u16;
            [&head.to_bytes()[..], piece].concat()
        })
        .collect()
}

fn fragments6(whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let pieces = whole[40..].chunks(size);
    let last = pieces.len() - 1;
    pieces
        .enumerate()
        .map(|(i, piece)| {
            let field = ((i * size) as u16) | u16::from(i != last);
            let head = [&[whole[6], 0][..], &field.to_be_bytes(), &[1, 2, 3, 4]].concat();
            ipv6(44, &[&head[..], piece].concat())
        })
        .collect()
}

/// All orders of `n` things.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(n - 1);
    shorter
        .iter()
        .flat_map(|order| {
            (0..n).map(move |at| {
                let mut order = order.clone();
                order.insert(at, n - 1);
                order
            })
        })
        .collect()
}

#[test]
fn fragments_in_every_order() {
    let body: Vec<u8> = (0..100).collect();
    for (fragments, id) in [
        (fragments4(&udp4(80, &body), 32), 4321),
        (fragments6(&udp6(&body), 32), 0),
        (fragments4(&tcp4(&body), 40), 0),
    ] {
        assert!(fragments.len() >= 3);
        for order in orders(fragments.len()) {
            let mut decoder = Decoder::default();
            let (last, before) = order.split_last().unwrap();
            for i in before {
                let held = decoder.decode(&packet(RAW, &fragments[*i]));
                assert!(matches!(held, Decoded::Skipped(Skip::Fragment)), "{held:?}");
                // Seen on a second interface.
                let _ = decoder.decode(&packet(RAW, &fragments[*i]));
            }
            let segment = decoded(&mut decoder, &packet(RAW, &fragments[*last]));
            assert_eq!((segment.payload, segment.missing), (&body[..], 0));
            if let Transport::Udp { packet_id } = segment.transport {
                assert_eq!(packet_id, id);
            }
        }
    }
}

#[test]
fn fragments_within_fragments() {
    let body: Vec<u8> = (0..200).collect();
    let mut decoder = Decoder::default();
    let mut segments = 0;
    for inner in fragments4(&tcp4(&body), 104) {
        let vxlan = [&[8, 0, 0, 0, 0, 0, 5, 0][..], &ethernet(0x0800, &inner)].concat();
        for outer in fragments4(&udp4(4789, &vxlan), 80) {
            if let Decoded::Segment(segment) = decoder.decode(&packet(RAW, &outer)) {
                assert_eq!(segment.payload, body);
                segments += 1;
            }
        }
    }
    assert_eq!(segments, 1);
    assert_eq!(decoder.lost_datagrams(), 0);
}

#[test]
fn a_cut_fragment_is_not_put_together() {
    for whole in [tcp4(&[3; 100]), udp4(80, &[3; 100])] {
        let fragments = fragments4(&whole, 64);
        let mut decoder = Decoder::default();
        let last = &fragments[fragments.len() - 1];
        let cut = Packet { wire_len: last.len() as u32, ..packet(RAW, &last[..30]) };
        assert!(matches!(decoder.decode(&cut), Decoded::Skipped(Skip::Truncated)));
        assert!(matches!(decoder.decode(&packet(RAW, &fragments[0])), Decoded::Skipped(Skip::Fragment)));
    }
    let fragments = fragments4(&tcp4(&[3; 100]), 64);
    let cut = Packet { wire_len: fragments[0].len() as u32, ..packet(RAW, &fragments[0][..50]) };
    assert!(matches!(Decoder::default().decode(&cut), Decoded::Skipped(Skip::Truncated)));
}

/// A UDP message whose answer comes in cut fragments has an answer: without it the call would be unanswered.
#[test]
fn the_first_fragment_of_a_datagram_shows_it_although_it_is_cut() {
    let fragments = fragments4(&udp4(80, &[3; 100]), 64);
    let mut decoder = Decoder::default();
    let cut = Packet { wire_len: fragments[0].len() as u32, ..packet(RAW, &fragments[0][..50]) };
    let segment = decoded(&mut decoder, &cut);
    assert_eq!((segment.payload, segment.missing), (&[3; 22][..], 78));
    assert!(matches!(decoder.decode(&packet(RAW, &fragments[1])), Decoded::Skipped(Skip::Fragment)));
    // Not even the length of the datagram is there.
    let cut = Packet { wire_len: fragments[0].len() as u32, ..packet(RAW, &fragments[0][..25]) };
    assert!(matches!(decoder.decode(&cut), Decoded::Skipped(Skip::Truncated)));
}

#[test]
fn no_cut_and_no_changed_byte_panics() {
    let ip = tcp4(&[1; 24]);
    let frame = ethernet(0x8100, &tag(0x0800, &ip));
    let vxlan = [&[8, 0, 0, 0, 0, 0, 5, 0][..], &frame].concat();
    let gre = [&[0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2][..], &frame].concat();
    let samples = [
        ethernet(0x8847, &[&[0, 2, 1, 64][..], &udp4(4789, &vxlan)].concat()),
        ethernet(0x86dd, &ipv6(0, &[&[47, 0, 1, 4, 0, 0, 0, 0][..], &gre].concat())),
        ethernet(0x0800, &fragments4(&udp4(6081, &vxlan), 40)[0]),
    ];
    let mut decoder = Decoder::default();
    for sample in &samples {
        for len in 0..=sample.len() {
            let _ = decoder.decode(&packet(ETHERNET, &sample[..len]));
            let longer = Packet { wire_len: u32::MAX, ..packet(ETHERNET, &sample[..len]) };
            let _ = decoder.decode(&longer);
        }
        for at in 0..sample.len() {
            for value in 0..=255 {
                let mut changed = sample.clone();
                changed[at] = value;
                let _ = decoder.decode(&packet(ETHERNET, &changed));
            }
        }
    }
}

/// The segment by the fast way, where the packet is plain, and what the general walk says of it.
fn both_ways<'a>(
    packet: &Packet<'a>,
    decoder: &'a mut Decoder,
) -> (Option<Segment<'a>>, Option<Segment<'a>>) {
    let walked = match decoder.walk(packet) {
        Decoded::Segment(segment) => Some(segment),
        Decoded::Skipped(_) | Decoded::Elsewhere => None,
    };
    let fast = Plain::new(packet).map(|plain| plain.segment(packet));
    (fast, walked)
}

/// Holds the fast way against the general walk; says whether it was taken.
fn compare(packet: &Packet<'_>) -> bool {
    let mut decoder = Decoder::default();
    let (fast, walked) = both_ways(packet, &mut decoder);
    assert!(fast.is_none() || fast == walked, "{fast:?} is not {walked:?} for {packet:?}");
    for (plain, segment) in Plain::new(packet).iter().zip(&walked) {
        for shard in Shard::split(3, 0.2) {
            assert_eq!(shard.takes(plain.hash()), shard.takes_key(&segment.key), "{packet:?}");
        }
        let words = plain.words(packet);
        assert_eq!(words.map(|(words, _)| words), segment.key.words(), "{packet:?}");
        assert!(
            words.is_none_or(|(words, side)| (words.key(), side) == (segment.key, segment.side)),
            "{packet:?}"
        );
        assert_eq!(Some(plain.bare(segment.side, packet)), Bare::of(segment), "{packet:?}");
    }
    fast.is_some()
}

/// The same for a packet that is cut or damaged: every header byte with several values, every length.
fn compare_damaged(packet: &Packet<'_>) {
    let mut bytes = packet.data.to_vec();
    let heads = bytes.len().min(96);
    for at in 0..heads {
        let kept = bytes[at];
        for bit in 0..8 {
            bytes[at] = kept ^ (1 << bit);
            compare(&Packet { data: &bytes, ..*packet });
        }
        for value in [0, 1, 6, 0x45, 0xff] {
            bytes[at] = value;
            compare(&Packet { data: &bytes, ..*packet });
        }
        bytes[at] = kept;
    }
    for len in 0..heads {
        compare(&Packet { data: &bytes[..len], ..*packet });
        compare(&Packet { data: &bytes[..len], wire_len: len as u32, ..*packet });
    }
}

#[test]
fn plain_packets_are_what_the_walk_makes_of_them() {
    let with_options = {
        let mut out = Vec::new();
        PacketBuilder::ipv4([10, 0, 0, 9], [10, 0, 0, 2], 64)
            .tcp(80, 4000, 1000, 500)
            .options_raw(&[1; 12])
            .unwrap()
            .write(&mut out, b"hello")
            .unwrap();
        out
    };
    let tcp6 = {
        let mut out = Vec::new();
        PacketBuilder::ipv6(address6(2), address6(1), 64)
            .tcp(4000, 80, 1, 5)
            .fin()
            .write(&mut out, b"hello")
            .unwrap();
        out
    };
    let cooked2 = |ip: &[u8]| [&0x86dd_u16.to_be_bytes()[..], &[0; 18], ip].concat();
    let cooked1 = |ip: &[u8]| [&[0; 14][..], &0x0800_u16.to_be_bytes(), ip].concat();
    let plain = [
        (1, ethernet(0x0800, &tcp4(b"hello"))),
        (1, ethernet(0x0800, &with_options)),
        (1, ethernet(0x86dd, &tcp6)),
        // Padding of the link.
        (1, ethernet(0x0800, &[&tcp4(b"")[..], &[0; 6]].concat())),
        (113, cooked1(&tcp4(b"hello"))),
        (276, cooked2(&tcp6)),
    ];
    let others = [
        (1, ethernet(0x8100, &tag(0x0800, &tcp4(b"hello")))),
        (1, ethernet(0x0800, &udp4(53, b"hello"))),
        (1, ethernet(0x86dd, &udp6(b"hello"))),
        (RAW, tcp4(b"hello")),
        // The link says another version than the header.
        (1, ethernet(0x0800, &tcp6)),
        (1, ethernet(0x86dd, &tcp4(b"hello"))),
    ];
    for (is_plain, all) in [(true, &plain[..]), (false, &others[..])] {
        for (link, bytes) in all {
            let packet = packet(*link, bytes);
            assert_eq!(compare(&packet), is_plain, "{packet:?}");
            compare_damaged(&packet);
        }
    }
}

#[test]
fn both_ways_agree_on_all_bundled_captures() {
    let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/captures")).unwrap();
    let folders: Vec<_> = folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    let (mut plain, mut all) = (0, 0);
    for folder in folders {
        // One file after the other: merged they would need more time, and order makes no difference here.
        for path in crate::source::files::expand(&folder).unwrap_or_default() {
            let mut source = crate::source::files::open(&[path], crate::source::files::Options::default());
            let mut batch = crate::source::Batch::default();
            while crate::source::Source::next_batch(&mut source, &mut batch).unwrap() {
                for packet in batch.packets() {
                    plain += u32::from(compare(&packet));
                    all += 1;
                    // A damaged one now and then: all of them would take minutes.
                    if all % 500 == 0 {
                        compare_damaged(&packet);
                    }
                }
            }
        }
    }
    assert!(all > 10_000 && plain > all / 2, "{plain} of {all}");
}
