//! The HTTP/2 frames of one stream: what belongs to a call stands between frames of others.

/// Bytes of a frame's head (RFC 9113, section 4.1).
const HEAD: usize = 9;

/// Takes the frames of `stream` out of `bytes`, which begin with a frame, until `size` bytes of them are found. `None`
/// where the bytes are no frames of that stream.
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_cut_is_given_as_far_as_it_goes() {
        let bytes = [frame(3, b"one"), frame(3, b"two")].concat();
        assert_eq!(of_stream(&bytes[..20], 3, 24).unwrap().len(), 12);
        assert_eq!(of_stream(&bytes[..23], 3, 24).unwrap().len(), 23);
        assert_eq!(of_stream(&bytes, 7, 24), None);
        assert_eq!(of_stream(b"GET / HTTP", 1, 10), None);
        assert_eq!(of_stream(b"", 1, 10), None);
    }
}
