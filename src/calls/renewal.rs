//! Records that are used again: what they own is freed once they are written, so that a new call takes their place without a look at it.

use rpcscope_parsers::event::Layout;

use super::outcome::Outcome;
use super::record::{Call, CallKind, Findings, Uid};
use crate::decode::Endpoint;
use crate::time::Timestamp;

/// Where what a box holds stands in memory; 0 if there is none.
#[inline]
fn place<T: ?Sized>(boxed: Option<&T>) -> usize {
    boxed.map_or(0, |boxed| std::ptr::from_ref(boxed).cast::<u8>().addr())
}

impl Call {
    /// Frees what it owns, so that the record can be used again by [`Call::renew`].
    pub fn release(&mut self) {
        let Self {
            service,
            method,
            caller,
            callee,
            trace_id,
            span_id,
            log_id,
            via,
            goaway,
            likely,
            clues,
            rivals,
            told,
            host,
            processes,
            names,
            marks,
            bodies,
            callee_view,
            outcome,
            metadata,
            uid: _,
            start: _,
            end: _,
            decided: _,
            latency: _,
            duration: _,
            client: _,
            server: _,
            transport: _,
            network: _,
            rpc: _,
            codec: _,
            unknown_name: _,
            sender: _,
            id: _,
            kind: _,
            message_bytes: _,
            layouts: _,
            request_bytes: _,
            response_bytes: _,
            request_messages: _,
            response_messages: _,
            timeout: _,
            parent: _,
            parent_evidence: _,
            parent_key: _,
            parent_confidence: _,
            missed: _,
            observer: _,
            is_local: _,
            findings: _,
            packets: _,
            connection: _,
            since_opening: _,
            capture_point: _,
            positions: _,
        } = self;
        // As one number: each by itself would be a look and a branch, or a part of a vector.
        let few_have = place(goaway.as_deref())
            | place(likely.as_deref())
            | place(clues.as_deref())
            | place(rivals.as_deref())
            | place(told.as_deref())
            | place(processes.as_deref())
            | place(names.as_deref())
            | place(marks.as_deref())
            | place(bodies.as_deref())
            | place(callee_view.as_deref())
            | metadata.capacity();
        if few_have != 0 || via.is_some() || outcome.has_extra() {
            self.release_few();
            return self.release();
        }
        for name in [service, method, caller, callee, &mut outcome.message] {
            if name.is_some() {
                *name = None;
            }
        }
        if trace_id.is_some() || span_id.is_some() || log_id.is_some() || host.is_some() {
            (*trace_id, *span_id, *log_id, *host) = (None, None, None, None);
        }
    }

    #[cold]
    fn release_few(&mut self) {
        (self.via, self.goaway, self.likely, self.clues) = (None, None, None, None);
        (self.rivals, self.told, self.processes, self.names) = (None, None, None, None);
        (self.marks, self.bodies, self.callee_view) = (None, None, None);
        (self.outcome, self.metadata) = (Outcome::unknown(), Vec::new());
    }

    /// Becomes a call of which nothing is known, as [`Call::new`] makes one: what a released record owned is not written again, what is known
    /// of each call as soon as it is opened (when it ended so far, its packets and connection, its protocol and id) is set then, and what
    /// became of it when it is decided.
    #[expect(clippy::inline_always, reason = "a part of what opens a call")]
    #[inline(always)]
    pub fn renew(&mut self, uid: Uid, start: Timestamp, client: &Endpoint, server: &Endpoint) {
        (self.uid, self.start, self.client, self.server) = (uid, start, *client, *server);
        self.kind = CallKind::Unary;
        (self.unknown_name, self.sender, self.timeout) = (None, None, None);
        (self.latency, self.duration, self.positions) = (None, None, [None; 2]);
        (self.message_bytes, self.layouts) = ([0; 2], [[Layout::default(); 2]; 2]);
        (self.request_bytes, self.response_bytes) = (0, 0);
        (self.request_messages, self.response_messages) = (0, 0);
        (self.parent, self.parent_evidence, self.parent_key) = (None, None, None);
        (self.parent_confidence, self.missed) = (None, None);
        (self.observer, self.is_local, self.findings) = (None, [false; 2], Findings::default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::record::{Name, Told};
    use crate::calls::sample;
    use crate::decode::Network;
    use crate::source::CapturePoint;

    #[test]
    fn a_released_record_owns_nothing_and_becomes_another() {
        let name: Name = "a name".into();
        let own: [fn(&mut Call, Name); 10] = [
            |call, name| call.service = Some(name),
            |call, name| call.method = Some(name),
            |call, name| call.caller = Some(name),
            |call, name| call.callee = Some(name),
            |call, name| call.outcome.message = Some(name),
            |call, name| call.trace_id = Some(name),
            |call, name| call.span_id = Some(name),
            |call, name| call.log_id = Some(name),
            |call, name| call.host = Some(name),
            |call, name| call.outcome.extra().cancel_path = vec![name],
        ];
        let Call { uid, start, client, server, .. } = sample::bare();
        let new = || Call::new(uid, start, client, server);
        let renew = |call: &mut Call| {
            call.renew(uid, start, &client, &server);
            let opened = new();
            (call.end, call.decided, call.packets) = (opened.end, opened.decided, opened.packets);
            (call.connection, call.since_opening) = (opened.connection, opened.since_opening);
            (call.network, call.capture_point) = (opened.network, opened.capture_point);
            (call.transport, call.rpc, call.codec) = (opened.transport, opened.rpc, opened.codec);
            (call.id, call.outcome) = (opened.id, opened.outcome);
        };
        for own in own {
            let mut call = new();
            own(&mut call, Name::clone(&name));
            call.release();
            assert_eq!(Arc::strong_count(&name), 1);
            renew(&mut call);
            assert_eq!(format!("{call:?}"), format!("{:?}", new()));
        }
        let mut call = everything();
        call.release();
        renew(&mut call);
        assert_eq!(format!("{call:?}"), format!("{:?}", new()));
    }

    /// A call of which nothing is as in a new one.
    fn everything() -> Call {
        let mut call = sample::full();
        (call.network, call.kind, call.capture_point) = (Network::Udp, CallKind::Stream, CapturePoint(1));
        (call.message_bytes, call.layouts) = ([1; 2], [[Layout::from_number(1); 2]; 2]);
        (call.is_local, call.since_opening) = ([true; 2], 1);
        (call.clues, call.marks) = (Some(Box::default()), Some(Box::default()));
        call.told = Some(Box::new(Told {
            key: None,
            connection: call.connection_key(),
            reported_as: None,
            carrier: None,
            findings: Vec::new(),
            is_log_shared: false,
        }));
        call
    }

    #[test]
    fn the_call_with_everything_lacks_no_field() {
        let fields = |call: &Call| {
            let mut fields: Vec<String> = Vec::new();
            for line in format!("{call:#?}").lines() {
                let begins = |rest: &str| rest.starts_with(char::is_alphabetic);
                match fields.last_mut() {
                    Some(last) if !line.strip_prefix("    ").is_some_and(begins) => last.push_str(line),
                    _ => fields.push(line.to_owned()),
                }
            }
            fields
        };
        let nowhere = Endpoint { ip: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        let new = fields(&Call::new(Uid::default(), Timestamp(0), nowhere, nowhere));
        let everything = fields(&everything());
        assert_eq!(everything.len(), new.len());
        // The first one is the name of the struct.
        let same: Vec<_> = everything.iter().zip(new).skip(1).filter(|(all, new)| *all == new).collect();
        assert!(same.is_empty(), "{same:#?}");
    }
}
