//! The page of one call: the tree of its fields, the bytes of its messages, and a cursor in both.

use std::sync::Arc;

use rpcscope_parsers::protocol::Field;

use super::list::List;
use crate::calls::record::Initiator;
use crate::calls::reported::reported_as;
use crate::calls::{Call, labels};
use crate::detail::verdict::Line;
use crate::detail::{Detail, Message};
use crate::text;
use crate::tui::columns::METHOD;
use crate::tui::logged::LoggedLine;
use crate::tui::needle::Needle;

/// The group of nodes about the chain of the call.
const CHAIN: &str = "chain";
/// The group of nodes with the lines of logs.
const LOG: &str = "log";
/// Most lines of logs that are shown.
const LOG_LIMIT: usize = 20;
/// Most bytes of one of them.
const LOG_LINE: usize = 4 << 10;
/// The group of nodes with the facts of the call's record.
const FACTS: &str = "call";

/// The most nodes of a message that are shown; a note says if there are more.
const NODES_LIMIT: usize = 20_000;
/// The groups of a message are unfolded at first if it has at most this many nodes.
const OPEN_AT_FIRST: usize = 400;

/// What was read from the call's packets.
#[derive(Debug)]
pub(in crate::tui) enum Loaded {
    /// They are being read again.
    Waiting,
    /// They can't be shown, for this reason.
    Gone(String),
    Ready(Box<Detail>),
}

/// Which pane has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Pane {
    /// The tree of fields.
    Tree,
    /// The bytes.
    Bytes,
}

/// A node of the tree; all texts are safe for a terminal.
#[derive(Debug, Default)]
pub(in crate::tui) struct Node {
    pub label: String,
    pub value: String,
    /// Index of a message, and the range of its bytes that the node represents.
    pub range: Option<(usize, usize, usize)>,
    pub children: Vec<Node>,
    pub open: bool,
}

impl Node {
    fn leaf(label: &str, value: impl Into<String>) -> Self {
        Self { label: label.to_owned(), value: text::escape(&value.into()).into_owned(), ..Self::default() }
    }

    fn group(label: String, children: Vec<Self>) -> Self {
        Self { label, children, open: true, ..Self::default() }
    }
}

/// One visible row of the tree.
#[derive(Clone, Debug)]
pub(in crate::tui) struct TreeRow {
    pub depth: usize,
    /// Indices from the root of the tree to the node.
    pub path: Vec<usize>,
}

/// Where the parts of the page are on the screen.
#[derive(Clone, Copy, Debug)]
pub(in crate::tui) struct DetailLayout {
    /// Rows of the sentence.
    pub sentence: u16,
    /// Rows of the boxes with verdict and time line, including the border above them; 0 without room.
    pub boxes: u16,
    /// Rows of tree and bytes.
    pub body: u16,
    /// Rows below them for the full text of the selected field.
    pub readout: u16,
    /// Columns of the tree and of the bytes; `None` without room for both, so that only the pane with the keys is shown.
    pub split: Option<(u16, u16)>,
    /// Bytes in a row of the bytes pane.
    pub per_row: usize,
}

impl DetailLayout {
    /// The layout on a screen of this size.
    pub(in crate::tui) fn of(width: u16, height: u16) -> Self {
        let boxes = match height {
            36.. => 7,
            24.. => 6,
            20.. => 5,
            _ => 0,
        };
        let sentence = if height >= 30 { 3 } else { 2 };
        let readout = match height {
            30.. => 2,
            16.. => 1,
            _ => 0,
        };
        // Four lines are taken: title, head, the rule above the panes, footer.
        let body = height.saturating_sub(4 + sentence + boxes + readout);
        // Offset, hex and text.
        let of = |bytes: u16| 5 + bytes * 3 + 1 + bytes;
        let (thirty_two, sixteen, eight) = (of(32), of(16), of(8));
        let (split, per_row) = if width >= thirty_two + 70 {
            (Some((width - thirty_two - 3, thirty_two)), 32)
        } else if width >= sixteen + 40 {
            (Some((width - sixteen - 3, sixteen)), 16)
        } else if width >= eight + 30 {
            (Some((width - eight - 3, eight)), 8)
        } else {
            (None, 8)
        };
        Self { sentence, boxes, body, readout, split, per_row }
    }
}

