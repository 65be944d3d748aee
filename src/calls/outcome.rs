//! The class of a call: one pure function over what its answer said and how it ended.
//!
//! Everything that decides between the framework's failure and the business's no stands here and nowhere else. The rules
//! are those of the user documentation ("Classes"); each branch names the framework's source that makes it so.

use rpcscope_parsers::Status;
use rpcscope_parsers::message::{BizStatus, Exception, GrpcStatus, Reset, ResultField, TrpcEnd};

use super::details;
use super::record::{Carrier, Class, Finding, Findings, Initiator, Verdict};
use crate::codes::{self, Family, grpc, kitex, trpc, volo};

/// How a call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The callee answered; the status says what.
    Answered,
    /// Someone broke the stream off; [`Status::reset`] says how.
    Reset(Initiator),
    /// A GOAWAY left the stream out, or came with an error before the connection closed.
    Goaway(Initiator),
    /// The connection was closed before the answer.
    Fin(Initiator),
    /// The connection was reset before the answer.
    Rst(Initiator),
    /// Nothing more was seen.
    Silence,
    /// No answer was due.
    Oneway,
}

/// A verdict and what else the deciding message told.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Class, carrier, code and message.
    pub verdict: Verdict,
    /// tRPC `ret`.
    pub ret: Option<i32>,
    /// tRPC `func_ret`.
    pub func_ret: Option<i32>,
    /// Of an IDL exception: field of the result struct.
    pub field_id: Option<i16>,
    /// The map of the business error.
    pub biz_extra: Vec<(String, String)>,
    /// `google.rpc.Status` details: type and text.
    pub details: Vec<(String, String)>,
    /// ttstream: services from the first canceller on.
    pub cancel_path: Vec<String>,
    /// What is remarkable.
    pub findings: Findings,
}

impl Outcome {
    fn of(class: Option<Class>, carrier: Carrier) -> Self {
        Self {
            verdict: Verdict { class, carrier, code: None, code_name: None, message: None, initiator: None },
            ret: None,
            func_ret: None,
            field_id: None,
            biz_extra: Vec::new(),
            details: Vec::new(),
            cancel_path: Vec::new(),
            findings: Findings::default(),
        }
    }

    fn ok() -> Self {
        Self::of(Some(Class::Ok), Carrier::None)
    }

    /// An answer came and what it says is lost.
    fn unknown() -> Self {
        Self::of(None, Carrier::None)
    }

    fn code(mut self, family: Family, code: i64) -> Self {
        self.verdict.code = Some(code);
        self.verdict.code_name = codes::name(family, code);
        self
    }

    /// The same, and a code that no published table has is told.
    fn published(mut self, family: Family, code: i64) -> Self {
        self = self.code(family, code);
        if self.verdict.code_name.is_none() {
            self.findings.insert(Finding::UnknownCode);
        }
        self
    }

    fn text(mut self, text: Option<&[u8]>) -> Self {
        self.verdict.message = text.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        self
    }

    fn by(mut self, initiator: Initiator) -> Self {
        self.verdict.initiator = Some(initiator);
        self
    }

    fn finding(mut self, finding: Finding, applies: bool) -> Self {
        if applies {
            self.findings.insert(finding);
        }
        self
    }
}

/// Decides what became of a call of protocol `rpc` that ended as `ending`, with `status` as its last message told it.
#[must_use]
pub fn decide(rpc: &str, status: &Status<'_>, ending: Ending) -> Outcome {
    let mut outcome = match ending {
        Ending::Answered => answered(rpc, status),
        Ending::Reset(by) => reset(rpc, status.reset.as_ref(), by),
        Ending::Goaway(by) => {
            let outcome = Outcome::of(Some(Class::Transport), Carrier::H2Goaway).by(by);
            match status.reset.as_ref().and_then(|reset| reset.code) {
                Some(code) => outcome.published(Family::Http2, code),
                None => outcome,
            }
        }
        Ending::Fin(by) => Outcome::of(Some(Class::Transport), Carrier::TcpFin).by(by),
        Ending::Rst(by) => Outcome::of(Some(Class::Transport), Carrier::TcpRst).by(by),
        Ending::Silence => Outcome::of(Some(Class::Unanswered), Carrier::None),
        Ending::Oneway => Outcome::of(Some(Class::Oneway), Carrier::None),
    };
    outcome.ret = status.ret;
    outcome.func_ret = status.func_ret;
    let failed = matches!(outcome.verdict.class, Some(Class::Business | Class::Rpc));
    if failed && status.body {
        outcome.findings.insert(Finding::BodyWithError);
    }
    outcome
}

