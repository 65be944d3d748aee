//! What a capture of the simulated calls would hold.

use std::net::IpAddr;

use rpcscope::calls::record::{Call, Class, Process, Uid};
use rpcscope::decode::Endpoint;
use rpcscope::time::Timestamp;
use rpcscope_parsers::{Rpc, Transport};

use super::{Event, Knobs, Processes};

/// Nanoseconds that the callers of the service wait.
const PATIENCE: i64 = 500_000_000;

/// The events that the capture holds, by start. The number of a call's packet is its place here, from one.
pub(super) fn captured(events: &[Event]) -> Vec<&Event> {
    let mut captured: Vec<&Event> = events.iter().filter(|event| event.captured).collect();
    captured.sort_by_key(|event| (event.start, event.class, event.number));
    captured
}

/// The calls that a capture of the events would hold, in the order of their ends.
pub(crate) fn calls(events: &[Event], knobs: &Knobs) -> Vec<Call> {
    let starts: std::collections::HashMap<usize, i64> = events
        .iter()
        .filter(|event| event.parent.is_none())
        .map(|event| (event.number, event.start))
        .collect();
    let captured = captured(events);
    let mut calls: Vec<Call> = captured
        .iter()
        .enumerate()
        .map(|(index, event)| one(index, event, starts[&event.number], knobs))
        .collect();
    calls.sort_by_key(|call| (call.end.0, call.uid));
    for (index, call) in calls.iter_mut().enumerate() {
        call.decided = index as u64;
    }
    calls
}

/// One call; `root` is the start of the call of the service.
fn one(index: usize, event: &Event, root: i64, knobs: &Knobs) -> Call {
    let own = event.parent.is_none();
    let (process, side) = (event.process, usize::from(event.process));
    // Ports differ from call to call, as with short connections: they give nothing away.
    let port = 20_000 + (index % 40_000) as u16;
    let worker = 1_000 + (event.worker * 10 + side) as u16;
    let ports = if knobs.connections { (worker, worker + event.class as u16 * 2) } else { (port, port) };
    let host = if knobs.processes == Processes::Instances { 2 + process } else { 2 };
    let apart = matches!(knobs.processes, Processes::Ports | Processes::Names);
    let names = if apart { ["front", "side"] } else { ["front"; 2] };
    let callee = if knobs.processes == Processes::Ports {
        event.class as u8 + 10 * process
    } else {
        event.class as u8
    };
    let (client, server) = if own {
        (endpoint(1, ports.0), endpoint(host, 8000 + if apart { u16::from(process) } else { 0 }))
    } else {
        (endpoint(host, ports.1), endpoint(100 + callee, 9000))
    };
    let mut call = call(index as u64 + 1, event.start, event.end, client, server);
    call.service = Some(if own { names[side].into() } else { format!("back{callee}").into() });
    call.method = Some("Do".into());
    if knobs.processes == Processes::Names && !own {
        call.caller = Some(names[side].into());
    }
    if knobs.processes == Processes::Pids {
        let process = Process::new(100 + u32::from(process), "service");
        call.set_processes(if own { [None, Some(process)] } else { [Some(process), None] });
    }
    if event.given_up {
        call.outcome.class = Some(Class::Unanswered);
    }
    // Numbers that follow each other are spread, so that shares are even in time.
    let picked = |share: f64| (event.number as f64 * 0.618_033_988_75).fract() < share;
    if picked(knobs.ids) {
        call.trace_id = Some(format!("{:032x}", event.number + 1).into());
    }
    if picked(knobs.values) {
        call.metadata.push((false, "user".into(), format!("user-{:03}", event.number * 7 % 1_000)));
    }
    if knobs.deadlines {
        // What is left is handed down in whole milliseconds.
        let left = root + PATIENCE - event.start;
        call.timeout = u64::try_from(left / 1_000_000 * 1_000_000).ok();
    }
    if knobs.spans {
        // A hundred calls share a trace; the span of the call above says which of them it was.
        let trace = format!("{:016X}", event.number / 100 + 0xabcd_0001);
        let span = |class: u32| format!("{:016x}", (event.number + 1) * 16 + class as usize);
        let value = format!(
            "{trace}-{}-1-{}",
            span(event.class),
            if own { "00000000000000ff".into() } else { span(0) }
        );
        call.metadata.push((false, "b3".into(), value));
    }
    if event.canceled {
        call.outcome.class = Some(Class::Rpc);
        call.outcome.extra().cancel_path = vec![format!("caller-{}", event.number % 50).into()];
        if !own {
            call.outcome.extra().cancel_path.push("front".into());
        }
    }
    call
}

/// An address of the simulated network.
pub(crate) fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::from([10, 0, 0, host]), port }
}

/// An answered call, nanoseconds.
pub(crate) fn call(packet: u64, start: i64, end: i64, client: Endpoint, server: Endpoint) -> Call {
    let mut call = Call {
        end: Timestamp(end),
        latency: u64::try_from(end - start).ok(),
        duration: u64::try_from(end - start).ok(),
        transport: Transport::Framed,
        rpc: Rpc::Thrift,
        request_bytes: 100,
        response_bytes: 100,
        request_messages: 1,
        response_messages: 1,
        ..Call::new(Uid { packet, ordinal: 0 }, Timestamp(start), client, server)
    };
    call.outcome.class = Some(Class::Ok);
    call
}
