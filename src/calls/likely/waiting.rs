//! Calls on their way to the output: those of which something is not known wait for what others say.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::described::Described;
use super::methods::{Groups, Methods};
use super::statuses::{Meaning, Statuses, Verdict, text_of};
use super::{Likely, Reason, is_open};
use crate::body::outline::MethodOutline;
use crate::calls::dedup::Item;
use crate::calls::outcome;
use crate::calls::record::{Call, Carrier, Class};
use crate::codes::{grpc, kitex};
use crate::decode::Endpoint;
use crate::source::CapturePoint;
use crate::time::Timestamp;

/// Most outputs that wait.
const MAX_WAITING: usize = 1 << 15;

/// Estimated memory of one of them, in bytes: a call with its headers.
const ITEM: usize = 2048;

/// Most connections, servers, and texts of a server that are remembered; when there are more, all are forgotten.
const MAX_CONNECTIONS: usize = 4096;
const MAX_SERVERS: usize = 1024;
const MAX_TEXTS: usize = 1024;

/// The queue, and what was learnt so far.
#[derive(Debug)]
pub struct Waiting<T> {
    queue: VecDeque<Item<T>>,
    /// Most outputs that wait.
    most: usize,
    /// How long a call waits, in packet time.
    patience: Duration,
    /// A call came of which something is not known. Before that nothing waits, and nothing is learnt.
    active: bool,
    now: Timestamp,
    knowledge: Knowledge,
}

#[derive(Debug, Default)]
struct Knowledge {
    connections: HashMap<(CapturePoint, u64), ConnectionKnowledge, FixedState>,
    servers: HashMap<Endpoint, ServerKnowledge, FixedState>,
    /// Methods that descriptions name.
    described: Vec<Described>,
}

#[derive(Debug, Default)]
struct ConnectionKnowledge {
    statuses: Statuses,
    groups: Groups,
}

#[derive(Debug, Default)]
struct ServerKnowledge {
    methods: Methods,
    /// Codes by text; `None` where it came with several.
    codes: HashMap<String, Option<i64>, FixedState>,
}

impl<T> Waiting<T> {
    /// An empty queue in which a call waits that long at most.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self {
            queue: VecDeque::new(),
            most: MAX_WAITING,
            patience,
            active: false,
            now: Timestamp(i64::MIN),
            knowledge: Knowledge::default(),
        }
    }

    /// The same queue, in which outputs take at most about this many bytes.
    #[must_use]
    pub fn within(self, bytes: usize) -> Self {
        Self { most: MAX_WAITING.min(bytes / ITEM), ..self }
    }

    /// Takes what is described of gRPC methods, in place of what was described before.
    pub fn describe(&mut self, methods: Vec<MethodOutline>) {
        self.knowledge.described = methods.into_iter().map(Described::from).collect();
    }

    /// Whether calls have to go through the queue.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Takes the next call, in the order of the output; what need not wait any longer goes to `emit`.
    pub fn call(&mut self, call: Box<Call>, emit: &mut dyn FnMut(Item<T>)) {
        self.active |= call.clues.is_some();
        self.now = self.now.max(call.end);
        self.knowledge.learn(&call);
        self.queue.push_back(Item::Call(call));
        self.release(emit);
    }

    /// Takes something else, which keeps its place between the calls.
    pub fn passenger(&mut self, passenger: T, emit: &mut dyn FnMut(Item<T>)) {
        self.queue.push_back(Item::Passenger(passenger));
        self.release(emit);
    }

    /// Nothing more comes.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Item<T>)) {
        while let Some(item) = self.queue.pop_front() {
            self.emit(item, emit);
        }
    }

    fn release(&mut self, emit: &mut dyn FnMut(Item<T>)) {
        while let Some(item) = self.queue.front() {
            if let Item::Call(call) = item
                && is_open(call)
                && self.queue.len() <= self.most
                && u128::from(self.now.since(call.end)) < self.patience.as_nanos()
            {
                return;
            }
            if let Some(item) = self.queue.pop_front() {
                self.emit(item, emit);
            }
        }
    }

    fn emit(&mut self, mut item: Item<T>, emit: &mut dyn FnMut(Item<T>)) {
        if let Item::Call(call) = &mut item
            && is_open(call)
        {
            call.likely = self.knowledge.guess(call).map(Box::new);
        }
        emit(item);
    }
}

