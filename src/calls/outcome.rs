//! The class of a call: one pure function over what its answer said and how it ended.
//!
//! Everything that decides between the framework's failure and the business's no stands here and nowhere else. The rules
//! are those of the user documentation ("Classes"); each branch names the framework's source that makes it so.

use std::collections::BTreeMap;

use rpcscope_parsers::event::{
    Begin, BizStatus, Codes, Exception, GrpcCode, GrpcStatus, Reply, Reset, ResultField, Text, ThriftStatus,
    TrpcEnd, TtstreamStatus,
};
use rpcscope_parsers::{Rpc, Status};

use super::details;
use super::names::Texts;
use super::record::{Carrier, Class, Finding, Findings, Initiator, Name};
use crate::codes::library_made::{library_made, needs_text};
use crate::codes::{self, Entry, Family, grpc, kitex, trpc, volo};

/// How a call came to its end.
#[derive(Clone, Copy)]
pub enum Ending<'a> {
    /// The callee answered.
    Answered {
        /// What the answer says.
        status: &'a Status<'a>,
        /// It has a payload.
        body: bool,
    },
    /// Someone broke the stream off.
    Reset {
        /// Who.
        by: Initiator,
        /// How.
        reset: &'a Reset<'a>,
    },
    /// A GOAWAY left the stream out, or came with an error before the connection closed.
    Goaway {
        /// Who sent it.
        by: Initiator,
        /// Its HTTP/2 error code.
        code: i64,
    },
    /// The answer began with this HTTP status, which is none of success, and without a status of the RPC; none came later.
    HttpError(u16),
    /// The answer was no message of the protocol, but what these words say; `None` if it was in no known language.
    Foreign(Option<&'a str>),
    /// The connection was closed before the answer.
    Fin(Initiator),
    /// The connection was reset before the answer.
    Rst(Initiator),
    /// Nothing more was seen.
    Silence,
    /// What came next was not read, because a bound was reached.
    Shed,
    /// No answer was due; what the callee sent all the same.
    Oneway(Option<&'a Status<'a>>),
}

/// What became of a call. [`decide`] alone makes one of what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The class; `None` where an answer came but what it says was lost (null in outputs, "unknown" for people).
    pub class: Option<Class>,
    /// The wire element that decided.
    pub carrier: Carrier,
    /// Number of the error, in the carrier's own numbering.
    pub code: Option<i64>,
    /// Standard name of the code.
    pub code_name: Option<&'static str>,
    /// Text of the error, shared by the calls that have the same. UTF-8 (undecodable bytes replaced); may hold control characters.
    pub message: Option<Name>,
    /// Who broke, reset or cancelled, where someone did.
    pub initiator: Option<Initiator>,
    /// tRPC `ret` as sent.
    pub ret: Option<i32>,
    /// tRPC `func_ret` as sent.
    pub func_ret: Option<i32>,
    /// Of an IDL exception: field of the result struct.
    pub field_id: Option<i16>,
    /// Boxed, because few calls have any of it.
    extra: Option<Box<Extra>>,
}

/// What few outcomes have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// The map of the business error.
    pub biz_extra: Vec<(String, String)>,
    /// `google.rpc.Status` details, decoded as far as known: type and text.
    pub details: Vec<(String, String)>,
    /// ttstream: services on the way of a cancel, from the first canceller on.
    pub cancel_path: Vec<Name>,
}

impl Outcome {
    /// The map of the business error.
    #[must_use]
    pub fn biz_extra(&self) -> &[(String, String)] {
        self.extra.as_deref().map_or(&[], |extra| &extra.biz_extra)
    }

    /// `google.rpc.Status` details, decoded as far as known: type and text.
    #[must_use]
    pub fn details(&self) -> &[(String, String)] {
        self.extra.as_deref().map_or(&[], |extra| &extra.details)
    }

    /// ttstream: services on the way of a cancel, from the first canceller on.
    #[must_use]
    pub fn cancel_path(&self) -> &[Name] {
        self.extra.as_deref().map_or(&[], |extra| &extra.cancel_path)
    }

    /// Whether it has any of these.
    #[inline]
    #[must_use]
    pub fn has_extra(&self) -> bool {
        self.extra.is_some()
    }

