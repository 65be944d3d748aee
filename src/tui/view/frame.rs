//! What stands around every view: title with counters, tabs with progress, filter, sentence, footer.

use std::ops::Range;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::line;
use crate::calls::{Call, Class};
use crate::text;
use crate::tui::keys::{Action, View, footer as footer_entries};
use crate::tui::spark;
use crate::tui::state::State;
use crate::tui::state::prompt::{Prompt, Purpose};
use crate::tui::theme::class_index;

/// A piece of a line and what a click on it does.
struct Piece {
    text: String,
    style: Style,
    action: Option<Action>,
}

/// Counters of the classes: word and class, in the order of the title.
const COUNTERS: [(&str, Option<Class>); 7] = [
    ("ok", Some(Class::Ok)),
    ("BIZ", Some(Class::Business)),
    ("RPC", Some(Class::Rpc)),
    ("NET", Some(Class::Transport)),
    ("???", Some(Class::Unanswered)),
    ("1way", Some(Class::Oneway)),
    ("lost", None),
];

/// The pieces at the right of the title, and where they begin.
fn counters(state: &State) -> (usize, Vec<Piece>) {
    let make = |short: bool| {
        let number = |n: u64| if short { short_number(n) } else { text::thousands(n) };
        let mut pieces = vec![Piece {
            text: format!(
                "{} call{}",
                number(state.total.calls),
                if state.total.calls == 1 { "" } else { "s" }
            ),
            style: state.theme.strong,
            action: None,
        }];
        for (word, class) in COUNTERS {
            let count = state.total.classes[class_index(class)];
            // What is rare is shown where there is some.
            if count == 0 && matches!(class, None | Some(Class::Oneway)) {
                continue;
            }
            let hidden = state.matcher.hides(class);
            let mut style = if count == 0 { state.theme.dim } else { state.theme.class(class) };
            if hidden {
                style = state.theme.dim.add_modifier(Modifier::CROSSED_OUT);
            }
            let counter = format!("{word} {}", number(count));
            pieces.push(Piece {
                text: if hidden { format!("({counter})") } else { counter },
                style,
                action: class.map(Action::Toggle),
            });
        }
        pieces
    };
    let width = usize::from(state.width);
    let length = |pieces: &[Piece]| pieces.iter().map(|p| text::width(&p.text) + 2).sum::<usize>();
    let mut pieces = make(false);
    if length(&pieces) + 12 > width {
        pieces = make(true);
    }
    while length(&pieces) + 11 > width && pieces.len() > 2 {
        // The number of all calls can be added up; the failures can't.
        pieces.remove(0);
    }
    (width.saturating_sub(length(&pieces)), pieces)
}

/// `1.2M`, `38k`, `999`.
fn short_number(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1}M", n as f64 / 1e6),
        _ => format!("{:.1}G", n as f64 / 1e9),
    }
}

/// What a click on the title does where.
pub(in crate::tui) fn title_spots(state: &State) -> Vec<(Range<u16>, Action)> {
    let (mut x, pieces) = counters(state);
    let mut spots = Vec::new();
    for piece in pieces {
        let end = x + text::width(&piece.text);
        spots.extend(piece.action.map(|action| (x as u16..end as u16, action)));
        x = end + 2;
    }
    spots
}

pub(super) fn title(buffer: &mut Buffer, area: Rect, state: &State) {
    let (start, pieces) = counters(state);
    let x = line::put(buffer, area, 1, 0, "rpcscope", state.theme.strong);
    let room = start.saturating_sub(usize::from(x) + 4);
    if room >= 6 {
        line::put(
            buffer,
            area,
            x + 2,
            0,
            &text::cut_middle(&text::escape(&state.source), room),
            Style::new(),
        );
    }
    let mut x = start as u16;
    for piece in pieces {
        x = line::put(buffer, area, x, 0, &piece.text, piece.style) + 2;
    }
}

