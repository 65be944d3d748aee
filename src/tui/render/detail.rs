//! The page of one call: what happened, the evidence for it, when, and the bytes.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use rpcscope_parsers::{Rpc, Transport};

use super::line;
use super::sentence::Sentence;
use crate::calls::reported::reported_as;
use crate::calls::{Call, Carrier, Class, Finding, Initiator, labels};
use crate::codes::{Raiser, trpc};
use crate::text;
use crate::tui::state::context::Context;
use crate::tui::state::detail::{DetailLayout, DetailPage, Loaded, Pane};

pub(super) fn render(buffer: &mut Buffer, area: Rect, cx: &Context, page: &DetailPage, layout: DetailLayout) {
    let call = &*page.call;
    head(buffer, area, cx, page);
    Sentence::of_call(cx, call).put(buffer, area, 2, layout.sentence);
    let mut y = 2 + layout.sentence;
    if layout.boxes > 0 {
        let left = area.width / 2;
        let part = |x: u16, width: u16| Rect { x: area.x + x, y: area.y + y, width, height: layout.boxes };
        boxed(
            buffer,
            part(0, left),
            cx,
            "verdict",
            &verdict_lines(call, logged(cx, call)),
            (11, deciding(call), cx.theme.class(call.class())),
        );
        boxed(
            buffer,
            part(left, area.width - left),
            cx,
            "time line",
            &time_lines(page),
            (7, "", Style::new()),
        );
        y += layout.boxes;
    }
    line::fill(buffer, area, 0, y, "─", cx.theme.dim);
    panes_head(buffer, area, y, cx, page, layout);
    let body = Rect { y: area.y + y + 1, height: layout.body, ..area };
    match layout.split {
        Some((left, right)) => {
            tree(buffer, Rect { width: left, ..body }, cx, page);
            for row in 0..body.height {
                line::put(buffer, body, left + 1, row, "│", cx.theme.dim);
            }
            bytes(buffer, Rect { x: body.x + left + 3, width: right, ..body }, cx, page, layout);
        }
        None if page.pane == Pane::Tree => tree(buffer, body, cx, page),
        None => bytes(buffer, body, cx, page, layout),
    }
    // The full text of the selected field, because the tree has no room for long ones.
    if let Some(node) = page.selected().filter(|_| layout.readout > 0) {
        let whole = if node.value.is_empty() {
            node.label.clone()
        } else {
            format!("{}: {}", node.label, node.value)
        };
        let width = usize::from(area.width).saturating_sub(2);
        for (i, part) in line::wrap(&whole, width, usize::from(layout.readout)).iter().enumerate() {
            line::put(buffer, area, 1, y + 1 + layout.body + i as u16, part, cx.theme.dim);
        }
    }
}

/// The line in place of the tabs: which call, and which failed call of how many.
fn head(buffer: &mut Buffer, area: Rect, cx: &Context, page: &DetailPage) {
    let call = &page.call;
    line::clear(buffer, area, 1);
    let place = page.failure.map(|(n, all)| format!("{n} of {all} failed")).unwrap_or_default();
    let mut what = format!("◀ {}", labels::likely_operation(call));
    if let Some(id) = call.id {
        // Writing to a String can't fail.
        _ = write!(what, "  id {id}");
    }
    let label = match call.class() {
        None if call.likely.is_some() => labels::likely_class(call),
        class => labels::label(class).into(),
    };
    let room = usize::from(area.width).saturating_sub(text::width(&place) + text::width(&label) + 7);
    let x = line::put(buffer, area, 1, 1, &text::cut_middle(&what, room), cx.theme.strong);
    line::put(buffer, area, x + 3, 1, &label, cx.theme.class(call.class()));
    let x = usize::from(area.width).saturating_sub(text::width(&place) + 1);
    line::put(buffer, area, x as u16, 1, &place, cx.theme.dim);
}

