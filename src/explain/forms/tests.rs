use super::*;
use crate::calls::Initiator;
use crate::codes::kitex as words_of_kitex;
use crate::explain::parse_log;

fn read(line: &str) -> LogError {
    parse_log(line).unwrap_or_else(|| panic!("not read: {line}"))
}

fn outer(line: &str) -> (Wording, Option<i64>, String) {
    let error = read(line);
    (error.wording, error.code, error.message)
}

#[test]
fn trpc_says_who_failed_by_its_type() {
    let line = "2026-11-22 01:00:00 ERROR front.go:12 get order: type:framework, code:101, msg:client transport timeout, cost:150.8ms";
    let text = "client transport timeout, cost:150.8ms".to_owned();
    assert_eq!(outer(line), (Wording::TrpcFramework, Some(101), text));
    let line = r#"{"level":"error","err":"type:business, code:-5, msg:no \"such\" order","uid":7}"#;
    assert_eq!(outer(line), (Wording::TrpcBusiness, Some(-5), "no \"such\" order".to_owned()));
    let error =
        read("type:framework, code:351, msg:recv, caused by type:callee framework, code:31, msg:shard moved");
    let cause = error.cause.as_deref().unwrap();
    assert_eq!((&cause.wording, cause.code, error.hops()), (&Wording::TrpcCalleeFramework, Some(31), 1));
    assert_eq!(error.message, "recv");
}

#[test]
fn each_prefix_of_kitex_is_a_hop() {
    let error = read(
        "remote or network error[remote]: biz error: shop.stock failed: remote or network error[remote-10.0.0.3:8888]: biz error: warehouse down",
    );
    assert_eq!(error.hops(), 2);
    let wordings: Vec<_> = error.layers().map(|layer| layer.wording.clone()).collect();
    let address = Some("10.0.0.3:8888".to_owned());
    assert_eq!(
        wordings,
        [
            Wording::KitexRemote(None),
            Wording::KitexHandler,
            Wording::KitexRemote(address),
            Wording::KitexHandler
        ]
    );
    assert_eq!(error.layers().last().unwrap().message, "biz error: warehouse down");
    assert_eq!(error.entry().unwrap().code, 6);
}

#[test]
fn business_errors_of_kitex_are_told_from_plain_ones() {
    let biz = outer("biz error: code=404, msg=not found");
    assert_eq!(biz, (Wording::BizStatus, Some(404), "not found".to_owned()));
    assert_eq!(outer("biz error: disk on fire").0, Wording::KitexHandler);
    let error = read("remote or network error: rpc error: code = 5 desc = grpc leg [biz error]");
    assert_eq!(
        (&error.wording, error.code, error.message.as_str()),
        (&Wording::Grpc, Some(5), "grpc leg [biz error]")
    );
    assert_eq!(outer("remote or network error[remote]: unknown service , method touch").1, Some(20));
    let (wording, _, message) =
        outer("call: rpc timeout: timeout=150ms, to=shop.order, method=Get, remote=10.0.0.1:80");
    assert_eq!(wording, Wording::KitexLocal(words_of_kitex::RPC_TIMEOUT));
    assert!(message.starts_with("timeout=150ms"));
}

#[test]
fn a_ttstream_error_names_side_and_path() {
    let side = |text: &str| match read(text).wording {
        Wording::Ttstream(side, path) => (side, path.join(" ")),
        other => panic!("{other:?}"),
    };
    let server = Some(Initiator::Server);
    let text =
        "[ttstream error, code=12007] [server-side stream] [canceled path: ServiceA] user code cancelled";
    assert_eq!(side(text), (server, "ServiceA".to_owned()));
    assert_eq!(outer(text).2, "user code cancelled");
    assert_eq!(side("[ttstream error, code=12011] [server-side stream] [canceled path: A,B] x").1, "A B");
    assert_eq!(side("[ttstream error, code=12011] [server-side stream] [canceled path: A] -> B x").1, "A B");
    assert_eq!(side("[ttstream error, code=12006] transport is closing"), (None, String::new()));
}

#[test]
fn grpc_codes_come_by_name_or_number() {
    let code = |text: &str| read(text).code;
    assert_eq!(code("rpc error: code = Unavailable desc = connection refused"), Some(14));
    assert_eq!(code("rpc error: code = 13 desc = torn [biz error]"), Some(13));
    assert_eq!(code("rpc error: code = Code(17) desc = x"), Some(17));
    assert_eq!(parse_log("rpc error: code = Nonsense desc = x"), None);
}

