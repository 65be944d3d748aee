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
/// Narrower screens show neither client nor server.
const ROOM_FOR_ENDS: usize = 76;
/// From this width on, class, code and message have columns of their own.
const WIDE: usize = 140;

fn protocol_width(width: usize) -> usize {
    if width >= WIDE { 14 } else { 9 }
}

/// What the calls on the screen need for their client, server, method and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub client: usize,
    pub server: usize,
    /// Service and method without packages.
    pub method: usize,
    /// Service and method with packages.
    pub full_method: usize,
    /// Code and text of the error.
    pub verdict: usize,
}

impl Needs {
    /// What these and another call need.
    pub(super) fn with(self, call: &Call, names: &Names) -> Self {
        let method = labels::likely_operation(call);
        // A mark takes the place of what is before service and method.
        let name = method.rmatch_indices('.').nth(1).map_or(&*method, |(at, _)| &method[at..]);
        Self {
            client: self.client.max(client_width(&names.client(call))),
            server: self.server.max(text::width(&names.server(call))),
            method: self.method.max(text::width(name)),
            full_method: self.full_method.max(text::width(&method)),
            verdict: self.verdict.max(text::width(&labels::likely_verdict(call))),
        }
    }
}

/// The least that client and server get if they need it: most addresses without their ports.
const LEAST_END: usize = 10;
/// The most that client and server get.
const MOST_END: [usize; 2] = [26, 30];
/// The most that a method takes from other columns.
const MOST_METHOD: usize = 40;
/// The most of the end of a call that comes before what is cut in other columns.
const MOST_VERDICT: usize = 56;

/// The least that is left for the end of a call, the code first: the sentence below has it in full.
fn least_verdict(width: usize) -> usize {
    match () {
        () if width < ROOM_FOR_PROTOCOL => 10,
        () if width < WIDE => 18,
        () => 40,
    }
}

/// The width of a client for its column: that of its name or, without the port, which says nothing, of its address.
fn client_width(client: &str) -> usize {
    let is_address = client.starts_with(|c: char| c.is_ascii_digit() || c == '[');
    let host = client.rsplit_once(':').filter(|_| is_address).map(|(host, _)| host);
    text::width(host.unwrap_or(client))
}

/// The widths of client and server that share `most`: what one does not need is for the other.
fn ends(most: usize, needs: Needs) -> [usize; 2] {
    let least = 6;
    let (client, server) = (needs.client.clamp(least, MOST_END[0]), needs.server.clamp(least, MOST_END[1]));
    match most / 2 {
        _ if client + server <= most => [client, server],
        fair if client <= fair => [client, most - client],
        fair if server <= fair => [most - server, server],
        fair => [fair, most - fair],
    }
}

/// What client and server share on a screen of this width where the columns are chosen: half of what time, latency and protocol leave.
fn room_for_ends(width: usize, dated: bool) -> usize {
    let protocol = if width >= ROOM_FOR_PROTOCOL { protocol_width(width) + 1 } else { 0 };
    let room = width.saturating_sub(MARGIN + time_width(dated) + 1 + LATENCY_WIDTH + 1 + protocol);
    (room / 2).saturating_sub(2).max(2 * LEAST_END)
}

/// The widths of client, server and method that share `room` with the end of the call. People look for the method: it comes before long
/// names of hosts. What the end of the calls does not need is for its packages, then for clients and servers that are still cut.
fn shares(room: usize, width: usize, has_ends: bool, needs: Needs) -> ([usize; 2], usize) {
    let verdict = least_verdict(width);
    let least = |need: usize| if has_ends { need.min(LEAST_END) } else { 0 };
    let others = least(needs.client) + least(needs.server) + verdict;
    let method = needs.method.min(MOST_METHOD).min(room.saturating_sub(others)).max(LEAST);
    let [client, server] = if has_ends { ends(room.saturating_sub(method + verdict), needs) } else { [0; 2] };
    let mut spare =
        room.saturating_sub(client + server + method + needs.verdict.clamp(verdict, MOST_VERDICT));
    let mut widened = |width: usize, need: usize| {
        let more = need.saturating_sub(width).min(spare);
        spare -= more;
        width + more
    };
    let method = widened(method, needs.full_method.max(METHOD.head.len()));
    let ends = if has_ends { [(client, needs.client), (server, needs.server)] } else { [(0, 0); 2] };
    (ends.map(|(width, need)| widened(width, need)), method)
}

/// The width that a column asks for on a screen of this width.
fn wanted(column: Column, width: usize, dated: bool, needs: Needs) -> usize {
    match column {
        TIME => time_width(dated),
        LATENCY => LATENCY_WIDTH,
        CLIENT => ends(room_for_ends(width, dated), needs)[0],
        SERVER => ends(room_for_ends(width, dated), needs)[1],
        PROTOCOL => protocol_width(width),
        METHOD | VERDICT | MESSAGE => REST,
        CLASS => 10,
        CODE => 8,
        column if column.largest_first => KEY_WIDTHS.0,
        _ => KEY_WIDTHS.1,
    }
}

