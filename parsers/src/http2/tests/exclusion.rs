//! Trailers whose names were sent before the capture: when only one of the values can be the status.

use super::*;

/// A field whose name stands in the table entry of that number from before the capture. It enters no table.
fn named(entry: u8, value: &str) -> Vec<u8> {
    let mut bytes = vec![0x0f, 47 + entry, u8::try_from(value.len()).unwrap()];
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// A field that stands whole in that entry.
fn whole(entry: u8) -> Vec<u8> {
    vec![0x80 | (62 + entry)]
}

fn head(fields: &[u8]) -> Vec<u8> {
    let gaps = block(&[("content-type", "application/grpc")]);
    [&[0x88], gaps.as_slice(), fields].concat()
}

/// A connection that began before the capture, with a call for each of these answers: its head and its trailers. Returns what
/// their statuses are, and whether they were found by exclusion.
fn statuses(answers: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    let mut session = Connection::session();
    let mut seen = Vec::new();
    for (at, (head, trailers)) in answers.iter().enumerate() {
        let stream = 2 * u32::try_from(at).unwrap() + 1001;
        session.data(CLIENT, &request(stream), &mut |_, _| ());
        let answer = [
            frame(frame::HEADERS, frame::END_HEADERS, stream, head),
            frame(frame::DATA, 0, stream, &[0, 0, 0, 0, 2, 7, 7]),
            frame(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, trailers),
        ];
        session.data(SERVER, &answer.concat(), &mut |side, event| {
            if let Event::Answer(answer) = event {
                let crate::event::Status::Grpc(status) = answer.status else { panic!("no gRPC") };
                let emitted = emitted(side, &own(side, event).message);
                seen.push(format!("{}{}", emitted.status, if status.deduced { " deduced" } else { "" }));
            }
        });
    }
    seen
}

/// The status of one answer with these trailers.
fn status(fields: &[Vec<u8>]) -> String {
    statuses(&[(head(&[]), fields.concat())]).remove(0)
}

fn known(name: &str, value: &str) -> Vec<u8> {
    literal(0, name, value)
}

#[test]
fn the_only_number_is_the_status() {
    for (fields, expected) in [
        (vec![named(0, "9"), named(1, "end 9")], "9 end 9 deduced"),
        (vec![named(0, "9"), named(1, "%E7%BB%88")], "9 终 deduced"),
        (vec![named(0, "9")], "9 ? deduced"),
        (vec![named(0, "0")], "0 ? deduced"),
        (vec![named(0, "16"), named(1, "")], "16  deduced"),
        (vec![named(0, "0"), named(1, "")], "0  deduced"),
        // One word may be a field of the application behind a status without a text.
        (vec![named(0, "9"), named(1, "sold-out")], "9 ? deduced"),
        (vec![named(0, "0"), named(1, "all is well")], "0 ? deduced"),
        // Fields of the application before, behind and between.
        (vec![known("x-shard", "3"), named(0, "5"), named(1, "no such order")], "5 no such order deduced"),
        (vec![named(0, "5"), named(1, "no such order"), known("x-shard", "3")], "5 no such order deduced"),
        (vec![named(0, "5"), known("x-shard", "3"), named(1, "no such order")], "5 ? deduced"),
        (vec![named(1, "no such order"), named(0, "5")], "5 ? deduced"),
        (vec![named(0, "5"), named(1, "no such order"), named(2, "eu west")], "5 ? deduced"),
        (vec![named(2, "eu"), named(0, "5"), named(1, "no such order")], "5 ? deduced"),
        (vec![named(0, "5"), named(1, "100 %")], "5 ? deduced"),
        (vec![named(0, "5"), named(1, "no \u{7} order")], "5 ? deduced"),
        // The name of one of the two can be read.
        (vec![known("grpc-status", "5"), named(1, "no such order")], "5 no such order deduced"),
        (vec![known("grpc-status", "5"), named(1, "3"), named(2, "eu west")], "5 ?"),
        (vec![named(0, "5"), known("grpc-message", "no%20way")], "5 no way deduced"),
        (vec![known("grpc-status", "5"), known("grpc-message", "no"), named(2, "eu west")], "5 no"),
    ] {
        assert_eq!(status(&fields), expected, "{fields:?}");
    }
}

#[test]
fn what_may_be_something_else_is_left_open() {
    for fields in [
        // A counter, a business status, a number that no status has, another entry that may be the status.
        vec![named(0, "5"), named(1, "3")],
        vec![named(0, "13"), named(1, "no stock"), named(2, "10001")],
        vec![named(0, "10001"), named(1, "3")],
        vec![named(0, "5"), whole(1)],
        vec![whole(1), named(0, "5"), named(2, "no such order")],
        vec![named(0, "17"), named(1, "no such order")],
        vec![named(0, "05")],
        vec![named(0, "-1")],
        vec![named(0, "")],
        vec![named(0, "5 ")],
        vec![named(0, "99999999999999999999999")],
        vec![named(0, "no such order")],
    ] {
        assert!(status(&fields).starts_with("unknown"), "{fields:?}");
    }
    // More than can be kept account of.
    let many: Vec<_> = (0..17).map(|entry| named(entry, if entry == 0 { "5" } else { "x" })).collect();
    assert_eq!(status(&many), "unknown");
}

#[test]
fn trailers_without_a_head_and_answers_in_one_block_are_left_open() {
    let mut feed = Feed::new();
    feed.data(CLIENT, &[request(1001), request(1003)].concat());
    feed.emitted.clear();
    let end = |stream, fields: &[u8]| frame(frame::HEADERS, 5, stream, fields);
    feed.data(SERVER, &end(1001, &head(&named(0, "5"))));
    feed.data(SERVER, &end(1003, &named(0, "5")));
    let unknown = (Kind::Answer, "unknown".to_owned());
    assert_eq!(feed.news(), [unknown.clone(), unknown]);
}

#[test]
fn a_name_that_was_found_is_that_of_its_entry() {
    let found = (head(&[]), [named(0, "9"), named(1, "end 9")].concat());
    for (trailers, expected) in [
        // Another number stands beside it, or another text, or one that is no sentence.
        ([named(0, "5"), named(2, "3")].concat(), "5 ? deduced"),
        ([named(0, "5"), named(1, "sold-out"), named(2, "eu west")].concat(), "5 sold-out deduced"),
        ([named(1, "sold-out"), named(0, "5"), whole(4)].concat(), "5 sold-out deduced"),
        // The status stands whole in the entry: then no other is the status.
        ([whole(0), named(2, "5"), named(3, "eu west")].concat(), "unknown"),
    ] {
        let seen = statuses(&[found.clone(), (head(&[]), trailers.clone())]);
        assert_eq!(seen, ["9 end 9 deduced", expected], "{trailers:?}");
    }
    let only = head(&[named(0, "5"), named(1, "sold-out")].concat());
    let seen = statuses(&[found, (head(&[]), only)]);
    assert_eq!(seen[1], "5 sold-out deduced");
}

#[test]
fn a_contradiction_ends_all_conclusions() {
    let found = (head(&[]), [named(0, "9"), named(1, "end 9")].concat());
    for (head_fields, trailers) in [
        // Two statuses, two texts, a status that is none, and a field of the head.
        (vec![], [named(0, "9"), known("grpc-status", "0")].concat()),
        (vec![], [named(0, "9"), named(0, "8")].concat()),
        (vec![], [named(0, "9"), named(1, "a b"), known("grpc-message", "c")].concat()),
        (vec![], [named(0, "9"), named(1, "100 %")].concat()),
        (vec![], named(0, "10001")),
        (named(0, "9"), known("grpc-status", "0")),
        (named(1, "9"), known("grpc-status", "0")),
    ] {
        let odd = (head(&head_fields), trailers.clone());
        let seen = statuses(&[found.clone(), odd, found.clone()]);
        assert_eq!((seen[0].as_str(), seen[2].as_str()), ("9 end 9 deduced", "unknown"), "{trailers:?}");
        assert!(!seen[1].ends_with("deduced"), "{seen:?}");
    }
}

#[test]
fn entries_that_were_something_else_before_are_not_the_status() {
    let of_heads = (head(&named(0, "3")), known("grpc-status", "0"));
    let of_text = (head(&[]), [whole(3), named(0, "eu")].concat());
    for before in [of_heads, of_text] {
        let seen = statuses(&[before, (head(&[]), [named(0, "9"), named(1, "end 9")].concat())]);
        assert_eq!(seen[1], "unknown", "{seen:?}");
    }
}

#[test]
fn a_loss_makes_other_entries_of_them() {
    let mut feed = Feed::new();
    let call = |feed: &mut Feed, stream: u32, trailers: &[u8]| {
        feed.data(CLIENT, &request(stream));
        let begin = frame(frame::HEADERS, frame::END_HEADERS, stream, &head(&[]));
        let data = frame(frame::DATA, 0, stream, &[0, 0, 0, 0, 2, 7, 7]);
        feed.data(SERVER, &[begin, data, frame(frame::HEADERS, 5, stream, trailers)].concat());
        feed.news().pop().unwrap().1
    };
    assert_eq!(call(&mut feed, 1001, &named(0, "9")), "9 ?");
    assert_eq!(call(&mut feed, 1003, &[named(0, "9"), named(2, "7")].concat()), "9 ?");
    feed.gap(SERVER, None);
    assert_eq!(call(&mut feed, 1005, &[named(0, "9"), named(2, "7")].concat()), "unknown");
    assert_eq!(call(&mut feed, 1007, &named(2, "7")), "7 ?");
}