fn tab_pieces(state: &State) -> Vec<(u16, String, View)> {
    let gap = if state.width >= 76 { 2 } else { 1 };
    let mut x = 1;
    View::ALL
        .iter()
        .enumerate()
        .map(|(i, view)| {
            let piece = (x, format!("{} {}", i + 1, view.name()), *view);
            x += text::width(&piece.1) as u16 + gap;
            piece
        })
        .collect()
}

/// What a click on the tabs does where.
pub(in crate::tui) fn tab_spots(state: &State) -> Vec<(Range<u16>, Action)> {
    tab_pieces(state)
        .into_iter()
        .map(|(x, text, view)| (x..x + text.len() as u16, Action::Show(view)))
        .collect()
}

pub(super) fn tabs(buffer: &mut Buffer, area: Rect, state: &State) {
    let mut end = 0;
    for (x, text, view) in tab_pieces(state) {
        let open = view == state.view;
        let style = if open { state.theme.strong.add_modifier(Modifier::REVERSED) } else { state.theme.dim };
        end = line::put(buffer, area, x, 1, &text, style);
    }
    let room = usize::from(area.width.saturating_sub(end + 2));
    // What is lost comes first, then what matters less, as far as there is room.
    let pieces = progress_pieces(state);
    let mut chosen: Vec<bool> = vec![false; pieces.len()];
    let mut used = 0;
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|i| pieces[*i].0);
    for i in order {
        let width = text::width(&pieces[i].1) + 2;
        if used + width <= room {
            used += width;
            chosen[i] = true;
        }
    }
    let mut x = usize::from(area.width).saturating_sub(used) as u16 + 1;
    for ((_, text, style), _) in pieces.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
        x = line::put(buffer, area, x, 1, text, *style) + 2;
    }
}

/// Importance (0 is highest), text and style, in the order of the screen.
fn progress_pieces(state: &State) -> Vec<(u8, String, Style)> {
    let theme = &state.theme;
    let progress = &state.progress;
    let mut pieces = Vec::new();
    if state.paused {
        pieces.push((
            0,
            format!("PAUSED, {} wait", text::thousands(state.waiting_calls() as u64)),
            theme.alarm,
        ));
    }
    pieces.push((4, format!("{} pkt", text::thousands(progress.packets)), theme.dim));
    pieces.push((6, text::bytes(progress.bytes), theme.dim));
    let mut losses = |word: &str, count: u64, calm: u8| {
        let (rank, style) = if count > 0 { (1, theme.alarm) } else { (calm, theme.dim) };
        pieces.push((rank, format!("{word} {}", text::thousands(count)), style));
    };
    losses("drops", progress.drops, 5);
    losses("gaps", progress.gaps, 5);
    if state.store.shed > 0 {
        pieces.push((1, format!("shed {}", short_number(state.store.shed)), theme.alarm));
    }
    let (text, style) = match progress.read {
        _ if state.ended => ("read".to_owned(), theme.dim),
        Some((read, all)) => {
            let part = if all == 0 { 1.0 } else { (read as f64 / all as f64).clamp(0.0, 1.0) };
            let full = (part * 4.0) as usize;
            (format!("▕{}{}▏{:3.0}%", "█".repeat(full), " ".repeat(4 - full), part * 100.0), theme.strong)
        }
        None => ("live".to_owned(), theme.strong),
    };
    pieces.push((2, text, style));
    pieces
}

