//! Answers for programs: the record of type `explanation`.

use super::layers::{maker, raiser};
use super::log::LogError;
use super::{Answer, LogLine};
use crate::body::Value;
use crate::codes::library::Library;
use crate::codes::named::Named;
use crate::codes::value::ErrorValue;
use crate::codes::{self, Family};

impl Answer {
    /// What the error leaves on the wire, in sentences, to be said where no call carries it; empty if that is not known.
    #[must_use]
    pub fn traces(&self) -> Vec<&'static str> {
        let mut said: Vec<&str> = match self {
            Self::Code(family, code) => {
                codes::entry(*family, *code).iter().map(|entry| entry.wire.sentence()).collect()
            }
            Self::Log(line) => line.traces(),
            Self::Table(_) | Self::Number(_) | Self::Word(..) | Self::Named(_) => Vec::new(),
        };
        said.dedup();
        said
    }

    /// The answer for programs: an object of type `explanation`.
    #[must_use]
    pub fn record(&self) -> Value {
        let mut fields = vec![("type".to_owned(), Value::Text("explanation".to_owned()))];
        let codes = |known: Vec<(Family, i64)>| {
            Value::List(known.into_iter().map(|(family, code)| code_record(family, code)).collect())
        };
        fields.push(match self {
            Self::Table(family) => {
                let all = family.entries().iter().map(|entry| (*family, entry.code));
                ("codes".to_owned(), codes(all.collect()))
            }
            Self::Code(family, code) => ("codes".to_owned(), codes(vec![(*family, *code)])),
            Self::Number(code) => {
                let all = Family::ALL.iter().filter(|family| codes::entry(**family, *code).is_some());
                ("codes".to_owned(), codes(all.map(|family| (*family, *code)).collect()))
            }
            Self::Named(all) => {
                let known = all.iter().map(|named| match named {
                    Named::Code(family, code) | Named::Extra(family, code, _) => code_record(*family, *code),
                    Named::Value(value) => value_record(value),
                });
                ("codes".to_owned(), Value::List(known.collect()))
            }
            Self::Word(name, topic) => {
                let parts = [("name", name.as_str()), ("meaning", topic.meaning), ("look", topic.look)];
                ("word".to_owned(), texts(&parts))
            }
            Self::Log(line) => {
                let layers = line.errors.iter().flat_map(LogError::layers);
                ("layers".to_owned(), Value::List(layers.map(layer_record).collect()))
            }
        });
        Value::Object(fields)
    }
}

impl LogLine {
    /// What its errors leave on the wire, in sentences, the outermost first; empty if that is not known.
    #[must_use]
    pub fn traces(&self) -> Vec<&'static str> {
        let layers = self.errors.iter().flat_map(LogError::layers);
        let said = layers.filter_map(|layer| match (layer.client_text(), layer.value()) {
            (Some(text), _) => Some(text.trace.sentence()),
            (None, Some(value)) => Some(value.wire),
            (None, None) => Some(layer.entry()?.wire.sentence()),
        });
        said.collect()
    }
}

/// An object of texts, without those that are empty.
fn texts(parts: &[(&str, &str)]) -> Value {
    let known = parts.iter().filter(|(_, text)| !text.is_empty());
    Value::Object(known.map(|(name, text)| ((*name).to_owned(), Value::Text((*text).to_owned()))).collect())
}

fn code_record(family: Family, code: i64) -> Value {
    let mut parts = vec![
        ("family".to_owned(), Value::Text(family.name().to_owned())),
        ("code".to_owned(), Value::Int(code)),
    ];
    if let Some(entry) = codes::entry(family, code)
        && let Value::Object(known) = texts(&[
            ("code_name", entry.name),
            ("meaning", entry.meaning),
            ("kind", entry.kind.phrase()),
            ("raiser", entry.raiser.phrase()),
            ("wire", entry.wire.sentence()),
            ("caller", entry.caller),
            ("look", entry.look),
        ])
    {
        parts.extend(known);
    }
    Value::Object(parts)
}

/// An error value that has a name but no number.
fn value_record(value: &ErrorValue) -> Value {
    texts(&[
        ("library", value.library.name()),
        ("code_name", value.name),
        ("text", value.text),
        ("basic", value.basic.unwrap_or_default()),
        ("checks", value.checks),
        ("raiser", value.raised),
        ("wire", value.wire),
        ("counts_as", value.counts.sentence()),
    ])
}

fn layer_record(layer: &LogError) -> Value {
    let value = layer.value();
    let library = layer.library.or(value.map(|value| value.library)).map(Library::name);
    let protocol = layer.family().map(Family::name);
    let mut parts = Vec::new();
    parts.extend(library.or(protocol).map(|name| ("library".to_owned(), Value::Text(name.to_owned()))));
    parts.extend(layer.code.map(|code| ("code".to_owned(), Value::Int(code))));
    let entry = layer.entry();
    let name = entry.map(|entry| entry.name).or(value.map(|value| value.name));
    parts.extend(name.map(|name| ("code_name".to_owned(), Value::Text(name.to_owned()))));
    parts.push(("text".to_owned(), Value::Text(layer.message.clone())));
    let (kind, raiser, wire) = match (layer.client_text(), entry, value) {
        (Some(text), ..) => (text.meaning, maker(layer, text), text.trace.sentence()),
        (None, Some(entry), _) => {
            (entry.kind.phrase(), raiser(layer, entry).to_owned(), entry.wire.sentence())
        }
        (None, None, Some(value)) => (value.counts.sentence(), value.raised.to_owned(), value.wire),
        (None, None, None) => return Value::Object(parts),
    };
    for (name, text) in [("kind", kind.to_owned()), ("raiser", raiser), ("wire", wire.to_owned())] {
        parts.push((name.to_owned(), Value::Text(text)));
    }
    Value::Object(parts)
}