impl Knowledge {
    fn learn(&mut self, call: &Call) {
        if call.rpc != rpcscope_parsers::Rpc::Grpc {
            return;
        }
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(&call.server) {
            self.servers.clear();
        }
        let server = self.servers.entry(call.server).or_default();
        server.methods.learn(call);
        if let (Carrier::GrpcStatus, Some(code), Some(text)) =
            (call.outcome.carrier, call.outcome.code, call.outcome.message.as_deref())
        {
            server.learn_code(text, code);
        }
        let Some(clues) = call.clues.as_deref() else { return };
        let key = (call.capture_point, call.connection);
        if self.connections.len() >= MAX_CONNECTIONS && !self.connections.contains_key(&key) {
            self.connections.clear();
        }
        let connection = self.connections.entry(key).or_default();
        connection.groups.learn(call, clues.losses);
        let statuses = &mut connection.statuses;
        statuses.begin(&clues.begun);
        let Some(trailers) = clues.trailers.as_ref().filter(|_| call.class().is_none()) else { return };
        statuses.learn(trailers, call.response_messages);
        match statuses.judge(trailers, call.response_messages, &|text| server.meaning_of(text)) {
            Verdict::Code(code, _, Reason::Number) => {
                let fields: Vec<_> = trailers.fields.iter().collect();
                if let Some(text) = text_of(trailers, &fields) {
                    server.learn_code(text, code);
                }
            }
            Verdict::Code(code, _, Reason::KnownText) => statuses.tie(trailers, Meaning::Code(code)),
            Verdict::Rpc(_, Reason::KnownText) => statuses.tie(trailers, Meaning::Rpc),
            _ => {}
        }
    }

    fn guess(&mut self, call: &Call) -> Option<Likely> {
        let clues = call.clues.as_deref()?;
        let connection = self.connections.get_mut(&(call.capture_point, call.connection))?;
        let server = self.servers.get(&call.server)?;
        let mut likely = Likely::default();
        if call.class().is_none()
            && let Some(trailers) = &clues.trailers
        {
            let meaning_of = |text: &str| server.meaning_of(text);
            match connection.statuses.judge(trailers, call.response_messages, &meaning_of) {
                Verdict::Ok(percent, reason) => {
                    likely.class = Some(Class::Ok);
                    likely.add(percent, reason);
                }
                Verdict::Code(code, percent, reason) => {
                    let fields: Vec<_> = trailers.fields.iter().collect();
                    likely.class = outcome::class_of_status(code, text_of(trailers, &fields));
                    likely.code = Some(code);
                    likely.add(percent, reason);
                }
                Verdict::Rpc(percent, reason) => {
                    likely.class = Some(Class::Rpc);
                    likely.add(percent, reason);
                }
                Verdict::Failed => likely.why.push(Reason::TrailersOnly),
                Verdict::Open => {}
            }
        }
        if call.method.is_none()
            && let Some(((service, method), percent, reason)) =
                connection.groups.guess(call, &server.methods, &self.described)
        {
            likely.service = service.filter(|_| call.service.is_none());
            likely.method = Some(method);
            likely.add(percent, reason);
        }
        (!likely.why.is_empty()).then_some(likely)
    }
}

impl ServerKnowledge {
    fn learn_code(&mut self, text: &str, code: i64) {
        if text.is_empty() || (self.codes.len() >= MAX_TEXTS && !self.codes.contains_key(text)) {
            return;
        }
        match self.codes.get_mut(text) {
            Some(known) if *known != Some(code) => *known = None,
            Some(_) => {}
            None => _ = self.codes.insert(text.to_owned(), Some(code)),
        }
    }

    /// What a text means that came as a gRPC status: what it meant in other calls, else what libraries mean by it.
    fn meaning_of(&self, text: &str) -> Option<Meaning> {
        match self.codes.get(text) {
            Some(code) => code.map(Meaning::Code),
            None => grpc::code_of_text(text)
                .map(Meaning::Code)
                .or_else(|| kitex::is_rpc_failure(text).then_some(Meaning::Rpc)),
        }
    }
}