/// The rule under the tabs: what is filtered and how many calls that hides.
pub(super) fn rule_with_filter(buffer: &mut Buffer, area: Rect, state: &State) {
    let theme = &state.theme;
    line::fill(buffer, area, 0, 2, "─", theme.dim);
    let mut pieces: Vec<(String, Style)> = Vec::new();
    let calls_like = !matches!(state.view, View::Connections | View::Chains);
    if let Some(label) = state.only_label().filter(|_| state.view == View::Calls) {
        pieces.push((format!("only {}", text::escape(&label)), theme.strong));
    }
    if state.matcher.has_filter() && calls_like {
        pieces.push((format!("filter {}", text::escape(state.matcher.text())), theme.strong));
    } else if state.matcher.has_filter() {
        pieces.push(("the filter of calls does not act here".to_owned(), theme.dim));
    }
    let mut tail = Vec::new();
    if state.view == View::Calls {
        if state.matcher.is_active() {
            tail.push(format!("{} hidden", text::thousands(state.rows.hidden(&state.store) as u64)));
        }
        if let Some(percent) = state.rows.percent(&state.store) {
            tail.push(format!("looking {percent}%"));
        }
    }
    if state.marked > 0 {
        tail.push(format!("{} marked", text::thousands(state.marked as u64)));
    }
    if !state.search.is_empty() {
        tail.push(format!("/{}", text::escape(&state.search)));
    }
    let tail = tail.join("  ");
    let mut room = usize::from(area.width).saturating_sub(6 + text::width(&tail));
    let mut x = 2;
    for (piece, style) in pieces {
        let piece = text::cut_middle(&piece, room.saturating_sub(3));
        room = room.saturating_sub(text::width(&piece) + 3);
        x = line::put(buffer, area, x, 2, " ", theme.dim);
        x = line::put(buffer, area, x, 2, &piece, style);
        x = line::put(buffer, area, x, 2, " ", theme.dim) + 1;
    }
    if !tail.is_empty() {
        let start = usize::from(area.width).saturating_sub(text::width(&tail) + 3) as u16;
        line::put(buffer, area, start, 2, &format!(" {tail} "), theme.strong);
    }
}

/// The line of the rule above the sentence; the newest trouble stands in it.
pub(super) fn rule_with_troubles(buffer: &mut Buffer, area: Rect, state: &State) {
    let y = area.height - 2 - state.sentence_lines();
    line::fill(buffer, area, 0, y, "─", state.theme.dim);
    if let Some(trouble) = state.troubles.last() {
        let more = if state.troubles.len() > 1 {
            format!(" (and {} before)", state.troubles.len() - 1)
        } else {
            String::new()
        };
        let room = usize::from(area.width).saturating_sub(6 + text::width(&more));
        let line = format!(" {}{more} ", text::cut_end(&text::escape(trouble), room));
        line::put(buffer, area, 2, y, &line, state.theme.alarm);
    }
}

/// What is to be said of a call: with its chain, if it has one that failed.
pub(super) fn sentence_of(state: &State, call: &Call) -> String {
    let own = crate::calls::sentence::sentence(call);
    match state.chains.of(call.uid).filter(|_| call.failed()) {
        Some(chain) => format!("{}. Its chain (c): {}.", own.trim_end_matches('.'), chain.sentence()),
        None => own,
    }
}

/// The sentence of what is selected.
pub(super) fn sentence(buffer: &mut Buffer, area: Rect, state: &State) {
    let lines = state.sentence_lines();
    let top = area.height - 1 - lines;
    let width = usize::from(area.width).saturating_sub(2);
    let (text, style) = what_to_say(state);
    for (i, part) in line::wrap(&text, width, usize::from(lines)).iter().enumerate() {
        line::put(buffer, area, 1, top + i as u16, part, style);
    }
}

fn what_to_say(state: &State) -> (String, Style) {
    match state.view {
        View::Calls => {
            let call = state.selected_call().map(|(_, call)| call);
            // Nobody has chosen the newest call: what fails most is worth more.
            let chosen = state.calls.moved || call.is_some_and(|c| c.failed());
            if let Some(worst) = worst(state).filter(|_| !chosen) {
                return worst;
            }
            call.map_or_else(Default::default, |call| {
                (sentence_of(state, call), state.theme.class(call.class()).remove_modifier(Modifier::BOLD))
            })
        }
        View::Errors => state.current_call().map_or_else(Default::default, |call| {
            (
                format!("newest: {}", sentence_of(state, &call)),
                state.theme.class(call.class()).remove_modifier(Modifier::BOLD),
            )
        }),
        View::Services => (services_line(state).unwrap_or_default(), Style::new()),
        View::Connections => (connection_line(state).unwrap_or_default(), Style::new()),
        View::Chains => (super::chains::line(state).unwrap_or_default(), Style::new()),
    }
}

