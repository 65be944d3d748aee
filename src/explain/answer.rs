//! Answers questions for a person: what `rpcscope explain` prints.

use std::fmt::Write as _;

use super::layers::put_log;
use super::line::LogLine;
use super::names::{self, put_named, put_values, same};
use super::{Topic, WORDS, carrier, class, finding, parse_log};
use crate::calls::keys::closest;
use crate::calls::{Call, Carrier, Class, Finding};
use crate::codes::named::{Named, counts, named, named_in, values};
use crate::codes::{self, Entry, Family, Range, range};
use crate::text;

/// Width of the labels, columns.
const LABEL: usize = 10;

/// Most bytes of an unknown text that are repeated to the user.
const SHOWN_LIMIT: usize = 200;

/// The subject of a question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// All codes of a family.
    Table(Family),
    /// A code of a family, known or not.
    Code(Family, i64),
    /// A number that several families know.
    Number(i64),
    /// A word of the call record.
    Word(String, Topic),
    /// What a name in code stands for: at least one thing.
    Named(Vec<Named>),
    /// A line of a log, with an error in it.
    Log(Box<LogLine>),
}

/// Parses a question: `["trpc", "171"]`, `["kitex", "UNKNOWN_METHOD"]`, `["12007"]`, `["late-answer"]`, or an error text. Returns the
/// answer and the number of words that belong to the question; the others are files. `has_files` if there are more of them: in files,
/// a text that no library is known to word is looked for as it is. The error is a message for the user.
pub fn answer(words: &[String], has_files: bool) -> Result<(Answer, usize), String> {
    let first = words.first().ok_or_else(usage)?.trim();
    if let Some(family) = Family::from_name(first) {
        let Some(wanted) = words.get(1) else { return Ok((Answer::Table(family), 1)) };
        let wanted_code = wanted.trim();
        if let Ok(code) = wanted_code.parse() {
            return Ok((Answer::Code(family, code), 2));
        }
        if let Some(answer) = of_name(named_in(family, wanted_code)) {
            return Ok((answer, 2));
        }
        // Some errors of Kitex have words but no number.
        if parse_log(wanted).is_some() {
            return Ok((Answer::Log(Box::new(LogLine::read(wanted))), 2));
        }
        let meant = closest_name(family, wanted_code).map(|name| format!("; did you mean {name}?"));
        let (wanted, meant) = (text::escape(wanted), meant.unwrap_or_default());
        return Err(format!("'{wanted}' is not a code of {}{meant}\n\n{}", family.name(), table(family)));
    }
    if let Ok(number) = first.parse() {
        return Ok((Answer::Number(number), 1));
    }
    if let Some((kind, topic)) = word(first) {
        return Ok((Answer::Word(kind, topic), 1));
    }
    // Names of a few words are the beginnings of texts.
    let line = first.contains(' ').then(|| LogLine::read(first)).filter(LogLine::is_known);
    if line.is_none()
        && let Some(answer) = of_name(named(first))
    {
        return Ok((answer, 1));
    }
    let line = line.unwrap_or_else(|| LogLine::read(first));
    // `trcp 171`: a number is hardly a capture file.
    let is_code = words.get(1).is_some_and(|word| word.trim().parse::<i64>().is_ok());
    if !line.is_known() && is_code && !closest(first, families()).is_empty() {
        return Err(unknown(first));
    }
    if line.is_known() || has_files || words.len() > 1 {
        return Ok((Answer::Log(Box::new(line)), 1));
    }
    Err(unknown(first))
}

/// Says that a word is unknown, and which known ones it resembles.
fn unknown(word: &str) -> String {
    let names = Family::ALL.iter().flat_map(|family| values(*family).iter().map(|value| value.name));
    let words = families().chain(words_of_records()).chain(names);
    let meant = match closest(word, words).as_slice() {
        [] => String::new(),
        found => format!("; did you mean {}?", found.join(" or ")),
    };
    format!("'{}' is unknown{meant}\n\n{}", text::escape(text::head(word, SHOWN_LIMIT)), usage())
}

fn families() -> impl Iterator<Item = &'static str> {
    Family::ALL.iter().map(|family| family.name())
}

/// The name of a code that is spelt much like this, in whatever case.
fn closest_name(family: Family, wrong: &str) -> Option<&'static str> {
    let names: Vec<String> = family.entries().iter().map(|entry| entry.name.to_lowercase()).collect();
    let meant = *closest(wrong, names.iter().map(String::as_str)).first()?;
    family.entries().iter().map(|entry| entry.name).find(|name| name.to_lowercase() == meant)
}