    /// Becomes the outcome of a call that had none, which owns nothing that would have to be dropped.
    #[inline]
    pub fn settle(&mut self, outcome: Self) {
        debug_assert!(self.message.is_none() && self.extra.is_none());
        std::mem::forget(std::mem::replace(self, outcome));
    }

    /// All of these, to be filled in.
    pub fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Of a call that is not decided yet, or whose answer could not be read.
    #[must_use]
    pub fn unknown() -> Self {
        Self::of(None, Carrier::None)
    }

    /// An outcome of that class, decided by that carrier, of which nothing else is known.
    #[must_use]
    pub fn of(class: Option<Class>, carrier: Carrier) -> Self {
        Self {
            class,
            carrier,
            code: None,
            code_name: None,
            message: None,
            initiator: None,
            ret: None,
            func_ret: None,
            field_id: None,
            extra: None,
        }
    }

    /// ttstream: the service that cancelled first.
    #[must_use]
    pub fn canceled_by(&self) -> Option<&Name> {
        self.cancel_path().first()
    }

    /// Whether the framework or the business said that the call failed.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self.class, Some(Class::Business | Class::Rpc))
    }
}

/// An outcome, and what is remarkable about it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What became of the call.
    pub outcome: Outcome,
    /// What is remarkable about it.
    pub findings: Findings,
}

impl From<Outcome> for Decision {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, findings: Findings::default() }
    }
}

impl Decision {
    fn of(class: Class, carrier: Carrier) -> Self {
        Outcome::of(Some(class), carrier).into()
    }

    fn ok() -> Self {
        Self::of(Class::Ok, Carrier::None)
    }

    /// Adds the details of a `google.rpc.Status`.
    #[inline(never)]
    fn add_details(&mut self, status: Text<'_>) {
        let details = details::decode(&status.decode());
        if !details.is_empty() {
            self.outcome.extra().details = details;
        }
    }

    /// What an answer says, or whether one came, can't be known.
    fn unknown() -> Self {
        Outcome::unknown().into()
    }

    fn code(mut self, family: Family, code: i64) -> Self {
        self.outcome.code = Some(code);
        self.outcome.code_name = codes::name(family, code);
        self
    }

    fn entry(mut self, entry: &Entry) -> Self {
        self.outcome.code = Some(entry.code);
        self.outcome.code_name = Some(entry.name);
        self
    }

    /// As [`Decision::code`], with a finding if no published table has the code.
    fn published(mut self, family: Family, code: i64) -> Self {
        self = self.code(family, code);
        if self.outcome.code_name.is_none() {
            self.findings.insert(Finding::UnknownCode);
        }
        self
    }

    #[inline]
    fn text(mut self, text: Option<&[u8]>, texts: &mut Texts) -> Self {
        self.outcome.message = text.map(|bytes| texts.get(bytes));
        self
    }

    fn message(self, text: Option<Text<'_>>, texts: &mut Texts) -> Self {
        self.text(text.map(Text::decode).as_deref(), texts)
    }

    fn by(mut self, initiator: Initiator) -> Self {
        self.outcome.initiator = Some(initiator);
        self
    }

    fn finding(mut self, finding: Finding, applies: bool) -> Self {
        if applies {
            self.findings.insert(finding);
        }
        self
    }
}

/// Decides what became of a call; `texts` are those of other errors.
#[must_use]
pub fn decide(ending: Ending<'_>, texts: &mut Texts) -> Decision {
    match ending {
        Ending::Answered { status, body } => answered(status, body, texts),
        Ending::Reset { by, reset: how } => reset(how, by, texts),
        Ending::Goaway { by, code } => {
            Decision::of(Class::Transport, Carrier::H2Goaway).by(by).published(Family::Http2, code)
        }
        Ending::HttpError(http) => http_status(http),
        Ending::Foreign(answer) => {
            let found = if answer.is_some() { Finding::ForeignAnswer } else { Finding::UndecodableAnswer };
            Decision::of(Class::Rpc, Carrier::None)
                .text(answer.map(str::as_bytes), texts)
                .finding(found, true)
        }
        Ending::Fin(by) => Decision::of(Class::Transport, Carrier::TcpFin).by(by),
        Ending::Rst(by) => Decision::of(Class::Transport, Carrier::TcpRst).by(by),
        Ending::Silence => Decision::of(Class::Unanswered, Carrier::None),
        Ending::Shed => Decision::unknown().finding(Finding::Shed, true),
        Ending::Oneway(answer) => {
            let mut decision = Decision::of(Class::Oneway, Carrier::None);
            if let Some(status) = answer {
                keep_codes(&mut decision.outcome, status);
            }
            decision
        }
    }
}

