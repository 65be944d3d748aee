//! The requests of a connection that wait for their answers, in order (RFC 9112, section 9.3.2), and what is known of that
//! order after bytes were lost.

use std::collections::VecDeque;

use super::calls;
use crate::event::{Event, Rpc};
use crate::protocol::Emit;
use crate::session::At;
use crate::web::Claim;

/// The most requests of a connection that wait for their answers (pipelining).
const EXCHANGE_LIMIT: usize = 1024;

/// How far back a request may lie that may turn out to be tRPC.
const CANDIDATE_SPAN: u64 = 1024 * 1024;

/// Methods that change what the head of their answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
}

impl Method {
    pub(super) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    pub(super) fn name(self) -> &'static [u8] {
        match self {
            Self::Head => b"HEAD",
            Self::Connect => b"CONNECT",
            Self::Other => b"",
        }
    }
}

/// What was asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// No call.
    Foreign,
    /// No call unless its answer has tRPC's headers or is an error of Connect: its head, where it began, its size as far as it is known.
    Candidate { head: Vec<u8>, start: u64, bytes: u64 },
    /// tRPC over HTTP, emitted.
    Trpc,
    /// Connect and its kin, emitted.
    Web(Claim),
    /// Thrift over HTTP whose body is being read.
    ThriftComing,
    /// Thrift over HTTP, emitted.
    Thrift { oneway: bool },
    /// Requests that are missing, or whose answers are; how many is not known. Counting does not match later answers to
    /// requests until one request and one answer have come in turn.
    Hole {
        /// Requests and answers that came since the last request that followed an answer.
        requests: u32,
        answers: u32,
        /// Answers that were reported as lost and may still come.
        owed: u32,
    },
}

impl Asked {
    /// The lost answer to it, if it is a call that waits for one.
    fn lost(&self, start: u64) -> Option<Event<'static>> {
        match self {
            Self::Trpc => Some(calls::lost_answer(Rpc::TrpcHttp, start)),
            Self::Web(claim) => Some(calls::lost_answer(claim.rpc, start)),
            Self::Thrift { oneway: false } => Some(calls::lost_answer(Rpc::Thrift, start)),
            _ => None,
        }
    }

    fn is_hole(&self) -> bool {
        matches!(self, Self::Hole { .. })
    }
}

#[derive(Debug)]
struct Exchange {
    method: Method,
    asked: Asked,
}

/// The requests that wait for their answers, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Exchanges(VecDeque<Exchange>);