/// The words of the call record that are explained.
fn words_of_records() -> impl Iterator<Item = &'static str> {
    let findings = Finding::ALL.iter().map(|finding| finding.name());
    let carriers = Carrier::ALL.iter().map(|carrier| carrier.name());
    let classes = Class::ALL.iter().map(|class| class.name());
    findings.chain(carriers).chain(classes).chain(WORDS.iter().map(|word| word.name))
}

/// The answer to a name that stands for these things.
fn of_name(found: Vec<Named>) -> Option<Answer> {
    match *found {
        [] => None,
        [Named::Code(family, code)] => Some(Answer::Code(family, code)),
        _ => Some(Answer::Named(found)),
    }
}

/// The topic that a word names, with its heading.
fn word(name: &str) -> Option<(String, Topic)> {
    let finding_of = || Finding::from_name(name).map(|found| (format!("finding {found}"), finding(found)));
    let carrier_of = || Carrier::from_name(name).map(|found| (format!("carrier {found}"), carrier(found)));
    let class_of = || Class::from_name(name).map(|found| (format!("class {found}"), class(found)));
    let other = || {
        let word = WORDS.iter().find(|word| word.name == name)?;
        Some((format!("{} {name}", word.kind), word.topic))
    };
    finding_of().or_else(class_of).or_else(carrier_of).or_else(other)
}

fn usage() -> String {
    let names = |all: Vec<&str>| all.join(", ");
    let families = names(Family::ALL.iter().map(|family| family.name()).collect());
    let findings = names(Finding::ALL.iter().map(|finding| finding.name()).collect());
    let carriers = names(Carrier::ALL.iter().map(|carrier| carrier.name()).collect());
    let classes = names(Class::ALL.iter().map(|class| class.name()).collect());
    let mut out = String::from(
        "ask for a code (explain trpc 171), a name in code (explain ErrNoResolver, explain codes.NotFound), a word of the call record \
         (explain late-answer), or an error text from a log (explain 'type:framework, code:101, msg:…')\n\n",
    );
    let others = names(WORDS.iter().map(|word| word.name).collect());
    for (label, list) in [
        ("codes of", families),
        ("classes", classes),
        ("carriers", carriers),
        ("findings", findings),
        ("others", others),
    ] {
        put(&mut out, label, &list);
    }
    out.trim_end().to_owned()
}

fn table(family: Family) -> String {
    let mut out = format!("codes of {}:\n", family.name());
    for entry in family.entries() {
        // Writing to a String can't fail.
        _ = writeln!(out, "  {:>6}  {}", entry.code, entry.name);
    }
    if !values(family).is_empty() {
        _ = writeln!(out, "\nerror values:");
        put_values(&mut out, family);
    }
    out.trim_end().to_owned()
}