/// The usual columns on a screen of this width.
pub(super) fn usual(width: usize, dated: bool, needs: Needs) -> Vec<Placed> {
    let mut columns = vec![TIME, LATENCY];
    if width >= ROOM_FOR_ENDS {
        columns.extend([CLIENT, SERVER]);
    }
    if width >= ROOM_FOR_PROTOCOL {
        columns.push(PROTOCOL);
    }
    columns.push(METHOD);
    columns.extend(if width >= WIDE { &[CLASS, CODE, MESSAGE][..] } else { &[VERDICT] });
    let own = |column: &Column| match *column {
        CLIENT | SERVER | METHOD | VERDICT | MESSAGE => None,
        column => Some(wanted(column, width, dated, needs)),
    };
    let taken: usize = columns.iter().map(|column| own(column).unwrap_or(0) + 1).sum();
    let room = (width + 1).saturating_sub(MARGIN + taken);
    let ([client, server], method) = shares(room, width, width >= ROOM_FOR_ENDS, needs);
    let width_of = |column: &Column| match *column {
        CLIENT => client,
        SERVER => server,
        METHOD => method,
        column => own(&column).unwrap_or(REST),
    };
    place(width, columns.iter().map(|column| (*column, width_of(column))).collect(), (1, 1))
}

/// Columns that were chosen, as many as there is room for, in their order. What is left is shared as on the usual screen: first the name of
/// the method, then the end of the call, then packages and names of hosts that are still cut. The last text gets the rest.
pub(super) fn chosen(columns: &[Column], width: usize, dated: bool, needs: Needs) -> Vec<Placed> {
    let room = width.saturating_sub(MARGIN);
    let (mut placed, mut used): (Vec<(Column, usize)>, _) = (Vec::new(), 0);
    for column in columns {
        let wanted = wanted(*column, width, dated, needs).min(room);
        let least = if wanted == REST { LEAST } else { wanted };
        let gap = usize::from(!placed.is_empty());
        if gap == 1 && used + gap + least > room {
            break;
        }
        used += gap + least;
        placed.push((*column, least));
    }
    let mut spare = room.saturating_sub(used);
    for (wide, need) in [
        (METHOD, needs.method.min(MOST_METHOD)),
        (VERDICT, needs.verdict.min(MOST_VERDICT)),
        (MESSAGE, needs.verdict.min(MOST_VERDICT)),
        (METHOD, needs.full_method.max(METHOD.head.len())),
        (CLIENT, needs.client),
        (SERVER, needs.server),
    ] {
        if let Some((_, width)) = placed.iter_mut().find(|(column, _)| *column == wide) {
            let more = need.saturating_sub(*width).min(spare);
            *width += more;
            spare -= more;
        }
    }
    let is = |wide: &[Column]| placed.iter().rposition(|(column, _)| wide.contains(column));
    let last = is(&[VERDICT, MESSAGE]).or_else(|| is(&[METHOD])).or(placed.len().checked_sub(1));
    if let Some((_, width)) = last.and_then(|last| placed.get_mut(last)) {
        *width = REST;
    }
    place(width, placed, (1, 1))
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
    use crate::calls::{Class, sample};
    use crate::tui::render;
    use crate::tui::state::testing;

    #[test]
    fn the_method_comes_before_long_names_of_hosts_and_all_of_them_are_shown() {
        for (width, dated, [client, server, method], given) in [
            (80, false, [3, 10, 18], [6, 10, 18, 19]),
            (80, false, [10, 15, 22], [10, 11, 22, 10]),
            (80, false, [15, 21, 34], [10, 10, 23, 10]),
            (80, false, [15, 8, 12], [15, 8, 14, 16]),
            (80, true, [10, 15, 22], [10, 10, 17, 10]),
            (100, false, [15, 15, 23], [11, 11, 23, 18]),
            (139, false, [15, 21, 34], [15, 21, 34, 32]),
            (200, false, [15, 21, 34], [15, 21, 34, 68]),
            (200, false, [90, 90, 90], [26, 30, 42, 40]),
            (70, false, [15, 21, 34], [0, 0, 34, 11]),
        ] {
            let needs = Needs { client, server, method, full_method: method, verdict: 0 };
            let placed = usual(width, dated, needs);
            let of = |column: Column| placed.iter().find(|p| p.column == column).map_or(0, |p| p.width);
            let end = of(VERDICT).max(of(MESSAGE));
            assert_eq!(
                [of(CLIENT), of(SERVER), of(METHOD), end],
                given,
                "{width} {client} {server} {method}"
            );
            let used: usize = placed.iter().map(|p| p.width + 1).sum::<usize>() - 1 + MARGIN;
            assert_eq!(used, width);
        }
        assert_eq!((client_width("10.77.0.11:4242"), client_width("web")), (10, 3));
    }

    #[test]
    fn what_the_end_of_calls_does_not_need_is_for_what_is_cut_the_method_first() {
        let [client, server, method, full_method] = [60, 20, 14, 50];
        for (verdict, given) in
            [(10, [36, 20, 50, 40]), (50, [26, 20, 50, 50]), (56, [26, 20, 44, 56]), (300, [26, 20, 44, 56])]
        {
            let placed = usual(208, false, Needs { client, server, method, full_method, verdict });
            let of = |column: Column| placed.iter().find(|p| p.column == column).map_or(0, |p| p.width);
            assert_eq!([of(CLIENT), of(SERVER), of(METHOD), of(MESSAGE)], given, "{verdict}");
        }
    }

    /// Full names stand on the screen as soon as there is room for them, and never instead of the text of an error.
    #[test]
    fn names_are_cut_only_where_there_is_no_room() {
        let method = "shop.warehouse.v1.StockService.Reserve";
        let message = "no stock of sku 4711 in any of the warehouses of this region";
        let row = |width: u16, fails: bool| {
            let mut state = testing::state(width, 24);
            let mut call =
                if fails { testing::failed(0, Class::Business, 4041, message) } else { testing::call(0) };
            (call.service, call.method) =
                (Some("shop.warehouse.v1.StockService".into()), Some("Reserve".into()));
            testing::send(&mut state, [call]);
            let screen = render::tests::screen(&state);
            screen.lines().find(|line| line.contains("Reserve")).expect("a row").to_owned()
        };
        for (width, fails, is_whole) in [
            (80, false, false),
            (80, true, false),
            (120, false, true),
            (120, true, false),
            (200, false, true),
            (200, true, true),
        ] {
            let row = row(width, fails);
            assert_eq!(row.contains(method), is_whole, "{width} {row}");
            assert!(row.contains("StockService.Reserve"), "{width} {row}");
        }
        assert!(row(200, true).contains("no stock of sku 4711 in any of the warehouses"));
    }

    #[test]
    fn packages_are_no_need_of_a_method() {
        let mut call = sample::ok();
        for (service, need) in [("OrderService", 23), ("trpc.shop.OrderService", 24), ("a.b", 13)] {
            (call.service, call.method) = (Some(service.into()), Some("PlaceOrder".into()));
            assert_eq!(Needs::default().with(&call, &Names::default()).method, need, "{service}");
        }
    }

    #[test]
    fn chosen_columns_share_free_room_by_what_they_need_too() {
        let long = Needs { client: 34, server: 21, method: 34, full_method: 60, verdict: 20 };
        let failing = Needs { verdict: 90, ..long };
        for (columns, width, needs, given) in [
            // All is whole.
            (&[TIME, CLIENT, METHOD, MESSAGE][..], 200, long, [34, 60, 88]),
            // The end of a call comes before packages, which come before names of hosts.
            (&[TIME, CLIENT, SERVER, METHOD, MESSAGE], 160, failing, [26, 38, 56]),
            (&[TIME, METHOD, CLIENT], 200, long, [34, 149, 0]),
        ] {
            let placed = chosen(columns, width, false, needs);
            let of = |column: Column| placed.iter().find(|p| p.column == column).map_or(0, |p| p.width);
            assert_eq!([of(CLIENT), of(METHOD), of(MESSAGE)], given, "{columns:?}");
        }
        let narrow = chosen(&[TIME, METHOD, VERDICT], 80, false, failing);
        assert_eq!(narrow.iter().map(|p| p.width).collect::<Vec<_>>(), [12, 34, 29]);
    }

    #[test]
    fn every_column_has_a_name_and_chosen_ones_fill_the_screen() {
        let all: Vec<Column> = names().iter().map(|name| named(name).unwrap()).collect();
        for (column, own) in all.iter().zip(names()) {
            assert_eq!(name(*column), own);
        }
        for width in 60..260 {
            for first in 0..all.len() {
                let needs = Needs { client: first, server: 60 - first % 60, method: 20, ..Needs::default() };
                let placed = chosen(&all[first..], width, first % 2 == 0, needs);
                let used: usize = placed.iter().map(|p| p.width + 1).sum::<usize>() - 1 + MARGIN;
                assert_eq!(used, width, "{placed:?}");
                assert!(placed.iter().all(|p| p.width >= 5), "{width}: {placed:?}");
            }
        }
    }
}
