//! Which ending makes which class.

use rpcscope_parsers::event::{Head, Names};
use rpcscope_parsers::{CallId, Transport};

use super::*;

fn text(text: &'static str) -> Text<'static> {
    Text::Plain(text.as_bytes())
}

fn answered(status: Status<'_>) -> Decision {
    decide(Ending::Answered { status: &status, body: false }, &mut Texts::default())
}

#[track_caller]
fn is(decision: &Decision, class: Option<Class>, carrier: Carrier, code: Option<i64>, findings: &[Finding]) {
    let outcome = &decision.outcome;
    assert_eq!(outcome.class, class, "{decision:?}");
    assert_eq!(outcome.carrier, carrier, "{decision:?}");
    assert_eq!(outcome.code, code, "{decision:?}");
    assert_eq!(decision.findings.iter().collect::<Vec<_>>(), findings, "{decision:?}");
}

fn rets(ret: i32, func_ret: i32) -> Codes<'static> {
    Codes { ret: Some(ret), func_ret: Some(func_ret), message: Some(text("why")) }
}

#[test]
fn trpc_looks_at_ret_before_func_ret() {
    let business = Some(Class::Business);
    let rpc = Some(Class::Rpc);
    let of = |ret, func_ret| answered(Status::Trpc(rets(ret, func_ret)));
    is(&of(0, 0), Some(Class::Ok), Carrier::None, None, &[]);
    is(&of(0, 10001), business, Carrier::FuncRet, Some(10001), &[]);
    is(&of(0, -7), business, Carrier::FuncRet, Some(-7), &[]);
    is(&of(0, 999), business, Carrier::FuncRet, Some(999), &[Finding::PlainError]);
    is(&of(0, 12), business, Carrier::FuncRet, Some(12), &[Finding::BusinessCodeReserved]);
    is(&of(31, 13000), rpc, Carrier::Ret, Some(31), &[]);
    is(&of(111, 0), rpc, Carrier::Ret, Some(111), &[Finding::CauseBelow]);
    is(&of(77, 0), rpc, Carrier::Ret, Some(77), &[Finding::UnknownCode]);
    let both = of(141, 13000).outcome;
    assert_eq!((both.ret, both.func_ret), (Some(141), Some(13000)));
}

#[test]
fn a_protocol_without_rules_of_its_own_has_codes_without_names() {
    let of = |ret, func_ret| answered(Status::Codes(rets(ret, func_ret)));
    let failed = of(31, 0);
    is(&failed, Some(Class::Rpc), Carrier::Ret, Some(31), &[]);
    assert_eq!(failed.outcome.code_name, None);
    is(&of(0, 999), Some(Class::Business), Carrier::FuncRet, Some(999), &[]);
    is(&of(0, 0), Some(Class::Ok), Carrier::None, None, &[]);
}

