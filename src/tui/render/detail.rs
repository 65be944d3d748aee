//! One call in full: what is said of it, why, when, and the bytes.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use rpcscope_parsers::{Rpc, Transport};

use super::line;
use super::sentence::Sentence;
use crate::calls::reported::reported_as;
use crate::calls::{Call, Carrier, Class, Finding, Initiator, labels};
use crate::text;
use crate::tui::state::context::Context;
use crate::tui::state::detail::{Detail, Loaded, Pane, Plan};

pub(super) fn render(buffer: &mut Buffer, area: Rect, cx: &Context, detail: &Detail, plan: Plan) {
    let call = &*detail.call;
    head(buffer, area, cx, detail);
    Sentence::of_call(cx, call).put(buffer, area, 2, plan.sentence);
    let mut y = 2 + plan.sentence;
    if plan.boxes > 0 {
        let left = area.width / 2;
        let part = |x: u16, width: u16| Rect { x: area.x + x, y: area.y + y, width, height: plan.boxes };
        boxed(
            buffer,
            part(0, left),
            cx,
            "verdict",
            &verdict_lines(call),
            (11, deciding(call), cx.theme.class(call.class())),
        );
        boxed(
            buffer,
            part(left, area.width - left),
            cx,
            "time line",
            &time_lines(detail),
            (7, "", Style::new()),
        );
        y += plan.boxes;
    }
    line::fill(buffer, area, 0, y, "─", cx.theme.dim);
    panes_head(buffer, area, y, cx, detail, plan);
    let body = Rect { y: area.y + y + 1, height: plan.body, ..area };
    match plan.split {
        Some((left, right)) => {
            tree(buffer, Rect { width: left, ..body }, cx, detail);
            for row in 0..body.height {
                line::put(buffer, body, left + 1, row, "│", cx.theme.dim);
            }
            bytes(buffer, Rect { x: body.x + left + 3, width: right, ..body }, cx, detail, plan);
        }
        None if detail.pane == Pane::Tree => tree(buffer, body, cx, detail),
        None => bytes(buffer, body, cx, detail, plan),
    }
    // The whole text of the selected field: the tree has no room for long ones.
    if let Some(node) = detail.selected().filter(|_| plan.readout > 0) {
        let whole = if node.value.is_empty() {
            node.label.clone()
        } else {
            format!("{}: {}", node.label, node.value)
        };
        let width = usize::from(area.width).saturating_sub(2);
        for (i, part) in line::wrap(&whole, width, usize::from(plan.readout)).iter().enumerate() {
            line::put(buffer, area, 1, y + 1 + plan.body + i as u16, part, cx.theme.dim);
        }
    }
}

/// The line in place of the tabs: which call, and which failure of how many.
fn head(buffer: &mut Buffer, area: Rect, cx: &Context, detail: &Detail) {
    let call = &detail.call;
    line::clear(buffer, area, 1);
    let place = detail.failure.map(|(n, all)| format!("{n} of {all} failed")).unwrap_or_default();
    let mut what = format!("◀ {}", labels::operation(call));
    if let Some(id) = call.id {
        // Writing to a String can't fail.
        _ = write!(what, "  id {id}");
    }
    let label = labels::label(call.class());
    let room = usize::from(area.width).saturating_sub(text::width(&place) + text::width(label) + 7);
    let x = line::put(buffer, area, 1, 1, &text::cut_middle(&what, room), cx.theme.strong);
    line::put(buffer, area, x + 3, 1, label, cx.theme.class(call.class()));
    let x = usize::from(area.width).saturating_sub(text::width(&place) + 1);
    line::put(buffer, area, x as u16, 1, &place, cx.theme.dim);
}

/// Lines in a frame with a title.
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
    for (y, (label, value)) in lines.iter().take(usize::from(rows)).enumerate() {
        let x = line::put(buffer, inner, 0, y as u16, label, dim);
        let style = if label == marked { mark } else { Style::new() };
        line::put(buffer, inner, x.max(labels) + 1, y as u16, value, style);
    }
}

/// Label of the line in the box of the verdict that decided.
fn deciding(call: &Call) -> &'static str {
    match call.outcome.carrier {
        _ if !call.failed() => "",
        Carrier::Ret | Carrier::TrpcStreamClose | Carrier::TrpcStreamReset | Carrier::TrpcStreamInit => "ret",
        Carrier::FuncRet => "func_ret",
        Carrier::BizStatus => "biz-status",
        Carrier::GrpcStatus => "grpc-status",
        Carrier::HttpStatus => "http status",
        Carrier::ThriftException | Carrier::IdlException => "exception",
        Carrier::TtstreamTrailer | Carrier::TtstreamRst => call.outcome.carrier.name(),
        _ => "no answer",
    }
}

