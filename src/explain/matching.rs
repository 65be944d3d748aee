//! Which calls an error text is about.

use rpcscope_parsers::Rpc;

use super::log::{LogError, Wording};
use crate::calls::{Call, Carrier, Class, Finding, Initiator};
use crate::codes::library_made::library_made;
use crate::codes::trpc::without_cost;
use crate::codes::{grpc, kitex, trpc, ttstream};

impl LogError {
    /// Whether a call ended with this error or one that it contains.
    #[must_use]
    pub fn matches(&self, call: &Call) -> bool {
        self.layers().any(|layer| layer.is_of(call))
    }

    /// Whether a call ended with exactly this layer.
    #[must_use]
    pub fn is_of(&self, call: &Call) -> bool {
        let outcome = &call.outcome;
        let text = outcome.message.as_deref().unwrap_or_default();
        let same = without_cost(text) == without_cost(&self.message);
        let coded = outcome.code.is_some() && outcome.code == self.code;
        let broken = matches!(outcome.class, Some(Class::Transport));
        let silent =
            matches!(outcome.class, Some(Class::Unanswered)) || call.findings.contains(Finding::LateAnswer);
        let by = |side| broken && outcome.initiator == Some(side);
        let trpc = call.rpc.is_trpc();
        let stream_end = matches!(outcome.carrier, Carrier::TrpcStreamReset | Carrier::TrpcStreamClose);
        match &self.wording {
            Wording::TrpcBusiness => {
                trpc && coded && same && (outcome.carrier == Carrier::FuncRet || stream_end)
            }
            Wording::TrpcCalleeFramework => {
                let sent = matches!(outcome.carrier, Carrier::Ret | Carrier::TrpcStreamInit) || stream_end;
                trpc && coded && same && sent
            }
            Wording::TrpcFramework if trpc => match self.code {
                _ if coded && same && outcome.carrier == Carrier::Ret => true,
                // Raised at the caller: the wire shows how the call ended, but not the number.
                Some(trpc::CLIENT_TIMEOUT | trpc::CLIENT_FULL_LINK_TIMEOUT) => {
                    by(Initiator::Client) || silent
                }
                Some(trpc::CLIENT_CANCELED) => by(Initiator::Client),
                Some(trpc::CLIENT_NETWORK | trpc::CLIENT_READ_FRAME) => by(Initiator::Server),
                Some(trpc::STREAM_CLIENT_READ_END) if self.cause.is_none() => {
                    call.rpc == Rpc::TrpcStream && (call.failed() || broken)
                }
                _ => false,
            },
            Wording::BizStatus => outcome.carrier == Carrier::BizStatus && coded && text == self.message,
            Wording::KitexRemote(address) => {
                let there = address.as_ref().is_none_or(|address| *address == call.server.to_string());
                there && outcome.carrier == Carrier::ThriftException && text == self.message
            }
            Wording::KitexHandler => {
                let carriers = [Carrier::ThriftException, Carrier::TtstreamTrailer, Carrier::GrpcStatus];
                carriers.contains(&outcome.carrier) && text == self.message
            }
            Wording::KitexLocal(kitex::RPC_TIMEOUT) => {
                let field = |name: &str| {
                    self.message.split(", ").find_map(|part| part.strip_prefix(name)).map(str::to_owned)
                };
                let agrees = |name: &str, value: Option<String>| match (field(name), value) {
                    (Some(said), Some(seen)) => said == seen,
                    _ => true,
                };
                !trpc
                    && (by(Initiator::Client) || silent)
                    && agrees("remote=", Some(call.server.to_string()))
                    && agrees("method=", call.method.as_deref().map(str::to_owned))
            }
            Wording::Ttstream(_, path) => {
                let path_agrees =
                    path.is_empty() || call.outcome.cancel_path().iter().map(|name| &**name).eq(path);
                let rst = outcome.carrier == Carrier::TtstreamRst && coded;
                // The caller's library reports every exception in a trailer as 12001.
                let trailer = outcome.carrier == Carrier::TtstreamTrailer
                    && self.code == Some(ttstream::APPLICATION_EXCEPTION);
                (rst || trailer) && text == self.message && path_agrees
            }
            Wording::Grpc if call.rpc == Rpc::Grpc => {
                let by_callee = self.code.and_then(|code| library_made(code, self.message.as_bytes()));
                let raised_by_caller = match self.code.filter(|_| by_callee.is_none()) {
                    Some(grpc::CANCELLED | grpc::DEADLINE_EXCEEDED) => by(Initiator::Client),
                    Some(grpc::UNAVAILABLE) => broken && outcome.initiator != Some(Initiator::Client),
                    _ => false,
                };
                raised_by_caller || (outcome.carrier == Carrier::GrpcStatus && coded && text == self.message)
            }
            Wording::Thrift => {
                let coded = self.code.is_none() || coded;
                outcome.carrier == Carrier::ThriftException && coded && text == self.message
            }
            // The server logs a text before it marks it as one of the handler's own numbers.
            Wording::KitexServer(_) => {
                let carriers = [Carrier::ThriftException, Carrier::TtstreamTrailer, Carrier::GrpcStatus];
                let marked = text.strip_suffix(kitex::SUFFIX).map(str::trim_end);
                carriers.contains(&outcome.carrier) && (text == self.message || marked == Some(&self.message))
            }
            Wording::Trpc => {
                let sent =
                    matches!(outcome.carrier, Carrier::Ret | Carrier::FuncRet | Carrier::TrpcStreamInit);
                trpc && same && (sent || stream_end)
            }
            Wording::TrpcFramework | Wording::KitexLocal(_) | Wording::Grpc | Wording::Local => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rpcscope_parsers::Transport;

    use super::super::parse_log;
    use super::*;
    use crate::calls::reported::reported_as;
    use crate::calls::sample;

    fn read(line: &str) -> LogError {
        parse_log(line).unwrap_or_else(|| panic!("not read: {line}"))
    }

    #[test]
    fn the_call_that_carries_an_error_is_found() {
        let mut call = sample::bare();
        call.rpc = Rpc::Trpc;
        call.outcome.class = Some(Class::Business);
        call.outcome.carrier = Carrier::FuncRet;
        call.outcome.code = Some(10001);
        call.outcome.message = Some("order not found".to_owned());
        assert!(read("type:business, code:10001, msg:order not found").matches(&call));
        assert!(!read("type:business, code:10001, msg:order lost").matches(&call));
        assert!(!read("type:callee framework, code:10001, msg:order not found").matches(&call));
        call.outcome.class = Some(Class::Transport);
        call.outcome.carrier = Carrier::TcpFin;
        call.outcome.code = None;
        call.outcome.initiator = Some(Initiator::Client);
        assert!(read("type:framework, code:101, msg:client timeout").matches(&call));
        assert!(!read("type:framework, code:141, msg:EOF").matches(&call));
    }

    #[test]
    fn an_inner_error_finds_the_call_further_down() {
        let text = "remote or network error[remote]: biz error: stock: remote or network error[remote]: biz error: empty";
        let mut call = sample::bare();
        call.outcome.class = Some(Class::Rpc);
        call.outcome.carrier = Carrier::ThriftException;
        call.outcome.code = Some(6);
        for (wire, found) in [
            ("biz error: stock: remote or network error[remote]: biz error: empty", true),
            ("biz error: empty", true),
            ("biz error: full", false),
        ] {
            call.outcome.message = Some(wire.to_owned());
            assert_eq!(read(text).matches(&call), found, "{wire}");
        }
    }

    /// The text that the caller prints leads back to the call.
    #[test]
    fn every_wording_finds_its_call_again() {
        let carriers = [
            (Carrier::Ret, Class::Rpc, Rpc::Trpc),
            (Carrier::FuncRet, Class::Business, Rpc::Trpc),
            (Carrier::TrpcStreamReset, Class::Business, Rpc::TrpcStream),
            (Carrier::BizStatus, Class::Business, Rpc::Thrift),
            (Carrier::ThriftException, Class::Rpc, Rpc::Thrift),
            (Carrier::TtstreamTrailer, Class::Rpc, Rpc::Ttstream),
            (Carrier::TtstreamRst, Class::Rpc, Rpc::Ttstream),
            (Carrier::GrpcStatus, Class::Business, Rpc::Grpc),
        ];
        for (carrier, class, rpc) in carriers {
            let mut call = sample::bare();
            call.rpc = rpc;
            if rpc == Rpc::Grpc {
                call.transport = Transport::Http2;
            }
            call.outcome.class = Some(class);
            call.outcome.carrier = carrier;
            call.outcome.code = Some(9);
            call.outcome.initiator = Some(Initiator::Client);
            call.outcome.message = Some("the shelf is empty".to_owned());
            let text = reported_as(&call).unwrap().to_string();
            let error = parse_log(&text).unwrap_or_else(|| panic!("{text}"));
            assert!(error.matches(&call), "{text}: {error:?}");
        }
    }
}