/// The page of one call.
#[derive(Debug)]
pub(in crate::tui) struct DetailPage {
    pub call: Arc<Call>,
    /// Which failed call of how many in the list it is.
    pub failure: Option<(usize, usize)>,
    /// It was opened from the page of another call, to which Esc returns.
    pub jumped: bool,
    pub loaded: Loaded,
    pub pane: Pane,
    /// Index of the message whose bytes are shown.
    pub message: usize,
    pub tree: Vec<Node>,
    pub rows: Vec<TreeRow>,
    pub list: List,
    /// The byte under the cursor.
    pub byte: usize,
    /// The row of bytes at the top.
    pub bytes_top: usize,
    /// The bytes are shown as text, not as hex.
    pub as_text: bool,
}

impl DetailPage {
    pub(in crate::tui) fn new(call: Arc<Call>, failure: Option<(usize, usize)>) -> Self {
        let mut page = Self {
            tree: vec![verdict(&call), facts(&call)],
            call,
            failure,
            jumped: false,
            loaded: Loaded::Waiting,
            pane: Pane::Tree,
            message: 0,
            rows: Vec::new(),
            list: List::new(METHOD, None),
            byte: 0,
            bytes_top: 0,
            as_text: false,
        };
        page.flatten();
        page
    }

    /// Takes what was read from the packets. If the call failed and was answered, the cursor goes to the answer.
    pub(in crate::tui) fn load(&mut self, result: Result<Box<Detail>, String>) {
        let detail = match result {
            Ok(mut detail) => {
                // Events without bytes, such as the end of a stream, have nothing to show.
                detail.messages.retain(|message| !message.is_empty());
                detail
            }
            Err(why) => {
                self.loaded = Loaded::Gone(text::escape(&why).into_owned());
                return;
            }
        };
        if let (Some(tls), Some(facts)) = (&detail.tls, self.tree.iter_mut().find(|node| node.label == FACTS))
        {
            facts.children.push(Node::leaf("tls", text::escape(tls).into_owned()));
        }
        let wire: Vec<Node> = detail.messages.iter().enumerate().map(|(i, m)| message_node(m, i)).collect();
        let shown = detail.messages.iter().rposition(|m| !m.from_client && !m.is_empty());
        self.message = shown.filter(|_| self.call.failed()).unwrap_or(0);
        // The messages come first, but for the lines of logs and a doubt about the chain; the verdict and the record, folded, after
        // them.
        let doubts = self.tree.iter().take_while(|node| [CHAIN, LOG].contains(&node.label.as_str())).count();
        for made in self.tree.iter_mut().skip(doubts) {
            made.open = wire.is_empty();
        }
        self.tree.splice(doubts..doubts, wire);
        self.loaded = Loaded::Ready(detail);
        self.flatten();
        self.go_to_message(self.message);
        if doubts > 0 {
            self.list.top = 0;
        }
    }

    /// Takes the place of the call in its chain. It stands before everything else if it is not sure.
    pub(in crate::tui) fn set_chain(&mut self, lines: &[Line], is_sure: bool) {
        if lines.is_empty() || self.tree.iter().any(|node| node.label == CHAIN) {
            return;
        }
        let mut group = Node::group(CHAIN.to_owned(), lines.iter().map(leaf).collect());
        group.open = !is_sure || self.tree.iter().any(|node| node.range.is_none() && node.open);
        let at = if is_sure { self.tree.len() } else { 0 };
        self.tree.insert(at, group);
        self.flatten();
    }