fn answered(rpc: &str, status: &Status<'_>) -> Outcome {
    match rpc {
        "grpc" => grpc(status),
        "ttstream" => ttstream(status),
        "trpc-stream" => trpc_stream(status),
        "trpc-http" => trpc_http(status),
        "trpc" => trpc(status),
        _ if status.ret.is_some() || status.func_ret.is_some() => other(status),
        _ => thrift(status),
    }
}

/// A protocol without rules of its own that tells a framework's code apart from the callee's. Its numbers are its own.
fn other(status: &Status<'_>) -> Outcome {
    let (class, carrier, code) = match (status.ret, status.func_ret) {
        (Some(ret), _) if ret != 0 => (Class::Rpc, Carrier::Ret, ret),
        _ if status.cut => return Outcome::unknown(),
        (_, Some(func_ret)) if func_ret != 0 => (Class::Business, Carrier::FuncRet, func_ret),
        _ => return Outcome::ok(),
    };
    let mut outcome = Outcome::of(Some(class), carrier).text(status.error_msg.as_deref());
    outcome.verdict.code = Some(code.into());
    outcome
}

fn reset(rpc: &str, reset: Option<&Reset<'_>>, by: Initiator) -> Outcome {
    let code = reset.and_then(|reset| reset.code);
    if rpc == "ttstream" {
        // Kitex pkg/remote/trans/ttstream/exception.go: every Rst is an error of the framework, cancels among them.
        let mut outcome = Outcome::of(Some(Class::Rpc), Carrier::TtstreamRst).by(by);
        if let Some(code) = code {
            outcome = outcome.published(Family::Ttstream, code);
        }
        outcome = outcome.text(reset.and_then(|reset| reset.message.as_deref()));
        if let Some(path) = reset.and_then(|reset| reset.cancel_path.as_deref()) {
            let path = String::from_utf8_lossy(path);
            outcome.cancel_path =
                path.split(',').map(str::trim).filter(|s| !s.is_empty()).map(Into::into).collect();
        }
        return outcome;
    }
    let outcome = Outcome::of(Some(Class::Transport), Carrier::H2RstStream).by(by);
    match code {
        Some(code) => outcome.published(Family::Http2, code),
        None => outcome,
    }
}

/// trpc-go `codec.go`: the caller looks at `ret` first, then at `func_ret`.
fn trpc(status: &Status<'_>) -> Outcome {
    let text = status.error_msg.as_deref();
    match (status.ret, status.func_ret) {
        (Some(ret), _) if ret != 0 => {
            let code = i64::from(ret);
            Outcome::of(Some(Class::Rpc), Carrier::Ret)
                .published(Family::Trpc, code)
                .text(text)
                .finding(Finding::CauseBelow, trpc::CLIENT_CODES.contains(&code))
        }
        _ if status.cut => Outcome::unknown(),
        (_, Some(func_ret)) if func_ret != 0 => func_ret_business(func_ret, text),
        _ => Outcome::ok(),
    }
}

fn func_ret_business(func_ret: i32, text: Option<&[u8]>) -> Outcome {
    let code = i64::from(func_ret);
    Outcome::of(Some(Class::Business), Carrier::FuncRet)
        .code(Family::Trpc, code)
        .text(text)
        .finding(Finding::PlainError, code == trpc::UNKNOWN)
        .finding(Finding::BusinessCodeReserved, trpc::is_reserved(code))
}

fn trpc_stream(status: &Status<'_>) -> Outcome {
    let ret = status.ret.unwrap_or(0);
    let func_ret = status.func_ret.unwrap_or(0);
    let text = status.error_msg.as_deref();
    let carrier = match status.trpc_end {
        Some(TrpcEnd::Refused) => {
            return Outcome::of(Some(Class::Rpc), Carrier::TrpcStreamInit)
                .published(Family::Trpc, i64::from(ret))
                .text(text);
        }
        Some(TrpcEnd::Reset) => Carrier::TrpcStreamReset,
        _ if status.cut => return Outcome::unknown(),
        _ if ret == 0 && func_ret == 0 => return Outcome::ok(),
        _ => Carrier::TrpcStreamClose,
    };
    if status.cut && ret == 0 {
        return Outcome::of(None, carrier);
    }
    if ret == 0 && func_ret != 0 {
        return Outcome {
            verdict: Verdict { carrier, ..func_ret_business(func_ret, text).verdict },
            ..func_ret_business(func_ret, text)
        };
    }
    // trpc-go stream/server.go puts every code of a handler into `ret`: only the framework's own table tells them apart.
    let code = i64::from(ret);
    let framework = trpc::is_framework_code(code);
    let class = if framework { Class::Rpc } else { Class::Business };
    Outcome::of(Some(class), carrier)
        .code(Family::Trpc, code)
        .text(text)
        .finding(Finding::BusinessCodeInRet, !framework)
        .finding(Finding::PlainError, code == 0)
        .finding(Finding::CauseBelow, trpc::CLIENT_CODES.contains(&code))
}

