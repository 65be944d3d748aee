//! A RST ends a connection only where its receiver takes it.

use super::*;

/// Calls of four bytes, answered one by one, and what `stray` makes of the state before the answer of the third.
fn calls(stray: impl Fn(&Talk) -> Sent) -> Vec<Sent> {
    let mut talk = Talk::new([1, 2]);
    for number in 0..9_u8 {
        talk.say(A, &[b'?', number, 0, 0]);
        if number == 3 {
            let stray = stray(&talk);
            talk.sent.push(stray);
        }
        talk.say(B, &[b'!', number, 0, 0]);
    }
    talk.push(A, "FA", b"").push(B, "FA", b"");
    talk.sent
}

#[test]
fn a_reset_that_no_receiver_takes_ends_nothing() {
    let expected = replay(&calls(|talk| sent(A, "A", talk.next[0], talk.next[1], b"")));
    assert_eq!(expected.len(), 1 + 18 + 3);
    let behind = [1, 2, 4, 5, 8, 1000, 1 << 20].map(|by: u32| by.wrapping_neg());
    for by in behind.into_iter().chain([1, 2, 5, 50, 1 << 20]) {
        for (side, letters) in [(A, "R"), (A, "RA"), (B, "R"), (B, "RA")] {
            let sent = calls(|talk| {
                let [seq, ack] = [side, side.other()].map(|side| talk.next[side.index()]);
                sent(side, letters, seq.wrapping_add(by), if letters == "RA" { ack } else { 0 }, b"")
            });
            assert_eq!(replay(&sent), expected, "{side:?} {letters} {}", by as i32);
        }
    }
}

#[test]
fn a_reset_behind_what_was_acknowledged_is_counted() {
    let mut capture = Capture::new();
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"one?").say(B, b"one!");
    capture.feed(&talk.sent);
    capture.feed(&[sent(A, "R", 3, 0, b"")]).wait(Duration::from_secs(2));
    assert_eq!(capture.seen.events, [Open, Data(A, b"one?".to_vec()), Data(B, b"one!".to_vec())]);
    assert_eq!(capture.table.shed().out_of_window, 1);
}

#[test]
fn a_reset_elsewhere_ends_a_connection_that_says_nothing_more() {
    // Bytes before the first were not captured; the second answers what had acknowledged none of the answer.
    for at in [50, 5] {
        let mut capture = Capture::new();
        let mut talk = Talk::new([1, 2]);
        talk.say(A, b"one?").say(B, b"one!");
        capture.feed(&talk.sent);
        capture.feed(&[sent(B, "R", at, 0, b"")]).wait(Duration::from_millis(900));
        assert_eq!(capture.seen.events.len(), 3);
        capture.wait(Duration::from_millis(200));
        let flow = capture.table.flows().next().unwrap().0;
        assert_eq!((flow.reset_by, flow.ended), (Some(B), [Some(End::Rst); 2]));
        assert_eq!(capture.seen.events.contains(&Gap(B, 43, Lost)), at == 50);
    }
}

#[test]
fn a_reset_at_the_next_byte_ends_what_one_elsewhere_did_not() {
    let mut capture = Capture::new();
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"one?").say(B, b"one!");
    capture.feed(&talk.sent);
    capture.feed(&[sent(B, "R", 5, 0, b""), sent(B, "R", 7, 0, b"")]);
    assert_eq!(capture.seen.events[3..], [Event::End(B, End::Rst), Event::End(A, End::Rst)]);
}

#[test]
fn a_reset_behind_a_fin_ends_the_connection_wherever_it_is() {
    let mut capture = Capture::new();
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"one?").say(B, b"one!").push(A, "FA", b"").say(B, b"late");
    capture.feed(&talk.sent);
    // It answers what was sent before the FIN was received.
    capture.feed(&[sent(A, "R", 6, 0, b"")]);
    assert_eq!(capture.seen.events[4..], [Data(B, b"late".to_vec()), Event::End(B, End::Rst)]);
}