/// Appends a label and its text, wrapped to the width of a page.
pub(super) fn put(out: &mut String, label: &str, words: &str) {
    const PAGE: usize = 100;
    let mut column = 0;
    for word in words.split_whitespace() {
        let width = text::width(word);
        if column == 0 || column + 1 + width > PAGE {
            if column > 0 {
                out.push('\n');
            }
            let label = if column == 0 { label } else { "" };
            _ = write!(out, "  {label:LABEL$}");
            column = LABEL + 2;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}

fn put_entry(out: &mut String, family: Family, entry: &Entry) {
    _ = writeln!(out, "{} {} {}", family.name(), entry.code, entry.name);
    put(out, "what", entry.meaning);
    put(out, "who", &format!("{}; raised by {}", entry.kind.phrase(), entry.raiser.phrase()));
    put(out, "wire", entry.wire.sentence());
    put(out, "counts as", counts(family, entry));
    put(out, "caller", entry.caller);
    put(out, "look at", entry.look);
}

pub(super) fn put_code(out: &mut String, family: Family, number: i64) {
    if let Some(entry) = codes::entry(family, number) {
        put_entry(out, family, entry);
        return;
    }
    _ = writeln!(out, "{} {number}: no published table has this code", family.name());
    if let Some(Range { first, last, meaning }) = range(family, number) {
        let span = match (*first, *last) {
            (first, last) if last == i64::from(i32::MAX) || last == i64::from(u32::MAX) => {
                format!("from {first} on")
            }
            (first, last) if first == i64::from(i32::MIN) => format!("up to {last}"),
            (first, last) => format!("{first} to {last}"),
        };
        put(out, "range", &format!("{span}: {meaning}"));
    }
    put(out, "look at", "The callee's own documentation of its codes.");
}

impl Answer {
    /// The answer as text, escaped for terminals.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Table(family) => out = table(*family),
            Self::Code(family, number) => put_code(&mut out, *family, *number),
            Self::Number(number) => {
                for family in Family::ALL.iter().filter(|family| codes::entry(**family, *number).is_some()) {
                    if !out.is_empty() {
                        out.push('\n');
                    }
                    put_code(&mut out, *family, *number);
                }
                if out.is_empty() {
                    _ = writeln!(out, "{number}: no published table of any family has this code");
                    if let Some(range) = range(Family::Trpc, *number) {
                        put(&mut out, "tRPC", &format!("Published range: {}.", range.meaning));
                    }
                    put(&mut out, "look at", "The callee's own documentation of its codes.");
                }
            }
            Self::Word(kind, topic) => {
                _ = writeln!(out, "{kind}");
                put(&mut out, "what", topic.meaning);
                put(&mut out, "look at", topic.look);
            }
            Self::Named(all) => {
                for named in all {
                    if !out.is_empty() {
                        out.push('\n');
                    }
                    put_named(&mut out, named);
                }
            }
            Self::Log(line) if line.is_known() => {
                for (index, error) in line.errors.iter().enumerate() {
                    if index > 0 {
                        out.push('\n');
                    }
                    put_log(&mut out, error);
                }
            }
            Self::Log(_) => out.push_str("a text that no library is known to word\n"),
        }
        let mut safe = String::with_capacity(out.len());
        for line in out.lines() {
            text::push_escaped(&mut safe, line);
            safe.push('\n');
        }
        safe
    }

    /// Whether the question is about this call.
    #[must_use]
    pub fn matches(&self, call: &Call) -> bool {
        match self {
            Self::Table(wanted) => call.code_family().is_some_and(|seen| same(*wanted, seen)),
            Self::Code(wanted, number) => {
                call.outcome.code == Some(*number)
                    && call.code_family().is_some_and(|seen| same(*wanted, seen))
            }
            Self::Number(number) => call.outcome.code == Some(*number),
            Self::Word(_, topic) => {
                let found = |finding: Finding| super::finding(finding) == *topic;
                call.findings.iter().any(found)
                    || super::carrier(call.outcome.carrier) == *topic
                    || call.outcome.class.is_some_and(|class| super::class(class) == *topic)
                    || WORDS.iter().any(|word| word.topic == *topic && (word.is_of)(call))
            }
            Self::Named(all) => all.iter().any(|named| names::matches(named, call)),
            Self::Log(line) => line.fit(call).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(words: &[&str]) -> Result<(Answer, usize), String> {
        answer(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), false)
    }

    fn explained(words: &[&str]) -> String {
        ask(words).unwrap().0.text()
    }

    #[test]
    fn a_code_is_found_by_number_and_by_name() {
        let text = explained(&["trpc", "171"]);
        assert!(text.starts_with("trpc 171 CLIENT_READ_FRAME_ERR\n"), "{text}");
        assert!(text.contains("raised by the client's framework"), "{text}");
        assert_eq!(text, explained(&["TRPC", "client_read_frame_err"]));
        assert!(explained(&["kitex", "6"]).contains("INTERNAL_ERROR"));
        assert!(explained(&["ttstream", "12008"]).contains("Never on the wire"));
    }

    #[test]
    fn names_in_code_are_explained() {
        let text = explained(&["kitex", "ErrNoResolver"]);
        assert!(
            text.starts_with("Kitex ErrNoResolver\n") && text.contains("internal exception: no resolver"),
            "{text}"
        );
        assert!(
            text.contains("basic     ErrInternalException") && text.contains("IsTimeoutError: no"),
            "{text}"
        );
        assert!(text.contains("counts as An RPC failure of the caller's side"), "{text}");
        assert_eq!(text, explained(&["kerrors.ErrNoResolver"]));
        assert!(explained(&["codes.NotFound"]).starts_with("grpc 5 NOT_FOUND\n"));
        assert!(explained(&["codes.NotFound"]).contains("counts as A success with a business code"));
        assert!(explained(&["grpc", "not_found"]).starts_with("grpc 5 NOT_FOUND\n"));
        assert!(explained(&["RetServerNoFunc"]).starts_with("trpc 12 SERVER_NOFUNC_ERR\n"));
        assert!(explained(&["thrift", "VALIDATION_FAILED"]).starts_with("thrift 11\n"));
        let both = explained(&["INTERNAL_ERROR"]);
        assert!(
            both.contains("thrift 6 INTERNAL_ERROR") && both.contains("http2 2 INTERNAL_ERROR"),
            "{both}"
        );
        assert!(
            explained(&["kitex"]).contains("ErrInstanceCircuitBreak  forbidden by circuitbreaker: instance")
        );
        assert!(ask(&["kitex", "ErrNothing"]).is_err() && ask(&["ErrNothing"]).is_err());
    }

    #[test]
    fn a_mistyped_word_is_answered_with_the_right_one() {
        for (asked, meant) in [
            (&["lat-answer"][..], "did you mean late-answer?"),
            (&["ErrNoResolvr"], "did you mean ErrNoResolver?"),
            (&["bussines"], "did you mean business?"),
            (&["trcp"], "did you mean trpc?"),
            (&["trcp", "171"], "did you mean trpc?"),
            (&["func-ret"], "did you mean func_ret?"),
        ] {
            let said = ask(asked).unwrap_err();
            assert!(said.contains(meant), "{asked:?}: {said}");
        }
        assert!(!ask(&["xyzzy"]).unwrap_err().contains("did you mean"));
    }

    #[test]
    fn an_error_value_finds_the_calls_that_carry_it() {
        let mut call = crate::calls::sample::bare();
        call.outcome.class = Some(crate::calls::Class::Rpc);
        call.outcome.carrier = Carrier::ThriftException;
        call.outcome.code = Some(6);
        call.outcome.message = Some("request over limit: request too frequent".into());
        let finds = |name: &str, call: &Call| ask(&[name]).unwrap().0.matches(call);
        assert!(finds("ErrQPSOverLimit", &call) && finds("ErrOverlimit", &call));
        assert!(
            !finds("ErrConnOverLimit", &call) && !finds("ErrACL", &call) && !finds("BizStatusError", &call)
        );
        call.outcome.carrier = Carrier::BizStatus;
        assert!(finds("BizStatusError", &call));
    }

    #[test]
    fn an_unknown_code_is_reported_with_its_range() {
        let text = explained(&["trpc", "150"]);
        assert!(text.contains("no published table") && text.contains("101 to 200"), "{text}");
        assert!(explained(&["trpc", "10001"]).contains("from 10000 on: users' own"));
        assert!(explained(&["trpc", "-3"]).contains("up to -1"));
        assert!(explained(&["4711"]).contains("no published table of any family"));
        assert!(
            explained(&["8"]).contains("http2 8 CANCEL")
                && explained(&["8"]).contains("grpc 8 RESOURCE_EXHAUSTED")
        );
    }

    #[test]
    fn words_and_texts_are_understood_and_files_are_left() {
        assert!(explained(&["late-answer"]).starts_with("finding late-answer\n"));
        assert!(explained(&["unanswered"]).starts_with("class unanswered\n"));
        assert!(explained(&["likely"]).starts_with("key likely\n"));
        assert!(explained(&["ttwitter"]).starts_with("transport ttwitter\n"));
        assert!(explained(&["func_ret"]).starts_with("carrier func_ret\n"));
        let (_, taken) = ask(&["trpc", "12", "a.pcap", "b.pcap"]).unwrap();
        assert_eq!(taken, 2);
        let line = "remote or network error[remote]: biz error: stock: remote or network error[remote]: biz error: \u{1b}[31mempty";
        let (error, taken) = ask(&[line, "a.pcap"]).unwrap();
        assert_eq!(taken, 1);
        let text = error.text();
        assert!(text.contains("2 hops down") && !text.contains('\u{1b}'), "{text}");
        assert_eq!(text.matches("The server failed").count(), 1, "explained once: {text}");
        assert!(ask(&["no such thing"]).unwrap_err().contains("findings"));
        assert!(explained(&["trpc"]).contains("CLIENT_ROUTER_ERR"));
        assert!(explained(&["kitex", "rpc timeout"]).contains("its FIN comes first"));
        assert!(
            ask(&["grpc", "NotFund"]).unwrap_err().contains("is not a code of grpc; did you mean NOT_FOUND?")
        );
        assert!(ask(&["trpc", "nonsense"]).unwrap_err().contains("is not a code of trpc"));
    }
}