/// Labelled lines in a frame with a title; the line labelled `marked` gets the style `mark`.
fn boxed(
    buffer: &mut Buffer,
    area: Rect,
    cx: &Context,
    title: &str,
    lines: &[(String, String)],
    (labels, marked, mark): (u16, &str, Style),
) {
    let dim = cx.theme.dim;
    let inside = usize::from(area.width.saturating_sub(2));
    line::put(buffer, area, 0, 0, &format!("┌{}┐", "─".repeat(inside)), dim);
    line::put(buffer, area, 2, 0, &format!(" {title} "), dim);
    let rows = area.height.saturating_sub(1);
    for y in 1..=rows {
        line::put(buffer, area, 0, y, "│", dim);
        line::put(buffer, area, area.width - 1, y, "│", dim);
    }
    let inner = Rect { x: area.x + 2, y: area.y + 1, width: area.width.saturating_sub(4), height: rows };
    // Rows that no line needs are for values that are longer than theirs.
    let mut spare = usize::from(rows).saturating_sub(lines.len());
    let mut y = 0_u16;
    for (label, value) in lines {
        let x = line::put(buffer, inner, 0, y, label, dim).max(labels) + 1;
        let style = if label == marked { mark } else { Style::new() };
        let room = usize::from(inner.width.saturating_sub(x));
        let parts = match text::width(value) {
            wide if wide > room => line::wrap(value, room, 1 + spare),
            _ => vec![value.into()],
        };
        spare -= parts.len().saturating_sub(1);
        for part in &parts {
            line::put(buffer, inner, x, y, part, style);
            y += 1;
        }
    }
}

/// Label of the line in the verdict box that decided the class; empty if the call did not fail.
fn deciding(call: &Call) -> &'static str {
    match call.outcome.carrier {
        _ if !call.failed() => "",
        _ if !is_answered(call) => "no answer",
        Carrier::Ret | Carrier::TrpcStreamClose | Carrier::TrpcStreamInit => "ret",
        Carrier::ThriftException | Carrier::IdlException => "exception",
        carrier => carrier.name(),
    }
}

fn is_answered(call: &Call) -> bool {
    !matches!(call.class(), Some(Class::Unanswered | Class::Transport))
}

/// The elements of the wire that say how the call ended: those of its protocol, and the one that decided the class.
fn verdict_lines(call: &Call, logged: Option<String>) -> Vec<(String, String)> {
    let outcome = &call.outcome;
    let code = || {
        let number = outcome.code.map(|c| c.to_string()).unwrap_or_default();
        match outcome.code_name {
            Some(name) => format!("{number} {name}"),
            None => number,
        }
    };
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut put = |label: &str, value: String| lines.push((label.to_owned(), value));
    let decided = |carrier| outcome.carrier == carrier;
    match call.rpc {
        _ if !is_answered(call) => {
            put("no answer", labels::verdict(call));
            put("sign", outcome.carrier.name().to_owned());
        }
        rpc if rpc.is_trpc() && (outcome.ret.is_some() || outcome.func_ret.is_some()) => {
            let ret = outcome.ret.unwrap_or_default();
            let func_ret = outcome.func_ret.unwrap_or_default();
            put("ret", if ret == 0 { "0  no framework error".to_owned() } else { code() });
            put(
                "func_ret",
                match func_ret {
                    0 if ret != 0 => "0  not used: ret decides".to_owned(),
                    0 => "0  no error of the handler".to_owned(),
                    _ if decided(Carrier::FuncRet) => code(),
                    n => n.to_string(),
                },
            );
        }
        Rpc::Grpc | Rpc::GrpcWeb => {
            put(
                "grpc-status",
                match outcome.carrier {
                    Carrier::GrpcStatus if outcome.class.is_none() && call.likely.is_some() => {
                        labels::likely_verdict(call)
                    }
                    Carrier::GrpcStatus => code(),
                    Carrier::None if outcome.class == Some(Class::Ok) => "0 OK".to_owned(),
                    Carrier::BizStatus => "only carries the business error".to_owned(),
                    _ => "— (missing)".to_owned(),
                },
            );
            put("biz-status", biz_status(call, &code()));
        }
        Rpc::Thrift | Rpc::KitexProtobuf => {
            put(
                "exception",
                match outcome.carrier {
                    Carrier::ThriftException => code(),
                    Carrier::IdlException => format!(
                        "declared in the IDL{}",
                        outcome.field_id.map(|f| format!(", field {f}")).unwrap_or_default()
                    ),
                    _ if call.findings.contains(Finding::BizStatusWithException) => {
                        "also present: some callers report it".to_owned()
                    }
                    _ => "— (none)".to_owned(),
                },
            );
            put("biz-status", biz_status(call, &code()));
        }
        Rpc::Ttstream => put("biz-status", biz_status(call, &code())),
        _ => {}
    }
    let label = deciding(call);
    if !lines.iter().any(|(known, _)| known == label) && call.failed() && !decided(Carrier::None) {
        // An element that this protocol seldom has, or one that is not known here.
        let value = if outcome.code.is_some() { code() } else { labels::verdict(call) };
        lines.insert(0, (label.to_owned(), value));
    }
    let mut put = |label: &str, value: String| lines.push((label.to_owned(), value));
    put("raised by", raised_by(call).to_owned());
    // What a log has says more than what it should have.
    if let Some(logged) = logged {
        put("logged in", logged);
    } else if let Some(logged) = reported_as(call) {
        put("caller logs", text::escape(&logged.to_string()).into_owned());
    }
    if let Some((first, more)) =
        call.bodies.as_deref().and_then(|bodies| bodies.payload.remarks.split_first())
    {
        let more = if more.is_empty() { String::new() } else { format!("{} more; ", more.len()) };
        put("body", format!("{more}{}", text::escape(first)));
    }
    lines
}

