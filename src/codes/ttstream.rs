//! Exceptions of TTHeader Streaming: Kitex `pkg/remote/trans/ttstream/exception.go`.

use super::{Entry, ErrorKind, Raiser, Range, Wire};

/// What the caller reports for any exception in a trailer, whatever its type.
pub const APPLICATION_EXCEPTION: i64 = 12001;

/// The beginning of an error text of a stream: `[ttstream error, code=12007] [server-side stream] …`.
pub const ERROR_TEXT: &str = "[ttstream error, code=";

/// Published ranges of the numbers.
pub(super) const RANGES: &[Range] = &[Range {
    first: APPLICATION_EXCEPTION,
    last: 12999,
    meaning: "TTHeader Streaming's own exceptions (12001 to 12015 are known)",
}];

const CALLER: &str = "Kitex: `[ttstream error, code=N] [client-side stream] …`";
const HANDLER: &str = "Kitex at the server: `[ttstream error, code=N] [server-side stream] [canceled path: A] …`; the \
     canceller itself gets the same with `[client-side stream]`";

/// A code that stays in the process that raises it.
const fn local(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    Entry { code, name, meaning, raiser, kind: ErrorKind::Rpc, wire: Wire::Never, caller: CALLER, look }
}

/// A code that an Rst frame carries.
const fn sent(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    Entry { code, name, meaning, raiser, kind: ErrorKind::Rpc, wire: Wire::Sent, caller: HANDLER, look }
}

/// Every code, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        raiser: Raiser::Handler,
        ..local(
            APPLICATION_EXCEPTION,
            "application exception",
            Raiser::Client,
            "The server's handler returned an error; the caller makes up the number, and the wire carries exception type 6.",
            "The text after `biz error:`, then the handler; a business error should be a BizStatusError.",
        )
    },
    local(
        12002,
        "unexpected header frame",
        Raiser::Either,
        "A header frame arrived where none is allowed.",
        "The frames of the stream: a second header, or a header after data.",
    ),
    local(
        12003,
        "illegal bizErr",
        Raiser::Client,
        "The caller could not read the business status in the trailer.",
        "`biz-status` and `biz-extra` in the trailer frame as sent.",
    ),
    local(
        12004,
        "illegal frame",
        Raiser::Either,
        "A frame could not be read; or the connection ended, which Kitex words as 12004 too (`EOF peer close`).",
        "The text: with `EOF peer close` how the connection ended in the capture; otherwise whether the peer speaks TTHeader Streaming at all.",
    ),
    local(
        12005,
        "illegal operation",
        Raiser::Caller,
        "The code misused the stream, for instance it sent after closing.",
        "The code that uses the stream.",
    ),
    local(
        12006,
        "transport is closing",
        Raiser::Either,
        "The connection of the stream is closing or broken.",
        "How the connection ended in the capture, and whether the peer was restarted.",
    ),
    sent(
        12007,
        "canceled by user code",
        Raiser::Caller,
        "The caller's code cancelled the context of the stream.",
        "The first name of the cancel path, which is the service that cancelled; then why it did.",
    ),
    local(
        12008,
        "canceled with cause by user code",
        Raiser::Caller,
        "The caller's code cancelled with a cause of its own; the wire carries 12007.",
        "The cause in the text.",
    ),
    local(
        12009,
        "canceled by downstream",
        Raiser::Server,
        "A service below cancelled the stream.",
        "The stream to the service below: its Rst or trailer.",
    ),
    local(
        12010,
        "canceled by upstream",
        Raiser::Client,
        "A service above cancelled the stream.",
        "The first name of the cancel path.",
    ),
    sent(
        12011,
        "internal canceled",
        Raiser::Either,
        "The framework cancelled the stream: a deadline of the context passed, or a cancellation cascades downwards.",
        "The cancel path; `non-ttstream path` means that the deadline came in over another protocol.",
    ),
    sent(
        12012,
        "canceled by business handler returning",
        Raiser::Server,
        "The handler returned while streams that it had opened were still running; they are cancelled with this number (seen from v0.16 on).",
        "The handler: it should end the streams that it opens before it returns.",
    ),
    local(
        12013,
        "canceled by connection closed",
        Raiser::Either,
        "The connection to the caller closed, and its streams to services below were cancelled with it.",
        "How the connection to the caller ended.",
    ),
    sent(
        12014,
        "stream recv timeout",
        Raiser::Client,
        "No message arrived within the timeout of one Recv; the stream is cancelled with this number unless DisableCancelRemote is set (v0.16.0 on).",
        "The pace of the sender, and the Recv timeout of the caller.",
    ),
    sent(
        12015,
        "stream timeout",
        Raiser::Client,
        "The stream took longer than its timeout, and is cancelled with this number (v0.16.2 on).",
        "The timeout of the stream against how long it needs to live.",
    ),
];
