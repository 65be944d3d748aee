//! The columns of the calls: their names, widths, cells, order and tests.

use crate::calls::keys::{self, KEYS, Type, Value};
use crate::calls::{Call, labels};
use crate::filter;
use crate::text;
use crate::tui::columns::{
    CLASS, CLIENT, CODE, Column, MARGIN, MESSAGE, METHOD, PROTOCOL, Placed, REST, SERVER, VERDICT, place,
    time_width,
};
use crate::tui::names::Names;
use crate::tui::state::list::SortKey;
use crate::tui::store::Entry;

pub(in crate::tui) const TIME: Column = Column::text("time");
pub(super) const LATENCY: Column = Column::number("latency");

/// The columns that are more than a key of the record, by the names that people choose them with. Any key is a column too.
const NAMED: [(&str, Column); 10] = [
    ("time", TIME),
    ("latency", LATENCY),
    ("client", CLIENT),
    ("server", SERVER),
    ("protocol", PROTOCOL),
    ("method", METHOD),
    ("verdict", VERDICT),
    ("class", CLASS),
    ("code", CODE),
    ("message", MESSAGE),
];
/// Width of columns of keys that are numbers, and of other ones.
const KEY_WIDTHS: (usize, usize) = (10, 16);
/// The least that a column is worth that takes what others leave.
const LEAST: usize = 10;

/// The column of that name.
pub(in crate::tui) fn named(name: &str) -> Option<Column> {
    let known = NAMED.iter().find(|(known, _)| *known == name).map(|(_, column)| *column);
    known.or_else(|| {
        let key = keys::key(name)?;
        let is_number = matches!(key.kind, Type::Number | Type::Bytes | Type::Duration | Type::Share);
        Some(if is_number { Column::number(key.name) } else { Column::text(key.name) })
    })
}

/// The name of a column, by which it is chosen.
pub(in crate::tui) fn name(column: Column) -> &'static str {
    NAMED.iter().find(|(_, known)| *known == column).map_or(column.head, |(name, _)| name)
}

/// What a column shows, in a line.
pub(in crate::tui) fn doc(column: Column) -> &'static str {
    match column {
        TIME => "when the call began",
        PROTOCOL => "the protocol, and what carries it",
        METHOD => "service and method",
        VERDICT => "how the call ended: code and text of the error",
        column => keys::key(name(column)).map_or("", |key| key.doc),
    }
}

/// The names of all columns of Calls.
#[must_use]
pub fn names() -> Vec<String> {
    let own = NAMED.iter().map(|(name, _)| *name);
    let keys = KEYS.iter().map(|key| key.name).filter(|name| NAMED.iter().all(|(own, _)| own != name));
    own.chain(keys).map(str::to_owned).collect()
}

/// Width of the longest latency.
const LATENCY_WIDTH: usize = 7;
/// Narrower screens don't show the protocol.
const ROOM_FOR_PROTOCOL: usize = 96;

fn protocol_width(width: usize) -> usize {
    if width >= 140 { 14 } else { 9 }
}

/// The least and the most that client and server get.
const ENDS: (usize, [usize; 2]) = (6, [26, 30]);

/// The width of a client for its column: that of its name or, without the port, which says nothing, of its address.
pub(super) fn client_width(client: &str) -> usize {
    let is_address = client.starts_with(|c: char| c.is_ascii_digit() || c == '[');
    let host = client.rsplit_once(':').filter(|_| is_address).map(|(host, _)| host);
    text::width(host.unwrap_or(client))
}

/// The widths of client and server that need so much: together half of what time, latency and protocol leave, and what one does not need
/// is for the other.
fn ends(width: usize, dated: bool, needs: [usize; 2]) -> [usize; 2] {
    let (least, [client, server]) = ENDS;
    let (client, server) = (needs[0].clamp(least, client), needs[1].clamp(least, server));
    let protocol = if width >= ROOM_FOR_PROTOCOL { protocol_width(width) + 1 } else { 0 };
    let room = width.saturating_sub(MARGIN + time_width(dated) + 1 + LATENCY_WIDTH + 1 + protocol);
    let most = (room / 2).saturating_sub(2).max(2 * least);
    match most / 2 {
        _ if client + server <= most => [client, server],
        fair if client <= fair => [client, most - client],
        fair if server <= fair => [most - server, server],
        fair => [fair, most - fair],
    }
}