/// Where a call stands in the logs that are read beside the capture, and the error of the first line.
fn logged(cx: &Context, call: &Call) -> Option<String> {
    let mut lines = cx.logged.as_ref()?.of(call.uid);
    let first = lines.next()?;
    let more = match lines.count() {
        0 => String::new(),
        more => format!(" (+{more})"),
    };
    Some(text::escape(&format!("{}{more} {}", first.place, first.error())).into_owned())
}

fn biz_status(call: &Call, code: &str) -> String {
    if call.outcome.carrier == Carrier::BizStatus {
        code.to_owned()
    } else if matches!(
        call.transport,
        Transport::Framed | Transport::Buffered | Transport::TTwitter | Transport::Datagram
    ) {
        "— (this transport can't carry it)".to_owned()
    } else {
        "— (not in the header)".to_owned()
    }
}

/// Who raised the error, in a few words.
fn raised_by(call: &Call) -> &'static str {
    match (call.class(), call.outcome.initiator) {
        (Some(Class::Ok), _) => "no error",
        (Some(Class::Oneway), _) => "no answer is expected",
        (Some(Class::Business), _) => "callee's business code",
        (Some(Class::Rpc), _) if call.findings.contains(Finding::CauseBelow) => {
            let code = call.outcome.code.unwrap_or_default();
            match trpc::progress(code, call.outcome.message.as_deref()) {
                Some(trpc::Progress::Unsent) => "the callee's client, which sent no call",
                _ => "a call that the callee made",
            }
        }
        (Some(Class::Rpc), _) if call.findings.contains(Finding::BusinessAsRpc) => {
            "callee's framework, for a handler error"
        }
        (Some(Class::Rpc), Some(Initiator::Client)) => "caller",
        (Some(Class::Rpc), _) => {
            call.code_entry().map_or(Raiser::Server, |entry| entry.raiser).of_answer_in_short()
        }
        (Some(Class::Transport), Some(Initiator::Client)) => "caller's side",
        (Some(Class::Transport), Some(Initiator::Server)) => "callee's side",
        (Some(Class::Transport), None) => "not known",
        (Some(Class::Unanswered), _) => "no answer",
        (None, _) => "not captured",
    }
}

