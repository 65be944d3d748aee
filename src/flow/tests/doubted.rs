//! Segments that do not fit to the connection between their ports.

use super::*;

/// What a conversation delivers between the same ports after another one, of which nothing but payload was captured.
fn after(numbers: [u32; 2], first: Side) -> (Vec<Event>, u64) {
    let mut old = Talk { next: [1000, 2000], sent: Vec::new() };
    old.say(A, b"old?").say(B, b"old!");
    let mut new = Talk { next: numbers, sent: Vec::new() };
    new.say(first, b"new?").say(first.other(), b"new!");
    let mut capture = Capture::new();
    capture.feed(&old.sent).feed(&new.sent);
    (capture.seen.events.clone(), capture.table.shed().out_of_window)
}

#[test]
fn a_segment_that_the_next_one_answers_begins_another_connection() {
    // The numbers of one side or of both are far from the old ones; in the first, second and last, those of one are near.
    let far =
        [[1004, 1 << 31], [1 << 31, 2004], [1 << 31, 3 << 30], [3 << 30, 1 << 31], [500_000_000, 1 << 31]];
    for numbers in far {
        for first in [A, B] {
            let (events, out_of_window) = after(numbers, first);
            let expected = [
                Close(End::Replaced),
                Open,
                Data(first, b"new?".to_vec()),
                Data(first.other(), b"new!".to_vec()),
            ];
            let near = numbers[first.index()].abs_diff([1004, 2004][first.index()]) == 0;
            assert!(near || events.ends_with(&expected), "{numbers:?} {first:?} {events:?}");
            assert!(near || out_of_window == 0);
        }
    }
}

#[test]
fn a_stray_syn_ends_no_connection() {
    for by in [100, 50_000_000, 300_000_000, 1 << 31, 3 << 30] {
        for (side, letters) in [(A, "S"), (A, "SA"), (B, "SA")] {
            let mut talk = Talk::new([1, 2]);
            for number in 0..9_u8 {
                talk.say(A, &[b'?', number]);
                if number == 3 {
                    let [seq, ack] = [side, side.other()].map(|side| talk.next[side.index()]);
                    let stray = sent(side, letters, seq.wrapping_add(by), ack + 7, b"");
                    talk.sent.extend([stray.clone(), stray]);
                }
                talk.say(B, &[b'!', number]);
            }
            let events = replay(&talk.sent);
            assert_eq!(events.len(), 1 + 18 + 3, "{by} {side:?} {letters}: {events:?}");
        }
    }
}

#[test]
fn a_syn_that_is_answered_begins_another_connection() {
    let mut old = Talk::new([1, 2]);
    old.say(A, b"old?").say(B, b"old!");
    for lost in [None, Some(1), Some(2)] {
        let mut new = Talk::new([50_000, 60_000]);
        new.say(A, b"new?").say(B, b"new!");
        if let Some(lost) = lost {
            new.sent.remove(lost);
        }
        let mut capture = Capture::new();
        capture.feed(&old.sent).feed(&new.sent);
        let tail = [Close(End::Replaced), Open, Data(A, b"new?".to_vec()), Data(B, b"new!".to_vec())];
        assert!(capture.seen.events.ends_with(&tail), "{lost:?} {:?}", capture.seen.events);
        let flow = capture.table.flows().next().unwrap().0;
        assert_eq!((flow.opener, flow.from_start), (Some(A), [true; 2]));
        assert_eq!((flow.segments[0], flow.first.packet), (if lost == Some(2) { 2 } else { 3 }, 6));
        assert_eq!(capture.table.shed().out_of_window, 0);
    }
}

#[test]
fn what_is_kept_of_doubted_segments_is_bounded() {
    let itself = size_of::<crate::flow::doubted::Doubted>();
    let mut capture = Capture::with(Limits {
        flow_bytes: 100 + itself,
        total_bytes: 10 * itself + 150,
        ..Limits::default()
    });
    for port in 0..10 {
        capture.feed_to(1000 + port, &sent(A, "A", 1, 1, b"x?"));
        capture.feed_to(1000 + port, &sent(A, "A", 1 << 31, 1, &[7; 90]));
        assert!(capture.table.held() <= 10 * itself + 150);
    }
    // What was too large begins another connection without its bytes.
    capture.feed_to(1000, &sent(A, "A", 3 << 30, 1, &[7; 110]));
    capture.feed_to(1000, &sent(A, "A", (3 << 30) + 110, 1, b"y?"));
    assert_eq!(capture.seen.events.last(), Some(&Data(A, b"y?".to_vec())));
}
