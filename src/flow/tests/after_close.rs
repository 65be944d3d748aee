//! What comes on the ports of a connection that has ended.

use super::*;

/// A connection of two calls that ends with `letters` of the client, and of the server if those are a FIN.
fn closed(letters: &str) -> Talk {
    let mut talk = Talk::new([1_000_000, 2_000_000]);
    talk.say(A, b"one?").say(B, b"one!").say(A, b"two?").say(B, b"two!").push(A, letters, b"");
    if letters == "FA" {
        talk.push(B, letters, b"");
    }
    talk
}

#[test]
fn payload_that_is_new_is_of_another_connection() {
    for letters in ["FA", "RA", "R"] {
        // From the next byte on; the last ones are before the SYNs.
        for by in [0, 1, 50, 5000, 500_000_000, 0x8000_0000, -5_000_i32 as u32, -1_500_000_i32 as u32] {
            for first in [A, B] {
                let old = closed(letters);
                let mut capture = Capture::new();
                capture.feed(&old.sent);
                let mut new = Talk { next: old.next.map(|next| next.wrapping_add(by)), sent: Vec::new() };
                new.say(first, b"new?").say(first.other(), b"new!").say(first, b"more");
                capture.feed(&new.sent);
                let expected = [
                    Open,
                    Data(first, b"new?".to_vec()),
                    Data(first.other(), b"new!".to_vec()),
                    Data(first, b"more".to_vec()),
                ];
                // Of the side that was reset it may be what was on the way, and what it acknowledges a FIN that was not captured.
                let unsure = letters != "FA" && first == B && by <= 1;
                let expected = if unsure { &expected[2..] } else { &expected };
                let seen = &capture.seen.events;
                assert!(seen.ends_with(expected), "{letters} {first:?} {}: {seen:?}", by as i32);
                assert_eq!(capture.table.shed().out_of_window, u64::from(unsure));
            }
        }
    }
}

#[test]
fn payload_that_was_on_the_way_is_of_the_connection_and_counted() {
    let mut old = closed("RA");
    let reset = old.sent.pop().unwrap();
    let mut capture = Capture::new();
    capture.feed(&old.sent).feed([&reset]);
    let seen = capture.seen.events.clone();
    old.say(B, b"three").say(B, b"four");
    // Nothing new was in the copies.
    let copies = [3, 4, 5, 6].map(|at| old.sent[at].clone());
    capture.feed(&old.sent[7..]).feed(&copies);
    assert_eq!(capture.seen.events, seen);
    assert_eq!((capture.table.shed().out_of_window, capture.table.shed().late), (2, 0));
}
