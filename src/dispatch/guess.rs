//! What a connection of no known protocol seems to be, by the first bytes of either side. A guess for people: it names what
//! a connection carries instead of calls, and decides nothing.

use crate::decode::Network;

/// How a protocol's first bytes look.
struct Sign {
    name: &'static str,
    network: Network,
    is: fn(&[u8]) -> bool,
}

/// The signs, the more certain ones first.
const SIGNS: &[Sign] = &[
    // A record of TLS 1.0 to 1.3: content type 20 to 23, version 3.x, at most 2^14 + 2048 bytes (RFC 8446, section 5.1; RFC
    // 5246, section 6.2.3).
    tcp("TLS without keys", |bytes| match bytes {
        [20..=23, 3, 0..=4, high, low, ..] => (1..=18_432).contains(&u16::from_be_bytes([*high, *low])),
        _ => false,
    }),
    // RFC 4253, section 4.2.
    tcp("SSH", |bytes| bytes.starts_with(b"SSH-")),
    // RESP: an array of bulk strings (redis.io/docs/latest/develop/reference/protocol-spec).
    tcp("Redis", |bytes| {
        let Some(rest) = bytes.strip_prefix(b"*") else { return false };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with(b"\r\n$"))
    }),
    // Initial handshake packet: length, sequence 0, protocol 10, version text
    // (dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html).
    tcp("MySQL", |bytes| matches!(bytes, [_, _, 0, 0, 10, b'0'..=b'9', ..])),
    // StartupMessage 3.0, SSLRequest and GSSENCRequest (postgresql.org/docs/current/protocol-message-formats.html).
    tcp("PostgreSQL", |bytes| {
        matches!(bytes, [0, 0, _, _, 0, 3, 0, 0, ..] | [0, 0, 0, 8, 4, 210, 22, 47 | 48, ..])
    }),
    // Header with opcode OP_MSG, OP_QUERY or OP_COMPRESSED
    // (mongodb.com/docs/manual/reference/mongodb-wire-protocol).
    tcp("MongoDB", |bytes| {
        matches!(bytes, [_, _, _, 0, _, _, _, _, _, _, _, _, 0xdd | 0xd4 | 0xdc, 7, 0, 0, ..])
    }),
    // OASIS AMQP 1.0, section 2.2; AMQP 0-9-1, section 4.2.2.
    tcp("AMQP", |bytes| bytes.starts_with(b"AMQP")),
    // CONNECT with its protocol name (OASIS MQTT 3.1.1, section 3.1).
    tcp("MQTT", |bytes| matches!(bytes, [0x10, _, 0, 4, b'M', b'Q', b'T', b'T', ..])),
    // docs.nats.io/reference/reference-protocols/nats-protocol.
    tcp("NATS", |bytes| bytes.starts_with(b"INFO {")),
    // RFC 5321, section 4.2.
    tcp("SMTP or FTP", |bytes| bytes.starts_with(b"220 ") || bytes.starts_with(b"220-")),
    // Connection-oriented DCE/RPC, version 5.0: The Open Group C706, section 12.6.
    tcp("DCE/RPC", |bytes| matches!(bytes, [5, 0, 0..=19, _, 0x10 | 0, 0, 0, 0, ..])),
    // SMB over TCP: MS-SMB2, section 2.1.
    tcp("SMB", |bytes| matches!(bytes, [0, _, _, _, 0xfe | 0xff, b'S', b'M', b'B', ..])),
    // One question or more, no other sections in a query (RFC 1035, section 4.1.1).
    udp("DNS", |bytes| match bytes {
        [_, _, flags, _, 0, 1, 0, _, 0, _, 0, _, label, ..] => flags & 0x78 == 0 && (1..=63).contains(label),
        _ => false,
    }),
    // A record: content type 20 to 25, version 1.0 or 1.2 (also what a ClientHello of 1.3 says), epoch, sequence number, length (RFC 6347,
    // section 4.1; RFC 9146, section 4). No connection has many epochs.
    udp("DTLS (not supported)", |bytes| match bytes {
        [20..=25, 0xfe, 0xfd | 0xff, 0, 0..=15, _, _, _, _, _, _, high, low, ..] => {
            (1..=18_432).contains(&u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }),
    // Long header, version 1 or 2, connection id of at most 20 bytes (RFC 9000, section 17.2; RFC 9369).
    udp("QUIC (not supported)", |bytes| {
        matches!(
            bytes,
            [0xc0..=0xff, 0, 0, 0, 1, 0..=20, ..] | [0xc0..=0xff, 0x6b, 0x33, 0x43, 0xcf, 0..=20, ..]
        )
    }),
];

const fn tcp(name: &'static str, is: fn(&[u8]) -> bool) -> Sign {
    Sign { name, network: Network::Tcp, is }
}

const fn udp(name: &'static str, is: fn(&[u8]) -> bool) -> Sign {
    Sign { name, network: Network::Udp, is }
}

/// What `bytes` seem to begin, those of one side each; by preference the beginning of the connection.
pub(super) fn guess(network: Network, bytes: [&[u8]; 2]) -> Option<&'static str> {
    let sign =
        SIGNS.iter().find(|sign| sign.network == network && bytes.iter().any(|bytes| (sign.is)(bytes)))?;
    Some(sign.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_named_by_either_side() {
        let cases: [(Network, &[u8], Option<&str>); 24] = [
            (Network::Tcp, b"\x16\x03\x01\x02\x00\x01", Some("TLS without keys")),
            (Network::Tcp, b"\x17\x03\x03\x00\x20\xaa", Some("TLS without keys")),
            (Network::Tcp, b"\x17\x03\x03\xff\xff\xaa", None),
            (Network::Tcp, b"SSH-2.0-OpenSSH_9.9\r\n", Some("SSH")),
            (Network::Tcp, b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", Some("Redis")),
            (Network::Tcp, b"*x\r\n$3\r\n", None),
            (Network::Tcp, b"\x4a\x00\x00\x00\x0a8.0.36\0", Some("MySQL")),
            (Network::Tcp, b"\x00\x00\x00\x08\x04\xd2\x16\x2f", Some("PostgreSQL")),
            (Network::Tcp, b"\x10\x01\x00\x00\x01\0\0\0\0\0\0\0\xdd\x07\0\0", Some("MongoDB")),
            (Network::Tcp, b"AMQP\0\0\x09\x01", Some("AMQP")),
            (Network::Tcp, b"\x10\x20\x00\x04MQTT\x04", Some("MQTT")),
            (Network::Tcp, b"220 mail.example ESMTP\r\n", Some("SMTP or FTP")),
            (Network::Tcp, b"\x05\x00\x0b\x03\x10\x00\x00\x00\x48\x00", Some("DCE/RPC")),
            (Network::Udp, b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example", Some("DNS")),
            (Network::Udp, b"\xc3\x00\x00\x00\x01\x08", Some("QUIC (not supported)")),
            (Network::Udp, b"\xd3\x6b\x33\x43\xcf\x08", Some("QUIC (not supported)")),
            (Network::Udp, b"\xc3\x00\x00\x00\x01\x15", None),
            (Network::Udp, b"\x16\xfe\xff\0\0\0\0\0\0\0\0\x00\xc4\x01", Some("DTLS (not supported)")),
            (Network::Udp, b"\x17\xfe\xfd\0\x01\0\0\0\0\0\x07\x00\x20\xaa", Some("DTLS (not supported)")),
            (Network::Udp, b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\x00\x00\x01", None),
            (Network::Udp, b"\x16\xfe\xfd\x09\0\0\0\0\0\0\0\x00\x20\x01", None),
            (Network::Tcp, b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\x00\xc4\x01", None),
            (Network::Udp, b"SSH-2.0", None),
            (Network::Tcp, b"", None),
        ];
        for (network, bytes, expected) in cases {
            assert_eq!(guess(network, [bytes, &[]]), expected, "{bytes:?}");
            assert_eq!(guess(network, [&[], bytes]), expected, "{bytes:?}");
        }
    }
}
