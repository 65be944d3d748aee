//! What a name in code stands for, for a person: codes in each library's spelling, and error values.

use std::fmt::Write as _;

use super::answer::{put, put_code};
use super::parse_log;
use crate::calls::{Call, Carrier};
use crate::codes::named::{Named, values};
use crate::codes::value::ErrorValue;
use crate::codes::{Family, library::Library};

/// Appends what a name stands for.
pub(super) fn put_named(out: &mut String, named: &Named) {
    match named {
        Named::Code(family, code) => put_code(out, *family, *code),
        Named::Extra(family, code, meaning) => {
            // Writing to a String can't fail.
            _ = writeln!(out, "{} {code}", family.name());
            put(out, "what", &format!("{meaning}. Other libraries may use the number for something else."));
            let counted = match family {
                Family::Trpc => {
                    "An RPC failure in `ret`; in `func_ret` alone a success with a business code."
                }
                _ => "An RPC failure.",
            };
            put(out, "counts as", counted);
        }
        Named::Value(value) => put_value(out, value),
    }
}

fn put_value(out: &mut String, value: &ErrorValue) {
    _ = writeln!(out, "{} {}", value.library.name(), value.name);
    put(out, "text", value.text);
    if let Some(basic) = value.basic.filter(|_| value.library != Library::Thrift) {
        put(out, "basic", basic);
    }
    put(out, "checks", value.checks);
    put(out, "who", value.raised);
    put(out, "wire", value.wire);
    put(out, "counts as", value.counts.sentence());
}

/// Appends the names of the error values of a family.
pub(super) fn put_values(out: &mut String, family: Family) {
    for value in values(family) {
        _ = writeln!(out, "  {:>26}  {}", value.name, value.text);
    }
}

/// Whether a call ended with what a name stands for.
pub(super) fn matches(named: &Named, call: &Call) -> bool {
    match named {
        Named::Code(family, code) | Named::Extra(family, code, _) => {
            call.outcome.code == Some(*code) && call.code_family().is_some_and(|seen| same(*family, seen))
        }
        Named::Value(value) if value.library == Library::Thrift => false,
        Named::Value(value) if value.checks.contains("FromBizStatusError") => {
            call.outcome.carrier == Carrier::BizStatus
        }
        Named::Value(value) => {
            let said = call.outcome.message.as_deref().is_some_and(|text| text.starts_with(value.text));
            said || parse_log(value.text).is_some_and(|error| error.matches(call))
        }
    }
}

/// Whether a code of one family may be meant by one of the other: Kitex shares its exceptions with thrift, and with peers on other
/// frameworks.
pub(super) fn same(wanted: Family, seen: Family) -> bool {
    wanted == seen
        || matches!((wanted, seen), (Family::Thrift, Family::Kitex) | (Family::Kitex, Family::Thrift))
}
