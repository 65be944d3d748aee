//! The verdict of a call in labelled lines: what was captured, what it means, where to look.

use crate::calls::labels;
use crate::calls::record::{Call, Carrier, Class, Finding};
use crate::codes::{self, Family, http2};
use crate::explain;
use crate::payload::Payload;
use crate::text;

/// A line of the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is about, in one or two words.
    pub label: &'static str,
    /// What was captured. Escaped for terminals.
    pub value: String,
    /// What it means; may be empty.
    pub meaning: String,
}

/// The verdict, most important first.
#[must_use]
pub fn lines(call: &Call) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut push = |label, value: String, meaning: &str| {
        lines.push(Line { label, value, meaning: meaning.to_owned() });
    };
    let outcome = &call.outcome;
    let meaning = match outcome.class {
        Some(class) => explain::class(class).meaning,
        None if call.findings.contains(Finding::UndecodableAnswer) => {
            "There is an answer, but it can't be decoded."
        }
        None => "There is an answer, but its status was not captured.",
    };
    push("class", labels::label(outcome.class).to_owned(), meaning);
    if outcome.carrier != Carrier::None || call.failed() {
        push("carrier", outcome.carrier.name().to_owned(), explain::carrier(outcome.carrier).meaning);
    }
    // tRPC has two codes in every answer, and people want to know which of them counts.
    for (label, number) in [("ret", call.outcome.ret), ("func_ret", call.outcome.func_ret)] {
        if let Some(number) = number {
            let entry = codes::entry(Family::Trpc, number.into());
            let name = entry.map(|entry| format!(" {}", entry.name)).unwrap_or_default();
            push(label, format!("{number}{name}"), entry.map_or("", |entry| entry.meaning));
        }
    }
    let entry = call.code_entry();
    let both = call.outcome.ret.is_some() && call.outcome.func_ret.is_some();
    if let Some(code) = outcome.code.filter(|_| !both) {
        let name = outcome.code_name.map(|name| format!(" {name}")).unwrap_or_default();
        let range = call.code_family().and_then(|family| codes::range(family, code));
        let meaning = entry.map(|entry| entry.meaning).or(range.map(|range| range.meaning));
        push("code", format!("{code}{name}"), meaning.unwrap_or(""));
    }
    if let Some(field) = call.outcome.field_id {
        push(
            "field",
            field.to_string(),
            "Field of the result struct that holds the exception; the IDL names it.",
        );
    }
    if let Some(message) = outcome.message.as_deref() {
        push("message", text::escape(message).into_owned(), "");
    }
    for (label, pairs) in [("biz extra", call.outcome.biz_extra()), ("details", call.outcome.details())] {
        for (name, value) in pairs {
            push(label, format!("{}: {}", text::escape(name), text::escape(value)), "");
        }
    }
    if let Some(note) = call.goaway.as_deref() {
        let parts: Vec<_> = note.members().map(|(_, part)| text::escape(&part).into_owned()).collect();
        let reason = note.text.as_deref().and_then(http2::goaway_reason);
        let meaning = reason.or(codes::entry(Family::Http2, note.code).map(|entry| entry.meaning));
        push("goaway", parts.join(" "), meaning.unwrap_or_default());
    }
    if let Some(likely) = call.likely.as_deref() {
        let known = |name: &str| !matches!(name, "confidence" | "why");
        let parts: Vec<_> = likely
            .members()
            .filter(|(name, _)| known(name))
            .map(|(name, part)| format!("{name} {}{}", labels::LIKELY, text::escape(&part)))
            .collect();
        let of =
            |wanted| likely.members().find(|(name, _)| *name == wanted).map(|(_, part)| part.into_owned());
        let sure =
            of("confidence").map(|confidence| format!("confidence {confidence}: ")).unwrap_or_default();
        push("likely", parts.join(", "), &format!("{sure}{}", of("why").unwrap_or_default()));
    }
    if let Some(initiator) = outcome.initiator {
        push("broken by", initiator.name().to_owned(), "");
    }
    if let Some(by) = call.outcome.canceled_by() {
        let path: Vec<_> = call.outcome.cancel_path().iter().map(|name| text::escape(name)).collect();
        push("cancelled by", text::escape(by).into_owned(), &path.join(" → "));
    }
    if let Some(entry) = entry.filter(|_| call.failed() && outcome.class != Some(Class::Business)) {
        push("raised by", entry.raiser.of_answer().phrase().to_owned(), "");
        push("caller sees", entry.caller.to_owned(), "");
        push("look at", entry.look.to_owned(), "");
    } else if call.failed() {
        push("look at", explain::carrier(outcome.carrier).look.to_owned(), "");
    }
    for finding in call.findings.iter() {
        push("finding", finding.name().to_owned(), explain::finding(finding).meaning);
    }
    if let Some(bodies) = call.bodies.as_deref() {
        push_bodies(&bodies.payload, &mut push);
    }
    lines
}