    /// Takes the lines of logs that are about the call. They stand before everything else, from their error on; unfolded, the whole.
    pub(in crate::tui) fn set_log<'l>(&mut self, lines: impl Iterator<Item = &'l LoggedLine>) {
        let had = self.tree.iter().position(|node| node.label == LOG).map(|at| self.tree.remove(at));
        let node = |line: &LoggedLine| {
            let whole = Node::leaf("line", text::head(line.text.trim(), LOG_LINE));
            let children = if line.error_at > 0 { vec![whole] } else { Vec::new() };
            Node { children, ..Node::leaf(&text::escape(&line.place), text::head(&line.error(), LOG_LINE)) }
        };
        let lines: Vec<Node> = lines.take(LOG_LIMIT).map(node).collect();
        if had.is_none() && lines.is_empty() {
            return;
        }
        if !lines.is_empty() {
            let group = Node::group(LOG.to_owned(), lines);
            self.tree.insert(0, Node { open: had.is_none_or(|had| had.open), ..group });
        }
        self.flatten();
    }

    /// The node of a row.
    pub(in crate::tui) fn node(&self, row: &TreeRow) -> Option<&Node> {
        let (first, rest) = row.path.split_first()?;
        rest.iter().try_fold(self.tree.get(*first)?, |node, at| node.children.get(*at))
    }

    fn node_mut(&mut self, path: &[usize]) -> Option<&mut Node> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.tree.get_mut(*first)?, |node, at| node.children.get_mut(*at))
    }

    /// The selected node.
    pub(in crate::tui) fn selected(&self) -> Option<&Node> {
        self.rows.get(self.list.selected).and_then(|row| self.node(row))
    }

    /// Bytes of the shown message that the selected node represents.
    pub(in crate::tui) fn marked(&self) -> Option<(usize, usize)> {
        let (message, start, end) = self.selected()?.range?;
        (message == self.message && end > start).then_some((start, end))
    }

    /// The bytes of the shown message.
    pub(in crate::tui) fn bytes(&self) -> &[u8] {
        match &self.loaded {
            Loaded::Ready(detail) => detail.messages.get(self.message).map_or(&[], |m| &m.bytes),
            _ => &[],
        }
    }

    /// Number of messages.
    pub(in crate::tui) fn messages(&self) -> usize {
        match &self.loaded {
            Loaded::Ready(detail) => detail.messages.len(),
            _ => 0,
        }
    }

    /// Moves the cursor of the active pane by rows.
    pub(in crate::tui) fn step(&mut self, rows: isize, layout: DetailLayout) {
        match self.pane {
            Pane::Tree => {
                self.list.step(rows, self.rows.len());
                self.follow_tree();
            }
            Pane::Bytes => self.step_bytes(rows.saturating_mul(layout.per_row as isize)),
        }
        self.settle(layout);
    }

    /// Moves the cursor in the bytes.
    pub(in crate::tui) fn step_bytes(&mut self, by: isize) {
        let last = self.bytes().len().saturating_sub(1);
        self.byte = self.byte.saturating_add_signed(by).min(last);
        self.follow_bytes();
    }

    /// To the first or last row.
    pub(in crate::tui) fn jump(&mut self, last: bool, layout: DetailLayout) {
        let far = if last { isize::MAX / 64 } else { isize::MIN / 64 };
        self.step(far, layout);
    }

    /// Folds or unfolds the selected node, unless it is a leaf.
    pub(in crate::tui) fn fold(&mut self, open: Option<bool>) {
        let Some(path) = self.rows.get(self.list.selected).map(|row| row.path.clone()) else { return };
        if let Some(node) = self.node_mut(&path).filter(|n| !n.children.is_empty()) {
            node.open = open.unwrap_or(!node.open);
        }
        self.flatten();
    }

    /// Moves to the next or previous field that `needle` is in, wrapping around at the end, and unfolds the groups around it. Whether there is one.
    pub(in crate::tui) fn find(&mut self, needle: &Needle, forward: bool) -> bool {
        fn walk(nodes: &[Node], path: &mut Vec<usize>, needle: &Needle, found: &mut Vec<Vec<usize>>) {
            for (at, node) in nodes.iter().enumerate() {
                path.push(at);
                if needle.is_in(&node.label) || needle.is_in(&node.value) {
                    found.push(path.clone());
                }
                walk(&node.children, path, needle, found);
                path.pop();
            }
        }
        let mut found = Vec::new();
        walk(&self.tree, &mut Vec::new(), needle, &mut found);
        let here = self.rows.get(self.list.selected).map(|row| row.path.clone()).unwrap_or_default();
        // Paths have the order of their rows.
        let next = if forward {
            found.iter().find(|path| **path > here).or(found.first())
        } else {
            found.iter().rfind(|path| **path < here).or(found.last())
        };
        let Some(path) = next.cloned() else { return false };
        self.show(&path);
        self.follow_tree();
        true
    }

    /// Unfolds the groups around a node and puts the cursor on it.
    fn show(&mut self, path: &[usize]) {
        for depth in 1..path.len() {
            if let Some(node) = self.node_mut(&path[..depth]) {
                node.open = true;
            }
        }
        self.flatten();
        if let Some(row) = self.rows.iter().position(|row| row.path == path) {
            self.list.go(row);
        }
    }

    /// Folds the selected node, or moves to its parent if there is nothing to fold.
    pub(in crate::tui) fn fold_or_leave(&mut self) {
        let Some(row) = self.rows.get(self.list.selected).cloned() else { return };
        if self.node(&row).is_some_and(|n| n.open && !n.children.is_empty()) {
            self.fold(Some(false));
        } else if let Some(around) =
            self.rows[..self.list.selected].iter().rposition(|other| other.depth < row.depth)
        {
            self.list.go(around);
            self.follow_tree();
        }
    }

    /// Folds everything, or unfolds it if nothing is open.
    pub(in crate::tui) fn fold_all(&mut self) {
        let any = self.tree.iter().any(|root| root.children.iter().any(|n| n.open && !n.children.is_empty()));
        for root in &mut self.tree {
            root.children.iter_mut().for_each(|child| set_open(child, !any));
        }
        self.flatten();
        self.list.selected = self.list.selected.min(self.rows.len().saturating_sub(1));
    }

    /// Shows another message and puts the cursor on it.
    pub(in crate::tui) fn go_to_message(&mut self, message: usize) {
        if message >= self.messages() {
            return;
        }
        self.message = message;
        self.byte = 0;
        self.bytes_top = 0;
        let is_message = |row: &TreeRow| {
            let node = if row.path.len() == 1 { self.node(row) } else { None };
            node.and_then(|node| node.range).is_some_and(|(of, ..)| of == message)
        };
        if let Some(row) = self.rows.iter().position(is_message) {
            self.list.go(row);
            self.list.top = row;
        }
    }

    /// Moves the cursor in the bytes to the field under the cursor in the tree.
    fn follow_tree(&mut self) {
        if let Some((message, start, _)) = self.selected().and_then(|node| node.range) {
            if message != self.message {
                self.bytes_top = 0;
            }
            self.message = message;
            self.byte = start;
        }
    }

    /// Moves the cursor in the tree to the innermost field that contains the byte under the cursor.
    fn follow_bytes(&mut self) {
        let holds = |node: &Node| {
            node.range.is_some_and(|(message, start, end)| {
                message == self.message && (start..end).contains(&self.byte)
            })
        };
        let mut path = Vec::new();
        let mut level = &self.tree;
        while let Some(at) = level.iter().position(holds) {
            path.push(at);
            level = &level[at].children;
        }
        self.show(&path);
    }

    /// Brings both cursors onto the screen.
    pub(in crate::tui) fn settle(&mut self, layout: DetailLayout) {
        let height = usize::from(layout.body);
        self.list.settle(self.rows.len(), height);
        let row = self.byte / layout.per_row.max(1);
        if row < self.bytes_top {
            self.bytes_top = row;
        } else if height > 0 && row >= self.bytes_top + height {
            self.bytes_top = row + 1 - height;
        }
    }

    /// What `y` copies: the value of the selected field.
    pub(in crate::tui) fn copy(&self) -> Option<String> {
        let node = self.selected()?;
        Some(if node.value.is_empty() { node.label.clone() } else { node.value.clone() })
    }

    /// Rebuilds the visible rows.
    fn flatten(&mut self) {
        fn walk(nodes: &[Node], path: &mut Vec<usize>, rows: &mut Vec<TreeRow>) {
            for (at, node) in nodes.iter().enumerate() {
                path.push(at);
                rows.push(TreeRow { depth: path.len() - 1, path: path.clone() });
                if node.open {
                    walk(&node.children, path, rows);
                }
                path.pop();
            }
        }
        self.rows.clear();
        walk(&self.tree, &mut Vec::new(), &mut self.rows);
    }
}

