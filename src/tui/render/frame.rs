//! What is around every view: title with counters, tabs with progress, filter, problems, footer.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::line;
use crate::calls::Class;
use crate::text;
use crate::tui::keys::Action;
use crate::tui::state::State;
use crate::tui::theme::class_index;
use crate::tui::views::ViewId;

/// A piece of a line, and what a click on it does.
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
                number(state.cx.total.calls),
                if state.cx.total.calls == 1 { "" } else { "s" }
            ),
            style: state.cx.theme.strong,
            action: None,
        }];
        for (word, class) in COUNTERS {
            let count = state.cx.total.classes[class_index(class)];
            // Rare classes are shown only if there are such calls.
            if count == 0 && matches!(class, None | Some(Class::Oneway)) {
                continue;
            }
            let hidden = state.cx.matcher.hides(class);
            let mut style = if count == 0 { state.cx.theme.dim } else { state.cx.theme.class(class) };
            if hidden {
                style = state.cx.theme.dim.add_modifier(Modifier::CROSSED_OUT);
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
        // The number of all calls goes first, because it is the sum of the others.
        pieces.remove(0);
    }
    (width.saturating_sub(length(&pieces)), pieces)
}

/// `1.2M`, `38k`, `999`.
pub(super) fn short_number(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{}k", n / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1}M", n as f64 / 1e6),
        _ => format!("{:.1}G", n as f64 / 1e9),
    }
}

/// The places in the title that can be clicked, and what a click does.
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
    let x = line::put(buffer, area, 1, 0, "rpcscope", state.cx.theme.strong);
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

fn tab_pieces(state: &State) -> Vec<(u16, String, ViewId)> {
    let gap = if state.width >= 76 { 2 } else { 1 };
    let mut x = 1;
    ViewId::tabs()
        .enumerate()
        .map(|(i, id)| {
            let piece = (x, format!("{} {}", i + 1, state.views.get(id).title()), id);
            x += text::width(&piece.1) as u16 + gap;
            piece
        })
        .collect()
}

/// The places of the tabs that can be clicked, and what a click does.
pub(in crate::tui) fn tab_spots(state: &State) -> Vec<(Range<u16>, Action)> {
    tab_pieces(state)
        .into_iter()
        .map(|(x, text, view)| (x..x + text.len() as u16, Action::Show(view)))
        .collect()
}