fn trpc_http(status: &Status<'_>) -> Outcome {
    let outcome = trpc(status);
    match status.http {
        Some(http) if outcome.verdict.class == Some(Class::Ok) && !(200..300).contains(&http) => {
            Outcome::of(Some(Class::Rpc), Carrier::HttpStatus).code(Family::Http, i64::from(http))
        }
        _ => outcome,
    }
}

/// Thrift and Kitex Protobuf, under TTHeader or without.
fn thrift(status: &Status<'_>) -> Outcome {
    if let Some(outcome) = status.biz.as_ref().and_then(|biz| business(biz, None)) {
        return outcome.finding(Finding::BizStatusWithException, status.exception.is_some());
    }
    if let Some(exception) = &status.exception {
        return application_exception(exception, Carrier::ThriftException);
    }
    match status.result {
        Some(ResultField::Exception(field)) => {
            let mut outcome = Outcome::of(Some(Class::Business), Carrier::IdlException);
            outcome.field_id = Some(field);
            outcome
        }
        _ if status.cut => Outcome::unknown(),
        Some(ResultField::Success | ResultField::Empty) => Outcome::ok(),
        None => match status.http {
            Some(http) if !(200..300).contains(&http) => {
                Outcome::of(Some(Class::Rpc), Carrier::HttpStatus).code(Family::Http, i64::from(http))
            }
            _ => Outcome::ok(),
        },
    }
}

fn application_exception(exception: &Exception<'_>, carrier: Carrier) -> Outcome {
    let text = &*exception.message;
    Outcome::of(Some(Class::Rpc), carrier)
        .published(Family::Thrift, i64::from(exception.type_id))
        .text(Some(text))
        .finding(Finding::BusinessAsRpc, kitex::is_handler_error(text))
        .finding(Finding::BizStatusUntransportable, volo::is_biz_status(text))
}

/// A business status, if it is one: `None` for 0 and for an absent number.
fn business(biz: &BizStatus<'_>, fallback: Option<&[u8]>) -> Option<Outcome> {
    let text = biz.message.as_deref().or(fallback);
    let status = biz.status.as_deref()?;
    let number = std::str::from_utf8(status).ok().and_then(|text| text.trim().parse::<i64>().ok());
    let extra = match biz.extra.as_deref() {
        None | Some([]) => Some(Vec::new()),
        Some(json) => string_map(json),
    };
    match (number, extra) {
        (Some(0), Some(_)) => None,
        (Some(code), Some(extra)) => {
            let mut outcome = Outcome::of(Some(Class::Business), Carrier::BizStatus).text(text);
            outcome.verdict.code = Some(code);
            outcome.biz_extra = extra;
            Some(outcome)
        }
        // Kitex transmeta fails the call on the caller's side when it can't read what the callee sent.
        (number, _) => {
            let mut outcome = Outcome::of(Some(Class::Rpc), Carrier::BizStatus)
                .text(text)
                .finding(Finding::BizStatusMalformed, true);
            outcome.verdict.code = number;
            Some(outcome)
        }
    }
}

/// One JSON object whose values are strings; other values are kept as their JSON text.
fn string_map(json: &[u8]) -> Option<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).ok()?;
    let text = |value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Some(object.into_iter().map(|(key, value)| (key, text(value))).collect())
}

fn ttstream(status: &Status<'_>) -> Outcome {
    if let Some(outcome) = status.biz.as_ref().and_then(|biz| business(biz, None)) {
        return outcome.finding(Finding::BizStatusWithException, status.exception.is_some());
    }
    match &status.exception {
        Some(exception) => application_exception(exception, Carrier::TtstreamTrailer),
        None if status.cut => Outcome::unknown(),
        None => Outcome::ok(),
    }
}