/// Keeps both numbers of tRPC as sent, whichever decided.
fn keep_codes(outcome: &mut Outcome, status: &Status<'_>) {
    match status {
        Status::Trpc(codes)
        | Status::TrpcStream { codes, .. }
        | Status::TrpcHttp { codes, .. }
        | Status::Codes(codes) => (outcome.ret, outcome.func_ret) = (codes.ret, codes.func_ret),
        Status::Missing | Status::Thrift(_) | Status::Ttstream(_) | Status::Grpc(_) | Status::Connect(_) => {}
    }
}

/// The same of an answer with that status, which has a payload if `body` says so.
#[must_use]
#[inline(never)]
pub fn answered(status: &Status<'_>, body: bool, texts: &mut Texts) -> Decision {
    let mut decision = match status {
        Status::Missing => Decision::unknown(),
        Status::Thrift(status) => thrift(status, texts),
        Status::Ttstream(status) => ttstream(status, texts),
        Status::Grpc(status) => grpc_trailers(status, texts),
        Status::Connect(status) => connect(status, texts),
        Status::Trpc(codes) => trpc_unary(codes, texts),
        Status::TrpcStream { end, codes } => trpc_stream(*end, codes, texts),
        Status::TrpcHttp { codes, http } => trpc_http(codes, *http, texts),
        Status::Codes(codes) => other(codes, texts),
    };
    keep_codes(&mut decision.outcome, status);
    let failed = decision.outcome.is_error();
    decision.finding(Finding::BodyWithError, failed && body)
}

/// A protocol without rules of its own that has one code of the framework and one of the callee. Its numbers are its own.
fn other(codes: &Codes<'_>, texts: &mut Texts) -> Decision {
    let (class, carrier, code) = match (codes.ret, codes.func_ret) {
        (Some(ret), _) if ret != 0 => (Class::Rpc, Carrier::Ret, ret),
        (_, Some(func_ret)) if func_ret != 0 => (Class::Business, Carrier::FuncRet, func_ret),
        _ => return Decision::ok(),
    };
    let mut decision = Decision::of(class, carrier).message(codes.message, texts);
    decision.outcome.code = Some(code.into());
    decision
}

fn reset(reset: &Reset<'_>, by: Initiator, texts: &mut Texts) -> Decision {
    match reset.head.rpc {
        // Kitex pkg/remote/trans/ttstream/exception.go: every Rst is an error of the framework, cancels among them.
        Rpc::Ttstream => {
            let mut decision = Decision::of(Class::Rpc, Carrier::TtstreamRst).by(by);
            if let Some(code) = reset.code {
                decision = decision.published(Family::Ttstream, code);
            }
            decision = decision.message(reset.message, texts);
            if let Some(path) = reset.cancel_path {
                let path = path.decode();
                let path = String::from_utf8_lossy(&path);
                decision.outcome.extra().cancel_path =
                    path.split(',').map(str::trim).filter(|s| !s.is_empty()).map(Into::into).collect();
            }
            decision
        }
        Rpc::Grpc
        | Rpc::GrpcWeb
        | Rpc::Connect
        | Rpc::Triple
        | Rpc::Thrift
        | Rpc::KitexProtobuf
        | Rpc::Trpc
        | Rpc::TrpcStream
        | Rpc::TrpcHttp
        | Rpc::Other(_) => {
            let decision = Decision::of(Class::Transport, Carrier::H2RstStream).by(by);
            match reset.code {
                Some(code) => decision.published(Family::Http2, code),
                None => decision,
            }
        }
    }
}

/// trpc-go `codec.go`: the caller looks at `ret` first, then at `func_ret`.
fn trpc_unary(codes: &Codes<'_>, texts: &mut Texts) -> Decision {
    match (codes.ret, codes.func_ret) {
        (Some(0), Some(0)) => Decision::ok(),
        (Some(0), Some(func_ret)) => func_ret_business(Carrier::FuncRet, func_ret, codes, texts),
        (None, _) | (Some(0), None) => Decision::unknown(),
        (Some(ret), _) => framework(ret, codes, texts),
    }
}

