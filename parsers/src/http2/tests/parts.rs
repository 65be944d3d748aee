//! DATA as parts of its stream.

use super::*;

#[test]
fn the_last_part_of_a_request_says_so() {
    let mut feed = Feed::begun();
    let open = frame(frame::HEADERS, frame::END_HEADERS, 1, &request_fields());
    let data = |flags| frame(frame::DATA, flags, 1, &[0, 0, 0, 0, 1, 7]);
    let mut parts = Vec::new();
    for (side, bytes) in
        [(CLIENT, open), (CLIENT, data(0)), (CLIENT, data(frame::END_STREAM)), (SERVER, answer(1))]
    {
        feed.session.data(side, &bytes, &mut |side, event| {
            assert_ne!(event.kind(), Kind::HalfClose);
            if let Event::Part(part) = event {
                parts.push((side, part.ends));
            }
        });
    }
    assert_eq!(parts, [(CLIENT, false), (CLIENT, true), (SERVER, false)]);
}
