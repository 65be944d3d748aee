//! Exceptions of TTHeader Streaming: Kitex `pkg/remote/trans/ttstream/exception.go`.

use super::{Entry, Raiser, Range, Side, Wire};

/// Published ranges of the numbers.
pub(super) const RANGES: &[Range] = &[Range {
    first: 12001,
    last: 12999,
    meaning: "TTHeader Streaming's own exceptions (12001 to 12015 are known)",
}];

const CALLER: &str = "Kitex: `[ttstream error, code=N] [client-side stream] …`";
const HANDLER: &str = "Kitex at the server: `[ttstream error, code=N] [server-side stream] [canceled path: A] …`; the \
     canceller itself gets the same with `[client-side stream]`";

const fn local(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    Entry { code, name, meaning, raiser, side: Side::Rpc, wire: Wire::Never, caller: CALLER, look }
}

const fn sent(
    code: i64,
    name: &'static str,
    raiser: Raiser,
    meaning: &'static str,
    look: &'static str,
) -> Entry {
    Entry { code, name, meaning, raiser, side: Side::Rpc, wire: Wire::Sent, caller: HANDLER, look }
}

/// Every code, in order.
pub(super) const CODES: &[Entry] = &[
    Entry {
        raiser: Raiser::Handler,
        ..local(
            12001,
            "application exception",
            Raiser::Client,
            "The server's handler returned an error; the number is made up by the caller, the wire has exception type 6.",
            "The text after `biz error:`, then the handler; a business error should be a BizStatusError.",
        )
    },
    local(
        12002,
        "unexpected header frame",
        Raiser::Either,
        "A header frame came where none may come.",
        "The frames of the stream: two headers, or one after data.",
    ),
    local(
        12003,
        "illegal bizErr",
        Raiser::Client,
        "The business status in the trailer could not be read.",
        "`biz-status` and `biz-extra` in the trailer frame as sent.",
    ),
    local(
        12004,
        "illegal frame",
        Raiser::Either,
        "A frame could not be read.",
        "The peer's version and protocol: is it TTHeader Streaming at all.",
    ),
    local(
        12005,
        "illegal operation",
        Raiser::Caller,
        "The stream was used wrongly, for instance sent on after closing.",
        "The code that uses the stream.",
    ),
    local(
        12006,
        "transport is closing",
        Raiser::Either,
        "The connection under the stream is closing or broken.",
        "How the connection ended in the capture, and whether the peer was restarted.",
    ),
    sent(
        12007,
        "canceled by user code",
        Raiser::Caller,
        "The caller's code cancelled the context of the stream.",
        "The first name of the cancel path: that service cancelled; then why.",
    ),
    local(
        12008,
        "canceled with cause by user code",
        Raiser::Caller,
        "The caller's code cancelled with a cause of its own; on the wire it is a 12007.",
        "The cause in the text.",
    ),
    local(
        12009,
        "canceled by downstream",
        Raiser::Server,
        "The stream was cancelled from below.",
        "The stream to the service below: its Rst or trailer.",
    ),
    local(
        12010,
        "canceled by upstream",
        Raiser::Client,
        "The stream was cancelled from above.",
        "The first name of the cancel path.",
    ),
    sent(
        12011,
        "internal canceled",
        Raiser::Either,
        "The stream was cancelled by the framework: a deadline of the context ran out, or a cancel cascades downwards.",
        "The cancel path; `non-ttstream path` means that the deadline came in over another protocol.",
    ),
    local(
        12012,
        "canceled by business handler returning",
        Raiser::Server,
        "The handler returned while streams that it had opened itself were still running.",
        "The handler: it should end its own streams before it returns.",
    ),
    local(
        12013,
        "canceled by connection closed",
        Raiser::Either,
        "The connection above was closed and took the streams below with it.",
        "How the connection to the caller ended.",
    ),
    local(
        12014,
        "stream recv timeout",
        Raiser::Client,
        "No message came within the time set for one Recv.",
        "The pace of the sender, and the Recv timeout of the caller.",
    ),
    local(
        12015,
        "stream timeout",
        Raiser::Client,
        "The stream took longer than the time set for all of it.",
        "The timeout of the stream against how long it has to live.",
    ),
];