fn worst(state: &State) -> Option<(String, Style)> {
    let id = state.worst_group()?;
    let figures = state.figures().group(id)?;
    let group = state.catalog.groups.get(id as usize)?;
    let code = group.code.map(|c| format!(" {c}")).unwrap_or_default();
    let template = if group.template.is_empty() { String::new() } else { format!(" \"{}\"", group.template) };
    let label = state.catalog.label(group.method);
    let kind = match group.class {
        Some(Class::Business) => "business error",
        Some(Class::Rpc) => "RPC error",
        _ => "broken connection",
    };
    let times = text::thousands(figures.count);
    let text = format!(
        "Most failures: {label}, {kind}{code}{template}, {times}×. e goes to the next failed call, 2 shows all kinds."
    );
    Some((text::escape(&text).into_owned(), state.theme.class(group.class).remove_modifier(Modifier::BOLD)))
}

fn services_line(state: &State) -> Option<String> {
    let id = state.services.selected()?;
    let counted = state.figures().method(id)?;
    let method = state.catalog.methods.get(id as usize)?;
    let share = |n: u64| 100.0 - n as f64 * 100.0 / counted.calls.max(1) as f64;
    let framework = counted.of(Class::Rpc) + counted.of(Class::Transport) + counted.of(Class::Unanswered);
    let line = format!(
        "{} ({}): the RPC itself worked for {:.2} % of {} calls, and {:.2} % were ok for the business too. ⏎ shows the calls.",
        method.label(),
        method.rpc,
        share(framework),
        text::thousands(counted.calls),
        share(framework + counted.of(Class::Business)),
    );
    Some(text::escape(&line).into_owned())
}

fn connection_line(state: &State) -> Option<String> {
    let connection = state.connections.all().get(state.connection_rows.selected()? as usize)?;
    let why = connection.reason.map(|r| format!("; {r}")).unwrap_or_default();
    let line = format!(
        "{} connection {} → {}, {} from packet {} to {}, {} calls of which {} failed, {} retransmissions, {} gaps{why}.",
        connection.network.name(),
        connection.client,
        connection.server,
        connection.state,
        connection.first_packet,
        connection.last_packet,
        text::thousands(connection.calls),
        text::thousands(connection.failed),
        connection.retransmissions,
        connection.gaps,
    );
    Some(text::escape(&line).into_owned())
}

/// The keys that matter here, as far as there is room; the help key always.
pub(super) fn footer(buffer: &mut Buffer, area: Rect, state: &State) {
    let y = area.height - 1;
    if let Some(notice) = &state.notice {
        line::put(buffer, area, 1, y, &text::escape(notice), state.theme.strong);
        return;
    }
    let place = position(state);
    let right = usize::from(area.width).saturating_sub(text::width(&place) + 1);
    let entries = footer_entries(state.place().scopes());
    let width = |(keys, word): &(String, &str)| text::width(keys) + 1 + text::width(word) + 2;
    let help = entries.iter().find(|(_, word)| *word == "keys").map_or(0, width);
    let mut x = 1;
    for entry in &entries {
        let needed = usize::from(x) + width(entry) + if entry.1 == "keys" { 0 } else { help };
        if needed > right {
            continue;
        }
        x = line::put(buffer, area, x, y, &entry.0, state.theme.key) + 1;
        x = line::put(buffer, area, x, y, entry.1, state.theme.dim) + 2;
    }
    line::put(buffer, area, right as u16, y, &place, state.theme.dim);
}