fn grpc(status: &Status<'_>) -> Outcome {
    let text = status.grpc_message.as_deref();
    // Kitex pkg/remote/trans/nphttp2: the business status is the answer, grpc-status only how it travels.
    if let Some(mut outcome) = status.biz.as_ref().and_then(|biz| business(biz, text)) {
        outcome.details = status.grpc_details.as_deref().map(details::decode).unwrap_or_default();
        return outcome;
    }
    let mut outcome = match &status.grpc {
        Some(GrpcStatus::Code(0)) => Outcome::ok(),
        // What could not be read beside it may be the business status that it carries.
        Some(GrpcStatus::Code(code @ grpc::INTERNAL)) if status.cut => {
            Outcome::of(None, Carrier::GrpcStatus).published(Family::Grpc, *code).text(text)
        }
        Some(GrpcStatus::Code(code)) => {
            let class = if grpc::is_business(*code, text) { Class::Business } else { Class::Rpc };
            Outcome::of(Some(class), Carrier::GrpcStatus)
                .published(Family::Grpc, *code)
                .text(text.filter(|text| !text.is_empty()))
                .finding(
                    Finding::BusinessAsRpc,
                    class == Class::Rpc && text.is_some_and(kitex::is_handler_error),
                )
        }
        Some(GrpcStatus::Malformed(raw)) => Outcome::of(Some(Class::Rpc), Carrier::GrpcStatus)
            .text(Some(text.unwrap_or(raw)))
            .finding(Finding::UnknownCode, true),
        Some(GrpcStatus::Unknown) => {
            Outcome::of(None, Carrier::GrpcStatus).text(text.filter(|text| !text.is_empty()))
        }
        None if status.cut => Outcome::unknown(),
        None => match status.http {
            Some(http) if http != 200 => {
                Outcome::of(Some(Class::Rpc), Carrier::HttpStatus).code(Family::Http, i64::from(http))
            }
            _ => Outcome::of(Some(Class::Rpc), Carrier::None),
        },
    };
    outcome.details = status.grpc_details.as_deref().map(details::decode).unwrap_or_default();
    outcome
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn text(text: &'static str) -> Cow<'static, [u8]> {
        Cow::Borrowed(text.as_bytes())
    }

    fn answered(rpc: &str, status: &Status<'_>) -> Outcome {
        decide(rpc, status, Ending::Answered)
    }

    #[track_caller]
    fn is(
        outcome: &Outcome,
        class: Option<Class>,
        carrier: Carrier,
        code: Option<i64>,
        findings: &[Finding],
    ) {
        assert_eq!(outcome.verdict.class, class, "{outcome:?}");
        assert_eq!(outcome.verdict.carrier, carrier, "{outcome:?}");
        assert_eq!(outcome.verdict.code, code, "{outcome:?}");
        assert_eq!(outcome.findings.iter().collect::<Vec<_>>(), findings, "{outcome:?}");
    }

    fn rets(ret: i32, func_ret: i32) -> Status<'static> {
        Status { ret: Some(ret), func_ret: Some(func_ret), error_msg: Some(text("why")), ..Status::default() }
    }

    #[test]
    fn trpc_looks_at_ret_before_func_ret() {
        let business = Some(Class::Business);
        let rpc = Some(Class::Rpc);
        is(&answered("trpc", &rets(0, 0)), Some(Class::Ok), Carrier::None, None, &[]);
        is(&answered("trpc", &rets(0, 10001)), business, Carrier::FuncRet, Some(10001), &[]);
        is(&answered("trpc", &rets(0, -7)), business, Carrier::FuncRet, Some(-7), &[]);
        is(&answered("trpc", &rets(0, 999)), business, Carrier::FuncRet, Some(999), &[Finding::PlainError]);
        is(
            &answered("trpc", &rets(0, 12)),
            business,
            Carrier::FuncRet,
            Some(12),
            &[Finding::BusinessCodeReserved],
        );
        is(&answered("trpc", &rets(31, 13000)), rpc, Carrier::Ret, Some(31), &[]);
        is(&answered("trpc", &rets(111, 0)), rpc, Carrier::Ret, Some(111), &[Finding::CauseBelow]);
        is(&answered("trpc", &rets(77, 0)), rpc, Carrier::Ret, Some(77), &[Finding::UnknownCode]);
        let both = answered("trpc", &rets(141, 13000));
        assert_eq!((both.ret, both.func_ret), (Some(141), Some(13000)));
    }

    #[test]
    fn a_protocol_without_rules_of_its_own_has_codes_without_names() {
        let failed = answered("toy", &rets(31, 0));
        is(&failed, Some(Class::Rpc), Carrier::Ret, Some(31), &[]);
        assert_eq!(failed.verdict.code_name, None);
        is(&answered("toy", &rets(0, 999)), Some(Class::Business), Carrier::FuncRet, Some(999), &[]);
        is(&answered("toy", &rets(0, 0)), Some(Class::Ok), Carrier::None, None, &[]);
    }

    #[test]
    fn a_cut_answer_is_never_ok() {
        for rpc in ["trpc", "thrift", "kitex-protobuf", "ttstream", "grpc", "trpc-stream", "trpc-http"] {
            let cut = Status { cut: true, ..Status::default() };
            assert_eq!(answered(rpc, &cut).verdict.class, None, "{rpc}");
        }
        // What was read before the cut still counts.
        is(
            &answered("trpc", &Status { cut: true, ..rets(21, 0) }),
            Some(Class::Rpc),
            Carrier::Ret,
            Some(21),
            &[],
        );
    }

    #[test]
    fn a_stream_of_trpc_tells_business_codes_from_its_framework_table() {
        let end = |end, ret| Status { trpc_end: Some(end), ..rets(ret, 0) };
        let of = |status| answered("trpc-stream", &status);
        is(&of(end(TrpcEnd::Close, 0)), Some(Class::Ok), Carrier::None, None, &[]);
        let reset = Carrier::TrpcStreamReset;
        is(
            &of(end(TrpcEnd::Reset, 10001)),
            Some(Class::Business),
            reset,
            Some(10001),
            &[Finding::BusinessCodeInRet],
        );
        is(&of(end(TrpcEnd::Reset, 21)), Some(Class::Rpc), reset, Some(21), &[]);
        is(&of(end(TrpcEnd::Reset, 0)), Some(Class::Rpc), reset, Some(0), &[Finding::PlainError]);
        is(&of(end(TrpcEnd::Refused, 12)), Some(Class::Rpc), Carrier::TrpcStreamInit, Some(12), &[]);
        is(&of(end(TrpcEnd::Close, 31)), Some(Class::Rpc), Carrier::TrpcStreamClose, Some(31), &[]);
        let func = Status { trpc_end: Some(TrpcEnd::Reset), ..rets(0, 10005) };
        is(&of(func), Some(Class::Business), reset, Some(10005), &[]);
    }

    fn biz(status: &'static str, extra: Option<&'static str>) -> BizStatus<'static> {
        BizStatus { status: Some(text(status)), message: Some(text("no stock")), extra: extra.map(text) }
    }

    #[test]
    fn a_business_status_wins_over_the_exception_beside_it() {
        let exception =
            Exception { type_id: 6, message: Cow::Borrowed(b"status_code: 7, status_message: no") };
        let both =
            Status { biz: Some(biz("7", None)), exception: Some(exception.clone()), ..Status::default() };
        let business = Some(Class::Business);
        is(
            &answered("thrift", &both),
            business,
            Carrier::BizStatus,
            Some(7),
            &[Finding::BizStatusWithException],
        );
        let alone = Status { exception: Some(exception), ..Status::default() };
        let lost = [Finding::BizStatusUntransportable];
        is(&answered("thrift", &alone), Some(Class::Rpc), Carrier::ThriftException, Some(6), &lost);
    }

    #[test]
    fn a_business_status_that_cant_be_read_fails_the_call() {
        let of = |biz| {
            answered(
                "thrift",
                &Status { biz: Some(biz), result: Some(ResultField::Empty), ..Status::default() },
            )
        };
        let malformed = [Finding::BizStatusMalformed];
        is(&of(biz("seven", None)), Some(Class::Rpc), Carrier::BizStatus, None, &malformed);
        is(&of(biz("7", Some("{not json"))), Some(Class::Rpc), Carrier::BizStatus, Some(7), &malformed);
        is(&of(biz("0", None)), Some(Class::Ok), Carrier::None, None, &[]);
        let fine = of(biz("-7", Some(r#"{"a":"1"}"#)));
        is(&fine, Some(Class::Business), Carrier::BizStatus, Some(-7), &[]);
        assert_eq!(fine.biz_extra, [("a".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn thrift_tells_declared_exceptions_from_application_exceptions() {
        let with = |result| Status { result: Some(result), ..Status::default() };
        let declared = answered("thrift", &with(ResultField::Exception(2)));
        is(&declared, Some(Class::Business), Carrier::IdlException, None, &[]);
        assert_eq!(declared.field_id, Some(2));
        is(&answered("thrift", &with(ResultField::Empty)), Some(Class::Ok), Carrier::None, None, &[]);
        let exception = |type_id, message: &'static str| Status {
            exception: Some(Exception { type_id, message: Cow::Borrowed(message.as_bytes()) }),
            ..Status::default()
        };
        let of = |type_id, message| answered("thrift", &exception(type_id, message));
        let carrier = Carrier::ThriftException;
        is(&of(1, "unknown method"), Some(Class::Rpc), carrier, Some(1), &[]);
        is(&of(6, "biz error: down"), Some(Class::Rpc), carrier, Some(6), &[Finding::BusinessAsRpc]);
        is(&of(300, "own"), Some(Class::Rpc), carrier, Some(300), &[Finding::UnknownCode]);
    }

    #[test]
    fn grpc_statuses_that_no_library_makes_are_the_business_of_somebody() {
        for code in 1..=20 {
            let status = Status { grpc: Some(GrpcStatus::Code(code)), ..Status::default() };
            let business = [3, 5, 6, 9, 10, 11, 15].contains(&code) || code > 16;
            let class = if business { Class::Business } else { Class::Rpc };
            assert_eq!(answered("grpc", &status).verdict.class, Some(class), "{code}");
        }
        for (text_of, class) in [("unknown service a.S", Class::Rpc), ("no stock", Class::Business)] {
            let grpc_message = Some(text(text_of));
            let status = Status { grpc: Some(GrpcStatus::Code(20)), grpc_message, ..Status::default() };
            assert_eq!(answered("grpc", &status).verdict.class, Some(class), "{text_of}");
        }
        let kitex =
            Status { grpc: Some(GrpcStatus::Code(13)), biz: Some(biz("404", None)), ..Status::default() };
        is(&answered("grpc", &kitex), Some(Class::Business), Carrier::BizStatus, Some(404), &[]);
        let unknown = Status { grpc: Some(GrpcStatus::Unknown), ..Status::default() };
        is(&answered("grpc", &unknown), None, Carrier::GrpcStatus, None, &[]);
        let cut = Status { grpc: Some(GrpcStatus::Code(13)), cut: true, ..Status::default() };
        is(&answered("grpc", &cut), None, Carrier::GrpcStatus, Some(13), &[]);
        let proxy = Status { http: Some(502), ..Status::default() };
        is(&answered("grpc", &proxy), Some(Class::Rpc), Carrier::HttpStatus, Some(502), &[]);
        let silent = Status { http: Some(200), ..Status::default() };
        is(&answered("grpc", &silent), Some(Class::Rpc), Carrier::None, None, &[]);
    }

    #[test]
    fn the_end_of_a_connection_tells_who_ended_it() {
        let of = |ending| decide("thrift", &Status::default(), ending).verdict;
        let fin = of(Ending::Fin(Initiator::Client));
        assert_eq!(
            (fin.class, fin.carrier, fin.initiator),
            (Some(Class::Transport), Carrier::TcpFin, Some(Initiator::Client))
        );
        let rst = of(Ending::Rst(Initiator::Server));
        assert_eq!((rst.carrier, rst.initiator), (Carrier::TcpRst, Some(Initiator::Server)));
        assert_eq!(of(Ending::Silence).class, Some(Class::Unanswered));
    }

    #[test]
    fn a_cancelled_ttstream_names_the_way_of_the_cancel() {
        let reset =
            Reset { code: Some(12007), message: Some(text("cancel()")), cancel_path: Some(text("A, B")) };
        let status = Status { reset: Some(reset), ..Status::default() };
        let outcome = decide("ttstream", &status, Ending::Reset(Initiator::Client));
        is(&outcome, Some(Class::Rpc), Carrier::TtstreamRst, Some(12007), &[]);
        assert_eq!(outcome.cancel_path, ["A", "B"]);
        let h2 = decide("grpc", &status, Ending::Reset(Initiator::Client));
        assert_eq!((h2.verdict.class, h2.verdict.carrier), (Some(Class::Transport), Carrier::H2RstStream));
    }
}