pub(super) fn tabs(buffer: &mut Buffer, area: Rect, state: &State) {
    let mut end = 0;
    for (x, text, view) in tab_pieces(state) {
        let open = view == state.view_id.tab();
        let style =
            if open { state.cx.theme.strong.add_modifier(Modifier::REVERSED) } else { state.cx.theme.dim };
        end = line::put(buffer, area, x, 1, &text, style);
    }
    let room = usize::from(area.width.saturating_sub(end + 2));
    // As far as there is room, the most important pieces first: losses above all.
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

/// Narrower screens say of the linking only how far it is.
const ROOM_FOR_NUMBERS: u16 = 100;

/// Importance (0 is highest), text and style, in the order of the screen.
fn progress_pieces(state: &State) -> Vec<(u8, String, Style)> {
    let theme = &state.cx.theme;
    let progress = &state.cx.progress;
    let mut pieces = Vec::new();
    if state.paused {
        pieces.push((
            0,
            format!("PAUSED, {} waiting", text::thousands(state.waiting_calls() as u64)),
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
    if progress.unwritten > 0 {
        losses("unwritten", progress.unwritten, 1);
    }
    if progress.shed > 0 {
        losses("undecoded", progress.shed, 1);
    }
    if progress.deleted > 0 {
        pieces.push((3, format!("-w deleted {}", short_number(progress.deleted)), theme.strong));
    }
    if state.cx.store.evicted > 0 {
        pieces.push((3, format!("evicted {}", short_number(state.cx.store.evicted)), theme.alarm));
    }
    if let Some(percent) = state.cx.bodies.percent() {
        pieces.push((1, format!("bodies {percent}%"), theme.strong));
    }
    let is_linking = !state.cx.ended && state.linking.is_working();
    let is_read = progress.read.is_some_and(|(read, all)| read >= all);
    let says_percent = is_read && is_linking && state.width < ROOM_FOR_NUMBERS;
    if is_linking && !says_percent {
        let [linked, of] = [state.linking.linked, state.linking.of].map(short_number);
        pieces.push((3, format!("linking {linked} of {of}"), theme.strong));
    }
    let (text, style) = match progress.read {
        _ if state.cx.ended => ("done".to_owned(), theme.dim),
        // What is left is to link.
        Some(_) if is_read && is_linking && !says_percent => ("read".to_owned(), theme.dim),
        Some(_) if says_percent => {
            let percent = state.linking.linked * 100 / state.linking.of.max(1);
            (format!("linking {}%", percent.min(99)), theme.strong)
        }
        Some((read, all)) => {
            let part = if all == 0 { 1.0 } else { (read as f64 / all as f64).clamp(0.0, 1.0) };
            pieces.push((5, format!("{} of {}", text::bytes(read), text::bytes(all)), theme.dim));
            (format!("reading {:.0}%", part * 100.0), theme.strong)
        }
        None => ("live".to_owned(), theme.strong),
    };
    pieces.push((2, text, style));
    pieces
}

/// The rule below the tabs: the filter, and how many calls it hides.
pub(super) fn rule_with_filter(buffer: &mut Buffer, area: Rect, state: &State) {
    let theme = &state.cx.theme;
    line::fill(buffer, area, 0, 2, "─", theme.dim);
    let view = state.view();
    let mut pieces: Vec<(String, Style)> = Vec::new();
    if state.view_id.tab() != state.view_id {
        pieces.push((view.title().to_owned(), theme.strong));
    }
    if let Some(label) = state.cx.only_label().filter(|_| state.view_id == ViewId::Calls) {
        pieces.push((format!("only {}", text::escape(&label)), theme.strong));
    }
    if state.cx.matcher.has_filter() {
        pieces.push((format!("filter {}", text::escape(state.cx.matcher.text())), theme.strong));
    }
    let mut tail = Vec::new();
    if let Some((hidden, of)) = view.hidden(&state.cx) {
        tail.push(format!("{}{of} hidden", text::thousands(hidden as u64)));
    }
    if view.evicted(&state.cx) > 0 {
        tail.push(format!("{} evicted", text::thousands(view.evicted(&state.cx))));
    }
    if let Some(percent) = state.views.calls.percent(&state.cx) {
        tail.push(format!("filtering {percent}%"));
    }
    if state.marked > 0 {
        tail.push(format!("{} marked", text::thousands(state.marked as u64)));
    }
    if !state.cx.search.is_empty() {
        tail.push(format!("/{}", text::escape(state.cx.search.text())));
    }
    let tail = tail.join("  ");
    let mut room = usize::from(area.width).saturating_sub(6 + text::width(&tail));
    let mut x = 2;
    for (at, (piece, style)) in pieces.iter().enumerate() {
        // Everything that hides calls is named: each piece gets an equal share of the room, and what later ones leave.
        let later: usize = pieces[at + 1..].iter().map(|(piece, _)| text::width(piece) + 3).sum();
        let part = (room / (pieces.len() - at)).max(room.saturating_sub(later));
        let piece = text::cut_middle(piece, part.saturating_sub(3));
        room = room.saturating_sub(text::width(&piece) + 3);
        x = line::put(buffer, area, x, 2, " ", theme.dim);
        x = line::put(buffer, area, x, 2, &piece, *style);
        x = line::put(buffer, area, x, 2, " ", theme.dim) + 1;
    }
    if !tail.is_empty() {
        let start = usize::from(area.width).saturating_sub(text::width(&tail) + 3) as u16;
        line::put(buffer, area, start, 2, &format!(" {tail} "), theme.strong);
    }
}

/// The rule above the sentence, with the newest problem.
pub(super) fn rule_with_problem(buffer: &mut Buffer, area: Rect, state: &State, y: u16) {
    line::fill(buffer, area, 0, y, "─", state.cx.theme.dim);
    let of_logs = state.cx.logged.iter().flat_map(|logged| &logged.troubles);
    let troubles: Vec<&String> = of_logs.chain(&state.troubles).collect();
    if let Some(trouble) = troubles.last() {
        let more =
            if troubles.len() > 1 { format!(" (and {} before)", troubles.len() - 1) } else { String::new() };
        let room = usize::from(area.width).saturating_sub(6 + text::width(&more));
        let line = format!(" {}{more} ", text::cut_end(&text::escape(trouble), room));
        line::put(buffer, area, 2, y, &line, state.cx.theme.alarm);
    }
}

/// The keys that work here, as far as there is room; the help key always.
pub(super) fn footer(buffer: &mut Buffer, area: Rect, state: &State) {
    let y = area.height - 1;
    if let Some(notice) = &state.notice {
        // A long one takes the lines of the sentence too.
        let most = usize::from(state.view().sentence_lines(state.height)) + 1;
        let notice = text::escape(notice);
        let lines = line::wrap(&notice, usize::from(area.width).saturating_sub(2), most);
        for (line, y) in lines.iter().rev().zip((0..=y).rev()) {
            line::clear(buffer, area, y);
            line::put(buffer, area, 1, y, line, state.cx.theme.strong);
        }
        return;
    }
    let place = position(state);
    let right = usize::from(area.width).saturating_sub(text::width(&place) + 1);
    let entries = state.cx.keys.footer(state.scopes());
    let width = |(keys, word): &(String, &str)| text::width(keys) + 1 + text::width(word) + 2;
    let help = entries.iter().find(|(_, word)| *word == "keys").map_or(0, width);
    let mut x = 1;
    for entry in &entries {
        let needed = usize::from(x) + width(entry) + if entry.1 == "keys" { 0 } else { help };
        if needed > right {
            continue;
        }
        x = line::put(buffer, area, x, y, &entry.0, state.cx.theme.key) + 1;
        x = line::put(buffer, area, x, y, entry.1, state.cx.theme.dim) + 2;
    }
    line::put(buffer, area, right as u16, y, &place, state.cx.theme.dim);
}

/// The position of the cursor, for the end of the footer.
fn position(state: &State) -> String {
    if let (Some(chooser), None) = (&state.chooser, state.help) {
        return format!("{}/{}", chooser.list.selected + 1, chooser.rows.len());
    }
    if state.detail.is_some() || state.help.is_some() {
        return String::new();
    }
    let view = state.view();
    match (view.position(&state.cx), view.len()) {
        (Some(position), _) => position.to_owned(),
        (None, 0) => String::new(),
        (None, len) => {
            format!("{}/{}", text::thousands(view.list().selected as u64 + 1), text::thousands(len as u64))
        }
    }
}
