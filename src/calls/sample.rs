//! Calls for the tests of filters and outputs.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rpcscope_parsers::{Rpc, Transport};

use super::likely::{Likely, Reason};
use super::record::{
    Call, CalleeView, Carrier, Class, Finding, GoAwayNote, Initiator, Named, Observer, Process, RivalParent,
    Uid, Via,
};
use super::share::Share;
use crate::body::{Decoded, Value};
use crate::codes::library::Library;
use crate::decode::Endpoint;
use crate::payload::{Bodies, Payload};
use crate::time::Timestamp;

fn endpoint(last: u8, port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 77, 0, last)), port }
}

/// A call of which nothing is known but that it was there.
pub(crate) fn bare() -> Call {
    let start = Timestamp(1_767_317_649_120_000_000);
    Call {
        end: Timestamp(start.0 + 3_200_000),
        decided: 78,
        transport: Transport::TtHeader,
        rpc: Rpc::Thrift,
        request_bytes: 188,
        response_bytes: 90,
        request_messages: 1,
        response_messages: 1,
        connection: 1,
        packets: (71, 78),
        ..Call::new(Uid { packet: 71, ordinal: 0 }, start, endpoint(11, 51_234), endpoint(12, 8888))
    }
}

/// An answered call without an error.
pub(crate) fn ok() -> Call {
    let mut call = bare();
    call.service = Some("OrderService".into());
    call.method = Some("PlaceOrder".into());
    call.caller = Some("web".into());
    call.callee = Some("order".into());
    call.sender = Some((Library::Kitex, (0, 0, 0)));
    call.codec = Some("thrift-binary");
    call.latency = Some(3_200_000);
    call.duration = Some(3_400_000);
    call.id = Some(5);
    call.outcome.class = Some(Class::Ok);
    call
}

/// A call of another class.
pub(crate) fn failed(class: Class, carrier: Carrier, code: Option<i64>, message: &str) -> Call {
    let mut call = ok();
    call.outcome.class = Some(class);
    call.outcome.carrier = carrier;
    call.outcome.code = code;
    call.outcome.message = (!message.is_empty()).then(|| message.into());
    call
}

/// A call with a value for every key (which no real call has).
pub(crate) fn full() -> Call {
    let mut call = failed(Class::Business, Carrier::BizStatus, Some(-4041), "no \"stock\"\n\u{202e}");
    call.uid.ordinal = 2;
    call.via = Some(Arc::new(Via { client: None, addresses: vec!["proxy.test:443".into()] }));
    call.unknown_name = Some(17);
    call.outcome.code_name = Some("NOT_FOUND");
    call.outcome.initiator = Some(Initiator::Server);
    call.outcome.ret = Some(0);
    call.outcome.func_ret = Some(i32::MIN);
    call.outcome.extra().biz_extra = vec![
        ("reason".into(), "first".into()),
        ("reason".into(), "sold \"out\"".into()),
        ("cell".into(), "7".into()),
    ];
    call.outcome.extra().details = vec![("ErrorInfo".into(), "reason=QUOTA".into())];
    call.goaway = Some(Box::new(GoAwayNote { by: Initiator::Server, code: 0, text: Some("max_age".into()) }));
    call.likely = Some(Box::new(Likely {
        service: Some("stock.v1.Stock".into()),
        method: Some("Count".into()),
        class: Some(Class::Rpc),
        code: Some(14),
        percent: 98,
        why: vec![Reason::Number, Reason::SameShape],
    }));
    call.timeout = Some(1_000_000_000);
    call.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
    call.span_id = Some("00f067aa0ba902b7".into());
    call.log_id = Some("20261126093011ABCDEF".into());
    call.outcome.field_id = Some(1);
    call.outcome.extra().cancel_path = vec!["gateway".into(), "order".into()];
    call.parent = Some(Uid { packet: 70, ordinal: 1 });
    call.parent_evidence = Some("trace-id");
    call.positions[0] = Some(4711);
    call.parent_key = call.key();
    let rival = |parent| RivalParent { parent, confidence: Share::of(0.25) };
    call.rivals = call.key().map(|key| Box::from([rival(key), rival(call.connection_key())]));
    (call.parent_confidence, call.missed) = (Some(Share::of(0.975)), Some(Share::of(0.25)));
    (call.host, call.observer) = (Some("shop-7".into()), Some(Observer::Server));
    call.findings.insert(Finding::LateAnswer);
    call.findings.insert(Finding::Gap);
    call.callee_view = Some(Box::new(CalleeView {
        seen: 2,
        start: Timestamp(call.start.0 + 80_000),
        end: Timestamp(call.start.0 + 3_100_000),
        latency: Some(3_000_000),
    }));
    call.set_processes([
        None,
        Some(Process {
            container: Some("c0ffee".repeat(11)[..64].into()),
            pod_uid: Some("1b4e28ba-2fa1-11d2-883f-0016d3cca427".into()),
            ..Process::new(4711, "stock")
        }),
    ]);
    let named = |name: &str, pod: &str| {
        let [name, pod, node] = [name, pod, "node-7"].map(|text| Some(text.into()));
        Some(Arc::new(Named { name, pod, node, pod_uid: None }))
    };
    call.set_names([named("web\u{1b}", "shop/web-1"), named("stock.shop", "shop/stock-1")]);
    let object = |name: &str, value| Value::Object(vec![(name.to_owned(), value)]);
    let message = |value| Decoded {
        value,
        unknown: Some(object("9", Value::Int(5))),
        type_name: None,
        guessed: false,
        notes: vec![],
        exception: None,
    };
    let mut bodies = Bodies::default();
    bodies.payload = Payload {
        request: vec![message(object("user", object("id", Value::Int(7))))],
        response: vec![
            message(object("names", Value::List(vec![Value::Text("a\u{1b}".into())]))),
            message(Value::Null),
        ],
        exception: Some(object("name", Value::Text("StockError".into()))),
        error: Some(object("code", Value::Int(5))),
        remarks: vec!["response: compression 'lz4\u{1b}' is not read".into()],
        shown: true,
    };
    call.bodies = Some(Box::new(bodies));
    call.metadata = vec![
        (false, "x-user".into(), "7".into()),
        (false, "isn".into(), "Order".into()),
        (true, "x-user".into(), "9".into()),
        (false, "x-user".into(), "8".into()),
    ];
    call
}