/// What the wire says of the outcome, element by element: those that decided and those that were looked at.
fn verdict_lines(call: &Call) -> Vec<(String, String)> {
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
    let answered = !matches!(outcome.class, Some(Class::Unanswered | Class::Transport));
    match call.rpc {
        _ if !answered => {
            put("no answer", labels::verdict(call));
            put("sign", outcome.carrier.name().to_owned());
        }
        rpc if rpc.is_trpc() && (call.outcome.ret.is_some() || call.outcome.func_ret.is_some()) => {
            let ret = call.outcome.ret.unwrap_or_default();
            let func_ret = call.outcome.func_ret.unwrap_or_default();
            let name = |decides: bool| if decides { code() } else { "0".to_owned() };
            put("ret", if ret == 0 { "0  framework is content".to_owned() } else { name(ret != 0) });
            put(
                "func_ret",
                match func_ret {
                    0 if ret != 0 => "0  has no say".to_owned(),
                    0 => "0  handler is content".to_owned(),
                    n if decided(Carrier::FuncRet) => name(n != 0),
                    n => n.to_string(),
                },
            );
        }
        Rpc::Grpc => {
            put(
                "grpc-status",
                match outcome.carrier {
                    Carrier::GrpcStatus => code(),
                    Carrier::None if outcome.class == Some(Class::Ok) => "0 OK".to_owned(),
                    Carrier::BizStatus => "only carries the business error".to_owned(),
                    _ => "— (not there)".to_owned(),
                },
            );
            put("biz-status", biz_status(call, &code()));
            if decided(Carrier::HttpStatus) {
                put("http status", code());
            }
        }
        _ if decided(Carrier::TtstreamTrailer) || decided(Carrier::TtstreamRst) => {
            put(outcome.carrier.name(), code());
            put("biz-status", biz_status(call, ""));
        }
        _ => {
            put(
                "exception",
                match outcome.carrier {
                    Carrier::ThriftException => code(),
                    Carrier::IdlException => format!(
                        "declared in the IDL{}",
                        call.outcome.field_id.map(|f| format!(", field {f}")).unwrap_or_default()
                    ),
                    _ if call.findings.contains(Finding::BizStatusWithException) => {
                        "there too: some callers report it".to_owned()
                    }
                    _ => "— (none)".to_owned(),
                },
            );
            put("biz-status", biz_status(call, &code()));
        }
    }
    put("raised by", raised_by(call).to_owned());
    if let Some(logged) = reported_as(call) {
        put("caller logs", text::escape(&logged).into_owned());
    }
    lines
}

fn biz_status(call: &Call, code: &str) -> String {
    if call.outcome.carrier == Carrier::BizStatus {
        code.to_owned()
    } else if matches!(call.transport, Transport::Framed | Transport::Buffered) {
        "— (this transport has no place for it)".to_owned()
    } else {
        "— (header has none)".to_owned()
    }
}

/// Who raised the error, in a few words.
fn raised_by(call: &Call) -> &'static str {
    match (call.class(), call.outcome.initiator) {
        (Some(Class::Ok), _) => "nobody: ok",
        (Some(Class::Oneway), _) => "nobody: no answer is due",
        (Some(Class::Business), _) => "callee's business code",
        (Some(Class::Rpc), _) if call.findings.contains(Finding::CauseBelow) => "a call of the callee's own",
        (Some(Class::Rpc), _) if call.findings.contains(Finding::BusinessAsRpc) => {
            "callee's framework, for its handler"
        }
        (Some(Class::Rpc), Some(Initiator::Client)) => "caller",
        (Some(Class::Rpc), _) => "callee's framework",
        (Some(Class::Transport), Some(Initiator::Client)) => "caller's side",
        (Some(Class::Transport), Some(Initiator::Server)) => "callee's side",
        (Some(Class::Transport), None) => "not known",
        (Some(Class::Unanswered), _) => "nobody answered",
        (None, _) => "not captured",
    }
}