/// The width that a column asks for on a screen of this width.
fn wanted(column: Column, width: usize, dated: bool, needs: [usize; 2]) -> usize {
    match column {
        TIME => time_width(dated),
        LATENCY => LATENCY_WIDTH,
        CLIENT => ends(width, dated, needs)[0],
        SERVER => ends(width, dated, needs)[1],
        PROTOCOL => protocol_width(width),
        METHOD | VERDICT | MESSAGE => REST,
        CLASS => 10,
        CODE => 8,
        column if column.largest_first => KEY_WIDTHS.0,
        _ => KEY_WIDTHS.1,
    }
}

/// The usual columns on a screen of this width.
pub(super) fn usual(width: usize, dated: bool, needs: [usize; 2]) -> Vec<Placed> {
    let mut columns = vec![TIME, LATENCY];
    if width >= 76 {
        columns.extend([CLIENT, SERVER]);
    }
    if width >= ROOM_FOR_PROTOCOL {
        columns.push(PROTOCOL);
    }
    columns.push(METHOD);
    // The verdict loses more than the method where both are cut: the sentence below has it in full.
    let share = match width {
        140.. => (9, 20),
        76..96 => (3, 5),
        _ => (1, 2),
    };
    columns.extend(if width >= 140 { &[CLASS, CODE, MESSAGE][..] } else { &[VERDICT] });
    place(
        width,
        columns.into_iter().map(|column| (column, wanted(column, width, dated, needs))).collect(),
        share,
    )
}

/// Columns that were chosen, as many as there is room for, in their order.
pub(super) fn chosen(columns: &[Column], width: usize, dated: bool, needs: [usize; 2]) -> Vec<Placed> {
    let room = width.saturating_sub(MARGIN);
    let (mut placed, mut used, mut rests) = (Vec::new(), 0, 0);
    for column in columns {
        let mut wanted = wanted(*column, width, dated, needs).min(room);
        if wanted == REST && rests == 2 {
            wanted = LEAST * 2;
        }
        let least = if wanted == REST { LEAST } else { wanted };
        if !placed.is_empty() && used + 1 + least > room {
            break;
        }
        used += least + usize::from(!placed.is_empty());
        rests += usize::from(wanted == REST);
        placed.push((*column, wanted));
    }
    if rests == 0
        && let Some((_, last)) = placed.last_mut()
    {
        *last = REST;
    }
    place(width, placed, if rests == 2 { (1, 2) } else { (1, 1) })
}

/// The test that selects the calls of which the same is likely; empty if there is nothing.
fn likely_test(call: &Call, part: &str, equal: bool) -> String {
    let text = call.likely.as_deref().and_then(|likely| likely.members().find(|(name, _)| *name == part));
    let test = keys::key("likely")
        .zip(text)
        .map(|(map, (part, text))| filter::test_of_part(map, part, &text, equal));
    test.unwrap_or_default()
}

/// Whether the cell shows what is only likely.
pub(super) fn is_likely(call: &Call, column: Column) -> bool {
    call.likely.as_deref().is_some_and(|likely| match column {
        METHOD => call.method.is_none() && likely.method.is_some(),
        CLASS | CODE | VERDICT | MESSAGE => call.class().is_none(),
        _ => false,
    })
}

/// The cell of a call, safe for a terminal; all columns but the time.
pub(super) fn cell(call: &Call, column: Column, names: &Names) -> String {
    match column {
        LATENCY => call.latency.map_or_else(|| "—".to_owned(), text::duration),
        CLIENT => text::escape(&names.client(call)).into_owned(),
        SERVER => text::escape(&names.server(call)).into_owned(),
        PROTOCOL => labels::protocol(call).to_owned(),
        METHOD => labels::likely_operation(call),
        CLASS => labels::likely_class(call).into_owned(),
        CODE => match (call.outcome.code, call.likely.as_deref().and_then(|likely| likely.code)) {
            (Some(code), _) => code.to_string(),
            (None, Some(code)) => format!("{}{code}", labels::LIKELY),
            (None, None) => String::new(),
        },
        VERDICT => labels::likely_verdict(call),
        MESSAGE => match (&call.outcome.message, call.outcome.code_name) {
            (Some(message), _) if !message.is_empty() => text::escape(message).into_owned(),
            (_, Some(name)) if call.outcome.code.is_some() => name.to_owned(),
            _ => labels::likely_verdict(call),
        },
        column => keys::key(column.head).map_or_else(String::new, |key| match (key.get)(call) {
            Value::Duration(nanoseconds) => text::duration(nanoseconds),
            value => text::escape(&value.to_string()).into_owned(),
        }),
    }
}

