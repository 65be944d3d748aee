//! The HTTP/2 frames of one stream, which are interleaved with frames of other streams.

use rpcscope_parsers::protocol::Field;

/// Bytes of a frame's head (RFC 9113, section 4.1).
const HEAD: usize = 9;

/// Collects `size` bytes of frames of `stream` from `bytes`, which begin with a frame. `None` if the first frame is of
/// another stream.
pub(super) fn of_stream(bytes: &[u8], stream: i64, size: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while (out.len() as u64) < size {
        let Some(head) = rest.get(..HEAD) else { break };
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let end = (HEAD + length).min(rest.len());
        if i64::from(id) == stream {
            out.extend_from_slice(&rest[..end]);
        }
        rest = &rest[end..];
    }
    let first = bytes.get(5..HEAD)?;
    let begins = first == (stream as u32).to_be_bytes();
    (begins && !out.is_empty()).then_some(out)
}

/// Puts the names and values that the session decoded into the dissected header block, because the dissector does not know
/// the connection's dynamic table. Returns `false` and changes nothing if the two do not agree field by field.
pub(super) fn name_entries(fields: &mut [Field], headers: &[(String, String)]) -> bool {
    let mut entries: Vec<&mut Field> = fields
        .iter_mut()
        .flat_map(|frame| frame.children.iter_mut())
        .filter(|part| part.name == "Field Block Fragment")
        .flat_map(|block| block.children.iter_mut())
        .filter(|entry| entry.name != "Dynamic Table Size Update")
        .collect();
    let agree = |entry: &Field, name: &str| entry.name == name || entry.name.starts_with("dynamic entry");
    if entries.is_empty()
        || entries.len() != headers.len()
        || !entries.iter().zip(headers).all(|(entry, (name, _))| agree(entry, name))
    {
        return false;
    }
    for (entry, (name, value)) in entries.iter_mut().zip(headers) {
        entry.name.clone_from(name);
        entry.value.clone_from(value);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_get_the_names_that_the_session_knows() {
        let leaf = |name: &str| Field { name: name.to_owned(), ..Field::default() };
        let block = |entries: &[&str]| {
            let children = entries.iter().map(|name| leaf(name)).collect();
            let fragment = Field { name: "Field Block Fragment".to_owned(), children, ..Field::default() };
            vec![Field { children: vec![leaf("Length"), fragment], ..Field::default() }]
        };
        let headers = [(":method".to_owned(), "POST".to_owned()), ("te".to_owned(), "trailers".to_owned())];
        let mut fields = block(&["Dynamic Table Size Update", ":method", "dynamic entry 3"]);
        assert!(name_entries(&mut fields, &headers));
        let named = &fields[0].children[1].children[2];
        assert_eq!((named.name.as_str(), named.value.as_str()), ("te", "trailers"));
        for other in [&[":method"][..], &[":path", "dynamic entry 3"], &[]] {
            let mut fields = block(other);
            let before = fields.clone();
            assert!(!name_entries(&mut fields, &headers));
            assert_eq!(fields, before);
        }
    }

    fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, payload.len() as u8, 0, 0, 0, 0, 0, stream];
        out.extend_from_slice(payload);
        out
    }

    #[test]
    fn frames_of_other_streams_are_left_out() {
        let bytes = [frame(3, b"one"), frame(5, b"other"), frame(3, b"two"), frame(3, b"next")].concat();
        let own = [frame(3, b"one"), frame(3, b"two")].concat();
        assert_eq!(of_stream(&bytes, 3, own.len() as u64), Some(own));
    }

    #[test]
    fn cut_frames_are_returned_as_far_as_they_go() {
        let bytes = [frame(3, b"one"), frame(3, b"two")].concat();
        assert_eq!(of_stream(&bytes[..20], 3, 24).unwrap().len(), 12);
        assert_eq!(of_stream(&bytes[..23], 3, 24).unwrap().len(), 23);
        assert_eq!(of_stream(&bytes, 7, 24), None);
        assert_eq!(of_stream(b"GET / HTTP", 1, 10), None);
        assert_eq!(of_stream(b"", 1, 10), None);
    }
}
