//! Snapshots and other tests of the page of one call.

use std::sync::Arc;

use rpcscope_parsers::Kind;
use rpcscope_parsers::protocol::Field;

use super::tests::{keys, mixed, screen, screens};
use crate::calls::record::{Call, Class, Finding};
use crate::detail::{Detail, Message};
use crate::tui::state::State;
use crate::tui::state::testing::{failed, send, state};

#[test]
fn one_call_in_full() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        keys(&mut state, "e\n");
        let call = Arc::clone(&state.detail.as_ref().unwrap().call);
        state.packets_read(call.uid, Ok(Box::new(detail(&call))));
        state
    }));
}

#[test]
fn long_verdicts_wrap_in_their_box() {
    let page = |width, height| {
        let mut state = state(width, height);
        let mut call = failed(0, Class::Rpc, 6, &"no row for the sku ".repeat(8));
        call.findings.insert(Finding::BusinessAsRpc);
        send(&mut state, [call]);
        keys(&mut state, "\n");
        // The lines in the box on the left, below its border.
        let screen = screen(&state);
        let boxed = screen.lines().skip_while(|line| !line.starts_with('┌')).skip(1);
        let cell = |line: &str| Some(line.strip_prefix("│ ")?.split('│').next()?.trim_end().to_owned());
        boxed.map_while(cell).collect::<Vec<_>>()
    };
    let narrow = page(80, 24);
    assert_eq!(narrow.len(), 5, "{narrow:#?}");
    assert_eq!(narrow[2..4], ["raised by   callee's framework, for", "            a handler error"]);
    let wide = page(200, 50);
    assert_eq!(wide[2], "raised by   callee's framework, for a handler error");
    let logged = wide[3..].iter().map(|line| line.trim_start_matches("caller logs").trim_start());
    let logged = logged.collect::<Vec<_>>().join(" ");
    assert!(logged.contains("no row for the sku no row") && logged.matches("sku").count() > 4, "{wide:#?}");
}

/// A request and an answer with fields.
fn detail(call: &Call) -> Detail {
    let leaf = |name: &str, value: &str, range| Field {
        name: name.to_owned(),
        value: value.to_owned(),
        range,
        children: Vec::new(),
    };
    let message = |from_client, kind, packet, bytes: &[u8], fields| Message {
        from_client,
        kind,
        time: call.start,
        packet,
        offset: 0,
        size: bytes.len() as u64,
        bytes: bytes.to_vec(),
        headers: vec![("biz-status".to_owned(), "4041".to_owned())],
        undecoded: true,
        fields,
    };
    let head = Field {
        name: "TTHeader".to_owned(),
        value: String::new(),
        range: (0, 12),
        children: vec![leaf("length", "188", (0, 4)), leaf("magic", "0x1000", (4, 6))],
    };
    let request = b"\x00\x00\x00\xbc\x10\x00request";
    let answer = b"\x00\x00\x00\x5a\x10\x00no stock of sku 3";
    Detail {
        call: call.clone(),
        protocol: Some("ttheader"),
        messages: vec![
            message(true, Kind::Request, 7, request, vec![head.clone()]),
            message(false, Kind::Answer, 8, answer, vec![head]),
        ],
        packets: Vec::new(),
        tls: None,
        left_out: Vec::new(),
    }
}

#[test]
fn bytes_that_can_not_be_read_are_reported() {
    let mut state = mixed(80, 24);
    keys(&mut state, "e\n");
    assert!(screen(&state).contains("reading the packets"));
    let uid = state.detail.as_ref().unwrap().call.uid;
    state.packets_read(uid, Err("no longer held\x1b[2J".to_owned()));
    let screen = screen(&state);
    assert!(screen.contains("no longer held\\x1b[2J"), "{screen}");
}

#[test]
fn fields_and_bytes_follow_each_other() {
    let mut state = mixed(100, 30);
    keys(&mut state, "e\n");
    let call = Arc::clone(&state.detail.as_ref().unwrap().call);
    state.packets_read(call.uid, Ok(Box::new(detail(&call))));
    let marked = |state: &State| state.detail.as_ref().unwrap().marked();
    assert_eq!(state.detail.as_ref().unwrap().message, 1, "the answer of a failed call comes first");
    keys(&mut state, "[");
    assert_eq!(state.detail.as_ref().unwrap().message, 0);
    // Headers, its pair, the group, its first field.
    keys(&mut state, "jjjj");
    assert_eq!(marked(&state), Some((0, 4)));
    keys(&mut state, "j");
    assert_eq!(marked(&state), Some((4, 6)));
    keys(&mut state, "\t");
    keys(&mut state, "hh");
    assert_eq!(marked(&state), Some((0, 4)), "from the bytes to the field");
    keys(&mut state, "]");
    assert_eq!(state.detail.as_ref().unwrap().message, 1);
    keys(&mut state, "z");
    assert!(!screen(&state).contains("magic"), "folded");
    keys(&mut state, "\x1b");
    assert!(state.detail.is_none());
}

#[test]
fn the_search_finds_fields_and_keys_too() {
    let mut state = mixed(100, 30);
    keys(&mut state, "e\n");
    let call = Arc::clone(&state.detail.as_ref().unwrap().call);
    state.packets_read(call.uid, Ok(Box::new(detail(&call))));
    let found = |state: &State| {
        let detail = state.detail.as_ref().unwrap();
        (detail.message, detail.selected().unwrap().label.clone())
    };
    keys(&mut state, "z/MAGIC\n");
    assert_eq!(found(&state), (0, "magic".to_owned()), "round the end, and unfolded");
    keys(&mut state, "n");
    assert_eq!(found(&state), (1, "magic".to_owned()));
    keys(&mut state, "NN");
    assert_eq!(found(&state), (1, "magic".to_owned()));
    assert!(screen(&state).contains("magic"));
    keys(&mut state, "/nowhere\n");
    assert!(screen(&state).contains("not found: nowhere"));
    keys(&mut state, "?/clipboard\n");
    assert!(screen(&state).lines().nth(3).unwrap().contains("clipboard"), "{}", screen(&state));
}
