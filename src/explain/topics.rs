//! The meaning of findings, carriers and classes.

use crate::calls::{Carrier, Class, Finding};

/// An explained word of the call record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// What it means.
    pub meaning: &'static str,
    /// What to look at first.
    pub look: &'static str,
}

const fn topic(meaning: &'static str, look: &'static str) -> Topic {
    Topic { meaning, look }
}

/// What a finding means.
#[must_use]
pub fn finding(finding: Finding) -> &'static Topic {
    match finding {
        Finding::BusinessAsRpc => {
            &const {
                topic(
                    "The handler returned a plain error, and the framework sent it as a failure of its own (Kitex: exception 6, \
             `biz error: …`). Monitoring counts it against the RPC's availability.",
                    "The handler: a refusal should be a business error (BizStatusError); a real failure may stay one.",
                )
            }
        }
        Finding::PlainError => {
            &const {
                topic(
                    "The handler returned an error without a code (tRPC 999): callers can only read its text.",
                    "The handler: assign a code of its own to the error, from 10000 on.",
                )
            }
        }
        Finding::BusinessCodeReserved => {
            &const {
                topic(
                    "A func_ret below 10000: the handler uses a number that is reserved for frameworks or unassigned, or it passes a \
             framework error from below on as its own business error.",
                    "Whether a call further down failed with the same number; otherwise the handler's table of codes.",
                )
            }
        }
        Finding::BusinessCodeInRet => {
            &const {
                topic(
                    "The stream ended with a business code in `ret`: trpc-go puts every code of a stream there.",
                    "The code in the handler's own table; it is not a failure of the framework.",
                )
            }
        }
        Finding::BodyWithError => {
            &const {
                topic(
                    "The answer has an error and a body; callers drop the body.",
                    "What the handler returns beside its error.",
                )
            }
        }
        Finding::LateAnswer => {
            &const {
                topic(
                    "The answer came after the caller had closed its side, or later than the time-out of the request.",
                    "The server's latency against the caller's timeout: the work was in vain.",
                )
            }
        }
        Finding::AnswerLost => {
            &const {
                topic(
                    "The captures at the two ends disagree: the callee sent an answer, but at the caller the call broke before one came. \
             The callee counts it as done, the caller as failed, and the effects at the callee remain.",
                    "The network between the two hosts, and the caller's timeout: the answer was lost, or came too late.",
                )
            }
        }
        Finding::DuplicateAnswer => {
            &const {
                topic(
                    "A second answer came to a call that was already answered.",
                    "Retries on the way, or a server that answers twice.",
                )
            }
        }
        Finding::OnewayAnswered => {
            &const {
                topic(
                    "A one-way call was answered with an error: a caller with pooled connections takes it for the answer to its \
             next call, which fails with 122.",
                    "Later calls on this connection at the caller.",
                )
            }
        }
        Finding::BizStatusWithException => {
            &const {
                topic(
                    "The answer has a biz status in its header and an exception in its payload (Volo sends both); callers on other \
             frameworks report the exception.",
                    "Which of the two the caller's library reads.",
                )
            }
        }
        Finding::BizStatusMalformed => {
            &const {
                topic(
                    "The biz status is not a number, or the biz extra can't be parsed: callers report a protocol error.",
                    "What sets these headers: only the framework should.",
                )
            }
        }
        Finding::BizStatusUntransportable => {
            &const {
                topic(
                    "A business error on a transport that can't carry it: the caller sees success or an empty result.",
                    "The client's transport: TTHeader or gRPC carry business errors, Framed and Buffered do not.",
                )
            }
        }
        Finding::MessageAfterError => {
            &const {
                topic(
                    "The stream went on after its error: the first end decides, and what follows is dropped.",
                    "The sender, which did not notice the end of the stream.",
                )
            }
        }
        Finding::MethodMismatch => {
            &const {
                topic(
                    "The answer names another method than the request.",
                    "Answers to calls that had timed out on this connection; the caller may confuse them.",
                )
            }
        }
        Finding::UnknownCode => {
            &const { topic("The code is in no published table.", "The server's own documentation of its codes.") }
        }
        Finding::CauseBelow => {
            &const {
                topic(
                    "The answer's `ret` is a client code (101 to 200): the callee forwards the failure of a call of its own.",
                    "The callee's calls to the services below it at this time.",
                )
            }
        }
        Finding::PassedOn => {
            &const { topic("The service passed an error from below on unchanged.", "The origin of the chain.") }
        }
        Finding::BusinessBecameRpc => {
            &const {
                topic(
                    "Below, the business logic refused; this service turned that into an RPC error, so its caller sees a failure.",
                    "How this service returns errors of its callees: unchanged, or wrapped in a plain error.",
                )
            }
        }
        Finding::RpcBecameBusiness => {
            &const {
                topic(
                    "Below, the framework failed; this service turned that into a business error, so its caller's monitoring counts a \
             success.",
                    "How this service returns errors of its callees: trpc-go sends a callee's framework error as func_ret.",
                )
            }
        }
        Finding::CodeLost => {
            &const {
                topic(
                    "The error below had a code; this service's error has none, or the one for unknown errors.",
                    "Where this service wraps the error: a wrapped error loses its code.",
                )
            }
        }
        Finding::CodeChanged => {
            &const {
                topic(
                    "This service answered with a different code than the one from below.",
                    "Whether the translation is intended.",
                )
            }
        }
        Finding::MessageChanged => {
            &const {
                topic(
                    "This service answered with a different text than the one from below.",
                    "The old text inside the new one.",
                )
            }
        }
        Finding::Swallowed => {
            &const {
                topic("A call below failed, and this service answered ok.", "Whether a fallback is intended.")
            }
        }
        Finding::FailedAlone => {
            &const {
                topic(
                    "This service failed although all its calls were ok.",
                    "This service's own code and log: the error began here.",
                )
            }
        }
        Finding::NameFromAnswer => {
            &const {
                topic(
                    "The path was sent before the capture began. Service and method come from an answer to this path, which says that \
             they do not exist. They are wrong if the callee passed such an answer of its own callee on.",
                    "The message; and whether the answer is from the server itself or from a gateway in front of it.",
                )
            }
        }
        Finding::MidStream => {
            &const {
                topic(
                    "The capture began in the middle of this connection: what was sent before is unknown.",
                    "A capture that starts earlier.",
                )
            }
        }
        Finding::Gap => {
            &const {
                topic(
                    "Packets of this call are missing from the capture.",
                    "Whether the capturing host dropped packets: use a larger buffer or a narrower capture filter.",
                )
            }
        }
        Finding::Truncated => {
            &const {
                topic(
                    "The snap length cut off bytes that show the outcome.",
                    "A capture with a larger snap length.",
                )
            }
        }
    }
}

