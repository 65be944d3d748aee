//! What happens to outputs behind the threads: copies of calls are joined, and calls wait for what others say of them.

use std::sync::Arc;

use super::{Options, Output, Receive, Totals};
use crate::calls::dedup::{Connections, Dedup, Item};
use crate::calls::likely::Waiting;
use crate::calls::record::Connection;
use crate::contain::caught;
use crate::payload::BodyDecoder;

/// Calls that wait for what later ones tell of them may take this part of the memory of connections.
const LOOKAHEAD_PART: usize = 8;

/// Puts the copies of calls that several captures show together, on the way to the receiver: behind the threads, so that
/// their number makes no difference.
pub(super) struct Joining<'r> {
    receiver: &'r mut dyn Receive,
    /// Decodes bodies before anything else looks at a call.
    bodies: Option<Arc<BodyDecoder>>,
    /// It has descriptions that `waiting` does not.
    has_news: bool,
    dedup: Dedup<Box<Connection>>,
    connections: Connections,
    /// Behind them, calls of which something is not known wait for what others say.
    waiting: Waiting<Box<Connection>>,
    stopped: bool,
    /// Stays after a panic of whatever took the outputs.
    pub(super) is_receiving: bool,
    /// A panic while outputs were being held back: since then they pass as they come.
    pub(super) fault: Option<String>,
    /// At which outputs tests break.
    #[cfg(test)]
    is_broken: Option<fn(&Output) -> bool>,
}

impl<'r> Joining<'r> {
    pub(super) fn new(receiver: &'r mut dyn Receive, options: &Options) -> Self {
        let bodies = options.bodies.clone();
        Self {
            receiver,
            has_news: bodies.is_some(),
            bodies,
            dedup: Dedup::default(),
            connections: Connections::default(),
            waiting: Waiting::new(options.lookahead).within(options.limits.memory / LOOKAHEAD_PART),
            stopped: false,
            is_receiving: false,
            fault: None,
            #[cfg(test)]
            is_broken: None,
        }
    }

    pub(super) fn finish(&mut self, totals: &Totals) {
        if self.stopped {
            return;
        }
        let mut outputs = Vec::new();
        let joined = caught(|| self.dedup.finish(&mut |item| outputs.push(item.into())));
        self.wait(&mut outputs);
        let waited = caught(|| self.waiting.finish(&mut |item| outputs.push(item.into())));
        if let Some(fault) = joined.err().or(waited.err()) {
            self.fault.get_or_insert_with(|| fault.to_string());
        }
        if !outputs.is_empty() {
            self.receiver.receive(&mut outputs, totals);
        }
    }

    /// Lets outputs wait if there is a call of which something is not known, and replaces them by those that are ready.
    fn wait(&mut self, outputs: &mut Vec<Output>) {
        if self.fault.is_some() || !self.waiting.is_active() && !outputs.iter().any(Output::has_clues) {
            return;
        }
        if let Some(bodies) = self.bodies.as_ref().filter(|_| self.has_news) {
            self.has_news = false;
            self.waiting.describe(bodies.methods());
        }
        self.hold_back(outputs, |joining, output, ready| {
            let give = &mut |item: Item<Box<Connection>>| ready.push(item.into());
            match output {
                Output::Call(call) => joining.waiting.call(call, give),
                Output::Connection(connection) => joining.waiting.passenger(connection, give),
                Output::Learned(_) => {}
            }
        });
    }

    /// Replaces outputs by those that `step` finds ready. If it panics, all that were held back are.
    fn hold_back(&mut self, outputs: &mut Vec<Output>, step: fn(&mut Self, Output, &mut Vec<Output>)) {
        let mut ready = Vec::new();
        let mut rest = std::mem::take(outputs).into_iter();
        let held_back = caught(|| {
            for output in rest.by_ref() {
                #[cfg(test)]
                assert!(!self.is_broken.is_some_and(|is_broken| is_broken(&output)), "a fault of the test");
                step(self, output, &mut ready);
            }
        });
        if let Err(fault) = held_back {
            self.fault = Some(fault.to_string());
            // What panicked may be half done: if this fails too, the first panic is the one that is told.
            _ = caught(|| self.dedup.finish(&mut |item| ready.push(item.into())));
            _ = caught(|| self.waiting.finish(&mut |item| ready.push(item.into())));
            ready.extend(rest);
        }
        *outputs = ready;
    }
}

/// Decodes the bodies of calls in their order, each with the descriptions that came before it. Says whether descriptions came.
fn decode(bodies: &BodyDecoder, outputs: &mut Vec<Output>) -> bool {
    let all = outputs.len();
    for output in outputs.iter_mut() {
        match output {
            Output::Call(call) => bodies.decode(call),
            Output::Learned(learned) => bodies.learn(&learned.file),
            Output::Connection(_) => {}
        }
    }
    outputs.retain(|output| !matches!(output, Output::Learned(_)));
    outputs.len() < all
}

impl Receive for Joining<'_> {
    fn receive(&mut self, outputs: &mut Vec<Output>, totals: &Totals) -> bool {
        self.is_receiving = true;
        if let Some(bodies) = &self.bodies {
            self.has_news |= decode(bodies, outputs);
        }
        // With one capture, or with several that have nothing in common, there are no copies.
        if self.fault.is_none() && (!self.dedup.is_empty() || outputs.iter().any(Output::may_have_copies)) {
            self.hold_back(outputs, |joining, output, ready| {
                let give = &mut |item: Item<Box<Connection>>| ready.push(item.into());
                match output {
                    Output::Call(call) => joining.dedup.call(call, give),
                    Output::Learned(_) => {}
                    Output::Connection(connection) if joining.connections.is_copy(&connection) => {}
                    Output::Connection(connection) => joining.dedup.passenger(connection, give),
                }
            });
        }
        self.wait(outputs);
        let more = self.receiver.receive(outputs, totals);
        self.stopped |= !more;
        self.is_receiving = false;
        more
    }
}

impl From<Item<Box<Connection>>> for Output {
    fn from(item: Item<Box<Connection>>) -> Self {
        match item {
            Item::Call(call) => Self::Call(call),
            Item::Passenger(connection) => Self::Connection(connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::record::{Call, Uid};
    use crate::calls::sample;
    use crate::source::CapturePoint;

    #[test]
    fn a_panic_while_calls_are_held_back_costs_no_other_call() {
        let call = |packet| {
            let capture_point = CapturePoint(1);
            Output::Call(Box::new(Call { uid: Uid { packet, ordinal: 0 }, capture_point, ..sample::ok() }))
        };
        let mut received = Vec::new();
        let mut receiver = |outputs: &mut Vec<Output>, _: &Totals| {
            received.extend(outputs.drain(..).filter_map(|output| match output {
                Output::Call(call) => Some(call.uid.packet),
                _ => None,
            }));
            true
        };
        let mut joining = Joining::new(&mut receiver, &Options::default());
        joining.is_broken = Some(|output| matches!(output, Output::Call(call) if call.uid.packet == 13));
        for batch in [0..10, 10..20, 20..30] {
            joining.receive(&mut batch.map(call).collect(), &Totals::default());
        }
        joining.finish(&Totals::default());
        assert!(joining.fault.unwrap().contains("a fault of the test"));
        received.sort_unstable();
        assert_eq!(received, (0..30).filter(|packet| *packet != 13).collect::<Vec<u64>>());
    }
}