/// tRPC: the framework failed.
fn framework(ret: i32, codes: &Codes<'_>, texts: &mut Texts) -> Decision {
    let code = i64::from(ret);
    Decision::of(Class::Rpc, Carrier::Ret)
        .published(Family::Trpc, code)
        .message(codes.message, texts)
        .finding(Finding::CauseBelow, trpc::CLIENT_CODES.contains(&code))
}

fn func_ret_business(carrier: Carrier, func_ret: i32, codes: &Codes<'_>, texts: &mut Texts) -> Decision {
    let code = i64::from(func_ret);
    Decision::of(Class::Business, carrier)
        .code(Family::Trpc, code)
        .message(codes.message, texts)
        .finding(Finding::PlainError, code == trpc::UNKNOWN)
        .finding(Finding::BusinessCodeReserved, trpc::is_reserved(code))
}

fn trpc_stream(end: Option<TrpcEnd>, codes: &Codes<'_>, texts: &mut Texts) -> Decision {
    let func_ret = codes.func_ret.unwrap_or(0);
    let carrier = match (end, codes.ret) {
        (Some(TrpcEnd::Refused), ret) => {
            return Decision::of(Class::Rpc, Carrier::TrpcStreamInit)
                .published(Family::Trpc, i64::from(ret.unwrap_or(0)))
                .message(codes.message, texts);
        }
        (Some(TrpcEnd::Reset), None) => return Outcome::of(None, Carrier::TrpcStreamReset).into(),
        (Some(TrpcEnd::Reset), Some(_)) => Carrier::TrpcStreamReset,
        (None, _) | (Some(TrpcEnd::Close), None) => return Decision::unknown(),
        (Some(TrpcEnd::Close), Some(0)) if func_ret == 0 => return Decision::ok(),
        (Some(TrpcEnd::Close), Some(_)) => Carrier::TrpcStreamClose,
    };
    let ret = codes.ret.unwrap_or(0);
    if ret == 0 && func_ret != 0 {
        return func_ret_business(carrier, func_ret, codes, texts);
    }
    // trpc-go stream/server.go puts every code of a handler into `ret`: only the framework's own table separates them.
    let code = i64::from(ret);
    let framework = trpc::is_framework_code(code);
    Decision::of(if framework { Class::Rpc } else { Class::Business }, carrier)
        .code(Family::Trpc, code)
        .message(codes.message, texts)
        .finding(Finding::BusinessCodeInRet, !framework)
        .finding(Finding::PlainError, code == 0)
        .finding(Finding::CauseBelow, trpc::CLIENT_CODES.contains(&code))
}

fn trpc_http(codes: &Codes<'_>, http: Option<u16>, texts: &mut Texts) -> Decision {
    match (codes.ret.unwrap_or(0), codes.func_ret.unwrap_or(0), http) {
        (0, 0, Some(http)) if !(200..300).contains(&http) => http_status(http),
        (0, 0, _) => Decision::ok(),
        (0, func_ret, _) => func_ret_business(Carrier::FuncRet, func_ret, codes, texts),
        (ret, ..) => framework(ret, codes, texts),
    }
}

/// HTTP failed, and nothing of the RPC protocol came with it.
fn http_status(http: u16) -> Decision {
    Decision::of(Class::Rpc, Carrier::HttpStatus).code(Family::Http, i64::from(http))
}

/// Thrift and Kitex Protobuf, under TTHeader or without.
fn thrift(status: &ThriftStatus<'_>, texts: &mut Texts) -> Decision {
    if let Some(decision) = status.biz.as_ref().and_then(|biz| business(biz, None, texts)) {
        return decision.finding(Finding::BizStatusWithException, status.reply.exception().is_some());
    }
    match status.reply {
        Reply::Exception(exception) => application_exception(&exception, Carrier::ThriftException, texts),
        Reply::Result(ResultField::Exception(field)) => {
            let mut decision = Decision::of(Class::Business, Carrier::IdlException);
            decision.outcome.field_id = Some(field);
            decision
        }
        Reply::Missing => Decision::unknown(),
        Reply::Result(_) | Reply::Silent if status.cut => Decision::unknown(),
        // Clients do not look at what comes with another HTTP status (Apache Thrift, THttpClient of C++, Go and Java).
        Reply::Result(ResultField::Success | ResultField::Empty) | Reply::Silent => match status.http {
            Some(http) if !(200..300).contains(&http) => {
                http_status(http).finding(Finding::BodyWithError, status.reply != Reply::Silent)
            }
            _ => Decision::ok(),
        },
    }
}