impl Exchanges {
    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        let heads = self.0.iter().map(|exchange| match &exchange.asked {
            Asked::Candidate { head, .. } => head.capacity(),
            _ => 0,
        });
        self.0.capacity() * size_of::<Exchange>() + heads.sum::<usize>()
    }

    /// Whether no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether no request that was seen waits.
    pub(super) fn is_unasked(&self) -> bool {
        self.0.iter().all(|exchange| exchange.asked.is_hole())
    }

    /// A request comes. `false` if there were too many, which are forgotten.
    pub(super) fn push(&mut self, method: &[u8], asked: Asked) -> bool {
        let fits = self.0.len() < EXCHANGE_LIMIT;
        if !fits {
            self.0.clear();
        }
        self.count_request();
        self.0.push_back(Exchange { method: Method::of(method), asked });
        fits
    }

    /// If one request and one answer have come in turn before this one, the two sides are in step again.
    fn count_request(&mut self) {
        let alone = self.0.len() == 1;
        let Some(Exchange { asked: Asked::Hole { requests, answers, .. }, .. }) = self.0.front_mut() else {
            return;
        };
        if alone && (*requests, *answers) == (1, 1) {
            self.0.clear();
            return;
        }
        if *answers > 0 {
            (*requests, *answers) = (0, 0);
        }
        *requests = requests.saturating_add(1);
    }

    /// The method of the request whose answer comes next, as far as it is known.
    pub(super) fn next_method(&self) -> Method {
        self.0.front().map_or(Method::Other, |exchange| exchange.method)
    }

    /// Takes out what an answer is the answer to. `None` if that was not seen. Where it is not known which of them it is,
    /// all that wait are reported as lost, and the answer is passed over.
    pub(super) fn answer(&mut self, at: At, emit: &mut Emit<'_>) -> Option<Asked> {
        if !self.0.front().is_some_and(|exchange| exchange.asked.is_hole()) {
            return self.0.pop_front().map(|exchange| exchange.asked);
        }
        let lost = self.lose_answers(at, 1, emit);
        let Some(Exchange { asked: Asked::Hole { answers, owed, .. }, .. }) = self.0.front_mut() else {
            return None;
        };
        *answers = answers.saturating_add(1);
        *owed = owed.saturating_add(lost);
        let of_lost = *owed > 0;
        *owed = owed.saturating_sub(1);
        of_lost.then_some(Asked::Foreign)
    }

    /// The answers to all requests that wait are lost, but for the first `kept`. Says of how many calls.
    fn lose_answers(&mut self, at: At, kept: usize, emit: &mut Emit<'_>) -> u32 {
        let mut seen = 0;
        let mut lost = 0;
        self.0.retain(|exchange| {
            seen += 1;
            // A request that is not whole yet was not emitted yet.
            if seen <= kept || matches!(exchange.asked, Asked::ThriftComing) {
                return true;
            }
            if let Some(answer) = exchange.asked.lost(at.offset) {
                emit(at.side, &answer);
                lost += 1;
            }
            false
        });
        lost
    }

    /// One answer can't be read: if it is known to what it is the answer, that one is lost.
    pub(super) fn lose_one(&mut self, at: At, emit: &mut Emit<'_>) {
        if self.0.front().is_some_and(|exchange| exchange.asked.is_hole()) {
            return;
        }
        if let Some(answer) = self.0.pop_front().and_then(|exchange| exchange.asked.lost(at.offset)) {
            emit(at.side, &answer);
        }
    }

    /// Bytes are missing in which any number of requests, or of answers if `answers`, may have stood.
    pub(super) fn lose(&mut self, at: At, answers: bool, emit: &mut Emit<'_>) {
        let hole = self.0.iter().position(|exchange| exchange.asked.is_hole());
        let before = hole.and_then(|place| self.0.remove(place)).map(|hole| hole.asked);
        let mut owed = if let Some(Asked::Hole { owed, .. }) = before { owed } else { 0 };
        // Requests that came before those that are missing are answered before them.
        let mut place = hole.unwrap_or(self.0.len());
        if answers {
            owed = owed.saturating_add(self.lose_answers(at, 0, emit));
            place = 0;
        }
        let asked = Asked::Hole { requests: 0, answers: 0, owed };
        self.0.insert(place, Exchange { method: Method::Other, asked });
    }

    /// The request that came last, if it is of thrift and its body was just read, is `asked`; `None`: it is not known.
    pub(super) fn resolve_thrift(&mut self, asked: Option<Asked>) {
        let Some(exchange) = self.0.back_mut().filter(|last| matches!(last.asked, Asked::ThriftComing))
        else {
            return;
        };
        match asked {
            Some(asked) => exchange.asked = asked,
            None => {
                self.0.pop_back();
            }
        }
    }

    /// The request that began at `began` is over and has `size` bytes.
    pub(super) fn complete(&mut self, began: u64, size: u64) {
        if let Some(Exchange { asked: Asked::Candidate { start, bytes, .. }, .. }) = self.0.back_mut()
            && *start == began
        {
            *bytes = size;
        }
    }

    /// Forgets the heads of candidates that lie too far back at `now`.
    pub(super) fn expire(&mut self, now: u64) {
        for exchange in &mut self.0 {
            if matches!(exchange.asked, Asked::Candidate { start, .. } if now - start > CANDIDATE_SPAN) {
                exchange.asked = Asked::Foreign;
            }
        }
    }

    /// Where the oldest candidate began.
    pub(super) fn oldest_candidate(&self) -> Option<u64> {
        self.0.iter().find_map(|exchange| match exchange.asked {
            Asked::Candidate { start, .. } => Some(start),
            _ => None,
        })
    }
}