#[test]
fn thrift_exceptions_come_in_several_forms() {
    let (wording, code, message) = outer("thrift.Thrift.TApplicationException: Unknown function ghost");
    assert_eq!((wording, code, message.as_str()), (Wording::Thrift, None, "Unknown function ghost"));
    assert_eq!(outer("TApplicationException(message='Internal error', type=6)").1, Some(6));
}

#[test]
fn other_lines_are_no_errors() {
    for line in
        ["", "GET / 200", "type:cat, code:3, msg:x", "panic at the disco", "type:framework", "code:101"]
    {
        assert_eq!(parse_log(line), None, "{line}");
    }
    let deep = "remote or network error[remote]: ".repeat(1000);
    assert!(parse_log(&deep).is_some_and(|error| error.hops() <= LAYER_LIMIT));
}

/// Texts as the libraries print them, with the library and the code that they show, and the text that the wire carried.
#[test]
fn each_library_words_a_status_in_its_own_way() {
    use crate::codes::library::Library::{self, *};
    let grpc: &[(&str, Option<Library>, i64, &str)] = &[
        ("rpc error: code = NotFound desc = no such order", Some(GrpcGo), 5, "no such order"),
        (
            "rpc error: code = 5 desc = no such letter [biz error]",
            Some(Kitex),
            5,
            "no such letter [biz error]",
        ),
        (
            "io.grpc.StatusRuntimeException: NOT_FOUND: no such order\n\tat io.grpc.stub.ClientCalls.toStatusRuntimeException(ClientCalls.java:268)",
            Some(GrpcJava),
            5,
            "no such order",
        ),
        ("io.grpc.StatusException: UNAVAILABLE", Some(GrpcJava), 14, ""),
        ("Status{code=NOT_FOUND, description=no, such, cause=null}", Some(GrpcJava), 5, "no, such"),
        ("Status{code=CANCELLED, description=null, cause=null}", Some(GrpcJava), 1, ""),
        (
            "Error: 5 NOT_FOUND: no such order\n    at callErrorFromStatus (/app/node_modules/@grpc/grpc-js/build/src/call.js:31:19)",
            Some(GrpcJs),
            5,
            "no such order",
        ),
        ("14 UNAVAILABLE: Connection dropped", Some(GrpcJs), 14, "Connection dropped"),
        (
            "<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.NOT_FOUND\n\tdetails = \"no \"such\" order\"\n\tdebug_error_string = \"UNKNOWN:Error received from peer {grpc_message:\\\"x\\\", grpc_status:5}\"\n>",
            Some(Grpcio),
            5,
            "no \"such\" order",
        ),
        (
            "grpc.aio._call.AioRpcError: <AioRpcError of RPC that terminated with:\n\tstatus = StatusCode.ABORTED\n\tdetails = \"try again\"\n\tdebug_error_string = \"ABORTED:try again\"\n>",
            Some(GrpcAio),
            10,
            "try again",
        ),
        (
            "<_MultiThreadedRendezvous of RPC that terminated with:\\n\\tstatus = StatusCode.INTERNAL\\n\\tdetails = \"torn\"\\n\\tdebug_error_string = \"x\"\\n>",
            Some(Grpcio),
            13,
            "torn",
        ),
        ("<_Rendezvous of RPC that terminated with (StatusCode.UNKNOWN, oops)>", Some(Grpcio), 2, "oops"),
        (
            "UNKNOWN:Error received from peer ipv4:10.0.0.3:80 {created_time:\"2026-11-26T09:45:38.19+00:00\", grpc_status:5, grpc_message:\"no \\\"such\\\" order\"}",
            Some(Grpcio),
            5,
            "no \"such\" order",
        ),
        (
            "status: NotFound, message: \"no \\\"such\\\" order\", details: [], metadata: MetadataMap { headers: {} }",
            Some(Tonic),
            5,
            "no \"such\" order",
        ),
        (
            "Status { code: Cancelled, message: \"Timeout expired\", source: None }",
            Some(Tonic),
            1,
            "Timeout expired",
        ),
        (
            "code: 'Some requested entity was not found', message: \"no such order\"",
            Some(Tonic),
            5,
            "no such order",
        ),
        ("status: 'The operation was aborted', self: \"again\", metadata: {}", Some(Tonic), 10, "again"),
        (
            "Grpc.Core.RpcException: Status(StatusCode=\"NotFound\", Detail=\"no \"such\" order\")\n   at Shop.Client.Get()",
            Some(GrpcDotnet),
            5,
            "no \"such\" order",
        ),
        (
            "Status(StatusCode=\"Unavailable\", Detail=\"Error connecting to subchannel.\", DebugException=\"System.Net.Sockets.SocketException: Connection refused\")",
            Some(GrpcDotnet),
            14,
            "Error connecting to subchannel.",
        ),
        (
            "Call failed with gRPC error status. Status code: 'NotFound', Message: 'no such order'.",
            Some(GrpcDotnet),
            5,
            "no such order",
        ),
        (
            "Error status code 'NotFound' with detail 'no such order' raised.",
            Some(GrpcDotnet),
            5,
            "no such order",
        ),
        ("ConnectError: [not_found] no such order\n    at x", Some(ConnectEs), 5, "no such order"),
        ("not_found: no such order", Some(ConnectGo), 5, "no such order"),
        ("deadline_exceeded: context deadline exceeded", Some(ConnectGo), 4, "context deadline exceeded"),
        (
            "{\"code\":\"not_found\",\"message\":\"no \\\"such\\\" order\",\"details\":[]}",
            None,
            5,
            "no \"such\" order",
        ),
        (
            "org.apache.dubbo.rpc.StatusRpcException: NOT_FOUND : no such order",
            Some(DubboJava),
            5,
            "no such order",
        ),
        ("RpcError(NOT_FOUND): no such order", Some(GrpcWeb), 5, "no such order"),
        ("ERROR:\n  Code: NotFound\n  Message: no such order", Some(Grpcurl), 5, "no such order"),
        ("not found (5): no such order", Some(GrpcSwift), 5, "no such order"),
        ("internal error (13): torn", Some(GrpcSwift), 13, "torn"),
        ("notFound: \"no such order\"", Some(GrpcSwift), 5, "no such order"),
        ("NOT_FOUND: no such order", None, 5, "no such order"),
        ("call failed: DEADLINE_EXCEEDED: too late", None, 4, "too late"),
    ];
    for (text, library, code, message) in grpc {
        let error = read(text);
        assert_eq!(
            (&error.wording, error.library, error.code, error.message.as_str()),
            (&Wording::Grpc, *library, Some(*code), *message),
            "{text}"
        );
    }
}

