//! Findings: what is remarkable about a call, and what each means.

use super::record::table;

/// A finding in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingRow {
    /// What it means.
    pub meaning: &'static str,
    /// What to look at first.
    pub look: &'static str,
    /// What it adds to the sentence about a call; `None` if the sentence says it already, or if it is of no use without
    /// the chain beside it.
    pub remark: Option<&'static str>,
}

table! {
    /// Something remarkable about a call. `rpcscope explain NAME` explains each.
    Finding: FindingRow {
        /// A plain handler error that the framework reports as its own failure.
        BusinessAsRpc = "business-as-rpc" {
            meaning: "The handler returned a plain error, and the framework sent it as a failure of its own \
                (Kitex: exception 6, `biz error: …`). Monitoring counts it against the RPC's availability.",
            look: "The handler: a refusal should be a business error (BizStatusError); a real failure may stay \
                one.",
            remark: None,
        },
        /// A business error without a code of its own.
        PlainError = "plain-error" {
            meaning: "The handler returned an error without a code (tRPC 999): callers can only read its text.",
            look: "The handler: assign a code of its own to the error, from 10000 on.",
            remark: Some("the handler's error has no code of its own, so the framework's catch-all stands for it"),
        },
        /// A `func_ret` in the framework's range.
        BusinessCodeReserved = "business-code-reserved" {
            meaning: "A func_ret below 10000: the handler uses a number that is reserved for frameworks or \
                unassigned, or it passes a framework error from below on as its own business error.",
            look: "Whether a call further down failed with the same number; otherwise the handler's table of \
                codes.",
            remark: Some("the handler used a code from the framework's own range"),
        },
        /// A tRPC stream's business code, which trpc-go puts into `ret`.
        BusinessCodeInRet = "business-code-in-ret" {
            meaning: "The stream ended with a business code in `ret`: trpc-go puts every code of a stream there.",
            look: "The code in the handler's own table; it is not a failure of the framework.",
            remark: Some("trpc-go sends every code of a stream as the framework's"),
        },
        /// A body was sent beside an error: the caller drops it.
        BodyWithError = "body-with-error" {
            meaning: "The answer has an error and a body; callers drop the body.",
            look: "What the handler returns beside its error.",
            remark: Some("a body came with the error, which the caller drops"),
        },
        /// A unary gRPC call went well without a message.
        MessageMissing = "message-missing" {
            meaning: "A gRPC answer with status 0 and without a message, to one request. If the method is unary, the \
                caller's library makes a failure of it (grpc-go and gRPC C++: INTERNAL; grpc-java: INTERNAL, \
                'No value received for unary call'); an answer of a stream may be empty.",
            look: "The handler or the proxy that ended the call without an answer, if the method is unary.",
            remark: Some("there is no message in the answer, which fails the call if its method is unary"),
        },
        /// The answer came after the caller gave up.
        LateAnswer = "late-answer" {
            meaning: "The answer came after the caller had closed its side, or later than the time-out of the \
                request.",
            look: "The server's latency against the caller's timeout: the work was in vain.",
            remark: Some("the answer came after the caller had given up"),
        },
        /// The callee sent an answer that its caller never got, or got when it had given up.
        AnswerLost = "answer-lost" {
            meaning: "The captures at the two ends disagree: the callee sent an answer, but at the caller the \
                call broke before one came. The callee counts it as done, the caller as failed, and the effects \
                at the callee remain.",
            look: "The network between the two hosts, and the caller's timeout: the answer was lost, or came too \
                late.",
            remark: Some("the callee sent an answer that the caller never got, or got too late"),
        },
        /// A second answer came.
        DuplicateAnswer = "duplicate-answer" {
            meaning: "A second answer came to a call that was already answered.",
            look: "Retries on the way, or a server that answers twice.",
            remark: Some("it was answered more than once"),
        },
        /// A one-way call was answered with an error.
        OnewayAnswered = "oneway-answered" {
            meaning: "A one-way call was answered with an error: a caller with pooled connections takes it for \
                the answer to its next call, which fails with 122.",
            look: "Later calls on this connection at the caller.",
            remark: Some("the callee answered all the same, with an error"),
        },
        /// Biz status in the header, exception in the payload.
        BizStatusWithException = "biz-status-with-exception" {
            meaning: "The answer has a biz status in its header and an exception in its payload (Volo sends \
                both); callers on other frameworks report the exception.",
            look: "Which of the two the caller's library reads.",
            remark: Some("the answer also holds an exception, and callers on other frameworks report that one"),
        },
        /// A biz status that is no number, or a biz extra that can't be read.
        BizStatusMalformed = "biz-status-malformed" {
            meaning: "The biz status is not a number, or the biz extra can't be parsed: callers report a protocol \
                error.",
            look: "What sets these headers: only the framework should.",
            remark: None,
        },
        /// A business error on a transport that can't carry it.
        BizStatusUntransportable = "biz-status-untransportable" {
            meaning: "A business error on a transport that can't carry it: the caller sees success or an empty \
                result.",
            look: "The client's transport: TTHeader or gRPC carry business errors, Framed and Buffered do not.",
            remark: Some("this transport can't carry a business status to the caller"),
        },
        /// A stream goes on after its error.
        MessageAfterError = "message-after-error" {
            meaning: "The stream went on after its error: the first end decides, and what follows is dropped.",
            look: "The sender, which did not notice the end of the stream.",
            remark: Some("messages still came after the error"),
        },
        /// The answer names another method than the request.
        MethodMismatch = "method-mismatch" {
            meaning: "The answer names another method than the request.",
            look: "Answers to calls that had timed out on this connection; the caller may confuse them.",
            remark: Some("the answer names another method than the request"),
        },
        /// A code that no published table has.
        UnknownCode = "unknown-code" {
            meaning: "The code is in no published table.",
            look: "The server's own documentation of its codes.",
            remark: Some("no published table has the code"),
        },
        /// The answer is in another language than the request.
        ForeignAnswer = "foreign-answer" {
            meaning: "The answer is no message of the call's protocol but something else: an HTTP error page, a TLS \
                alert, the banner of another server. The message is its first line, or says what it is.",
            look: "What listens at the server's address, and proxies before it: the port, plaintext against TLS, \
                the protocol that the client is set to.",
            remark: None,
        },
        /// The answer can't be decoded.
        UndecodableAnswer = "undecodable-answer" {
            meaning: "The bytes of the answer are there and can't be decoded. The class is rpc if no client of the \
                protocol could, and null where later answers on the connection could be read again, the answer \
                begins like a message, it is in a transform that only its peers read (the request too: it may want \
                no answer), or it has a number that was not asked, so that it may belong to several calls.",
            look: "What listens at the server's address; then `rpcscope calls --connections`, which says what is wrong \
                with the bytes.",
            remark: Some("the bytes of the answer can't be decoded"),
        },
        /// A gRPC status that only a handler should return, made by a library.
        LibraryMade = "library-made" {
            meaning: "A gRPC status that by the specification only a handler's code returns; its text shows that a \
                library made it (tonic 11, connect-go 3, Kitex 17 and 20). The call failed in the framework.",
            look: "The text, and the limits and versions of both sides; the handler may never have run.",
            remark: None,
        },
        /// The callee forwards a failure of its own call.
        CauseBelow = "cause-below" {
            meaning: "The answer's `ret` is a client code (101 to 200): the callee forwards the failure of a call \
                of its own. 111, 121, 123, 124 and 131 mean that its client never sent that call.",
            look: "The callee's calls to the services below it at this time; if none was sent, the callee's client: \
                its addresses, naming and limits.",
            remark: Some("the error comes from a call below"),
        },
        /// Chains: the error was passed on unchanged.
        PassedOn = "passed-on" {
            meaning: "The service passed an error from below on unchanged.",
            look: "The origin of the chain.",
            remark: None,
        },
        /// Chains: a business error below became an RPC error here.
        BusinessBecameRpc = "business-became-rpc" {
            meaning: "Below, the business logic refused; this service turned that into an RPC error, so its \
                caller sees a failure.",
            look: "How this service returns errors of its callees: unchanged, or wrapped in a plain error.",
            remark: Some("it began below as a business error"),
        },
        /// Chains: an RPC error below became a business error here.
        RpcBecameBusiness = "rpc-became-business" {
            meaning: "Below, the framework failed; this service turned that into a business error, so its \
                caller's monitoring counts a success.",
            look: "How this service returns errors of its callees: trpc-go sends a callee's framework error as \
                func_ret.",
            remark: Some("it began below as an RPC error"),
        },
        /// Chains: the code of the error below was lost here.
        CodeLost = "code-lost" {
            meaning: "The error below had a code; this service's error has none, or the one for unknown errors.",
            look: "Where this service wraps the error: a wrapped error loses its code.",
            remark: Some("the code of the error below was lost here"),
        },
        /// Chains: the code changed.
        CodeChanged = "code-changed" {
            meaning: "This service answered with a different code than the one from below.",
            look: "Whether the translation is intended.",
            remark: None,
        },
        /// Chains: the message changed.
        MessageChanged = "message-changed" {
            meaning: "This service answered with a different text than the one from below.",
            look: "The old text inside the new one.",
            remark: None,
        },
        /// Chains: ok although a callee failed.
        Swallowed = "swallowed" {
            meaning: "A call below failed, and this service answered ok.",
            look: "Whether a fallback is intended.",
            remark: Some("it hid the failure of a call below it"),
        },
        /// Chains: failed although all callees were ok.
        FailedAlone = "failed-alone" {
            meaning: "This service failed although all its calls were ok.",
            look: "This service's own code and log: the error began here.",
            remark: Some("all calls that it made were fine"),
        },
        /// Service and method are those that the text of an answer quotes.
        NameFromAnswer = "name-from-answer" {
            meaning: "The path was sent before the capture began. Service and method come from an answer to this \
                path, which says that they do not exist. They are wrong if the callee passed such an answer of \
                its own callee on.",
            look: "The message; and whether the answer is from the server itself or from a gateway in front of it.",
            remark: Some("its name is the one that an answer quotes"),
        },
        /// The capture began in the middle of the connection.
        MidStream = "mid-stream" {
            meaning: "The capture began in the middle of this connection: what was sent before is unknown.",
            look: "A capture that starts earlier.",
            remark: Some("the capture began in the middle of the connection"),
        },
        /// The status was found by exclusion.
        StatusDeduced = "status-deduced" {
            meaning: "The names of the trailers were sent before the capture began. Trailers of gRPC must have a \
                `grpc-status`, and only one of their values can be it; the text behind it is taken for `grpc-message`.",
            look: "A capture of the connection from its beginning, if in doubt.",
            remark: Some("the capture lacks the names of its trailers, of which only one can be the status"),
        },
        /// Packets are missing.
        Gap = "gap" {
            meaning: "Packets of this call are missing from the capture.",
            look: "Whether the capturing host dropped packets: use a larger buffer or a narrower capture filter.",
            remark: Some("packets are missing from the capture"),
        },
        /// The snap length cut off what matters.
        Truncated = "truncated" {
            meaning: "The snap length cut off bytes that show the outcome.",
            look: "A capture with a larger snap length.",
            remark: Some("the capture cut packets short"),
        },
        /// Code of the error from a field of the exception.
        CodeFromField = "code-from-field" {
            meaning: "The exception is one of the IDL, which has no codes of its own: `code` is the value of its field \
                that is named code, err_code, status or the like.",
            look: "The IDL, for what the numbers of this exception mean.",
            remark: None,
        },
        /// A description of messages does not fit them.
        DescriptionMismatch = "description-mismatch" {
            meaning: "The description (--idl, --proto, --descriptor-set, server reflection) is not that of the messages: \
                fields of other types than it says are shown by their number.",
            look: "The version of the description: one of the peers was built with another one.",
            remark: None,
        },
        /// Fields of a message are not in its description.
        UnknownFields = "unknown-fields" {
            meaning: "A protobuf message has fields whose numbers its description (--proto, --descriptor-set, server reflection) \
                does not have. They are shown by number, their types by guess: in `request_unknown` and \
                `response_unknown`, or among the others if one of those has another type than is described. Those of a map's entry, \
                beside its key and value, are not shown.",
            look: "A newer description: the sender was built with one.",
            remark: None,
        },
        /// Several descriptions have such a method.
        MethodAmbiguous = "method-ambiguous" {
            meaning: "Several services of the descriptions have a method of this name, and neither the call nor the \
                fields on the wire tell which one is meant: fields are shown by their number.",
            look: "The service that is meant: give only its description.",
            remark: None,
        },
        /// The body of a message can't be decoded.
        UndecodableBody = "undecodable-body" {
            meaning: "The body of a message is not what its codec says, or its compression can't be undone: it is shown \
                as bytes.",
            look: "The codec and the compression that the headers name.",
            remark: None,
        },
        /// A body is not shown whole.
        BodyCut = "body-cut" {
            meaning: "A body is not shown, or not to its end: bytes of it are missing from the capture, it is over \
                --payload-limit, or the call has more messages than are kept.",
            look: "--payload-limit; then the packets of the call.",
            remark: None,
        },
        /// A bound of the program was reached before the answer.
        Shed = "shed" {
            meaning: "rpcscope gave this call up before it had read an answer, because a bound was reached (memory, \
                connections, calls that wait). Whether an answer came is unknown.",
            look: "What `--totals` says was shed; then a larger `--max-memory` or a narrower capture filter.",
            remark: None,
        },
        /// The call that caused this one is in none of the records.
        ParentMissing = "parent-missing" {
            meaning: "Chains of records: its host names the call that caused this one, but that call is in none of the \
                records: its record is in another file or was filtered out, or its request was not captured. The \
                chain begins below it.",
            look: "The other records of the same host, those of the next hour among them: a cause ends after what it \
                causes.",
            remark: Some("the call that caused it is in none of the records"),
        },
        /// Its host has not linked it.
        NotLinked = "not-linked" {
            meaning: "Chains of records: the agent that recorded this call had not linked it when its journal was read, because it \
                still ran, or was killed within ten seconds. So it is not known which call caused it, nor which calls it caused \
                on that host.",
            look: "The same chain later, if the agent still ran; calls of the same host at that time.",
            remark: Some("its host had not linked it to its cause, nor to what it caused"),
        },
        /// Its ends have different addresses.
        JoinedByTrace = "joined-by-trace" {
            meaning: "Chains of records: the two ends of this call have different addresses, because NAT or a proxy that \
                was not captured stands between them. They are joined because these two alone carry the same trace id and \
                span id, and name the same method.",
            look: "What stands between the two hosts, if the network takes long (network_ns) or changes the answer.",
            remark: Some("its two ends have different addresses and were joined by their trace context"),
        },
        /// Its ends have different addresses.
        JoinedBySequence = "joined-by-sequence" {
            meaning: "Chains of records: the two ends of this call have different addresses, because NAT stands between \
                them, or the host that translates saw it twice. They are joined because, within 60 seconds, these two \
                records alone have the same TCP sequence number of the request, which NAT keeps, the same id, protocol, \
                method and size of the request, and do not contradict each other in their answers and times.",
            look: "What stands between the two hosts, if the network takes long (network_ns).",
            remark: Some("its two ends have different addresses and were joined by their TCP sequence number"),
        },
        /// Its ends have different addresses.
        JoinedByLogId = "joined-by-log-id" {
            meaning: "Chains of records: the two ends of this call have different addresses, because NAT or a proxy stands \
                between them that passes the request on as it is. They are joined because, within 60 seconds, these two records \
                alone have the same log id, id, protocol, names and size of the request, do not contradict each other in their \
                answers and times, and can't be two calls of one chain: both name one of the ends, or the id comes from a long count.",
            look: "What stands between the two hosts, if the network takes long (network_ns).",
            remark: Some("its two ends have different addresses and were joined by their log id"),
        },
    }
}
