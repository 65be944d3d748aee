//! A chain in one or two sentences: where the error began, how each service changed it, and what was lost on the way.

use std::fmt::Write as _;

use super::judge;
use super::record::{Chain, Change, FACT, Hop, Operation, Origin, last_part};
use crate::calls::record::{Call, Carrier, Class, Finding, Initiator};
use crate::codes::trpc;
use crate::text::push_escaped;

/// Most characters of an error text that the sentence quotes.
const MAX_QUOTE: usize = 60;

/// The text, escaped for terminals.
fn plain(text: &str) -> String {
    crate::text::escape(text).into_owned()
}

/// The operation's name, escaped for terminals.
fn name(call: &Call) -> String {
    let mut out = String::new();
    push_name(&mut out, call);
    out
}

/// Appends it.
fn push_name(out: &mut String, call: &Call) {
    let operation = Operation(call);
    // Without the formatting of the standard library where names are known, as they nearly always are.
    match operation.names() {
        (Some(service), Some(method)) => {
            push_escaped(out, service);
            out.push('.');
            push_escaped(out, method);
        }
        (Some(name), None) | (None, Some(name)) => push_escaped(out, name),
        (None, None) => push_escaped(out, &operation.to_string()),
    }
}

/// The short name of the service that answered a call.
fn service(call: &Call) -> String {
    match call.service.as_deref().or(call.callee.as_deref()) {
        Some(service) => plain(last_part(service)),
        None => name(call),
    }
}

/// `business 20013`, `RPC exception 6`, `no answer`.
fn outcome(call: &Call) -> String {
    let mut out = String::new();
    push_outcome(&mut out, call);
    out
}

/// Appends it.
fn push_outcome(out: &mut String, call: &Call) {
    let outcome = &call.outcome;
    let (what, code) = match (outcome.class, outcome.carrier) {
        (None, _) => ("an answer that was lost", None),
        (Some(Class::Ok | Class::Oneway), _) => ("ok", None),
        (Some(Class::Business), Carrier::IdlException) => match outcome.code_name {
            Some(name) => {
                out.push_str("the exception ");
                (name, None)
            }
            None => ("an exception of its IDL", None),
        },
        (Some(Class::Business), _) => ("business", outcome.code),
        (Some(Class::Rpc), Carrier::ThriftException) => ("RPC exception", outcome.code),
        (Some(Class::Rpc), _) => ("RPC error", outcome.code),
        (Some(Class::Transport), _) => ("a broken connection", None),
        (Some(class), _) => (class.row().label, None),
    };
    out.push_str(what);
    if let Some(code) = code {
        // Writing to a String can't fail.
        let _ = write!(out, " {code}");
    }
}

/// Room for most sentences, in octets.
const USUAL: usize = 128;

/// `payment.Charge answered business 20013`.
fn happened(call: &Call) -> String {
    let is_answer = !matches!(call.class(), Some(Class::Unanswered | Class::Transport));
    if is_answer && call.outcome.carrier != Carrier::TtstreamRst {
        // Of nearly every chain.
        let mut text = String::with_capacity(USUAL);
        push_name(&mut text, call);
        text.push_str(" answered ");
        push_outcome(&mut text, call);
        return text;
    }
    let name = name(call);
    match call.class() {
        Some(Class::Unanswered) => format!("{name} never answered"),
        Some(Class::Transport) => match (call.outcome.carrier, call.outcome.initiator) {
            (Carrier::H2RstStream, Some(Initiator::Client)) => format!("the caller of {name} cancelled it"),
            (_, Some(Initiator::Client)) => format!("the caller of {name} gave up before the answer"),
            (_, Some(Initiator::Server)) => format!("{name} broke the connection before its answer"),
            _ => format!("the connection of {name} broke before the answer"),
        },
        _ => match (call.outcome.canceled_by(), call.outcome.carrier) {
            (Some(by), Carrier::TtstreamRst) => {
                format!("{} cancelled the stream of {name} ({})", plain(by), outcome(call))
            }
            _ => format!("{name} answered {}", outcome(call)),
        },
    }
}

/// What happened to the client of the service that answered a call, by the code of the answer: `could not connect`.
fn client_failed(call: &Call) -> &'static str {
    trpc::client_failed(call.outcome.code.unwrap_or_default())
}

/// `the client of Order could not connect`.
fn client(call: &Call) -> String {
    format!("the client of {} {}", service(call), client_failed(call))
}

