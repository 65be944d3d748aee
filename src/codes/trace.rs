//! What an error leaves on the wire, for errors that no message carries as such: those that a client's library makes itself.

/// What a capture shows of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trace {
    /// The call was not sent, and nothing was tried.
    Unsent,
    /// No connection came about: an unanswered or refused SYN, a failed TLS handshake, a proxy that refused.
    NoConnection,
    /// The caller broke off: its FIN, RST or `RST_STREAM` comes first, or the answer is late or missing.
    CallerLeft,
    /// The server's FIN or RST (its own or that of something in between) ended the connection before the answer.
    ServerLeft,
    /// The server broke the stream off with `RST_STREAM`.
    ServerReset,
    /// The server ended the connection with GOAWAY.
    Goaway,
    /// An HTTP answer without a status of the RPC: usually a proxy's.
    HttpStatus,
    /// An answer that is complete for the protocol; the caller could not use it.
    Answered,
    /// An answer with a message above a limit of the caller, which mostly breaks the call off then.
    TooLarge,
    /// An answer that says OK and holds no message.
    NoMessage,
    /// The server's side sent bytes of another protocol.
    Foreign,
    /// An error of the server as its answer carries it.
    Sent,
    /// The text alone does not decide it.
    Open,
}

impl Trace {
    /// As a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unsent => "Nothing: the call was not sent.",
            Self::NoConnection => {
                "No call, because no connection came about: a SYN that is refused (RST) or not answered, or a handshake that fails."
            }
            Self::CallerLeft => {
                "The caller's FIN, RST or RST_STREAM comes first; the answer is late or missing."
            }
            Self::ServerLeft => "The server's FIN or RST comes before the answer.",
            Self::ServerReset => "RST_STREAM from the server.",
            Self::Goaway => "GOAWAY from the server.",
            Self::HttpStatus => "An HTTP status without a status of the RPC, mostly from a proxy.",
            Self::Answered => "A complete answer, which the caller could not use.",
            Self::TooLarge => {
                "An answer with a message of the size that the text names; the caller reads it no further, and mostly breaks the call off."
            }
            Self::NoMessage => {
                "A complete answer that says OK and holds no message: nothing on the wire is wrong."
            }
            Self::Foreign => "Bytes of another protocol in place of the answer.",
            Self::Sent => "The server's answer carries it.",
            Self::Open => "The text alone does not say; the capture does.",
        }
    }

    /// Whether it can only be the client's library that made the error.
    #[must_use]
    pub fn is_of_client(self) -> bool {
        !matches!(self, Self::Sent | Self::Open)
    }
}