fn thrift_status(reply: Reply<'static>) -> ThriftStatus<'static> {
    ThriftStatus { biz: None, reply, http: None, cut: false }
}

fn grpc_status(code: GrpcCode<'static>) -> GrpcStatus<'static> {
    GrpcStatus::of(code)
}

#[test]
fn a_cut_answer_is_never_ok() {
    let success = Reply::Result(ResultField::Success);
    let no_codes = Codes::default();
    for status in [
        Status::Missing,
        Status::Trpc(no_codes),
        Status::Trpc(Codes { ret: Some(0), ..no_codes }),
        Status::TrpcStream { end: None, codes: rets(0, 0) },
        Status::TrpcStream { end: Some(TrpcEnd::Close), codes: no_codes },
        Status::TrpcStream { end: Some(TrpcEnd::Reset), codes: no_codes },
        Status::Thrift(thrift_status(Reply::Missing)),
        Status::Thrift(ThriftStatus { cut: true, ..thrift_status(success) }),
        Status::Thrift(ThriftStatus { cut: true, ..thrift_status(Reply::Silent) }),
        Status::Ttstream(TtstreamStatus { biz: None, exception: None, cut: true }),
        Status::Grpc(GrpcStatus { cut: true, ..grpc_status(GrpcCode::Absent) }),
        Status::Connect(GrpcStatus { cut: true, ..grpc_status(GrpcCode::Unknown) }),
    ] {
        assert_eq!(answered(status).outcome.class, None, "{status:?}");
    }
    // What was read before the cut still counts.
    let read = Codes { ret: Some(21), ..no_codes };
    is(&answered(Status::Trpc(read)), Some(Class::Rpc), Carrier::Ret, Some(21), &[]);
}

#[test]
fn the_framework_table_of_trpc_separates_business_codes_of_a_stream() {
    let of = |end, ret, func_ret| answered(Status::TrpcStream { end: Some(end), codes: rets(ret, func_ret) });
    is(&of(TrpcEnd::Close, 0, 0), Some(Class::Ok), Carrier::None, None, &[]);
    let reset = Carrier::TrpcStreamReset;
    let in_ret = [Finding::BusinessCodeInRet];
    is(&of(TrpcEnd::Reset, 10001, 0), Some(Class::Business), reset, Some(10001), &in_ret);
    is(&of(TrpcEnd::Reset, 21, 0), Some(Class::Rpc), reset, Some(21), &[]);
    is(&of(TrpcEnd::Reset, 0, 0), Some(Class::Rpc), reset, Some(0), &[Finding::PlainError]);
    is(&of(TrpcEnd::Refused, 12, 0), Some(Class::Rpc), Carrier::TrpcStreamInit, Some(12), &[]);
    is(&of(TrpcEnd::Close, 31, 0), Some(Class::Rpc), Carrier::TrpcStreamClose, Some(31), &[]);
    is(&of(TrpcEnd::Reset, 0, 10005), Some(Class::Business), reset, Some(10005), &[]);
}

#[test]
fn http_fails_a_trpc_call_only_where_trpc_says_nothing() {
    let of = |codes, http| answered(Status::TrpcHttp { codes, http: Some(http) });
    is(&of(Codes::default(), 200), Some(Class::Ok), Carrier::None, None, &[]);
    is(&of(Codes::default(), 502), Some(Class::Rpc), Carrier::HttpStatus, Some(502), &[]);
    is(&of(rets(0, 10001), 500), Some(Class::Business), Carrier::FuncRet, Some(10001), &[]);
    is(&of(rets(31, 0), 500), Some(Class::Rpc), Carrier::Ret, Some(31), &[]);
}

#[test]
fn http_fails_a_thrift_call_unless_thrift_says_more() {
    let of =
        |reply, http| answered(Status::Thrift(ThriftStatus { http: Some(http), ..thrift_status(reply) }));
    let (fine, carrier) = (Reply::Result(ResultField::Empty), Carrier::HttpStatus);
    is(&of(fine, 200), Some(Class::Ok), Carrier::None, None, &[]);
    is(&of(fine, 500), Some(Class::Rpc), carrier, Some(500), &[Finding::BodyWithError]);
    is(&of(Reply::Silent, 404), Some(Class::Rpc), carrier, Some(404), &[]);
    let exception = Exception { type_id: 6, message: text("down") };
    is(&of(Reply::Exception(exception), 500), Some(Class::Rpc), Carrier::ThriftException, Some(6), &[]);
}

fn biz(status: &'static str, extra: Option<&'static str>) -> BizStatus<'static> {
    BizStatus { status: Some(text(status)), message: Some(text("no stock")), extra: extra.map(text) }
}

#[test]
fn a_business_status_wins_over_the_exception_beside_it() {
    let volo = Exception { type_id: 6, message: text("status_code: 7, status_message: no") };
    let alone = thrift_status(Reply::Exception(volo));
    let both = ThriftStatus { biz: Some(biz("7", None)), ..alone };
    let with_exception = [Finding::BizStatusWithException];
    let decision = answered(Status::Thrift(both));
    is(&decision, Some(Class::Business), Carrier::BizStatus, Some(7), &with_exception);
    let lost = [Finding::BizStatusUntransportable];
    let decision = answered(Status::Thrift(alone));
    is(&decision, Some(Class::Rpc), Carrier::ThriftException, Some(6), &lost);
}

#[test]
fn a_business_status_that_cant_be_read_fails_the_call() {
    let of = |biz| {
        let empty = thrift_status(Reply::Result(ResultField::Empty));
        answered(Status::Thrift(ThriftStatus { biz: Some(biz), ..empty }))
    };
    let malformed = [Finding::BizStatusMalformed];
    is(&of(biz("seven", None)), Some(Class::Rpc), Carrier::BizStatus, None, &malformed);
    is(&of(biz("7", Some("{not json"))), Some(Class::Rpc), Carrier::BizStatus, Some(7), &malformed);
    is(&of(biz(" 7", None)), Some(Class::Rpc), Carrier::BizStatus, None, &malformed);
    for extra in [r#"{"a":1}"#, r#"{"a":{"b":"1"}}"#, r#"["a"]"#] {
        is(&of(biz("7", Some(extra))), Some(Class::Rpc), Carrier::BizStatus, Some(7), &malformed);
    }
    is(&of(biz("0", None)), Some(Class::Ok), Carrier::None, None, &[]);
    is(&of(biz("0", Some("{not json"))), Some(Class::Ok), Carrier::None, None, &[]);
    let fine = of(biz("-7", Some(r#"{"a":"1"}"#)));
    is(&fine, Some(Class::Business), Carrier::BizStatus, Some(-7), &[]);
    assert_eq!(fine.outcome.biz_extra(), [("a".to_owned(), "1".to_owned())]);
}

#[test]
fn thrift_separates_declared_exceptions_from_application_exceptions() {
    let of = |reply| answered(Status::Thrift(thrift_status(reply)));
    let declared = of(Reply::Result(ResultField::Exception(2)));
    is(&declared, Some(Class::Business), Carrier::IdlException, None, &[]);
    assert_eq!(declared.outcome.field_id, Some(2));
    is(&of(Reply::Result(ResultField::Empty)), Some(Class::Ok), Carrier::None, None, &[]);
    let of = |type_id, message| of(Reply::Exception(Exception { type_id, message: text(message) }));
    let carrier = Carrier::ThriftException;
    is(&of(1, "unknown method"), Some(Class::Rpc), carrier, Some(1), &[]);
    is(&of(6, "biz error: down"), Some(Class::Rpc), carrier, Some(6), &[Finding::BusinessAsRpc]);
    is(&of(300, "own"), Some(Class::Rpc), carrier, Some(300), &[Finding::UnknownCode]);
}

#[test]
fn grpc_statuses_that_no_library_makes_are_the_business_of_somebody() {
    let of = |status| answered(Status::Grpc(status));
    for code in 1..=20 {
        let business = [3, 5, 6, 9, 10, 11, 15].contains(&code) || code > 16;
        let class = if business { Class::Business } else { Class::Rpc };
        assert_eq!(of(grpc_status(GrpcCode::Code(code))).outcome.class, Some(class), "{code}");
    }
    let said =
        |code, message| of(GrpcStatus { message: Some(text(message)), ..grpc_status(GrpcCode::Code(code)) });
    let (carrier, made) = (Carrier::GrpcStatus, [Finding::LibraryMade]);
    is(&said(20, "no stock"), Some(Class::Business), carrier, Some(20), &[Finding::UnknownCode]);
    is(&said(20, "unknown service a.S"), Some(Class::Rpc), carrier, Some(20), &made);
    is(&said(3, "unmarshal message: bad"), Some(Class::Rpc), carrier, Some(3), &made);
    let relayed = said(17, "stream Recv timeout, timeout config={} [biz error]");
    is(&relayed, Some(Class::Rpc), carrier, Some(17), &made);
    let method = said(1, "unknown method Nope");
    is(&method, Some(Class::Rpc), carrier, Some(1), &[]);
    assert_eq!(method.outcome.code_name, Some("UNKNOWN_METHOD"));
    let kitex = GrpcStatus { biz: Some(biz("404", None)), ..grpc_status(GrpcCode::Code(13)) };
    is(&of(kitex), Some(Class::Business), Carrier::BizStatus, Some(404), &[]);
    is(&of(grpc_status(GrpcCode::Unknown)), None, Carrier::GrpcStatus, None, &[]);
    let cut = GrpcStatus { cut: true, ..grpc_status(GrpcCode::Code(13)) };
    is(&of(cut), None, Carrier::GrpcStatus, Some(13), &[]);
    for (code, class) in [(5, Some(Class::Business)), (11, None), (4, Some(Class::Rpc))] {
        let cut = GrpcStatus { cut: true, ..grpc_status(GrpcCode::Code(code)) };
        is(&of(cut), class, Carrier::GrpcStatus, Some(code), &[]);
    }
    let proxy = GrpcStatus { http: Some(502), ..grpc_status(GrpcCode::Absent) };
    is(&of(proxy), Some(Class::Rpc), Carrier::HttpStatus, Some(502), &[]);
    let mended = GrpcStatus { http: Some(500), ..grpc_status(GrpcCode::Code(0)) };
    is(&of(mended), Some(Class::Rpc), Carrier::HttpStatus, Some(500), &[]);
    let silent = GrpcStatus { http: Some(200), ..grpc_status(GrpcCode::Absent) };
    is(&of(silent), Some(Class::Rpc), Carrier::None, None, &[]);
}

#[test]
fn connect_has_the_codes_of_grpc_and_its_own_carrier() {
    let of = |status| answered(Status::Connect(status));
    let carrier = Carrier::ConnectError;
    for code in 1..=20 {
        let decision = of(grpc_status(GrpcCode::Code(code)));
        let business = [3, 5, 6, 9, 10, 11, 15].contains(&code) || code > 16;
        let class = if business { Class::Business } else { Class::Rpc };
        let findings: &[Finding] = if code > 16 { &[Finding::UnknownCode] } else { &[] };
        is(&decision, Some(class), carrier, Some(code), findings);
        assert_eq!(decision.outcome.code_name, codes::name(Family::Grpc, code));
    }
    is(&of(grpc_status(GrpcCode::Code(0))), Some(Class::Ok), Carrier::None, None, &[]);
    let own = of(grpc_status(GrpcCode::Malformed(text("row_gone"))));
    is(&own, Some(Class::Rpc), carrier, None, &[Finding::UnknownCode]);
    let proxy = GrpcStatus { http: Some(404), ..grpc_status(GrpcCode::Absent) };
    is(&of(proxy), Some(Class::Rpc), Carrier::HttpStatus, Some(404), &[]);
    let endless = GrpcStatus { http: Some(200), ..grpc_status(GrpcCode::Absent) };
    is(&of(endless), Some(Class::Rpc), Carrier::None, None, &[]);
}

#[test]
fn a_payload_beside_an_error_is_a_finding() {
    let of = |ret| {
        decide(Ending::Answered { status: &Status::Trpc(rets(ret, 0)), body: true }, &mut Texts::default())
    };
    is(&of(31), Some(Class::Rpc), Carrier::Ret, Some(31), &[Finding::BodyWithError]);
    is(&of(0), Some(Class::Ok), Carrier::None, None, &[]);
}

#[test]
fn the_end_of_a_connection_says_who_ended_it() {
    let of = |ending| decide(ending, &mut Texts::default()).outcome;
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
    let of = |rpc, transport| {
        let reset = Reset {
            head: Head::new(rpc, transport, CallId::Stream(1)),
            names: Names::default(),
            code: Some(12007),
            message: Some(text("cancel()")),
            cancel_path: Some(text("A, B")),
            headers: None,
        };
        decide(Ending::Reset { by: Initiator::Client, reset: &reset }, &mut Texts::default())
    };
    let decision = of(Rpc::Ttstream, Transport::TtHeader);
    is(&decision, Some(Class::Rpc), Carrier::TtstreamRst, Some(12007), &[]);
    assert_eq!(decision.outcome.cancel_path(), ["A".into(), "B".into()]);
    let h2 = of(Rpc::Grpc, Transport::Http2).outcome;
    assert_eq!((h2.class, h2.carrier), (Some(Class::Transport), Carrier::H2RstStream));
}