/// Where a failure began of which no call was sent: `in the client of Order, which could not connect and sent no call`.
fn in_client(call: &Call) -> String {
    format!("in the client of {}, which {} and sent no call", service(call), client_failed(call))
}

/// What a service did that sent no answer, as a verb phrase; `None` if it sent one.
fn silence(call: &Call) -> Option<&'static str> {
    match (call.class()?, call.outcome.initiator) {
        (Class::Unanswered, _) => Some("never answered"),
        (Class::Transport, Some(Initiator::Client)) => Some("did not answer before its caller gave up"),
        (Class::Transport, Some(Initiator::Server)) => Some("broke the connection before its answer"),
        (Class::Transport, None) => Some("did not answer before its connection broke"),
        _ => None,
    }
}

/// How the service changed the error, as a verb phrase: `wrapped it into a plain error`.
fn deed(changes: &[&Change], above: &Call) -> String {
    let has = |finding| changes.iter().any(|change| change.finding == finding);
    let wrapped = changes.iter().find(|change| change.finding == Finding::MessageChanged);
    if let Some(silence) = silence(above) {
        silence.to_owned()
    } else if has(Finding::PassedOn) {
        "passed it on".to_owned()
    } else if has(Finding::BusinessBecameRpc) && has(Finding::CodeLost) {
        "wrapped it into a plain error".to_owned()
    } else if has(Finding::BusinessBecameRpc) {
        "answered with an error of the framework instead".to_owned()
    } else if has(Finding::RpcBecameBusiness) {
        "passed the framework's failure on as a business error".to_owned()
    } else if has(Finding::CodeLost) {
        "wrapped it without its code".to_owned()
    } else if has(Finding::CauseBelow) && changes.iter().any(|change| change.from.class == Some(Class::Ok)) {
        format!("could not use that: {}, which is {}", client(above), outcome(above))
    } else if has(Finding::CauseBelow) {
        format!("reported that as {}", outcome(above))
    } else if has(Finding::CodeChanged) {
        "answered with a code of its own".to_owned()
    } else if wrapped.is_some_and(|change| change.prefixes > 0) {
        "passed it on with a prefix".to_owned()
    } else {
        "passed it on in other words".to_owned()
    }
}

/// The losses that the sentence names at its end.
fn losses(chain: &Chain) -> Vec<String> {
    let mut losses = Vec::new();
    if chain.changes.is_empty() {
        return losses;
    }
    let path = chain.path();
    let is_told = |change: &&Change| {
        // The whole story of an unsure path is told as perhaps; of what stands beside it only facts are told.
        let on_path = |hop: usize| path.contains(&hop);
        let is_within = on_path(change.hop) && change.below.is_some_and(on_path);
        change.is_fact() || is_within && !chain.is_origin_sure()
    };
    let lost = chain.changes.iter().filter(|change| change.finding == Finding::CodeLost);
    for change in lost.filter(is_told) {
        let kind = if change.from.class == Some(Class::Business) { "business code" } else { "code" };
        losses.push(format!("the {kind} is lost at {}", service(&chain.hops[change.hop].call)));
    }
    losses
}

/// Appends a short quotation of an error text, after a space.
fn push_quote(out: &mut String, text: Option<&str>) {
    let text = crate::text::escape(text.unwrap_or_default().trim());
    if text.is_empty() {
        return;
    }
    out.push_str(" \"");
    // Of few octets there are no more characters.
    let end = if text.len() > MAX_QUOTE { text.char_indices().nth(MAX_QUOTE) } else { None };
    match end {
        Some((end, _)) => out.extend([&text[..end], "…"]),
        None => out.push_str(&text),
    }
    out.push('"');
}

/// See [`Chain::sentence`].
pub(super) fn sentence(chain: &Chain) -> String {
    let told = tell(chain);
    if chain.is_origin_sure() {
        return told;
    }
    let mut root = happened(chain.root());
    if matches!(chain.origin, Origin::At(0) | Origin::InClient(0)) {
        push_quote(&mut root, chain.root().outcome.message.as_deref());
        let why = if chain.hops[0].unread_below {
            "of its own calls not all had ended, or it is not known how they ended"
        } else {
            "which failed calls are its own is not known for sure"
        };
        return format!("{root}; perhaps it began here: {why}");
    }
    let what = if chain.root().failed() { "it" } else { "an error below it" };
    format!("{root}; where {what} began is not known for sure, perhaps: {told}")
}

