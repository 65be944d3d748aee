use super::*;
use crate::error::Layer;

/// A message is `M`, a digit and as many bytes; a line is `L` up to its end; `U` begins an unbounded body.
#[derive(Default)]
struct Toy {
    /// What was seen, with its stream offset. Pieces of a body are put together.
    seen: Vec<(u64, String)>,
    faults: Faults,
}

impl Toy {
    fn see(&mut self, offset: u64, what: impl Into<String>) {
        self.seen.push((offset, what.into()));
    }
}

impl Reader for Toy {
    fn head(&mut self, at: At, input: &[u8], _emit: &mut Emit<'_>) -> Step {
        match *input {
            [b'M', size @ b'0'..=b'9', ..] => {
                self.see(at.offset, "message ");
                Step::Body(2, u64::from(size - b'0'))
            }
            [b'M'] => Step::Need(Need::Bytes(2)),
            [b'L', ..] => match memchr::memchr(b'\n', input) {
                Some(end) => {
                    self.see(at.offset, String::from_utf8_lossy(&input[..end]));
                    Step::Done(end + 1)
                }
                None => Step::Need(Need::Line(20)),
            },
            [b'U', ..] => {
                self.see(at.offset, "rest ");
                Step::Body(1, UNBOUNDED)
            }
            _ => {
                self.faults.note(Error::new(0, Layer::Frame, "neither"));
                Step::Lost(1)
            }
        }
    }

    fn body(&mut self, at: At, bytes: &[u8], left: u64, _emit: &mut Emit<'_>) {
        let text = String::from_utf8_lossy(bytes);
        if let Some((_, seen)) = self.seen.last_mut() {
            seen.push_str(&text);
        }
        if left == 0 {
            self.see(at.offset + bytes.len() as u64, "end");
        }
    }

    fn body_lost(&mut self, at: At, missing: Option<u64>, left: u64, _emit: &mut Emit<'_>) {
        self.see(at.offset, format!("{missing:?} lost, {}", left.min(99)));
    }

    fn cut(&mut self, at: At, input: &[u8], _emit: &mut Emit<'_>) -> Option<u64> {
        self.see(at.offset, format!("cut {}", String::from_utf8_lossy(input)));
        // As if a lone `M` were of a message of five bytes.
        (input == b"M").then_some(4)
    }

    fn gap(&mut self, at: At, missing: Option<u64>, _emit: &mut Emit<'_>) -> Gap {
        self.see(at.offset, format!("gap {missing:?}"));
        if missing == Some(7) { Gap::InStep } else { Gap::Lost }
    }

    fn find(&mut self, _side: Side, input: &[u8], end: bool) -> Found {
        match memchr::memchr(b'M', input) {
            Some(at) if at + 1 < input.len() || end => Found::At(at),
            Some(at) => Found::NotBefore(at),
            None => Found::NotBefore(input.len()),
        }
    }

    fn passed_over(&mut self, at: At, skipped: usize, found: bool, _emit: &mut Emit<'_>) {
        if found {
            self.see(at.offset, "found");
        } else if skipped == 0 {
            self.see(at.offset, "nothing skipped");
        }
    }

    fn end(&mut self, at: At, carried: &[u8], _emit: &mut Emit<'_>) {
        self.see(at.offset, format!("over {}", String::from_utf8_lossy(carried)));
    }

    fn oldest(&self, at: At) -> u64 {
        at.offset.saturating_sub(3)
    }

    fn trouble(&self) -> Option<(Error, u64)> {
        self.faults.last()
    }
}

