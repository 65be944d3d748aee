//! TTHeader Streaming: TTHeader frames with flag 2, of which many make one call.
//!
//! | `FrameType` | client sends | server sends |
//! | --- | --- | --- |
//! | 1 meta | | for the connection, not for a call |
//! | 2 header | opens the stream, with `isn` | before its first data, or not at all |
//! | 3 data | one message | one message |
//! | 4 trailer | closes its half | ends the stream: empty, with a biz status, or with an exception |
//! | 5 rst | breaks the stream off | |
//!
//! Data frames hold the bare struct of the message. The client is the side that sends a header frame with `isn`, or the other
//! side of one that sends what only a server sends; on a connection that is captured from its middle nothing is guessed.
//!
//! Source: `pkg/remote/trans/ttstream/{frame,stream,stream_client,stream_server}.go` of github.com/cloudwego/kitex.

use super::{Frame, parse_envelope};
use crate::error::ParseResult;
use crate::event::{
    Answer, Begin, CallId, Event, Exception, HalfClose, Head, Open, Part, Reset, Rpc, Side, Status,
    Transport, TtstreamStatus,
};
use crate::framed::Parsed;
use crate::thrift::transport::input::{Input, Peers};
use crate::thrift::types::ReplyBody;

const HEADER: u64 = 2;
pub(super) const DATA: u64 = 3;
const TRAILER: u64 = 4;
const RST: u64 = 5;

/// The name of a frame type.
pub(super) fn frame_name(number: u64) -> Option<&'static str> {
    Some(match number {
        1 => "meta",
        HEADER => "header",
        DATA => "data",
        TRAILER => "trailer",
        RST => "rst",
        _ => return None,
    })
}

/// What a frame does to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamFrame {
    /// The client's header.
    Open,
    /// The server's header.
    Begin,
    Data,
    /// The client's trailer, or an empty one of an unknown side.
    HalfClose,
    /// The server's trailer.
    Trailer,
    Rst,
    /// Its type is missing: it may end the stream.
    Unread,
}

/// What a frame means when `side` sent it; `None` for a frame that belongs to no call or whose meaning is unknown.
fn kind(peers: &mut Peers, frame: Frame<'_, '_>, side: Side) -> Option<StreamFrame> {
    let Some(frame_type) = frame.fields.frame_type else {
        // The type of a frame stands behind its names.
        if !frame.whole && frame.fields.is_request() {
            peers.client = Some(side);
            return Some(StreamFrame::Open);
        }
        return (!frame.whole && peers.client.is_some()).then_some(StreamFrame::Unread);
    };
    match frame_type {
        HEADER => {
            if frame.fields.service.is_some() {
                peers.client = Some(side);
            } else if frame.whole && peers.client.is_none() {
                peers.client = Some(side.other());
            }
            peers.client.map(|client| if client == side { StreamFrame::Open } else { StreamFrame::Begin })
        }
        DATA => Some(StreamFrame::Data),
        TRAILER => {
            if frame.fields.biz.is_some() || frame.head.payload_size() > 0 {
                peers.client.get_or_insert(side.other());
                return Some(StreamFrame::Trailer);
            }
            // An empty trailer of an unknown side ends what it sends; it may be client or server.
            let server = peers.client.is_some_and(|client| client != side);
            Some(if server { StreamFrame::Trailer } else { StreamFrame::HalfClose })
        }
        RST => Some(StreamFrame::Rst),
        _ => None,
    }
}

pub(super) fn parse<'a>(
    peers: &mut Peers,
    frame: Frame<'_, 'a>,
    input: Input<'a>,
) -> ParseResult<Parsed<'a>> {
    let bytes = frame.head.total();
    let kind = match kind(peers, frame, input.side) {
        // Stream 0 is the connection itself.
        Some(kind) if frame.head.seq_id != 0 => kind,
        _ => return Ok(Parsed::Control { bytes }),
    };
    let exception = match kind {
        StreamFrame::Trailer | StreamFrame::Rst => parse_exception(frame, input)?,
        _ => None,
    };
    let fields = frame.fields;
    let id = CallId::Stream(i64::from(frame.head.seq_id));
    let head = Head { codec: Some("thrift-binary"), ..Head::new(Rpc::Ttstream, Transport::TtHeader, id) };
    let (names, headers) = (fields.names(), None);
    // In each arm, so that the event is made where it is returned.
    let message = |event| Ok(Parsed::Message { event, bytes });
    match kind {
        StreamFrame::Open => {
            let (timeout, traced) = (fields.timeout, fields.traced);
            message(Event::Open(Open {
                head,
                unary: false,
                names,
                timeout,
                unknown_name: None,
                traced,
                headers,
            }))
        }
        StreamFrame::Begin => {
            message(Event::Begin(Begin { head, names, http: None, has_status: false, headers }))
        }
        StreamFrame::Data => message(Event::Part(Part { headers, ..Part::new(head, 1) })),
        StreamFrame::Unread => message(Event::Part(Part { end_lost: true, ..Part::new(head, 0) })),
        StreamFrame::HalfClose => message(Event::HalfClose(HalfClose { head, headers })),
        StreamFrame::Trailer => {
            let lost = exception.is_none() && frame.head.payload_size() > 0;
            let cut = !fields.biz_decides() && (lost || !frame.whole);
            let status = Status::Ttstream(TtstreamStatus { biz: fields.biz, exception, cut });
            message(Event::Answer(Answer { names, ..Answer::new(head, status) }))
        }
        StreamFrame::Rst => {
            let (code, text) =
                exception.map(|exception| (i64::from(exception.type_id), exception.message)).unzip();
            let cancel_path = fields.cancel_path;
            message(Event::Reset(Reset { head, names, code, message: text, cancel_path, headers }))
        }
    }
}

/// The exception in the payload of a trailer or rst frame; `None` if there is none or it is lost.
fn parse_exception<'a>(frame: Frame<'_, '_>, input: Input<'a>) -> ParseResult<Option<Exception<'a>>> {
    Ok(match parse_envelope(frame, input)?.map(|envelope| envelope.outcome) {
        Some(ReplyBody::Exception(exception)) => Some(exception),
        _ => None,
    })
}
