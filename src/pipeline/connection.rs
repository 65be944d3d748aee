//! What is said of a connection.

use rpcscope_parsers::{Side, Unread};

use super::slot::Slot;
use crate::calls::record::{Connection, ConnectionState, Renewal};
use crate::decode::Network;
use crate::flow::{End, Flow};

/// Whether a connection is open, and how it ended otherwise.
pub(super) fn state(flow: &Flow, slot: &Slot, over: bool) -> ConnectionState {
    let client = client(flow, slot);
    let reset = flow.ended.contains(&Some(End::Rst));
    match () {
        () if reset && flow.bytes == [0, 0] && flow.segments[client.other().index()] <= 1 => {
            ConnectionState::Refused
        }
        () if reset => ConnectionState::Reset,
        () if flow.ended.contains(&Some(End::Fin)) => ConnectionState::Closed,
        () if over => ConnectionState::Idle,
        () => ConnectionState::Open,
    }
}

/// Who opened the connection: known from its SYN, from the calls on it, or from what else its protocol shows; otherwise likely.
fn client(flow: &Flow, slot: &Slot) -> Side {
    let known = flow.opener.or(slot.calls.client()).or_else(|| slot.conversation.client());
    known.unwrap_or_else(|| flow.likely_client())
}

/// Why a connection was not decoded, or not to its end, or has no calls.
pub(super) fn reason(flow: &Flow, slot: &Slot, state: ConnectionState) -> Option<&'static str> {
    let is_unknown = slot.conversation.protocol().is_none();
    match state {
        ConnectionState::Refused => Some("refused"),
        ConnectionState::Reset if is_unknown && flow.bytes == [0, 0] => Some("reset before any call"),
        _ => slot.conversation.reason(slot.calls.decided() > 0),
    }
}

/// The record of a connection in its present state.
pub(super) fn connection(flow: &Flow, slot: &Slot, over: bool) -> Connection {
    let client = client(flow, slot);
    let state = state(flow, slot, over);
    Connection {
        first_packet: flow.first.packet,
        last_packet: flow.last.packet,
        start: flow.first.time,
        end: flow.last.time,
        client: flow.key.endpoint(client),
        server: flow.key.endpoint(client.other()),
        via: slot.calls.via().cloned(),
        network: flow.key.network,
        capture_point: flow.key.capture_point,
        protocol: slot.conversation.protocol(),
        reason: reason(flow, slot, state),
        tls: slot.conversation.tls().map(Box::new),
        mid_stream: flow.key.network == Network::Tcp
            && slot.conversation.protocol().is_some()
            && !flow.from_start[client.index()],
        unread: slot.conversation.unread().map(|unread| renewal(unread, slot.calls.decided())),
        state,
        calls: slot.calls.decided(),
        failed: slot.calls.failed(),
        packets: flow.segments[0] + flow.segments[1],
        bytes: [flow.bytes[client.index()], flow.bytes[client.other().index()]],
        retransmissions: flow.retransmissions,
        gaps: flow.gaps,
    }
}

/// When what can't be read will have left its table, if the calls to come enter as much as those so far.
fn renewal(unread: Unread, calls: u64) -> Renewal {
    let left = unread.size.saturating_sub(unread.entered);
    match left.saturating_mul(calls).checked_div(unread.entered) {
        Some(more) => Renewal::Calls(more.max(1)),
        None => Renewal::Reconnect,
    }
}