/// What a reader is given.
enum Input {
    Data(&'static str),
    Gap(Option<u64>),
}
use Input::{Data, Gap as Lose};

/// What is seen when every piece of data is cut into two at `cut`, if it is longer.
fn read(inputs: &[Input], cut: usize) -> Vec<(u64, String)> {
    let mut core = Core::new(Toy::default());
    let emit: &mut Emit<'_> = &mut |_, _| {};
    for input in inputs {
        match input {
            Data(text) => {
                let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
                core.data(Side::A, first, emit);
                core.data(Side::A, second, emit);
            }
            Lose(missing) => core.gap(Side::A, *missing, emit),
        }
    }
    core.end(Side::A, emit);
    core.reader.seen.retain(|(_, seen)| seen != "nothing skipped");
    core.reader.seen
}

/// The same at every split.
fn check(inputs: &[Input], expected: &[(u64, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(offset, seen)| (*offset, (*seen).to_owned())).collect();
    for cut in 0..32 {
        assert_eq!(read(inputs, cut), expected, "cut at {cut}");
    }
}

#[test]
fn heads_and_bodies_are_the_same_at_every_split() {
    check(
        &[Data("M3abcM0Lline\nM2xyM")],
        &[
            (0, "message abc"),
            (5, "end"),
            (5, "message "),
            (7, "end"),
            (7, "Lline"),
            (13, "message xy"),
            (17, "end"),
            (17, "over M"),
        ],
    );
}

#[test]
fn the_next_message_is_found_after_bytes_that_make_no_sense() {
    let found = [(4, "found"), (4, "message z"), (7, "end"), (7, "over ")];
    check(&[Data("?a?xM1z")], &found);
    check(&[Data("?"), Data("a?x"), Data("M1z")], &found);
}

#[test]
fn what_is_found_only_at_the_end_is_read_then() {
    check(&[Data("?aM")], &[(2, "found"), (2, "over ")]);
}

#[test]
fn a_gap_within_a_body_costs_nothing_else() {
    check(
        &[Data("M9abc"), Lose(Some(4)), Data("hiM0")],
        &[
            (0, "message abc"),
            (9, "Some(4) lost, 2hi"),
            (11, "end"),
            (11, "message "),
            (13, "end"),
            (13, "over "),
        ],
    );
    check(
        &[Data("M4a"), Lose(Some(3)), Data("M0")],
        &[(0, "message a"), (6, "Some(3) lost, 0"), (6, "message "), (8, "end"), (8, "over ")],
    );
    check(
        &[Data("Uabc"), Lose(None), Lose(Some(5)), Data("M0")],
        &[(0, "rest abc"), (4, "None lost, 99"), (9, "Some(5) lost, 99M0"), (11, "over ")],
    );
}

#[test]
fn a_gap_over_the_end_of_a_body_loses_the_place() {
    for missing in [Some(3), None] {
        let after = 4 + missing.unwrap_or(0);
        let gap = format!("gap {missing:?}");
        check(
            &[Data("M4ab"), Lose(missing), Data("xM1z")],
            &[
                (0, "message ab"),
                (after, &gap),
                (after + 1, "found"),
                (after + 1, "message z"),
                (after + 4, "end"),
                (after + 4, "over "),
            ],
        );
    }
}

#[test]
fn a_head_that_is_cut_may_still_say_how_long_its_message_is() {
    check(
        &[Data("M"), Lose(Some(4)), Data("M0")],
        &[(0, "cut M"), (5, "Some(4) lost, 0"), (5, "message "), (7, "end"), (7, "over ")],
    );
    check(
        &[Data("Labc"), Lose(Some(2)), Data("M0")],
        &[(0, "cut Labc"), (6, "gap Some(2)"), (6, "found"), (6, "message "), (8, "end"), (8, "over ")],
    );
}

#[test]
fn a_reader_may_stay_in_step_over_a_gap() {
    check(
        &[Data("M0"), Lose(Some(7)), Lose(Some(0)), Data("M0")],
        &[(0, "message "), (2, "end"), (9, "gap Some(7)"), (9, "message "), (11, "end"), (11, "over ")],
    );
    // Not while the place is looked for.
    check(
        &[Data("M0?"), Lose(Some(7)), Data("..M0")],
        &[
            (0, "message "),
            (2, "end"),
            (10, "gap Some(7)"),
            (12, "found"),
            (12, "message "),
            (14, "end"),
            (14, "over "),
        ],
    );
}

#[test]
fn a_line_is_looked_at_again_once_it_may_be_whole() {
    let mut stream = Stream::new();
    stream.set_need(Need::Line(4));
    stream.carry(b"abc");
    assert!(!stream.is_worth_a_look(b"c"));
    assert!(stream.is_worth_a_look(b"c\n"));
    stream.carry(b"de");
    assert!(stream.is_worth_a_look(b"e"));
    stream.set_need(Need::Bytes(6));
    assert!(!stream.is_worth_a_look(b"e"));
}

#[test]
fn held_bytes_reach_back_to_what_the_reader_still_speaks_of() {
    let mut core = Core::new(Toy::default());
    core.data(Side::B, b"M2abLine", &mut |_, _| {});
    assert_eq!((core.held(Side::A), core.held(Side::B)), (0, 3 + 4));
    core.datagram(Side::A, b"xyz", &mut |_, _| {});
    assert_eq!(core.held(Side::A), 3);
    assert_eq!(core.trouble(), None);
    core.data(Side::A, b"??", &mut |_, _| {});
    assert_eq!(core.trouble().map(|(error, count)| (error.what, count)), Some(("neither", 1)));
}