/// What a carrier means.
#[must_use]
pub fn carrier(carrier: Carrier) -> &'static Topic {
    match carrier {
        Carrier::BizStatus => {
            &const {
                topic(
                    "Kitex `biz-status` in a TTHeader, gRPC trailer or ttstream trailer: the callee's business error.",
                    "The code in the callee's own table, and `biz-extra`.",
                )
            }
        }
        Carrier::ThriftException => {
            &const {
                topic(
                    "A TApplicationException (or the same of Kitex Protobuf): the framework's error.",
                    "`rpcscope explain thrift CODE` or `kitex CODE`, and the text.",
                )
            }
        }
        Carrier::IdlException => {
            &const {
                topic(
                    "An exception that the IDL declares: the result struct has a field other than 0.",
                    "`field_id`: the exception with this number in the method's `throws`.",
                )
            }
        }
        Carrier::Ret => {
            &const { topic("tRPC `ret`: the framework's code.", "`rpcscope explain trpc CODE`.") }
        }
        Carrier::FuncRet => {
            &const {
                topic(
                    "tRPC `func_ret`: the function's own code.",
                    "The callee's own table of codes; a number below 10000 may be a framework error from further down.",
                )
            }
        }
        Carrier::GrpcStatus => {
            &const { topic("`grpc-status` in the trailers.", "`rpcscope explain grpc CODE`.") }
        }
        Carrier::HttpStatus => {
            &const {
                topic(
                    "An HTTP status without any status of the RPC protocol: often a proxy answers.",
                    "`rpcscope explain http CODE`, and what runs at the address.",
                )
            }
        }
        Carrier::TtstreamTrailer => {
            &const {
                topic(
                    "The callee's trailer frame of TTHeader Streaming carries an exception.",
                    "The text: `biz error: …` comes from the handler.",
                )
            }
        }
        Carrier::TtstreamRst => {
            &const {
                topic(
                    "An Rst frame of TTHeader Streaming ended the stream.",
                    "`rpcscope explain ttstream CODE`, and the cancel path.",
                )
            }
        }
        Carrier::H2RstStream => {
            &const {
                topic(
                    "RST_STREAM ended the stream; `initiator` is the side that sent it.",
                    "`rpcscope explain http2 CODE`.",
                )
            }
        }
        Carrier::H2Goaway => {
            &const {
                topic(
                    "GOAWAY: the peer did not accept the stream any more, or ended the connection with an error.",
                    "Its code and debug text, and whether the server was shutting down.",
                )
            }
        }
        Carrier::TrpcStreamClose => {
            &const { topic("The callee's CLOSE frame of a tRPC stream.", "Its ret and text.") }
        }
        Carrier::TrpcStreamReset => {
            &const {
                topic(
                    "The callee's CLOSE frame of type RESET: the handler returned an error. trpc-go puts every code into `ret`.",
                    "The code: it is the framework's if the framework's table has it, otherwise the handler's.",
                )
            }
        }
        Carrier::TrpcStreamInit => {
            &const {
                topic(
                    "The callee refused the INIT frame of a tRPC stream.",
                    "The text: usually the service or method does not exist there.",
                )
            }
        }
        Carrier::TcpRst => {
            &const {
                topic(
                    "A TCP RST before the answer.",
                    "Which side sent it: a process was killed, or data arrived at a closed socket.",
                )
            }
        }
        Carrier::TcpFin => {
            &const {
                topic(
                    "A TCP FIN before the answer.",
                    "Which side sent it: from the caller it is mostly a timeout, from the callee a shutdown or crash.",
                )
            }
        }
        Carrier::None => {
            &const { topic("No single element decided: the call is ok, or nothing came.", "The class.") }
        }
    }
}

/// What a class means.
#[must_use]
pub fn class(class: Class) -> &'static Topic {
    match class {
        Class::Ok => &const { topic("Answered, without an error.", "Nothing.") },
        Class::Business => {
            &const {
                topic(
                    "The RPC worked, and the callee's business logic refused.",
                    "The code in the callee's own table.",
                )
            }
        }
        Class::Rpc => {
            &const {
                topic(
                    "The framework failed: the call was not handled, or its failure was not sent as a business error.",
                    "The carrier and the code.",
                )
            }
        }
        Class::Transport => {
            &const { topic("The connection or stream broke before the answer.", "`initiator`: who broke it.") }
        }
        Class::Unanswered => {
            &const {
                topic(
                    "No answer came, and the connection was not closed within the capture.",
                    "Whether the capture ends too early; otherwise the server, which may be stuck.",
                )
            }
        }
        Class::Oneway => {
            &const { topic("No answer is expected.", "The findings: the callee may still answer with an error.") }
        }
    }
}