/// What happened when, from the first byte of the request on.
fn time_lines(page: &DetailPage) -> Vec<(String, String)> {
    let call = &*page.call;
    let mut lines = Vec::new();
    let after = |ns: u64| format!("+{}", text::duration(ns));
    match &page.loaded {
        Loaded::Ready(detail) if !detail.messages.is_empty() => {
            let mut messages = detail.messages.iter().filter(|m| m.size > 0);
            let first = messages.next();
            for message in first.into_iter().chain(messages.next_back()) {
                let arrow = if message.from_client { '→' } else { '←' };
                lines.push((
                    after(message.time.since(call.start)),
                    format!(
                        "{arrow} {} {}  packet {}",
                        message.name(),
                        text::bytes(message.size),
                        message.packet
                    ),
                ));
            }
            let between = messages.count();
            if between > 0 {
                lines.insert(1, (String::new(), format!("  {between} more messages")));
            }
        }
        _ => {
            lines.push((
                after(0),
                format!("→ request {}  packet {}", text::bytes(call.request_bytes), call.packets.0),
            ));
            if call.response_bytes > 0 {
                lines.push((
                    call.latency.map_or_else(|| "—".to_owned(), after),
                    format!("← answer {}  packet {}", text::bytes(call.response_bytes), call.packets.1),
                ));
            }
        }
    }
    let latency = call.latency.map_or_else(|| "no answer seen".to_owned(), text::duration);
    let mut span = latency;
    if let Some(duration) = call.duration.filter(|d| Some(*d) != call.latency) {
        _ = write!(span, ", to the last byte {}", text::duration(duration));
    }
    if let Some(network) = call.network_time() {
        _ = write!(span, ", network {} there and back", text::duration(network));
    }
    lines.push(("latency".to_owned(), span));
    if let Some(timeout) = call.timeout {
        lines.push(("limit".to_owned(), format!("time-out of the caller {}", text::duration(timeout))));
    }
    lines
}

/// The titles of the panes on the rule above them; the active one is highlighted.
fn panes_head(
    buffer: &mut Buffer,
    area: Rect,
    y: u16,
    cx: &Context,
    page: &DetailPage,
    layout: DetailLayout,
) {
    let style = |pane| if page.pane == pane { cx.theme.strong } else { cx.theme.dim };
    line::put(buffer, area, 2, y, " fields ", style(Pane::Tree));
    let which = match &page.loaded {
        Loaded::Ready(detail) => detail.messages.get(page.message).map_or_else(
            || " bytes ".to_owned(),
            |message| format!(" {}, {} of {} ", message.name(), page.message + 1, detail.messages.len()),
        ),
        _ => " bytes ".to_owned(),
    };
    let x = layout.split.map_or(12, |(left, _)| left + 4);
    line::put(buffer, area, x, y, &which, style(Pane::Bytes));
}

fn tree(buffer: &mut Buffer, area: Rect, cx: &Context, page: &DetailPage) {
    let list = &page.list;
    for y in 0..area.height {
        let at = list.top + usize::from(y);
        let Some(row) = page.rows.get(at) else { break };
        let Some(node) = page.node(row) else { continue };
        let fold = match (node.children.is_empty(), node.open) {
            (true, _) => " ",
            (false, true) => "▾",
            (false, false) => "▸",
        };
        let x = 1 + (row.depth.min(20) * 2) as u16;
        line::put(buffer, area, x, y, fold, cx.theme.dim);
        let label = if node.value.is_empty() { Style::new() } else { cx.theme.dim };
        let mark = (&cx.search, cx.theme.mark);
        let end = line::put_marked(buffer, area, (x + 2, y), &node.label, label, mark);
        line::put_marked(buffer, area, (end + 2, y), &node.value, Style::new(), mark);
        if at == list.selected {
            let style = if page.pane == Pane::Tree {
                cx.theme.selected
            } else {
                Style::new().add_modifier(Modifier::UNDERLINED)
            };
            buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, style);
        }
    }
}

