//! The tree of fields of one HTTP/1.x message, for the detail view.

use super::calls;
use super::head::{self, Start};
use crate::protocol::Field;
use crate::thrift::dissect::dissect_message;

fn leaf(name: &str, value: &[u8], range: (usize, usize)) -> Field {
    Field {
        name: name.to_owned(),
        value: String::from_utf8_lossy(value).into_owned(),
        range,
        children: Vec::new(),
    }
}

/// Where `part`, which is a piece of `whole`, stands in it.
fn place(whole: &[u8], part: &[u8]) -> (usize, usize) {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    (start, start + part.len())
}

/// The fields of a message, as far as its bytes are there.
pub(super) fn dissect(bytes: &[u8]) -> Vec<Field> {
    let Ok(Some(head)) = head::parse_head(bytes) else { return Vec::new() };
    let mut children = match head.start {
        Start::Request { method, target } => {
            vec![leaf("method", method, place(bytes, method)), leaf("target", target, place(bytes, target))]
        }
        Start::Status { code } => {
            // `HTTP/1.x ` stands before the code.
            vec![leaf("status", code.to_string().as_bytes(), (9, 12))]
        }
    };
    for (name, value) in &head.fields {
        let (start, name_end) = place(bytes, name);
        let end = if value.is_empty() { name_end } else { place(bytes, value).1 };
        children.push(leaf(&String::from_utf8_lossy(name), value, (start, end)));
    }
    let kind = if matches!(head.start, Start::Request { .. }) { "request" } else { "answer" };
    let mut tree = vec![Field { children, ..leaf(kind, b"", (0, head.len)) }];
    let body = bytes.get(head.len..).unwrap_or_default();
    if body.is_empty() {
        return tree;
    }
    let mut field = leaf("body", format!("{} bytes", body.len()).as_bytes(), (head.len, bytes.len()));
    if calls::is_thrift(&head) {
        field.children = dissect_message(bytes, head.len);
    }
    tree.push(field);
    tree
}