pub(super) fn sort_key(entry: &Entry, column: Column, names: &Names) -> SortKey {
    let call = &*entry.call;
    match column {
        TIME => SortKey::Number(call.start.0.into()),
        LATENCY => call.latency.into(),
        CODE => call.outcome.code.into(),
        CLASS => call.class().map(|c| c as i64).into(),
        column => match keys::key(column.head).map(|key| (key.get)(call)) {
            Some(Value::Number(number)) => SortKey::Number(number.into()),
            Some(Value::Bytes(number) | Value::Duration(number)) => SortKey::Number(number.into()),
            Some(Value::Null) => SortKey::Nothing,
            _ => SortKey::Text(cell(call, column, names)),
        },
    }
}

/// The tests that select the calls with the same value in a column, joined by `and`; empty if there is no value.
pub(super) fn cell_tests(call: &Call, column: Column, equal: bool) -> String {
    let test = |name: &str| keys::key(name).map(|key| filter::test_of(key, call, equal));
    let both = |names: &[&str]| {
        let tests: Vec<String> = names.iter().filter_map(|name| test(name)).collect();
        // Not this service and this method: one of the two differs.
        if equal {
            tests.join(" and ")
        } else if tests.len() > 1 {
            format!("({})", tests.join(" or "))
        } else {
            tests.join("")
        }
    };
    match column {
        TIME => {
            let start = String::from_utf8_lossy(&call.start.rfc3339()).into_owned();
            format!("start {} {start}", if equal { ">=" } else { "<" })
        }
        LATENCY => call
            .latency
            .map(|ns| format!("latency {} {}us", if equal { ">=" } else { "<" }, ns / 1_000))
            .unwrap_or_default(),
        CLIENT if call.caller.is_some() => both(&["caller"]),
        CLIENT => format!("client {} {}", if equal { "==" } else { "!=" }, call.caller_address().ip),
        SERVER => both(&["server"]),
        PROTOCOL => both(&["rpc", "transport"]),
        METHOD if is_likely(call, column) => likely_test(call, "method", equal),
        METHOD => both(&["service", "method"]),
        CODE if is_likely(call, column) => likely_test(call, "code", equal),
        CLASS | VERDICT if is_likely(call, column) => likely_test(call, "class", equal),
        VERDICT if call.outcome.code.is_some() => both(&["class", "code"]),
        CLASS | VERDICT => both(&["class"]),
        CODE => both(&["code"]),
        MESSAGE => both(&["message"]),
        column => both(&[column.head]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_and_server_get_what_they_need_as_far_as_there_is_room() {
        for (width, dated, needs, given) in [
            (80, false, [3, 10], [6, 10]),
            (80, false, [10, 15], [10, 15]),
            (80, false, [15, 21], [13, 13]),
            (80, false, [15, 8], [15, 8]),
            (80, true, [10, 15], [10, 13]),
            (200, false, [15, 21], [15, 21]),
            (200, false, [90, 90], [26, 30]),
        ] {
            assert_eq!(ends(width, dated, needs), given, "{width} {needs:?}");
        }
        assert_eq!((client_width("10.77.0.11:4242"), client_width("web")), (10, 3));
    }

    #[test]
    fn every_column_has_a_name_and_chosen_ones_fill_the_screen() {
        let all: Vec<Column> = names().iter().map(|name| named(name).unwrap()).collect();
        for (column, own) in all.iter().zip(names()) {
            assert_eq!(name(*column), own);
        }
        for width in 60..260 {
            for first in 0..all.len() {
                let placed = chosen(&all[first..], width, first % 2 == 0, [first, 60 - first % 60]);
                let used: usize = placed.iter().map(|p| p.width + 1).sum::<usize>() - 1 + MARGIN;
                assert_eq!(used, width, "{placed:?}");
                assert!(placed.iter().all(|p| p.width >= 5), "{width}: {placed:?}");
            }
        }
    }
}
