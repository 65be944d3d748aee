//! What people type and what programs print: filters, log lines, time stamps, wire text on a terminal.

use std::sync::OnceLock;

use rpcscope::calls::Call;
use rpcscope::explain;
use rpcscope::filter::{self, Filter};
use rpcscope::pipeline::Output;
use rpcscope::text;
use rpcscope::time::Timestamp;

use crate::bytes::Input;
use crate::captures;

/// Longest text of a target.
const MAX_TEXT: usize = 4096;
/// How many calls an input is tried on.
const SAMPLES: usize = 4;

/// Calls of all classes, to try filters and explanations on.
fn samples() -> &'static [Box<Call>] {
    static CALLS: OnceLock<Vec<Box<Call>>> = OnceLock::new();
    CALLS.get_or_init(|| {
        let (outputs, _) = captures::outputs(include_bytes!("../../captures/demo/all-classes.pcap"), false);
        let calls: Vec<Box<Call>> = outputs
            .into_iter()
            .filter_map(|output| match output {
                Output::Call(call) => Some(call),
                Output::Connection(_) | Output::Learned(_) => None,
            })
            .collect();
        assert!(calls.len() > 10, "the bundled capture has calls");
        calls
    })
}

/// Some of them, others for other lengths of the input: all of them take most of the time.
fn some_samples(data: &[u8]) -> impl Iterator<Item = &'static Call> {
    let from = data.len() % samples().len();
    samples().iter().cycle().skip(from).take(SAMPLES).map(|call| &**call)
}

fn utf8(data: &[u8]) -> String {
    String::from_utf8_lossy(&data[..data.len().min(MAX_TEXT)]).into_owned()
}

/// A filter: compiled, tried, completed at its end and in its middle.
pub fn filter(data: &[u8]) {
    let text = utf8(data);
    match Filter::parse(&text) {
        Ok(compiled) => {
            let negated = Filter::parse(&format!("not ({text})"));
            for call in some_samples(data) {
                let matches = compiled.matches(call);
                if let Ok(negated) = &negated {
                    assert_ne!(negated.matches(call), matches, "'not' turns {text:?} around");
                }
            }
            assert!(
                negated.is_ok() || text.trim().is_empty() || text.len() > 3000 || nests(&text),
                "{text:?}"
            );
        }
        Err(error) => {
            assert!(error.span.start <= error.span.end && error.span.end <= text.len(), "{error:?}");
            assert!(text.get(error.span.clone()).is_some(), "{error:?} is between characters");
            let rendered = error.render();
            assert!(!rendered.chars().any(|c| c != '\n' && text::is_unsafe(c)), "{rendered:?}");
        }
    }
    for cursor in [text.len(), text.len() / 2] {
        let completion = filter::complete(&text, cursor);
        assert!(text.get(completion.span.clone()).is_some(), "{completion:?} of {text:?}");
        for candidate in &completion.candidates {
            assert!(!candidate.text.is_empty());
        }
    }
}

/// Whether one level more may be one too many.
fn nests(text: &str) -> bool {
    let opens = text.matches(['(', '!']).count() + text.matches("not").count();
    opens + 2 >= filter::MAX_DEPTH
}

/// A line of a log, and the words of `rpcscope explain`.
pub fn explain(data: &[u8]) {
    let text = utf8(data);
    if let Some(error) = explain::parse_log(&text) {
        assert!(error.layers().count() <= 64);
        assert!(error.hops() <= 64);
        std::hint::black_box((error.family(), error.entry().is_some()));
        for call in some_samples(data) {
            std::hint::black_box((error.matches(call), error.is_of(call)));
        }
    }
    // As one argument, which never names a file here, and as several words.
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    for words in [vec![text.clone()], words] {
        if words.is_empty() {
            continue;
        }
        match explain::answer(&words, true) {
            Ok((answer, taken)) => {
                assert!((1..=words.len()).contains(&taken), "{taken} of {words:?}");
                let shown = answer.text();
                assert!(!shown.chars().any(|c| c != '\n' && text::is_unsafe(c)), "{shown:?}");
                for call in some_samples(data) {
                    std::hint::black_box(answer.matches(call));
                }
            }
            Err(message) => {
                assert!(!message.chars().any(|c| c != '\n' && text::is_unsafe(c)), "{message:?}");
            }
        }
    }
}

/// Time stamps. First byte even: a number, printed and read back. Odd: a text, read, printed and read again.
pub fn time(data: &[u8]) {
    let mut input = Input(data);
    let is = |text: &str| Filter::parse(&format!("start == {text}"));
    if input.u8() & 1 == 0 {
        let time = Timestamp(input.i64());
        let printed = time.to_string();
        let expected = jiff::Timestamp::from_nanosecond(time.0.into()).expect("a time of jiff's");
        assert_eq!(printed, format!("{expected:.9}"));
        assert!(is(&printed).is_ok(), "{printed} is read back");
        let later = Timestamp(input.i64());
        assert_eq!(later.since(time), u64::try_from(later.0.saturating_sub(time.0)).unwrap_or(0));
        assert_eq!(later - time, later.0.saturating_sub(time.0));
    } else {
        let text = utf8(input.0);
        _ = is(&text);
        _ = Filter::parse(&format!("latency > {text}"));
        _ = Filter::parse(&format!("request_bytes > {text}"));
    }
}

/// Wire text on its way to a terminal: nothing is left that a terminal would obey, and no width is exceeded.
pub fn escape(data: &[u8]) {
    let mut input = Input(data);
    let columns = usize::from(input.u8());
    let text = utf8(input.0);
    let escaped = text::escape(&text);
    assert!(!escaped.chars().any(text::is_unsafe), "{escaped:?}");
    for cut in [text::cut_end(&escaped, columns), text::cut_middle(&escaped, columns)] {
        assert!(text::width(&cut) <= columns, "{cut:?} in {columns} columns");
    }
    for align in [text::Align::Left, text::Align::Right] {
        let mut cell = String::new();
        text::push_cell(&mut cell, &escaped, columns, align);
        assert_eq!(text::width(&cell), columns, "{cell:?}");
        assert!(!cell.chars().any(text::is_unsafe), "{cell:?}");
    }
}