/// When what happened, from the first byte of the request.
fn time_lines(detail: &Detail) -> Vec<(String, String)> {
    let call = &*detail.call;
    let mut lines = Vec::new();
    let after = |ns: u64| format!("+{}", text::duration(ns));
    match &detail.loaded {
        Loaded::Ready(evidence) if !evidence.messages.is_empty() => {
            let mut messages = evidence.messages.iter().filter(|m| m.size > 0);
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
        _ = write!(span, ", in the network {}", text::duration(network));
    }
    lines.push(("latency".to_owned(), span));
    if let Some(network) = call.network_time() {
        lines.push(("network".to_owned(), format!("{} of it, there and back", text::duration(network))));
    }
    if let Some(timeout) = call.timeout {
        lines.push(("limit".to_owned(), format!("the caller waits {}", text::duration(timeout))));
    }
    lines
}

/// Heads of the panes on the rule above them: which has the keys, and what the bytes are.
fn panes_head(buffer: &mut Buffer, area: Rect, y: u16, cx: &Context, detail: &Detail, plan: Plan) {
    let style = |pane| if detail.pane == pane { cx.theme.strong } else { cx.theme.dim };
    line::put(buffer, area, 2, y, " fields ", style(Pane::Tree));
    let which = match &detail.loaded {
        Loaded::Ready(evidence) => evidence.messages.get(detail.message).map_or_else(
            || " bytes ".to_owned(),
            |message| format!(" {}, {} of {} ", message.name(), detail.message + 1, evidence.messages.len()),
        ),
        _ => " bytes ".to_owned(),
    };
    let x = plan.split.map_or(12, |(left, _)| left + 4);
    line::put(buffer, area, x, y, &which, style(Pane::Bytes));
}

fn tree(buffer: &mut Buffer, area: Rect, cx: &Context, detail: &Detail) {
    let list = &detail.list;
    for y in 0..area.height {
        let at = list.top + usize::from(y);
        let Some(row) = detail.rows.get(at) else { break };
        let Some(node) = detail.node(row) else { continue };
        let fold = match (node.children.is_empty(), node.open) {
            (true, _) => " ",
            (false, true) => "▾",
            (false, false) => "▸",
        };
        let x = 1 + (row.depth.min(20) * 2) as u16;
        line::put(buffer, area, x, y, fold, cx.theme.dim);
        let label = if node.value.is_empty() { Style::new() } else { cx.theme.dim };
        let mark = (cx.search.as_str(), cx.theme.mark);
        let end = line::put_marked(buffer, area, (x + 2, y), &node.label, label, mark);
        line::put_marked(buffer, area, (end + 2, y), &node.value, Style::new(), mark);
        if at == list.selected {
            let style = if detail.pane == Pane::Tree {
                cx.theme.selected
            } else {
                Style::new().add_modifier(Modifier::UNDERLINED)
            };
            buffer.set_style(Rect { y: area.y + y, height: 1, ..area }, style);
        }
    }
}

fn bytes(buffer: &mut Buffer, area: Rect, cx: &Context, detail: &Detail, plan: Plan) {
    let dim = cx.theme.dim;
    match &detail.loaded {
        Loaded::Waiting => return line::middle(buffer, area, &["reading the packets …".to_owned()], dim),
        Loaded::Gone(why) => {
            return line::middle(buffer, area, &["the bytes can't be shown:".to_owned(), why.clone()], dim);
        }
        Loaded::Ready(evidence) if evidence.messages.is_empty() => {
            let mut lines = vec!["no bytes of this call were found".to_owned()];
            lines.extend(evidence.left_out.iter().map(|note| text::escape(note).into_owned()));
            return line::middle(buffer, area, &lines, dim);
        }
        Loaded::Ready(evidence) => {
            // Notes stand below the last byte, where there is room.
            let used = detail.bytes().len().div_ceil(plan.per_row).saturating_sub(detail.bytes_top);
            for (i, note) in evidence.left_out.iter().enumerate() {
                let y = used + 1 + i;
                if y < usize::from(area.height) {
                    line::put(buffer, area, 0, y as u16, &text::escape(note), cx.theme.alarm);
                }
            }
        }
    }
    let whole = detail.bytes();
    let marked = detail.marked();
    for y in 0..area.height {
        let start = (detail.bytes_top + usize::from(y)) * plan.per_row;
        let Some(row) = whole.get(start..whole.len().min(start + plan.per_row)).filter(|r| !r.is_empty())
        else {
            break;
        };
        line::put(buffer, area, 0, y, &format!("{start:04x}"), dim);
        for (i, byte) in row.iter().enumerate() {
            let at = start + i;
            let inside = marked.is_some_and(|(from, to)| (from..to).contains(&at));
            let mut style = if inside { cx.theme.mark } else { Style::new() };
            if detail.pane == Pane::Bytes && at == detail.byte {
                style = cx.theme.cell;
            }
            let hex_width = if detail.as_text { 0 } else { plan.per_row * 3 + 1 };
            if !detail.as_text {
                line::put(buffer, area, 5 + (i * 3) as u16, y, &format!("{byte:02x}"), style);
            }
            let shown = if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
            let mut one = [0; 4];
            let shown = shown.encode_utf8(&mut one);
            line::put(buffer, area, 5 + (hex_width + i) as u16, y, shown, style);
        }
    }
}