/// A message with its headers and fields.
fn message_node(message: &Message, index: usize) -> Node {
    let mut left = NODES_LIMIT;
    let mut children: Vec<Node> =
        message.fields.iter().filter_map(|field| node(field, index, &mut left)).collect();
    let open = NODES_LIMIT - left <= OPEN_AT_FIRST;
    for child in &mut children {
        set_open(child, open);
    }
    if left == 0 {
        children.push(Node::leaf("…", "more fields are not shown"));
    }
    // HTTP/2 headers that refer to the table of the connection; other headers are among the fields.
    if !message.headers.is_empty() && (message.undecoded || message.fields.is_empty()) {
        let headers = message.headers.iter().map(|(k, v)| Node::leaf(&text::escape(k), v.clone())).collect();
        children.insert(0, Node::group(format!("headers, decoded ({})", message.headers.len()), headers));
    }
    let arrow = if message.from_client { '→' } else { '←' };
    let cut = if message.is_cut() {
        format!(", only {} captured", text::bytes(message.bytes.len() as u64))
    } else {
        String::new()
    };
    let value = format!("{}, packet {}{cut}", text::bytes(message.size), message.packet);
    Node {
        label: format!("{arrow} {}", message.name()),
        value,
        range: Some((index, 0, message.bytes.len())),
        children,
        open: true,
    }
}