fn application_exception(exception: &Exception<'_>, carrier: Carrier, texts: &mut Texts) -> Decision {
    let text = &*exception.message.decode();
    Decision::of(Class::Rpc, carrier)
        .published(Family::Thrift, i64::from(exception.type_id))
        .text(Some(text), texts)
        .finding(Finding::BusinessAsRpc, kitex::is_handler_error(text))
        .finding(Finding::BizStatusUntransportable, volo::is_biz_status(text))
}

/// A business status, if it is one: `None` for 0 and for an absent number.
fn business(biz: &BizStatus<'_>, fallback: Option<Text<'_>>, texts: &mut Texts) -> Option<Decision> {
    let status = biz.status?.decode();
    let text = biz.message.or(fallback);
    // Kitex takes no spaces around it (`strconv`).
    let number = std::str::from_utf8(&status).ok().and_then(|text| text.parse::<i64>().ok());
    // Of a status 0 it reads nothing else (`ParseBizStatusErr` in pkg/transmeta/ttheader.go).
    if number == Some(0) {
        return None;
    }
    let extra = match biz.extra.filter(|json| !json.is_empty()) {
        None => Some(Vec::new()),
        Some(json) => string_map(&json.decode()),
    };
    match (number, extra) {
        (Some(code), Some(extra)) => {
            let mut decision = Decision::of(Class::Business, Carrier::BizStatus).message(text, texts);
            decision.outcome.code = Some(code);
            if !extra.is_empty() {
                decision.outcome.extra().biz_extra = extra;
            }
            Some(decision)
        }
        // Kitex transmeta fails the call on the caller's side when it can't read what the callee sent.
        (number, _) => {
            let mut decision = Decision::of(Class::Rpc, Carrier::BizStatus)
                .message(text, texts)
                .finding(Finding::BizStatusMalformed, true);
            decision.outcome.code = number;
            Some(decision)
        }
    }
}

