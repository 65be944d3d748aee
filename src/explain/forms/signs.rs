//! Words of which every text that a form reads has one: a quick look at a log passes over the lines that have none.
//!
//! They follow from the tables of forms; where a form begins with common words, what has to stand behind them is looked at too.

use std::collections::BTreeSet;

use super::{forms, kitex, status};
use crate::codes::grpc_names::{from_camel, from_snake, snake};
use crate::codes::{Family, client_texts, kitex as kitex_texts, trpc};

/// Most bytes behind a sign that are looked at.
const BEHIND_LIMIT: usize = 64;

/// How the form of connect-es begins.
const BRACKET: &str = "[";

/// What may stand behind a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// Anything.
    Anything,
    /// A type of trpc-go.
    TrpcType,
    /// The name of a code, as tonic or connect-go has it.
    Code,
    /// A number.
    Number,
    /// What ends the name of a code.
    NameEnd,
    /// What ends Kitex' words for an error: nothing that goes on with them.
    WordsEnd,
}

/// Words of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The words.
    pub words: String,
    behind: Behind,
}

impl Sign {
    /// Whether a form may begin with the sign if this text follows it.
    #[must_use]
    pub fn may_be(&self, rest: &[u8]) -> bool {
        let rest = rest.get(..BEHIND_LIMIT).unwrap_or(rest);
        let name = |rest: &[u8]| {
            let end = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'));
            String::from_utf8_lossy(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()).into_owned()
        };
        match self.behind {
            Behind::Anything => true,
            Behind::TrpcType => {
                let rest = rest.trim_ascii_start();
                let types = [trpc::FRAMEWORK, trpc::BUSINESS, trpc::CALLEE_FRAMEWORK];
                types.iter().any(|name| rest.starts_with(name.as_bytes()))
            }
            Behind::Code => {
                let name = name(rest);
                from_camel(&name).is_some() || from_snake(&name).is_some()
            }
            Behind::Number => rest.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-'),
            Behind::NameEnd => rest.starts_with(b":") || rest.starts_with(b" ("),
            Behind::WordsEnd => !rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_'),
        }
    }
}

/// What has to stand behind the words of a form.
fn behind(words: &str) -> Behind {
    match words {
        trpc::ERROR_TEXT => Behind::TrpcType,
        "status: " | "grpc-status: " | "Status { code: " | "Code: " | "{\"code\":\"" => Behind::Code,
        "ret: " | "status_code: " => Behind::Number,
        _ => Behind::Anything,
    }
}

/// The signs of all forms, each once.
#[must_use]
pub fn signs() -> Vec<Sign> {
    let sign = |words: &str, behind: Behind| Sign { words: words.to_owned(), behind };
    // A bracket alone stands in every other line: those of connect-es have the name of a code in them.
    let formed =
        forms().filter(|(words, ..)| *words != BRACKET).map(|(words, ..)| sign(words, behind(words)));
    let codes = Family::Grpc.entries().iter().filter(|entry| entry.code != 0);
    let names = codes.map(|entry| snake(entry.code).into_owned()).chain(["code_".to_owned()]);
    let bracketed = names.map(|name| sign(&format!("{BRACKET}{name}"), Behind::Anything));
    let kitex = kitex::words().map(|words| sign(words, Behind::WordsEnd));
    let names = status::words().map(|words| sign(words, Behind::NameEnd));
    let alone = client_texts::alone().map(|row| sign(row.start, Behind::Anything));
    let suffix = sign(kitex_texts::SUFFIX, Behind::Anything);
    let mut seen = BTreeSet::new();
    let all = formed.chain(bracketed).chain(kitex).chain(names).chain(alone).chain([suffix]);
    all.filter(|sign| seen.insert(sign.words.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_signs_only_before_what_belongs_to_them() {
        let may_be = |words: &str, rest: &str| {
            signs().iter().find(|sign| sign.words == words).unwrap().may_be(rest.as_bytes())
        };
        assert!(may_be("type:", "framework, code:1") && !may_be("type:", "application/json"));
        assert!(signs().iter().all(|sign| sign.words != BRACKET) && may_be("[not_found", "] x"));
        assert!(may_be("status: ", "NotFound, message") && !may_be("status: ", "200"));
        assert!(may_be("panic", ": x") && may_be("panic", "\"}") && !may_be("panic", "ked"));
        assert!(may_be("UNKNOWN", ":Error") && !may_be("UNKNOWN", " state"));
    }
}