/// Where the cursor is, for the end of the footer.
fn position(state: &State) -> String {
    if state.detail.is_some() || state.help.is_some() {
        return String::new();
    }
    let (list, len) = state.list();
    if state.view == View::Calls && state.follow && len > 0 && !state.ended {
        "following ▼".to_owned()
    } else if len == 0 {
        String::new()
    } else {
        format!("{}/{}", text::thousands(list.selected as u64 + 1), text::thousands(len as u64))
    }
}

/// The line that is being typed, what is wrong with it or what could follow.
pub(super) fn prompt(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(prompt) = &state.prompt else { return };
    let theme = &state.theme;
    let top = area.height - 1 - state.sentence_lines();
    let buffer = frame.buffer_mut();
    for y in top..area.height {
        line::fill(buffer, area, 0, y, " ", Style::new());
    }
    let x = line::put(buffer, area, 1, top, prompt.purpose.label(), theme.key);
    let room = usize::from(area.width.saturating_sub(x + 1));
    let before = text::width(&text::escape(&prompt.text[..prompt.cursor]));
    // The part with the cursor is shown.
    let skip = before.saturating_sub(room.saturating_sub(1));
    let safe = text::escape(&prompt.text);
    let shown = skip_columns(&safe, skip);
    line::put(buffer, area, x, top, shown, theme.strong);
    if let Some(error) = &prompt.error {
        caret(buffer, area, (x, top + 1), prompt, error, skip, theme.alarm);
    } else if prompt.candidates.is_empty() {
        let hint = match prompt.purpose {
            Purpose::Filter => {
                "Tab completes  ↑↓ history  ⏎ keeps  Esc gives up   e.g. class in (business, rpc) and latency > 20ms"
            }
            Purpose::Search => "⏎ finds the next, then n and N  ↑↓ history  Esc gives up",
            Purpose::Export => ".pcapng writes the packets for Wireshark, all else one JSON record a call",
        };
        line::put(buffer, area, 1, top + 1, hint, theme.dim);
    } else {
        line::put(buffer, area, 1, top + 1, &prompt.candidates.join("  "), theme.dim);
    }
    let column = x + (before - skip) as u16;
    frame.set_cursor_position((area.x + column.min(area.width - 1), area.y + top));
}

/// A caret under the wrong place with what is wrong behind it, or before it where there is no room behind.
fn caret(
    buffer: &mut Buffer,
    area: Rect,
    (x, y): (u16, u16),
    prompt: &Prompt,
    error: &crate::filter::FilterError,
    skip: usize,
    style: Style,
) {
    let start = error.span.start.min(prompt.text.len());
    let before = text::width(&text::escape(&prompt.text[..start])).saturating_sub(skip);
    let wrong = prompt.text.get(error.span.clone()).unwrap_or_default();
    let length = text::width(&text::escape(wrong)).clamp(1, usize::from(area.width));
    let at = x + before as u16;
    let says = error.to_string();
    let safe = text::escape(&says);
    line::put(buffer, area, at, y, &"^".repeat(length), style);
    let behind = usize::from(at) + length + 1;
    if behind + text::width(&safe) <= usize::from(area.width) {
        line::put(buffer, area, behind as u16, y, &safe, style);
    } else if y + 1 < area.height {
        line::put(buffer, area, 1, y + 1, &safe, style);
    } else {
        line::put(buffer, area, 1, y, &safe, style);
    }
}

/// The text without its first columns.
fn skip_columns(text: &str, columns: usize) -> &str {
    let mut skipped = 0;
    for (at, c) in text.char_indices() {
        if skipped >= columns {
            return &text[at..];
        }
        skipped += text::width(c.encode_utf8(&mut [0; 4]));
    }
    if columns == 0 { text } else { "" }
}

/// A history as bars for a cell.
pub(super) fn history(counts: &[u32], columns: usize) -> String {
    spark::bars(counts, columns)
}
