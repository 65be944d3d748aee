//! What segments change that need no judgement: those that continue their stream, and those that usually open and close a connection.

use rpcscope_parsers::Side;

use super::super::half_stream::{Delivery, HalfStream};
use super::super::table::Bare;
use super::super::{Flow, Owner};
use super::{Course, Streams};
use crate::decode::{TcpFlags, TcpHead};

/// The half of a side and that of the other one.
fn both(halves: &mut [HalfStream; 2], side: Side) -> (&mut HalfStream, &mut HalfStream) {
    let [a, b] = halves;
    match side {
        Side::A => (a, b),
        Side::B => (b, a),
    }
}

impl Streams {
    /// Takes the usual segment if this is one: it continues its stream, acknowledges nothing that was not delivered, and
    /// nothing is held back or missing in either direction. The caller then delivers its payload. Does the same as
    /// [`Streams::judge`] and [`Streams::segment`] would do; the tests hold one against the other.
    #[inline]
    pub(in super::super) fn in_order(&mut self, bare: &Bare<'_>, flow: &Flow) -> bool {
        let halves = &mut self.halves;
        let (own, other) = (bare.side.index(), bare.side.other().index());
        let payload = bare.wire_len();
        // How far the acknowledgement lies after what was delivered.
        let ahead = bare.ack.wrapping_sub(halves[other].next.number()) as i32;
        let usual = bare.flags == TcpFlags::ACK
            && self.course == Course::Even
            && halves[own].next.number() == bare.seq
            && ahead <= 0
            && (payload == 0 || halves[own].begun || flow.from_start[own]);
        if usual {
            let acked = halves[other].next.back(u64::from(ahead.unsigned_abs()));
            halves[other].acked = halves[other].acked.max(acked);
            halves[own].sent = halves[own].next;
            if payload > 0 {
                if !halves[own].begun {
                    halves[own].begun = true;
                    halves[other].asked = halves[other].asked.min(acked);
                }
                halves[own].next = halves[own].next + payload;
            }
        }
        usual
    }

    /// A connection of which a SYN without payload is known, if this is one: the same as [`Streams::segment`] makes of it.
    pub(in super::super) fn begun(side: Side, head: &TcpHead) -> Option<Self> {
        const SYN: TcpFlags = TcpFlags { fin: false, syn: true, rst: false, ack: false };
        let mut begun = Self::default();
        *side.of_mut(&mut begun.halves) = HalfStream::behind_syn(head.seq);
        (head.flags == SYN).then_some(begun)
    }

    /// Takes a segment without payload, a SYN with an ACK, if it is the usual answer to the SYN of the other side.
    pub(in super::super) fn answers_syn(&mut self, bare: &Bare<'_>, flow: &mut Flow) -> bool {
        let (own, other) = both(&mut self.halves, bare.side);
        let is_usual = self.course != Course::Unsettled
            && !own.known
            && other.known
            && flow.opener == Some(bare.side.other())
            && other.anchored
            && !other.begun
            && !other.done
            && other.next == other.base
            && other.next.number() == bare.ack;
        if is_usual {
            *own = HalfStream::behind_syn(bare.seq);
            other.acked = other.acked.max(other.next);
            flow.from_start = [true; 2];
            self.course = self.settled_course();
        }
        is_usual
    }

    /// Takes a segment without payload, with an ACK and perhaps a FIN, if it is the usual FIN, which the caller then passes on, or an
    /// acknowledgement of a side that has ended or whose peer has.
    pub(in super::super) fn turns(&mut self, bare: &Bare<'_>, flow: &Flow) -> bool {
        let (own, other) = both(&mut self.halves, bare.side);
        let is_fin = bare.flags != TcpFlags::ACK;
        let acked = other.next.near(bare.ack);
        let is_usual = self.course != Course::Unsettled
            && own.known
            && other.known
            && own.next.number() == bare.seq
            && acked <= other.next
            && own.acked <= own.next
            && !own.fin_lost
            && !other.fin_lost
            && !(is_fin && (own.done || !own.begun && !flow.from_start[bare.side.index()]));
        if is_usual {
            other.acked = other.acked.max(acked);
            if !(own.done && other.done) {
                own.sent = own.sent.max(own.next);
            }
        }
        is_usual
    }

    /// Delivers the FIN that [`Streams::turns`] took.
    pub(in super::super) fn pass_fin<S, O: Owner<S>>(&mut self, side: Side, to: &mut Delivery<'_, S, O>) {
        let origin = to.now;
        if let Some(half) = self.half_mut(side) {
            half.pass_fin(side, origin, to);
        }
        self.course = Course::Settled;
    }
}