#[test]
fn thrift_and_trpc_are_read_in_every_language() {
    use crate::codes::library::Library::{self, *};
    type Case<'a> = (&'a str, Wording, Option<Library>, Option<i64>, &'a str);
    let cases: &[Case<'_>] = &[
        (
            "org.apache.thrift.TApplicationException: Internal error processing placeOrder\n\tat org.apache.thrift.TServiceClient.receiveBase(TServiceClient.java:79)",
            Wording::Thrift,
            Some(ThriftJava),
            None,
            "Internal error processing placeOrder",
        ),
        (
            "thrift.Thrift.TApplicationException: Unknown function ghost",
            Wording::Thrift,
            Some(ThriftPython),
            None,
            "Unknown function ghost",
        ),
        (
            "TApplicationException: Invalid method name: 'ghost'",
            Wording::Thrift,
            None,
            None,
            "Invalid method name: 'ghost'",
        ),
        (
            "terminate called after throwing an instance of 'apache::thrift::TApplicationException'\n  what():  torn",
            Wording::Thrift,
            Some(ThriftCpp),
            None,
            "torn",
        ),
        (
            "ApplicationError { kind: InternalError, message: \"torn\" }",
            Wording::Thrift,
            Some(ThriftRust),
            Some(6),
            "torn",
        ),
        (
            "Application(ApplicationException { kind: ApplicationExceptionKind(6), message: \"biz error: x\" })",
            Wording::Thrift,
            Some(Volo),
            Some(6),
            "biz error: x",
        ),
        (
            "application exception: remote service threw exception: disk on fire",
            Wording::Thrift,
            Some(Volo),
            Some(6),
            "disk on fire",
        ),
        (
            "application exception: other error: unknown service S, method M",
            Wording::Thrift,
            Some(Volo),
            Some(20),
            "unknown service S, method M",
        ),
        (
            "ApplicationError: (<ApplicationErrorType.INTERNAL_ERROR: 6>, 'torn')",
            Wording::Thrift,
            Some(Fbthrift),
            Some(6),
            "torn",
        ),
        (
            "biz error: status_code: 7002, status_message: with extra, extra: hint: try later,",
            Wording::BizStatus,
            Some(Volo),
            Some(7002),
            "with extra",
        ),
        (
            "Biz(BizError { status_code: -7, status_message: \"no\", extra: None })",
            Wording::BizStatus,
            Some(Volo),
            Some(-7),
            "no",
        ),
        (
            "thrift.transport.TTransport.TTransportException: TSocket read 0 bytes",
            Wording::Local,
            Some(ThriftPython),
            None,
            "TSocket read 0 bytes",
        ),
        (
            "com.tencent.trpc.core.exception.TRpcException: timeout > 1000 ms",
            Wording::Trpc,
            Some(TrpcJava),
            None,
            "timeout > 1000 ms",
        ),
        (
            "ret: 12, func_ret: 0, err: /S/M not found",
            Wording::TrpcCalleeFramework,
            Some(TrpcCpp),
            Some(12),
            "/S/M not found",
        ),
        ("ret: 0, func_ret: 10001, err: no", Wording::TrpcBusiness, Some(TrpcCpp), Some(10001), "no"),
        (
            "ret: 101, func_ret: 0, err: service name:a, transport name:b, sendrcv failed, ret:101",
            Wording::TrpcFramework,
            Some(TrpcCpp),
            Some(101),
            "service name:a, transport name:b, sendrcv failed, ret:101",
        ),
    ];
    for (text, wording, library, code, message) in cases {
        let error = read(text);
        assert_eq!(
            (&error.wording, error.library, error.code, error.message.as_str()),
            (wording, *library, *code, *message),
            "{text}"
        );
    }
}