/// The story of a chain as if its links were sure.
fn tell(chain: &Chain) -> String {
    let mut text;
    match chain.origin {
        Origin::Nothing => {
            let swallowed = || chain.changes.iter().filter(|change| change.finding == Finding::Swallowed);
            let change = swallowed().find(|change| change.is_fact()).or(swallowed().next());
            if let Some(change) = change
                && let Some(below) = change.below
            {
                let (below, above) = (&chain.hops[below].call, &chain.hops[change.hop].call);
                let perhaps = if change.is_fact() { "" } else { "perhaps " };
                return format!("{}; {perhaps}{} recovered and answered ok", happened(below), name(above));
            }
            let calls = chain.hops.len();
            let unsure = chain.hops.iter().filter(|hop| hop.unsure_link().is_some()).count();
            let retried = |sure: bool| {
                let hops = 0..chain.hops.len();
                hops.filter(|&hop| chain.retry_is_sure(hop) == Some(sure)).count()
            };
            text = happened(chain.root());
            let _ = match (calls, retried(true), retried(false)) {
                (1, ..) => Ok(()),
                (_, 0, 0) if unsure == 0 => write!(text, "; {calls} calls in total"),
                (_, 0, 0) => {
                    write!(text, "; {calls} calls in total, of which {unsure} perhaps belong elsewhere")
                }
                (_, 0, _) => write!(text, "; perhaps retries made up for failed attempts"),
                (_, 1, _) => write!(text, "; a retry made up for one failed attempt"),
                (_, retried, _) => write!(text, "; retries made up for {retried} failed attempts"),
            };
        }
        Origin::BelowOf(hop) => {
            text = happened(&chain.hops[hop].call);
            text.push_str(": it reports the failure of a call of its own that is not in the capture");
            above(chain, &mut text);
        }
        Origin::At(hop) | Origin::InClient(hop) => {
            let call = &chain.hops[hop].call;
            text = happened(call);
            push_quote(&mut text, call.outcome.message.as_deref());
            if matches!(chain.origin, Origin::InClient(_)) {
                let _ = write!(text, "; it began {}", in_client(call));
            } else if hop == 0 {
                let alone = chain.changes.iter().any(|change| change.finding == Finding::FailedAlone);
                text.push_str(if alone { "; all its own calls were ok: it began here" } else { "" });
            }
            above(chain, &mut text);
        }
    }
    text
}

/// See [`Chain::cause`].
pub(super) fn cause(chain: &Chain, hop: usize) -> Option<String> {
    let deepest = chain.deepest(hop)?;
    let perhaps = if chain.cause_confidence(hop) >= FACT { "" } else { "perhaps " };
    let call = &chain.hops[deepest].call;
    let hidden = chain.origin == Origin::BelowOf(deepest);
    // Only the chain's own origin has been checked for a hidden cause.
    let proved = chain.origin == Origin::At(deepest);
    let reports = "reports the failure of a call of its own that is not in the capture";
    if chain.origin == Origin::InClient(deepest) && deepest == hop {
        return Some(format!("{perhaps}it began here, {}", in_client(call)));
    }
    if deepest == hop {
        let alone = chain.changes.iter().any(|c| c.hop == hop && c.finding == Finding::FailedAlone);
        return Some(match (hidden, alone) {
            (true, _) => format!("{perhaps}it {reports}"),
            (false, true) => format!("{perhaps}it began here: all its own calls were ok"),
            (false, false) if chain.hops[hop].unread_below => {
                format!("{perhaps}it began here: no call below it is known to have failed before")
            }
            (false, false) => format!("{perhaps}it began here: no failed call below it"),
        });
    }
    let hops = match chain.hops[deepest].depth.saturating_sub(chain.hops[hop].depth) {
        1 => "one hop".to_owned(),
        2 => "two hops".to_owned(),
        3 => "three hops".to_owned(),
        many => format!("{many} hops"),
    };
    Some(if chain.origin == Origin::InClient(deepest) {
        format!("{perhaps}it began {hops} below, {}", in_client(call))
    } else if let Some(parent) = chain.hops[deepest].parent.filter(|_| !call.failed()) {
        let above = &chain.hops[parent].call;
        format!("{perhaps}it began {hops} below: {}; {}", happened(call), client(above))
    } else if hidden {
        format!("{perhaps}it began further down than {hops} below: {} {reports}", name(call))
    } else if proved {
        format!("{perhaps}it began {hops} below: {}", happened(call))
    } else {
        format!("{perhaps}it stems from {hops} below: {}", happened(call))
    })
}

