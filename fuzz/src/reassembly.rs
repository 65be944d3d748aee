//! TCP reassembly against a plain model: for each byte of a stream, which arrived first.
//!
//! Input: pieces of `op │ position 2 │ length │ acknowledged 2`. Two hosts talk; what they send arrives in any order, in any pieces,
//! twice or never, and sometimes with other bytes than the first time.

use std::net::Ipv4Addr;
use std::time::Duration;

use rpcscope::decode::{Endpoint, FlowKey, Network, Segment, TcpFlags, TcpHead, Transport};
use rpcscope::flow::{Chunk, End, Flow, GapReason, Limits, Owner, Stamp, Table};
use rpcscope::time::Timestamp;
use rpcscope_parsers::Side;

use crate::bytes::Input;

/// Positions that a piece can begin at. Far less than a window.
const STREAM: usize = 4096;
/// Longest piece.
const PIECE: usize = 255;

/// What has arrived, and how far the table has delivered it.
struct Model {
    first: [Vec<Option<u8>>; 2],
    delivered: [usize; 2],
    opened: usize,
    closed: usize,
    /// No hole can have been given up early, for want of room or because time passed: one that was is passed over, and what fills
    /// it later is not delivered, even if the gap itself still waits for the other side.
    strict: bool,
}

impl Owner<()> for Model {
    fn open(&mut self, _flow: &Flow) {
        self.opened += 1;
    }

    fn chunk(
        &mut self,
        flow: &Flow,
        (): &mut (),
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        now: Stamp,
    ) -> u64 {
        assert!(origin.packet <= now.packet, "from a packet that is still to come");
        let at = &mut self.delivered[side.index()];
        let first = &self.first[side.index()];
        match chunk {
            Chunk::Data(bytes) => {
                assert!(!bytes.is_empty());
                for byte in bytes {
                    assert_eq!(first.get(*at).copied().flatten(), Some(*byte), "{side:?} at {at}");
                    *at += 1;
                }
            }
            Chunk::Gap { bytes, reason } => {
                assert_ne!(reason, GapReason::Cut, "nothing was cut");
                for _ in 0..bytes {
                    let arrived = first.get(*at).copied().flatten();
                    assert!(!self.strict || arrived.is_none(), "{side:?} at {at} had arrived");
                    *at += 1;
                }
            }
            Chunk::Datagram { .. } => panic!("a datagram in a stream"),
            Chunk::End(_) => {}
        }
        flow.origins[side.index()].next()
    }

    fn close(&mut self, flow: &Flow, (): &mut (), _why: End, _now: Stamp) {
        assert!(flow.ended.iter().all(Option::is_some), "a close without an end");
        self.closed += 1;
    }
}

/// See the module.
pub fn reassembly(data: &[u8]) {
    let mut input = Input(data);
    let isn = [input.u32(), input.u32()];
    let tight = input.bool();
    let limits = if tight {
        Limits { flow_bytes: 600, flow_pieces: 4, hole_segments: 5, ..Limits::default() }
    } else {
        Limits { hole_segments: 1 << 20, ..Limits::default() }
    };
    let mut table = Table::new(limits);
    let mut model = Model {
        first: [vec![None; STREAM + PIECE + 1], vec![None; STREAM + PIECE + 1]],
        delivered: [0; 2],
        opened: 0,
        closed: 0,
        strict: !tight,
    };
    let end = |host, port| Endpoint { ip: Ipv4Addr::new(10, 0, 0, host).into(), port };
    let (key, _) = FlowKey::new(end(1, 1000), end(2, 80), Network::Tcp);
    let (mut packet, mut now) = (0, 0_i64);
    let mut arrive =
        |model: &mut Model, side: Side, flags: TcpFlags, seq: u32, ack: u32, bytes: &[u8], wait: i64| {
            packet += 1;
            now += 1_000 + wait;
            let (packet, time) = (packet, Timestamp(now));
            if wait > 0 {
                table.tick(Stamp { packet, time }, model);
            }
            let transport = Transport::Tcp(TcpHead { seq, ack, flags });
            table.segment(&Segment { packet, time, key, side, transport, payload: bytes, missing: 0 }, model);
            assert!(!tight || table.held() <= 600 + PIECE, "{} bytes are held", table.held());
        };
    let syn = TcpFlags { syn: true, ..TcpFlags::default() };
    arrive(&mut model, Side::A, syn, isn[0], 0, &[], 0);
    arrive(&mut model, Side::B, TcpFlags { ack: true, ..syn }, isn[1], isn[0].wrapping_add(1), &[], 0);
    // How far each host has sent: no other can have acknowledged more.
    let mut sent = [0_usize; 2];
    while !input.is_empty() {
        let op = input.u8();
        let side = if op & 1 == 0 { Side::A } else { Side::B };
        let at = usize::from(input.u16()) % STREAM;
        // Most pieces follow the last one, as most do on a network.
        let at = if op & 6 != 0 { sent[side.index()] } else { at.min(sent[side.index()] + 2 * PIECE) };
        if at >= STREAM {
            continue;
        }
        let len = usize::from(input.u8());
        let other = op & 0x18 == 0x18;
        let bytes: Vec<u8> = (at..at + len).map(|at| (at * 7 + at / 251) as u8 ^ u8::from(other)).collect();
        sent[side.index()] = sent[side.index()].max(at + len);
        let acked = usize::from(input.u16()).min(sent[side.other().index()]);
        // Lost on its way to the capture.
        if op & 0xe0 == 0xe0 {
            continue;
        }
        let wait =
            if op & 0xe0 == 0xc0 { Duration::from_millis(u64::from(op & 31) * 100) } else { Duration::ZERO };
        model.strict &= wait.is_zero();
        if at + len > model.delivered[side.index()] {
            for (at, byte) in (at..).zip(&bytes) {
                let first = &mut model.first[side.index()][at];
                if at >= model.delivered[side.index()] && first.is_none() {
                    *first = Some(*byte);
                }
            }
        }
        let place = |side: Side, at: usize| isn[side.index()].wrapping_add(1).wrapping_add(at as u32);
        let flags = TcpFlags { ack: true, ..TcpFlags::default() };
        let (seq, ack) = (place(side, at), place(side.other(), acked));
        arrive(&mut model, side, flags, seq, ack, &bytes, wait.as_nanos() as i64);
    }
    let last = Stamp { packet: u64::MAX, time: Timestamp(i64::MAX / 2) };
    table.finish(last, &mut model);
    assert_eq!((model.opened, model.closed), (1, 1));
    assert_eq!((table.len(), table.held()), (0, 0), "memory is given back");
    for side in [Side::A, Side::B] {
        let first = &model.first[side.index()];
        let arrived = first.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let delivered = model.delivered[side.index()];
        assert!(delivered >= arrived, "{side:?}: {delivered} of {arrived} bytes are delivered");
    }
}