#[test]
fn lines_of_kitex_servers_hold_the_error_of_their_request() {
    let line = "2026/11/25 22:14:53.591095 default_server_handler.go:292: [Error] KITEX: processing request error, remoteService=shop.web, remoteAddr=10.77.40.11:41802, error=biz error: disk on fire";
    let error = read(line);
    assert!(matches!(error.wording, Wording::KitexServer(_)));
    assert_eq!((error.code, error.message.as_str()), (Some(6), "biz error: disk on fire"));
    assert_eq!(error.cause.as_deref().map(|cause| &cause.wording), Some(&Wording::KitexHandler));
    let line = "KITEX: processing gRPC request error, remoteAddr=10.0.0.1:1, error=panic: [happened in biz handler, method=A.B, please check the panic at the server side] nil\nstack=goroutine 12 [running]:";
    assert!(read(line).message.ends_with("server side] nil"));
    assert_eq!(parse_log("KITEX: server listen at addr=[::]:8888"), None);
}

#[test]
fn what_a_clients_library_made_itself_is_known() {
    use crate::codes::trace::Trace;
    for (text, trace) in [
        (
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.0.0.9:80: connect: connection refused\"",
            Trace::NoConnection,
        ),
        ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", Trace::CallerLeft),
        ("rpc error: code = Unavailable desc = error reading from server: EOF", Trace::ServerLeft),
        (
            "rpc error: code = Unavailable desc = unexpected HTTP status code received from server: 503 (Service Unavailable); transport: received unexpected content-type \"text/html\"",
            Trace::HttpStatus,
        ),
        ("io.grpc.StatusRuntimeException: UNAVAILABLE: Network closed for unknown reason", Trace::ServerLeft),
        (
            "14 UNAVAILABLE: No connection established. Last error: Error: connect ECONNREFUSED 10.0.0.9:80. Resolution note: ",
            Trace::NoConnection,
        ),
        (
            "<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = \"Socket closed\"\n\tdebug_error_string = \"x\"\n>",
            Trace::ServerLeft,
        ),
        ("unavailable: dial tcp 10.0.0.9:80: connect: connection refused", Trace::NoConnection),
        ("[unavailable] connect ECONNREFUSED 10.0.0.9:80", Trace::NoConnection),
        ("remote or network error: default codec read failed: EOF peer close", Trace::ServerLeft),
        (
            "remote or network error: get connection error: dial tcp 10.0.0.9:80: connect: connection refused",
            Trace::NoConnection,
        ),
        ("remote or network error: conn closed", Trace::ServerLeft),
        ("recv wait timeout 700ms, seqID=3", Trace::CallerLeft),
        ("service discovery error: no instance available", Trace::Unsent),
        ("forbidden by circuitbreaker: service circuitbreak", Trace::Unsent),
        (
            "remote or network error: invalid payload (first4Bytes=0x48545450, second4Bytes=0x2f312e31)",
            Trace::Foreign,
        ),
        (
            "application exception: remote service threw exception: [VOLO] thrift rpc call timeout, rpcinfo: RpcInfo { }, elpased: 1s, timeout config: 1s",
            Trace::CallerLeft,
        ),
        ("[ttstream error, code=12004] EOF peer close", Trace::ServerLeft),
        (
            "org.apache.thrift.transport.TTransportException: java.net.SocketTimeoutException: Read timed out\n\tat a.b.C(D.java:1)",
            Trace::CallerLeft,
        ),
        ("type:framework, code:111, msg:tcp client transport connection pool, cost:1ms", Trace::NoConnection),
        (
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            Trace::Sent,
        ),
        ("dial tcp 10.0.0.9:80: connect: connection refused", Trace::NoConnection),
    ] {
        let error = read(text);
        assert_eq!(error.client_text().map(|row| row.trace), Some(trace), "{text}: {error:?}");
    }
    for text in [
        "rpc error: code = NotFound desc = no such order",
        "remote or network error[remote]: biz error: disk on fire",
        "type:callee framework, code:12, msg:no such function",
        "biz error: code=404, msg=not found",
    ] {
        assert_eq!(read(text).client_text(), None, "{text}");
    }
}