fn set_open(node: &mut Node, open: bool) {
    node.open = open;
    node.children.iter_mut().for_each(|child| set_open(child, open));
}

/// The node of a dissected field; `None` beyond the limit.
fn node(field: &Field, message: usize, left: &mut usize) -> Option<Node> {
    *left = left.checked_sub(1)?;
    Some(Node {
        label: text::escape(&field.name).into_owned(),
        value: text::escape(&field.value).into_owned(),
        range: Some((message, field.range.0, field.range.1)),
        children: field.children.iter().map_while(|child| node(child, message, left)).collect(),
        open: false,
    })
}

/// A labelled line with its explanation.
fn leaf(line: &Line) -> Node {
    let dash = if line.meaning.is_empty() { "" } else { " — " };
    Node::leaf(line.label, format!("{}{dash}{}", line.value, line.meaning))
}

/// The verdict, with explanations.
fn verdict(call: &Call) -> Node {
    let lines = crate::detail::verdict::lines(call);
    let logged = reported_as(call).map(|logged| Node::leaf("caller logs", logged.to_string()));
    Node::group("verdict".to_owned(), lines.iter().map(leaf).chain(logged).collect())
}

/// The other facts of the call's record.
fn facts(call: &Call) -> Node {
    let mut rows = vec![Node::leaf("call", labels::operation(call)), Node::leaf("uid", call.uid.to_string())];
    let mut put = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            rows.push(Node::leaf(label, value));
        }
    };
    let name = |name: &Option<crate::calls::record::Name>| name.as_deref().map(str::to_owned);
    let process = |end| {
        let process = call.process(end)?;
        let place = |what: &str, place: &Option<_>| {
            place.as_ref().map(|place| format!(", {what} {place}")).unwrap_or_default()
        };
        let (container, pod) = (place("container", &process.container), place("pod", &process.pod_uid));
        Some(format!("{} ({}){container}{pod}", process.name, process.pid))
    };
    put("start", Some(String::from_utf8_lossy(&call.start.rfc3339()).into_owned()));
    put("client", Some(call.caller_address().to_string()));
    let named = |end| {
        let named = call.named(end)?;
        let parts = [&named.name, &named.pod, &named.node].into_iter().flatten();
        Some(parts.map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    put("client name", named(Initiator::Client));
    put("client process", process(Initiator::Client));
    put("server", Some(call.server.to_string()));
    put("server name", named(Initiator::Server));
    put("server process", process(Initiator::Server));
    put("caller", name(&call.caller));
    put("callee", name(&call.callee));
    put("protocol", Some(format!("{} over {} over {}", call.rpc, call.transport, call.network.name())));
    put("codec", call.codec.map(str::to_owned));
    put("kind", Some(call.kind.name().to_owned()));
    put("id", call.id.map(|id| id.to_string()));
    put("latency", call.latency.map(text::duration));
    put("duration", call.duration.map(text::duration));
    put("network time", call.network_time().map(text::duration));
    put(
        "seen in",
        call.callee_view.as_ref().map(|callee_view| text::counted(callee_view.seen.into(), "capture")),
    );
    put("time-out", call.timeout.map(text::duration));
    put("request", Some(sizes(call.request_bytes, call.request_messages)));
    put("answer", Some(sizes(call.response_bytes, call.response_messages)));
    put("trace id", name(&call.trace_id));
    put("span id", name(&call.span_id));
    put("parent", call.parent.map(|uid| uid.to_string()));
    put("packets", Some(format!("{} to {}", call.packets.0, call.packets.1)));
    Node::group(FACTS.to_owned(), rows)
}

fn sizes(bytes: u64, messages: u32) -> String {
    let plural = if messages == 1 { "" } else { "s" };
    format!("{} in {messages} message{plural}", text::bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_as_many_bytes_as_there_is_room_for_beside_the_fields() {
        for (width, bytes) in [(60, 8), (80, 8), (124, 16), (200, 16), (204, 32), (300, 32)] {
            let layout = DetailLayout::of(width, 50);
            assert_eq!(layout.per_row, bytes, "{width}");
            let used = layout.split.map_or(0, |(tree, hex)| tree + hex + 3);
            assert!(used == 0 || used == width);
        }
    }
}