fn bytes(buffer: &mut Buffer, area: Rect, cx: &Context, page: &DetailPage, layout: DetailLayout) {
    let dim = cx.theme.dim;
    match &page.loaded {
        Loaded::Waiting => return line::middle(buffer, area, &["reading the packets …".to_owned()], dim),
        Loaded::Gone(why) => {
            return line::middle(buffer, area, &["the bytes can't be shown:".to_owned(), why.clone()], dim);
        }
        Loaded::Ready(detail) if detail.messages.is_empty() => {
            let mut lines = vec!["no bytes of this call were found".to_owned()];
            lines.extend(detail.left_out.iter().map(|note| text::escape(note).into_owned()));
            return line::middle(buffer, area, &lines, dim);
        }
        Loaded::Ready(detail) => {
            // Notes go below the last byte if there is room.
            let used = page.bytes().len().div_ceil(layout.per_row).saturating_sub(page.bytes_top);
            for (i, note) in detail.left_out.iter().enumerate() {
                let y = used + 1 + i;
                if y < usize::from(area.height) {
                    line::put(buffer, area, 0, y as u16, &text::escape(note), cx.theme.alarm);
                }
            }
        }
    }
    let whole = page.bytes();
    let marked = page.marked();
    for y in 0..area.height {
        let start = (page.bytes_top + usize::from(y)) * layout.per_row;
        let Some(row) = whole.get(start..whole.len().min(start + layout.per_row)).filter(|r| !r.is_empty())
        else {
            break;
        };
        line::put(buffer, area, 0, y, &format!("{start:04x}"), dim);
        for (i, byte) in row.iter().enumerate() {
            let at = start + i;
            let inside = marked.is_some_and(|(from, to)| (from..to).contains(&at));
            let mut style = if inside { cx.theme.mark } else { Style::new() };
            if page.pane == Pane::Bytes && at == page.byte {
                style = cx.theme.cell;
            }
            let hex_width = if page.as_text { 0 } else { layout.per_row * 3 + 1 };
            if !page.as_text {
                line::put(buffer, area, 5 + (i * 3) as u16, y, &format!("{byte:02x}"), style);
            }
            let shown = if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
            let mut one = [0; 4];
            let shown = shown.encode_utf8(&mut one);
            line::put(buffer, area, 5 + (hex_width + i) as u16, y, shown, style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    #[test]
    fn the_element_that_decided_is_in_the_box_for_every_carrier() {
        for class in Class::ALL {
            for carrier in Carrier::ALL {
                let mut call = sample::full();
                call.outcome.class = Some(*class);
                call.outcome.carrier = *carrier;
                let (label, lines) = (deciding(&call), verdict_lines(&call, None));
                let shown = lines.iter().any(|(known, _)| known == label);
                let expected = call.failed() && (label == "no answer" || *carrier != Carrier::None);
                assert_eq!(shown, expected, "{class:?} {carrier:?} {lines:?}");
                assert!(lines.iter().any(|(known, _)| known == "raised by"));
            }
        }
    }

    #[test]
    fn who_raised_a_code_that_handlers_return_too_is_not_guessed() {
        let of = |call: &Call| raised_by(call).to_owned();
        let call = sample::failed(Class::Rpc, Carrier::GrpcStatus, Some(7), "not you");
        assert_eq!(of(&call), "framework or handler");
        // RetServerNoFunc.
        let call = sample::failed(Class::Rpc, Carrier::Ret, Some(12), "no such function");
        assert_eq!(of(&call), "callee's framework");
    }

    #[test]
    fn a_stream_that_was_reset_is_not_shown_as_decided_by_a_ret_of_0() {
        let mut call = sample::failed(Class::Rpc, Carrier::TrpcStreamReset, Some(0), "gone");
        call.rpc = Rpc::TrpcStream;
        call.outcome.ret = Some(0);
        assert_eq!(deciding(&call), "trpc-stream-reset");
        let lines = verdict_lines(&call, None);
        assert_eq!(lines[0].0, "trpc-stream-reset");
        assert!(lines.contains(&("ret".to_owned(), "0  no framework error".to_owned())));
    }
}
