//! Calls and states for the tests of the interface.

use std::sync::Arc;

use crossterm::event::KeyCode;

use super::{Effect, State};
use crate::calls::record::{Connection, ConnectionState};
use crate::calls::{Call, Carrier, Class, Finding, Uid, sample};
use crate::chains::{Chain, Change, EvidenceSet, Hop, Origin, Reported};
use crate::decode::Network;
use crate::sink::TimeFormat;
use crate::source::CapturePoint;
use crate::time::Timestamp;
use crate::tui::keys::Key;
use crate::tui::{Colors, Update};

/// Time of the first call of the tests: 2026-01-02 01:34:09.120 UTC.
pub(in crate::tui) const START: i64 = 1_767_317_649_120_000_000;

/// The `n`th call of a capture: ok, five milliseconds after the one before.
pub(in crate::tui) fn call(n: u64) -> Call {
    let mut call = sample::ok();
    call.uid = Uid { packet: n * 2 + 1, ordinal: 0 };
    call.decided = n * 2 + 2;
    call.packets = (n * 2 + 1, n * 2 + 2);
    call.start = Timestamp(START + n as i64 * 5_000_000);
    call.end = Timestamp(call.start.0 + 3_200_000);
    call
}

/// The `n`th call of a capture, failed.
pub(in crate::tui) fn failed(n: u64, class: Class, code: i64, message: &str) -> Call {
    let mut call = call(n);
    call.outcome.class = Some(class);
    call.outcome.carrier = match class {
        Class::Business => Carrier::BizStatus,
        Class::Rpc => Carrier::ThriftException,
        Class::Transport => Carrier::TcpRst,
        _ => Carrier::None,
    };
    let coded = matches!(class, Class::Business | Class::Rpc);
    call.outcome.code = coded.then_some(code);
    call.outcome.message = (!message.is_empty()).then(|| message.into());
    call
}

/// A connection between the ends of the test calls, of one packet, which carried nothing.
pub(in crate::tui) fn connection(first_packet: u64, state: ConnectionState) -> Connection {
    let call = sample::ok();
    Connection {
        first_packet,
        last_packet: first_packet,
        start: call.start,
        end: call.end,
        client: call.client,
        server: call.server,
        via: None,
        network: Network::Tcp,
        capture_point: CapturePoint::default(),
        protocol: None,
        reason: None,
        tls: None,
        mid_stream: false,
        unread: None,
        state,
        calls: 0,
        failed: 0,
        packets: 1,
        bytes: [0, 0],
        retransmissions: 0,
        gaps: 0,
    }
}

/// An empty state for a screen of this size, with times in UTC and without colours.
pub(in crate::tui) fn state(width: u16, height: u16) -> State {
    let mut state = State::new("captures/chain.pcap".to_owned(), 1 << 30, TimeFormat::Utc, Colors::None);
    state.resize(width, height);
    state
}

/// Passes calls to the state and lets it finish its work.
pub(in crate::tui) fn send(state: &mut State, calls: impl IntoIterator<Item = Call>) {
    state.receive(Update::Calls(calls.into_iter().map(Arc::new).collect()));
    settle(state);
}

/// Lets the state finish its work.
pub(in crate::tui) fn settle(state: &mut State) {
    while state.work(std::time::Instant::now()) {}
}

/// Presses a key.
pub(in crate::tui) fn press(state: &mut State, code: KeyCode) -> Option<Effect> {
    let effect = state.key(Key { code, control: false, shift: false });
    settle(state);
    effect
}

/// Presses the keys of these letters; a line end is Enter.
pub(in crate::tui) fn keys(state: &mut State, keys: &str) {
    for c in keys.chars() {
        press(state, if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) });
    }
}

/// A hundred calls; every tenth failed.
pub(in crate::tui) fn hundred() -> State {
    let mut state = state(80, 24);
    let calls = (0..100).map(|n| match n % 20 {
        5 => failed(n, Class::Business, 4041, "no stock"),
        15 => failed(n, Class::Rpc, 6, "biz error: no stock"),
        _ => call(n),
    });
    send(&mut state, calls);
    state
}

/// A chain of a root and a callee in which its error began.
pub(in crate::tui) fn chain(root: Call, cause: Call) -> Chain {
    let change = Change {
        hop: 0,
        below: Some(1),
        at: None,
        from: Reported::of(&cause),
        to: Reported::of(&root),
        finding: Finding::BusinessBecameRpc,
        prefixes: 1,
        confidence: 0.97,
    };
    Chain {
        hops: vec![Hop::sample(root, 0, None), Hop::sample(cause, 1, Some(0))],
        origin: Origin::At(1),
        origin_confidence: 0.97,
        changes: vec![change],
        evidence: EvidenceSet::default(),
        confidence: 1.0,
    }
}
