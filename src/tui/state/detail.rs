//! One call in full: the tree of what is known of it, the bytes that prove it, and the cursor in both.

use std::sync::Arc;

use rpcscope_parsers::protocol::Field;

use super::list::List;
use crate::calls::reported::reported_as;
use crate::calls::{Call, labels};
use crate::detail::{Detail as Evidence, Message, verdict};
use crate::text;
use crate::tui::columns::METHOD;

/// The most nodes of a message that are shown; what is beyond is said to be left out.
const NODES_LIMIT: usize = 20_000;
/// Groups of a message are open at first if it has at most this many nodes.
const OPEN_AT_FIRST: usize = 400;

/// What was made of the call's packets.
#[derive(Debug)]
pub(in crate::tui) enum Loaded {
    /// They are being read again.
    Waiting,
    /// They can't be shown; why.
    Gone(String),
    /// Here they are.
    Ready(Box<Evidence>),
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
    /// Message (index) and bytes of it that the node stands for.
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

/// Where the parts of the detail stand on the screen.
#[derive(Clone, Copy, Debug)]
pub(in crate::tui) struct Plan {
    /// Rows of the sentence.
    pub sentence: u16,
    /// Rows of the boxes with verdict and time line and of the border above; 0: no room.
    pub boxes: u16,
    /// Rows of tree and bytes.
    pub body: u16,
    /// Rows below them for the whole text of the selected field.
    pub readout: u16,
    /// Columns of the tree and of the bytes; 0: the pane with the keys has all.
    pub split: Option<(u16, u16)>,
    /// Bytes in a row of the bytes pane.
    pub per_row: usize,
}

impl Plan {
    /// The plan for a screen of that size.
    pub(in crate::tui) fn of(width: u16, height: u16) -> Self {
        let boxes = if height >= 20 { 5 } else { 0 };
        let sentence = if height >= 30 { 3 } else { 2 };
        let readout = match height {
            30.. => 2,
            16.. => 1,
            _ => 0,
        };
        // Title, head, the rule above the panes, and the footer.
        let body = height.saturating_sub(4 + sentence + boxes + readout);
        let sixteen = 5 + 16 * 3 + 1 + 16;
        let eight = 5 + 8 * 3 + 1 + 8;
        let (split, per_row) = if width >= sixteen + 40 {
            (Some((width - sixteen - 3, sixteen)), 16)
        } else if width >= eight + 30 {
            (Some((width - eight - 3, eight)), 8)
        } else {
            (None, 8)
        };
        Self { sentence, boxes, body, readout, split, per_row }
    }
}

/// The detail view.
#[derive(Debug)]
pub(in crate::tui) struct Detail {
    pub call: Arc<Call>,
    /// Which failed call of how many in the list it is.
    pub failure: Option<(usize, usize)>,
    /// It was opened from another call in full, to which a step back returns.
    pub jumped: bool,
    pub loaded: Loaded,
    pub pane: Pane,
    /// Index of the message whose bytes are shown.
    pub message: usize,
    pub tree: Vec<Node>,
    pub rows: Vec<TreeRow>,
    pub list: List,
    /// The byte under the cursor and the row of bytes at the top.
    pub byte: usize,
    pub bytes_top: usize,
    /// Text instead of hex.
    pub as_text: bool,
}

impl Detail {
    pub(in crate::tui) fn new(call: Arc<Call>, failure: Option<(usize, usize)>) -> Self {
        let mut detail = Self {
            tree: vec![judgement(&call), facts(&call)],
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
        detail.flatten();
        detail
    }

    /// Takes what was made of the packets. The answer of a failed call, if there is one, comes under the cursor.
    pub(in crate::tui) fn load(&mut self, result: Result<Box<Evidence>, String>) {
        let evidence = match result {
            Ok(mut evidence) => {
                // Signs without bytes (a side that ends its sending) have nothing to look into.
                evidence.messages.retain(|message| !message.is_empty());
                evidence
            }
            Err(why) => {
                self.loaded = Loaded::Gone(text::escape(&why).into_owned());
                return;
            }
        };
        let wire: Vec<Node> = evidence.messages.iter().enumerate().map(|(i, m)| message_node(m, i)).collect();
        let shown = evidence.messages.iter().rposition(|m| !m.from_client && !m.is_empty());
        self.message = shown.filter(|_| self.call.failed()).unwrap_or(0);
        // What the wire says comes first, what the program made of it after that.
        for made in &mut self.tree {
            made.open = wire.is_empty();
        }
        self.tree.splice(0..0, wire);
        self.loaded = Loaded::Ready(evidence);
        self.flatten();
        self.go_to_message(self.message);
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

    /// Bytes of the shown message that the selected node stands for.
    pub(in crate::tui) fn marked(&self) -> Option<(usize, usize)> {
        let (message, start, end) = self.selected()?.range?;
        (message == self.message && end > start).then_some((start, end))
    }

    /// The bytes of the shown message.
    pub(in crate::tui) fn bytes(&self) -> &[u8] {
        match &self.loaded {
            Loaded::Ready(evidence) => evidence.messages.get(self.message).map_or(&[], |m| &m.bytes),
            _ => &[],
        }
    }

    /// Number of messages.
    pub(in crate::tui) fn messages(&self) -> usize {
        match &self.loaded {
            Loaded::Ready(evidence) => evidence.messages.len(),
            _ => 0,
        }
    }

    /// Moves the cursor of the pane with the keys by rows.
    pub(in crate::tui) fn step(&mut self, rows: isize, plan: Plan) {
        match self.pane {
            Pane::Tree => {
                self.list.step(rows, self.rows.len());
                self.follow_tree();
            }
            Pane::Bytes => self.step_bytes(rows.saturating_mul(plan.per_row as isize)),
        }
        self.settle(plan);
    }

    /// Moves the cursor in the bytes.
    pub(in crate::tui) fn step_bytes(&mut self, by: isize) {
        let last = self.bytes().len().saturating_sub(1);
        self.byte = self.byte.saturating_add_signed(by).min(last);
        self.follow_bytes();
    }

    /// To the first or last row.
    pub(in crate::tui) fn jump(&mut self, last: bool, plan: Plan) {
        let far = if last { isize::MAX / 64 } else { isize::MIN / 64 };
        self.step(far, plan);
    }

    /// Folds or unfolds the selected node; on a leaf nothing happens.
    pub(in crate::tui) fn fold(&mut self, open: Option<bool>) {
        let Some(path) = self.rows.get(self.list.selected).map(|row| row.path.clone()) else { return };
        if let Some(node) = self.node_mut(&path).filter(|n| !n.children.is_empty()) {
            node.open = open.unwrap_or(!node.open);
        }
        self.flatten();
    }

    /// To the next or previous field that contains `needle`, in lower case, going round at the end; what is folded around
    /// it is unfolded. Whether there is one.
    pub(in crate::tui) fn find(&mut self, needle: &str, forward: bool) -> bool {
        fn walk(nodes: &[Node], path: &mut Vec<usize>, needle: &str, found: &mut Vec<Vec<usize>>) {
            for (at, node) in nodes.iter().enumerate() {
                path.push(at);
                if node.label.to_lowercase().contains(needle) || node.value.to_lowercase().contains(needle) {
                    found.push(path.clone());
                }
                walk(&node.children, path, needle, found);
                path.pop();
            }
        }
        let mut found = Vec::new();
        walk(&self.tree, &mut Vec::new(), needle, &mut found);
        let here = self.rows.get(self.list.selected).map(|row| row.path.clone()).unwrap_or_default();
        // Paths are ordered as their rows are.
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

    /// Unfolds what is around a node and puts the cursor on it.
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

    /// Folds the selected node, or goes to the one around it where there is nothing to fold.
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
        if let Some(row) = self.rows.iter().position(|row| row.path == [message]) {
            self.list.go(row);
            self.list.top = row;
        }
    }

    /// The bytes follow the cursor of the tree.
    fn follow_tree(&mut self) {
        if let Some((message, start, _)) = self.selected().and_then(|node| node.range) {
            if message != self.message {
                self.bytes_top = 0;
            }
            self.message = message;
            self.byte = start;
        }
    }

    /// The cursor of the tree follows the one in the bytes: to the innermost field that holds the byte.
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
    pub(in crate::tui) fn settle(&mut self, plan: Plan) {
        let height = usize::from(plan.body);
        self.list.settle(self.rows.len(), height);
        let row = self.byte / plan.per_row.max(1);
        if row < self.bytes_top {
            self.bytes_top = row;
        } else if height > 0 && row >= self.bytes_top + height {
            self.bytes_top = row + 1 - height;
        }
    }

    /// What copying gives: the selected field with its value.
    pub(in crate::tui) fn copy(&self) -> Option<String> {
        let node = self.selected()?;
        Some(if node.value.is_empty() { node.label.clone() } else { node.value.clone() })
    }

    /// Makes the visible rows anew.
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
        children.push(Node::leaf("…", "more fields are left out"));
    }
    // These only the connection's table could decode; elsewhere they stand among the fields.
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

/// The node of a dissected field; `None` when there are too many.
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

/// The verdict with what its parts mean.
fn judgement(call: &Call) -> Node {
    let lines = verdict::lines(call).into_iter().map(|line| {
        let dash = if line.meaning.is_empty() { "" } else { " — " };
        Node::leaf(line.label, format!("{}{dash}{}", line.value, line.meaning))
    });
    let logged = reported_as(call).map(|logged| Node::leaf("caller logs", logged));
    Node::group("verdict".to_owned(), lines.chain(logged).collect())
}

/// What the program knows of the call besides, whether its bytes are at hand or not.
fn facts(call: &Call) -> Node {
    let mut rows = vec![Node::leaf("call", labels::operation(call)), Node::leaf("uid", call.uid.to_string())];
    let mut put = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            rows.push(Node::leaf(label, value));
        }
    };
    let name = |name: &Option<crate::calls::record::Name>| name.as_deref().map(str::to_owned);
    let process = |end: usize| call.process[end].as_ref().map(|p| format!("{} ({})", p.name, p.pid));
    put("start", Some(String::from_utf8_lossy(&call.start.rfc3339()).into_owned()));
    put("client", Some(call.client.to_string()));
    put("client process", process(0));
    put("server", Some(call.server.to_string()));
    put("server process", process(1));
    put("caller", name(&call.caller));
    put("callee", name(&call.callee));
    put("protocol", Some(format!("{} over {} over {}", call.rpc, call.transport, call.network.name())));
    put("codec", call.codec.map(str::to_owned));
    put("kind", Some(call.kind.name().to_owned()));
    put("id", call.id.map(|id| id.to_string()));
    put("latency", call.latency.map(text::duration));
    put("duration", call.duration.map(text::duration));
    put("in the network", call.network_time().map(text::duration));
    put(
        "shown by",
        call.callee_view.as_ref().map(|callee_view| text::counted(callee_view.seen.into(), "capture")),
    );
    put("caller waits", call.timeout.map(text::duration));
    put("request", Some(sizes(call.request_bytes, call.request_messages)));
    put("answer", Some(sizes(call.response_bytes, call.response_messages)));
    put("trace id", name(&call.trace_id));
    put("span id", name(&call.span_id));
    put("parent", call.parent.map(|uid| uid.to_string()));
    put("packets", Some(format!("{} to {}", call.packets.0, call.packets.1)));
    Node::group("call".to_owned(), rows)
}

fn sizes(bytes: u64, messages: u32) -> String {
    let plural = if messages == 1 { "" } else { "s" };
    format!("{} in {messages} message{plural}", text::bytes(bytes))
}