/// One JSON object whose values are strings, as Kitex reads it (`JSONStr2Map` in pkg/utils/json.go): `null` is an empty one.
fn string_map(json: &[u8]) -> Option<Vec<(String, String)>> {
    let object: Option<BTreeMap<String, Option<String>>> = serde_json::from_slice(json).ok()?;
    let pairs = object.into_iter().flatten();
    Some(pairs.map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

fn ttstream(status: &TtstreamStatus<'_>, texts: &mut Texts) -> Decision {
    if let Some(decision) = status.biz.as_ref().and_then(|biz| business(biz, None, texts)) {
        return decision.finding(Finding::BizStatusWithException, status.exception.is_some());
    }
    match &status.exception {
        Some(exception) => application_exception(exception, Carrier::TtstreamTrailer, texts),
        None if status.cut => Decision::unknown(),
        None => Decision::ok(),
    }
}

fn grpc_trailers(status: &GrpcStatus<'_>, texts: &mut Texts) -> Decision {
    // Kitex pkg/remote/trans/nphttp2: the business status is the answer, grpc-status only how it travels.
    let mut decision = match status.biz.as_ref().and_then(|biz| business(biz, status.message, texts)) {
        Some(decision) => decision,
        None => grpc_code(status, texts),
    };
    if let Some(details) = status.details {
        decision.add_details(details);
    }
    decision.finding(Finding::StatusDeduced, status.deduced)
}

/// The class of a gRPC call whose answer has that status and text, and no other sign of what became of it.
#[must_use]
pub fn class_of_status(code: i64, text: Option<&str>) -> Option<Class> {
    let message = text.map(|text| Text::Plain(text.as_bytes()));
    let code = GrpcCode::Code(code);
    grpc_code(&GrpcStatus { message, ..GrpcStatus::of(code) }, &mut Texts::default()).outcome.class
}

fn grpc_code(status: &GrpcStatus<'_>, texts: &mut Texts) -> Decision {
    // grpc-go, grpc-java, grpcio, grpc-js and tonic look at the HTTP status first: what follows it can't mend it.
    if let GrpcCode::Code(0) = status.code {
        return http_failure(status.http).map_or_else(Decision::ok, http_status);
    }
    let text = status.message.map(Text::decode);
    let text = text.as_deref();
    match status.code {
        // What could not be read beside it may be the business status that it carries.
        GrpcCode::Code(code @ grpc::INTERNAL) if status.cut => {
            Decision::from(Outcome::of(None, Carrier::GrpcStatus))
                .published(Family::Grpc, code)
                .text(text, texts)
        }
        // Nor can a library's be told from a handler's where the text is missing.
        GrpcCode::Code(code)
            if status.cut && text.is_none() && grpc::is_for_handlers(code) && needs_text(code) =>
        {
            Decision::from(Outcome::of(None, Carrier::GrpcStatus)).published(Family::Grpc, code)
        }
        GrpcCode::Code(code) => failed_status(Carrier::GrpcStatus, code, text, texts),
        GrpcCode::Malformed(raw) => Decision::of(Class::Rpc, Carrier::GrpcStatus)
            .text(Some(text.unwrap_or(&raw.decode())), texts)
            .finding(Finding::UnknownCode, true),
        GrpcCode::Unknown => Decision::from(Outcome::of(None, Carrier::GrpcStatus))
            .text(text.filter(|text| !text.is_empty()), texts),
        GrpcCode::Absent if status.cut => Decision::unknown(),
        GrpcCode::Absent => {
            http_failure(status.http).map_or_else(|| Decision::of(Class::Rpc, Carrier::None), http_status)
        }
    }
}

/// The HTTP status, if it is one with which gRPC has failed: any but 200 (gRPC, doc/http-grpc-status-mapping.md).
fn http_failure(http: Option<u16>) -> Option<u16> {
    http.filter(|http| *http != 200)
}

/// The HTTP status with which an answer has begun, if it fails the call unless a status of the RPC follows. The first
/// header block after interim ones (RFC 9113, section 8.1) decides: libraries report it at once and break the stream off
/// themselves.
#[must_use]
pub fn http_error(begin: &Begin<'_>) -> Option<u16> {
    match begin.head.rpc {
        Rpc::Grpc => http_failure(begin.http).filter(|_| !begin.has_status),
        // Their parser says it of the answer's head where it is so.
        Rpc::GrpcWeb
        | Rpc::Connect
        | Rpc::Triple
        | Rpc::Thrift
        | Rpc::KitexProtobuf
        | Rpc::Ttstream
        | Rpc::Trpc
        | Rpc::TrpcStream
        | Rpc::TrpcHttp
        | Rpc::Other(_) => None,
    }
}

/// A code of gRPC other than 0, with its text.
fn failed_status(carrier: Carrier, code: i64, text: Option<&[u8]>, texts: &mut Texts) -> Decision {
    let text = text.filter(|text| !text.is_empty());
    let made = text.and_then(|text| library_made(code, text));
    let for_handlers = grpc::is_for_handlers(code);
    let class = if for_handlers && made.is_none() { Class::Business } else { Class::Rpc };
    let decision = Decision::of(class, carrier);
    let decision = match made {
        Some(made) => decision.entry(&made.entry),
        None => decision.published(Family::Grpc, code),
    };
    let by_handler = made.is_none() && text.is_some_and(kitex::is_handler_error);
    decision
        .text(text, texts)
        .finding(Finding::LibraryMade, for_handlers && made.is_some())
        .finding(Finding::BusinessAsRpc, class == Class::Rpc && by_handler)
}

/// Connect and Triple have gRPC's codes, of which the same are made by libraries (Connect protocol reference, "Error Codes").
fn connect(status: &GrpcStatus<'_>, texts: &mut Texts) -> Decision {
    let text = status.message.map(Text::decode);
    let text = text.as_deref().filter(|text| !text.is_empty());
    let mut decision = match status.code {
        GrpcCode::Code(0) => Decision::ok(),
        GrpcCode::Code(code) => failed_status(Carrier::ConnectError, code, text, texts),
        GrpcCode::Malformed(_) => Decision::of(Class::Rpc, Carrier::ConnectError)
            .text(text, texts)
            .finding(Finding::UnknownCode, true),
        GrpcCode::Unknown => Decision::unknown(),
        GrpcCode::Absent => match status.http {
            Some(http) if http != 200 => http_status(http).text(text, texts),
            _ => Decision::of(Class::Rpc, Carrier::None),
        },
    };
    if let Some(details) = status.details {
        decision.add_details(details);
    }
    decision
}

#[cfg(test)]
mod tests;