/// Words of a form in a text that is not of it.
#[test]
fn near_misses_are_unknown() {
    for text in [
        "the user was not_found: see the log",
        "GET /errors/not_found 404",
        "https://shop.example/StatusCode.NOT_FOUND",
        "state changed from UNKNOWN: ready",
        "INTERNAL: use only",
        "aborted: by hand",
        "unknown: 7 rows",
        "order internal: moved",
        "6 NOT_FOUND: number and name differ",
        "step 5 NOT_FOUNDATION: x",
        "status: Shipped, message: \"on its way\"",
        "Status { code: 200, message: \"ok\" }",
        "code: 'SALE10', message: \"10 % off\"",
        "RpcError(7): x",
        "ret: ok, func_ret: none, err: nil",
        "ret: 0, func_ret: 0, err: fine",
        "{\"code\":\"E17\",\"message\":\"no\"}",
        "ConnectError: [4711] ",
        "not found (7): number and name differ",
        "application exception: in module x: y",
        "HTTP status code 404 for /img/a.png",
        "Status(StatusCode=\"Shipped\", Detail=\"x\")",
        "the timeout: 5 s, to=be, method=or, not to be",
        "Code: blue Message: x",
        "panic: runtime error: index out of range [3] with length 3",
        "retry error: attempt 3 of 5",
        "payment: request forbidden: card blocked",
        "the request over limit",
        "rpc timeout of 5 s is too long",
        "internal exception: null",
        "get connection error: pool is empty",
        "payload validation error: field `name` is missing",
        "{\"code\":\"not_found\",\"msg\":\"no such order\"}",
    ] {
        assert_eq!(parse_log(text).filter(|error| error.code != Some(4711)), None, "{text}");
    }
}

/// The same words where Kitex, and nothing else, goes on so.
#[test]
fn common_words_of_kitex_need_more_of_it() {
    for text in [
        "request over limit",
        "order failed: request over limit: request too frequent",
        "rpc timeout: timeout=150ms, to=shop.order, method=Place",
        "canceled by business: timeout=150ms, to=shop.order, method=Place",
        "retry error: retry[2] failed, exceed max duration[1s], toService=shop.order, method=Place",
        "panic: [happened in biz handler, method=A.B, please check the panic at the server side] nil",
        "remote or network error[remote]: request forbidden: not in the list",
        "remote or network error: get connection error: pool is empty",
    ] {
        assert!(parse_log(text).is_some(), "{text}");
    }
    assert!(read("remote or network error[remote]: request forbidden: no").layers().count() == 2);
}

#[test]
fn hostile_texts_cost_little() {
    for words in [
        "remote or network error[remote]: ",
        "NOT_FOUND: ",
        "status: ",
        "[",
        "\"5 NOT_FOUND: \\\"",
        "what():",
        "Error received from peer",
    ] {
        let text = words.repeat((64 << 10) / words.len());
        let layers = parse_log(&text).map_or(0, |error| error.layers().count());
        assert!(layers <= LAYER_LIMIT, "{words}");
    }
}