/// Most messages of each side that are shown.
const MAX_MESSAGES: usize = 20;

/// The bodies of the messages: a line each.
fn push_bodies(payload: &Payload, push: &mut dyn FnMut(&'static str, String, &str)) {
    for (label, messages) in [("request", &payload.request), ("response", &payload.response)] {
        for message in messages.iter().take(MAX_MESSAGES) {
            let name = message.type_name.as_deref().map(|name| text::escape(name).into_owned());
            let meaning = match (name, message.guessed) {
                (Some(name), true) => format!("{name}, which is a guess"),
                (Some(name), false) => name,
                (None, true) => "Types of fields are a guess: no description names them.".to_owned(),
                (None, false) => String::new(),
            };
            push(label, text::escape(&message.value.to_json()).into_owned(), &meaning);
            if let Some(unknown) = &message.unknown {
                let meaning = "The description does not name these fields: their types are a guess.";
                push("unknown", text::escape(&unknown.to_json()).into_owned(), meaning);
            }
        }
        let mut said: Vec<&str> = Vec::new();
        for note in messages.iter().flat_map(|message| &message.notes) {
            if !note.text.is_empty() && !said.contains(&&*note.text) && said.len() < MAX_MESSAGES {
                said.push(&note.text);
                push("remark", text::escape(&note.text).into_owned(), note.kind.name());
            }
        }
        if messages.len() > MAX_MESSAGES {
            push(label, format!("{} more messages", messages.len() - MAX_MESSAGES), "");
        }
    }
    for (label, part) in [("exception", &payload.exception), ("error", &payload.error)] {
        if let Some(part) = part {
            push(label, text::escape(&part.to_json()).into_owned(), "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample::{bare, failed, full, ok};

    #[test]
    fn both_codes_of_trpc_stand_side_by_side() {
        let mut call = failed(Class::Business, Carrier::FuncRet, Some(10_001), "no such user");
        call.rpc = rpcscope_parsers::Rpc::Trpc;
        call.outcome.ret = Some(0);
        call.outcome.func_ret = Some(10_001);
        let lines = lines(&call);
        let of = |label: &str| lines.iter().find(|line| line.label == label).map(|line| line.value.as_str());
        assert_eq!(of("class"), Some("business error"));
        assert_eq!(of("carrier"), Some("func_ret"));
        assert!(of("ret").unwrap().starts_with('0'));
        assert_eq!(of("func_ret"), Some("10001"));
        assert_eq!((of("code"), of("raised by")), (None, None));
        assert_eq!(of("message"), Some("no such user"));
    }

    #[test]
    fn remarks_on_bodies_are_said_once_each() {
        use crate::body::{Note, NoteKind};
        let mut call = full();
        let bodies = call.bodies.as_mut().unwrap();
        for message in &mut bodies.payload.response {
            message.notes.push(Note::new(NoteKind::Undecodable, "compression '\u{1b}' is not read"));
        }
        let lines = lines(&call);
        let remarks: Vec<_> = lines.iter().filter(|line| line.label == "remark").collect();
        assert_eq!(remarks.len(), 1);
        assert!(!remarks[0].value.contains('\u{1b}') && remarks[0].value.contains("is not read"));
    }

    #[test]
    fn framework_codes_say_who_raises_them() {
        let mut call = failed(Class::Rpc, Carrier::ThriftException, Some(6), "biz error: x");
        call.transport = rpcscope_parsers::Transport::TtHeader;
        assert_eq!(call.code_family(), Some(Family::Kitex));
        let lines = lines(&call);
        assert!(lines.iter().any(|line| line.label == "raised by"));
        assert!(lines.iter().any(|line| line.label == "look at"));
    }

    #[test]
    fn every_class_and_carrier_has_harmless_lines() {
        for class in Class::ALL {
            for carrier in Carrier::ALL {
                let mut call = full();
                call.outcome.class = Some(*class);
                call.outcome.carrier = *carrier;
                for line in lines(&call) {
                    assert!(!line.value.chars().any(text::is_unsafe), "{}", line.value);
                    assert!(!line.meaning.chars().any(text::is_unsafe), "{}", line.meaning);
                }
            }
        }
        assert_eq!(lines(&ok()).len(), 1);
        assert_eq!(lines(&bare())[0].value, "unknown");
    }
}
