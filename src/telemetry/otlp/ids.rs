//! Ids of traces and spans. They follow from the call alone, so that a run over the same packets gives the same ones, and what is sent
//! twice is stored once.

use twox_hash::XxHash3_128;

use crate::calls::record::{Call, Name};
use crate::decode::Network;
use crate::telemetry::convention::End;

/// The id of a trace.
pub type TraceId = [u8; 16];
/// The id of a span.
pub type SpanId = [u8; 8];

/// The id of our own span of that end of the call. It never is one of the wire, which is the span of somebody else.
#[must_use]
pub fn span_id(call: &Call, end: End) -> SpanId {
    let end = match end {
        End::Client => b"client",
        End::Server => b"server",
    };
    let hash = XxHash3_128::oneshot(&[&end[..], &identity(call)].concat()) as u64;
    // All zeros are no id.
    hash.max(1).to_be_bytes()
}

/// The id of the trace that begins with this call, where the wire has none.
#[must_use]
pub fn trace_id(root: &Call) -> TraceId {
    hashed(&[b"trace", &identity(root)[..]].concat())
}

/// The trace id of the wire. Those of 64 bits are filled up with zeros, and those that are no number are hashed.
#[must_use]
pub fn wire_trace(call: &Call) -> Option<TraceId> {
    let id: &Name = call.trace_id.as_ref()?;
    Some(hex(id).map_or_else(|| hashed(&[b"named", id.as_bytes()].concat()), u128::to_be_bytes))
}

/// The id of the caller's span on the wire; `None` where it has another form than spans of OpenTelemetry have.
#[must_use]
pub fn wire_span(call: &Call) -> Option<SpanId> {
    let id = u64::try_from(hex(call.span_id.as_ref()?)?).ok()?;
    Some(id.to_be_bytes())
}

/// A number that is not zero.
fn hex(id: &str) -> Option<u128> {
    let digits = id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(id, 16).ok().filter(|number| digits && *number != 0)
}

fn hashed(bytes: &[u8]) -> TraceId {
    XxHash3_128::oneshot(bytes).max(1).to_be_bytes()
}

/// What tells a call from all others: its key. Those of UDP come again soon, and other calls may have none.
fn identity(call: &Call) -> Vec<u8> {
    match (call.key(), call.network) {
        (Some(key), Network::Tcp) => key.number().to_be_bytes().to_vec(),
        (Some(key), Network::Udp) => [&key.number().to_be_bytes()[..], &call.start.0.to_be_bytes()].concat(),
        (None, _) => [
            &call.connection_key().number().to_be_bytes()[..],
            &call.start.0.to_be_bytes(),
            &call.uid.packet.to_be_bytes(),
            &call.uid.ordinal.to_be_bytes(),
        ]
        .concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    fn call() -> Call {
        let mut call = sample::ok();
        call.positions[0] = Some(7);
        call
    }

    #[test]
    fn ids_follow_from_the_call() {
        let mut later = call();
        (later.uid.packet, later.start.0) = (9_000, later.start.0 + 1);
        assert_eq!(span_id(&call(), End::Client), span_id(&later, End::Client));
        assert_ne!(span_id(&call(), End::Client), span_id(&call(), End::Server));
        assert_eq!(trace_id(&call()), trace_id(&later));
        later.positions[0] = Some(8);
        assert_ne!(span_id(&call(), End::Client), span_id(&later, End::Client));
        // Calls without a key are told apart by their place in the capture.
        let mut keyless = call();
        keyless.positions[0] = None;
        let mut other = keyless.clone();
        other.uid.ordinal += 1;
        assert_ne!(span_id(&keyless, End::Client), span_id(&other, End::Client));
    }

    #[test]
    fn ids_of_the_wire_are_kept() {
        let mut call = call();
        assert_eq!((wire_trace(&call), wire_span(&call)), (None, None));
        call.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
        call.span_id = Some("5e3".into());
        assert_eq!(wire_trace(&call), Some(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()));
        assert_eq!(wire_span(&call), Some(0x5e3_u64.to_be_bytes()));
        // Of SkyWalking.
        call.trace_id = Some("abc.1.2".into());
        call.span_id = Some("segment-3".into());
        let named = wire_trace(&call);
        assert!(named.is_some() && wire_span(&call).is_none());
        call.trace_id = Some("abc.1.3".into());
        assert_ne!(wire_trace(&call), named);
        call.trace_id = Some("+1".into());
        assert_ne!(wire_trace(&call), Some(1_u128.to_be_bytes()));
    }
}