/// Adds how each hop above the origin changed the error.
fn above(chain: &Chain, text: &mut String) {
    let is_alone = chain.origin.lowest() == Some(0);
    let path = if is_alone { Vec::new() } else { chain.path() };
    for pair in path.windows(2) {
        let &[below, hop] = pair else { continue };
        let call = &chain.hops[hop].call;
        if !chain.hops[hop].failed() {
            let _ = match call.class() {
                Some(Class::Oneway) => Ok(()),
                None => write!(text, "; what {} answered is not known", name(call)),
                Some(_) => write!(text, "; {} still answered ok", name(call)),
            };
            break;
        }
        let changes: Vec<&Change> =
            chain.changes.iter().filter(|change| change.hop == hop && change.below == Some(below)).collect();
        // That of an unsure origin is told as perhaps as a whole.
        let is_doubtful = chain.is_origin_sure() && !changes.iter().all(|change| change.is_fact());
        let perhaps = if is_doubtful { "perhaps " } else { "" };
        let _ = write!(text, "; {} {perhaps}{}", name(call), deed(&changes, call));
        // The caller of this hop saw the new outcome; it is mentioned only if it differs.
        let is_told = |change: &&Change| {
            matches!(change.finding, Finding::PassedOn | Finding::MessageChanged | Finding::CauseBelow)
        };
        if silence(call).is_none() && !changes.iter().all(is_told) {
            let seen = outcome(call);
            let _ = match chain.hops[hop].parent {
                Some(parent) => write!(text, ", so {} saw {seen}", name(&chain.hops[parent].call)),
                None => write!(text, ", so its caller saw {seen}"),
            };
        }
    }
    let losses = losses(chain);
    if !losses.is_empty() {
        let _ = write!(text, ": {}", losses.join(" and "));
    }
}

/// See [`Chain::remark`].
pub(super) fn remark(chain: &Chain, hop: usize) -> Option<String> {
    let mut remarks: Vec<String> = Vec::new();
    if let Some(link) = chain.hops.get(hop).and_then(Hop::unsure_link) {
        remarks.push(format!("? {:.0} % sure", link.confidence * 100.0));
    } else if chain.hops.get(hop).is_some_and(|hop| hop.parent.is_none() && !hop.rivals.is_empty()) {
        remarks.push("? perhaps part of another chain".to_owned());
    }
    let began = match chain.origin {
        Origin::At(origin) if origin == hop => Some("began here"),
        Origin::InClient(origin) if origin == hop => Some("began here, in its client"),
        Origin::BelowOf(lowest) if lowest == hop => Some("began further down, not in the capture"),
        _ => None,
    };
    let star = if chain.is_origin_sure() { "★" } else { "☆ perhaps" };
    remarks.extend(began.map(|began| format!("{star} {began}")));
    let changes = chain.changes.iter().filter(|change| change.hop == hop);
    let mut changed: Vec<&str> = Vec::new();
    let mut perhaps = "";
    for change in changes {
        if !change.is_fact() {
            perhaps = "perhaps ";
        }
        let words = match change.finding {
            Finding::PassedOn => "passed on",
            Finding::BusinessBecameRpc => "business became RPC",
            Finding::RpcBecameBusiness => "RPC became business",
            Finding::CodeLost => "code lost",
            Finding::CodeChanged => "code changed",
            Finding::MessageChanged if change.prefixes > 0 => "message wrapped",
            Finding::MessageChanged => "message changed",
            Finding::CauseBelow if change.from.class == Some(Class::Ok) => "could not use an answer",
            Finding::CauseBelow if silence(&chain.hops[hop].call).is_some() => {
                "did not answer after an error below"
            }
            Finding::CauseBelow => "reports the failed call below",
            Finding::Swallowed => "swallowed an error",
            Finding::FailedAlone => "all its calls were ok",
            other => other.name(),
        };
        if !changed.contains(&words) {
            changed.push(words);
        }
    }
    if !changed.is_empty() {
        remarks.push(format!("← {perhaps}{}", changed.join(", ")));
    }
    match chain.retry_is_sure(hop) {
        Some(true) => remarks.push("← retried".to_owned()),
        Some(false) => remarks.push("← perhaps retried".to_owned()),
        None => {}
    }
    let hop = chain.hops.get(hop)?;
    if hop.after_answer {
        remarks.push("← after the answer".to_owned());
    } else if hop.parent.is_some_and(|parent| judge::is_late(&hop.call, &chain.hops[parent].call)) {
        remarks.push("← ended after the answer".to_owned());
    }
    (!remarks.is_empty()).then(|| remarks.join("  "))
}
