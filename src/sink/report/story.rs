//! What happened, in one paragraph: what failed, whose fault it is, since when, how many of how many, where it began and how sure
//! that is.

use super::model::{Began, Gathered};
use crate::calls::summary::sentence;
use crate::calls::{Call, Class, Finding, Initiator};
use crate::chains::{FACT, Origin};
use crate::text::{counted, duration, thousands};
use crate::time::Timestamp;

/// Other origins that are named.
const OTHERS: usize = 3;

/// Classes of failed calls with their words for one and for many, in the order in which they are told.
pub(super) const FAILED: [(Class, &str, &str); 4] = [
    (Class::Business, "business error", "business errors"),
    (Class::Rpc, "RPC error of the framework", "RPC errors of the framework"),
    (Class::Transport, "broken connection", "broken connections"),
    (Class::Unanswered, "call without an answer", "calls without an answer"),
];

/// `2026-11-25 01:34:09.125 UTC`.
pub(super) fn when(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..23).unwrap_or_default())
}

/// `01:34:09.125`, with the date where the capture spans several days.
pub(super) fn clock(time: Timestamp, span: Option<(Timestamp, Timestamp)>) -> String {
    let text = time.to_string();
    let day = |time: Timestamp| time.0.div_euclid(86_400_000_000_000);
    let is_one_day = span.is_none_or(|(first, last)| day(first) == day(last));
    let clock = text.get(11..23).unwrap_or_default();
    if is_one_day { clock.to_owned() } else { format!("{} {clock}", text.get(..10).unwrap_or_default()) }
}

/// `25 %`, `0.4 %`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let share = part as f64 * 100.0 / whole.max(1) as f64;
    if share == 0.0 || share >= 10.0 { format!("{share:.0}\u{a0}%") } else { format!("{share:.2}\u{a0}%") }
}

/// The origins, those of most chains first.
pub(super) fn origins(gathered: &Gathered) -> Vec<&Began> {
    let mut all: Vec<&Began> = gathered.began.iter().collect();
    all.sort_by_key(|began| (std::cmp::Reverse(began.chains), began.first));
    all
}

/// Whose fault it is, as the class says it.
pub(super) fn fault(call: &Call) -> &'static str {
    match (call.class(), call.outcome.initiator) {
        _ if call.findings.contains(Finding::BusinessAsRpc) => {
            "Business logic: an error of the handler, which its framework reports as its own."
        }
        (Some(Class::Business), _) => "Business logic: the service refused; the framework did its work.",
        (Some(Class::Rpc), _) => {
            "The framework: the call was not handled, or its failure was not sent as a business error."
        }
        (Some(Class::Transport), Some(Initiator::Client)) => {
            "Neither: the caller gave up or cancelled before the answer."
        }
        (Some(Class::Transport), Some(Initiator::Server)) => {
            "Neither: the called side broke the connection before its answer."
        }
        (Some(Class::Transport), None) => "Neither: the connection broke before the answer.",
        (Some(Class::Unanswered), _) => "Not known: no answer came within the capture.",
        _ => "The client of the service: it could not use an answer.",
    }
}

/// How sure an origin is: `known for sure in 4 of 5 chains; probability 61 % to 99 %`.
pub(super) fn surely(began: &Began) -> String {
    let (least, most) = began.confidence;
    let range = if (most - least).abs() < 0.005 {
        format!("{:.0}\u{a0}%", most * 100.0)
    } else {
        format!("{:.0} to {:.0}\u{a0}%", least * 100.0, most * 100.0)
    };
    let chains = began.chains;
    if least >= FACT {
        format!("known for sure ({range})")
    } else if began.sure > 0 {
        format!("known for sure in {} of {} ({range})", thousands(began.sure), counted(chains, "chain"))
    } else {
        format!("likely, but not known for sure ({range})")
    }
}

/// Where the errors of an origin began, as the beginning of a sentence.
fn place(began: &Began) -> String {
    match began.origin {
        Origin::InClient(_) => format!("in the client of the service that answers {}", began.operation),
        Origin::BelowOf(_) => {
            format!("below {}, in a call that is not in the capture", began.operation)
        }
        Origin::At(_) | Origin::Nothing => format!("at {}", began.operation),
    }
}

/// The paragraph, as sentences.
pub(super) fn sentences(gathered: &Gathered) -> Vec<String> {
    let all = gathered.count();
    let failed = gathered.failures();
    let Some((first, last)) = gathered.trouble else {
        let unknown = gathered.counts[6];
        let unknown = if unknown > 0 {
            format!(" Of {} the outcome is not known.", counted(unknown, "call"))
        } else {
            String::new()
        };
        return vec![format!("None of {} failed.{unknown}", counted(all, "call"))];
    };
    let kinds: Vec<String> = FAILED
        .iter()
        .filter_map(|(class, one, many)| match gathered.counts[*class as usize] {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{} {many}", thousands(count))),
        })
        .collect();
    let mut out = vec![format!(
        "{} of {} failed ({}): {}.",
        thousands(failed),
        counted(all, "call"),
        percent(failed, all),
        kinds.join(", ")
    )];
    let start = gathered.span.map_or(first, |(start, _)| start);
    let end = gathered.span.map_or(last, |(_, end)| end);
    let into = match first.since(start) {
        0 => "from the first call on".to_owned(),
        into => format!("{} after the first call", duration(into)),
    };
    let until = match end.since(last) {
        0 => "until the last call of the capture".to_owned(),
        left => {
            format!("until {}, {} before the capture's last call", clock(last, gathered.span), duration(left))
        }
    };
    out.push(format!("Failures began at {}, {into}, and went on {until}.", when(first)));
    let origins = origins(gathered);
    if let Some((top, others)) = origins.split_first() {
        let chains = gathered.began.iter().map(|began| began.chains).sum::<u64>();
        let most = if top.chains == chains {
            "All of it began".to_owned()
        } else {
            format!(
                "The most frequent cause ({} of {} that ended in an error) began",
                thousands(top.chains),
                counted(chains, "chain")
            )
        };
        out.push(format!("{most} {}: {}.", place(top), sentence(&top.call)));
        out.push(fault(&top.call).to_owned());
        out.push(format!("That it began there is {}.", surely(top)));
        let mut seen: Vec<(&String, &u64)> = top.seen.iter().collect();
        seen.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
        if let Some((what, count)) = seen.first() {
            let more = match seen.len() - 1 {
                0 => String::new(),
                more => format!(" and {}", counted(more as u64, "other answer")),
            };
            out.push(format!("The outermost caller saw {what} ({}){more}.", counted(**count, "time")));
        }
        let named: Vec<String> = others
            .iter()
            .take(OTHERS)
            .map(|began| {
                let (class, chains) =
                    (crate::calls::labels::label(began.call.class()), counted(began.chains, "chain"));
                format!("{} ({class}, {chains})", began.operation)
            })
            .collect();
        if !named.is_empty() {
            let more = match others.len().saturating_sub(OTHERS) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            out.push(format!("Other errors began at {}{more}.", named.join(", ")));
        }
    }
    out
}
