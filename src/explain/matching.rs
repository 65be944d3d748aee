//! Which calls a layer of an error text is about.

use rpcscope_parsers::Rpc;

use super::agreement::{Agreement, agreement, cut_mark};
use super::ends::End;
use super::log::{LogError, Wording};
use crate::calls::{Call, Carrier, Class, Initiator};
use crate::codes::library_made::library_made;
use crate::codes::{grpc, kitex, trpc, ttstream};

/// How a layer of an error text fits a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerFit {
    /// How much of the call's text stands in it; `None` if the wire does not carry the text, so that the call is found by its end.
    pub text: Option<Agreement>,
    /// It has the call's code.
    pub code: bool,
}

impl LogError {
    /// Whether a call ended with this error or one that it contains.
    #[must_use]
    pub fn matches(&self, call: &Call) -> bool {
        self.layers().any(|layer| layer.is_of(call))
    }

    /// Whether a call ended with exactly this layer.
    #[must_use]
    pub fn is_of(&self, call: &Call) -> bool {
        self.fit(call).is_some()
    }

    /// How this layer alone fits a call; `None` if the call ended otherwise.
    #[must_use]
    pub fn fit(&self, call: &Call) -> Option<LayerFit> {
        let outcome = &call.outcome;
        let coded = outcome.code.is_some() && outcome.code == self.code;
        let text = || agreement(&self.message, outcome.message.as_deref().unwrap_or_default(), coded);
        // The wire carries the text.
        let sent = |is_so: bool| {
            let text = text().filter(|_| is_so)?;
            Some(LayerFit { text: Some(text), code: coded })
        };
        // The caller's library made the text.
        let ended = |is_so: bool| is_so.then_some(LayerFit { text: None, code: false });
        let is_broken = matches!(outcome.class, Some(Class::Transport));
        let by = |side| is_broken && outcome.initiator == Some(side);
        let gave_up = End::CallerLeft.is_of(call, "");
        let trpc = call.rpc.is_trpc();
        let stream_end = matches!(outcome.carrier, Carrier::TrpcStreamReset | Carrier::TrpcStreamClose);
        let fit = match &self.wording {
            Wording::TrpcBusiness => {
                sent(trpc && coded && (outcome.carrier == Carrier::FuncRet || stream_end))
            }
            Wording::TrpcCalleeFramework => {
                let carried = matches!(outcome.carrier, Carrier::Ret | Carrier::TrpcStreamInit) || stream_end;
                sent(trpc && coded && carried)
            }
            Wording::TrpcFramework if trpc => sent(coded && outcome.carrier == Carrier::Ret).or_else(|| {
                // Raised at the caller: the wire shows how the call ended, but not the number.
                ended(match self.code {
                    Some(trpc::CLIENT_TIMEOUT | trpc::CLIENT_FULL_LINK_TIMEOUT) => gave_up,
                    Some(trpc::CLIENT_CANCELED) => by(Initiator::Client),
                    Some(trpc::CLIENT_NETWORK | trpc::CLIENT_READ_FRAME) => by(Initiator::Server),
                    Some(trpc::STREAM_CLIENT_READ_END) if self.cause.is_none() => {
                        call.rpc == Rpc::TrpcStream && (call.failed() || is_broken)
                    }
                    _ => false,
                })
            }),
            Wording::BizStatus => sent(outcome.carrier == Carrier::BizStatus && coded),
            Wording::KitexRemote(address) => {
                let there = address.as_ref().is_none_or(|address| *address == call.server.to_string());
                sent(there && outcome.carrier == Carrier::ThriftException)
            }
            Wording::KitexHandler => {
                let carriers = [Carrier::ThriftException, Carrier::TtstreamTrailer, Carrier::GrpcStatus];
                sent(carriers.contains(&outcome.carrier))
            }
            Wording::KitexLocal(kitex::RPC_TIMEOUT) => {
                let agrees = |name: &str, value: Option<String>| match (self.field(name), value) {
                    (Some((said, false)), Some(seen)) => said == seen,
                    (Some((said, true)), Some(seen)) => seen.starts_with(said),
                    _ => true,
                };
                ended(
                    !trpc
                        && gave_up
                        && agrees("remote=", Some(call.server.to_string()))
                        && agrees("method=", call.method.as_deref().map(str::to_owned)),
                )
            }
            Wording::Ttstream(_, path) => {
                let path_agrees =
                    path.is_empty() || call.outcome.cancel_path().iter().map(|name| &**name).eq(path);
                let rst = outcome.carrier == Carrier::TtstreamRst && coded;
                // The caller's library reports every exception in a trailer as 12001.
                let trailer = outcome.carrier == Carrier::TtstreamTrailer
                    && self.code == Some(ttstream::APPLICATION_EXCEPTION);
                sent((rst || trailer) && path_agrees)
            }
            Wording::Grpc if matches!(call.rpc, Rpc::Grpc | Rpc::GrpcWeb | Rpc::Connect | Rpc::Triple) => {
                let carried = matches!(outcome.carrier, Carrier::GrpcStatus | Carrier::ConnectError);
                // Kitex sends a business status beside INTERNAL, which is all that other clients see of it.
                let biz_status = outcome.carrier == Carrier::BizStatus && self.code == Some(grpc::INTERNAL);
                sent((carried && coded) || biz_status).or_else(|| {
                    let by_callee = self.code.and_then(|code| library_made(code, self.message.as_bytes()));
                    ended(match self.code.filter(|_| by_callee.is_none()) {
                        Some(grpc::CANCELLED | grpc::DEADLINE_EXCEEDED) => by(Initiator::Client),
                        Some(grpc::UNAVAILABLE) => is_broken && outcome.initiator != Some(Initiator::Client),
                        _ => false,
                    })
                })
            }
            Wording::Thrift => {
                sent(outcome.carrier == Carrier::ThriftException && (self.code.is_none() || coded))
            }
            // The server logs a text before it marks it as one of the handler's own numbers.
            Wording::KitexServer(_) => {
                let carriers = [Carrier::ThriftException, Carrier::TtstreamTrailer, Carrier::GrpcStatus];
                let is_carried = carriers.contains(&outcome.carrier);
                let marked = outcome.message.as_deref().and_then(|text| text.strip_suffix(kitex::SUFFIX));
                sent(is_carried).or_else(|| {
                    let marked = marked.filter(|_| is_carried)?.trim_end();
                    // Over gRPC the words for a handler's error, and those of a status that it returned, are not sent.
                    let plain = self.message.strip_prefix(kitex::PLAIN_ERROR);
                    let status = plain.filter(|plain| plain.starts_with(grpc::ERROR_TEXT));
                    let status = status.and_then(|status| status.split_once(" desc = "));
                    let said = [Some(self.message.as_str()), plain, status.map(|(_, text)| text)];
                    let text =
                        said.into_iter().flatten().filter_map(|said| agreement(said, marked, coded)).max()?;
                    Some(LayerFit { text: Some(text), code: coded })
                })
            }
            Wording::Trpc => {
                let carried =
                    matches!(outcome.carrier, Carrier::Ret | Carrier::FuncRet | Carrier::TrpcStreamInit);
                sent(trpc && (carried || stream_end))
            }
            // With the reason why there was no further try in the place of `remote`.
            Wording::KitexLocal(kitex::REMOTE_ERROR) => sent(outcome.carrier == Carrier::ThriftException),
            Wording::TrpcFramework | Wording::KitexLocal(_) | Wording::Grpc | Wording::Local => None,
        };
        fit.or_else(|| ended(self.end()?.is_of(call, &self.message)))
    }

    /// How the call ended that this layer is about, if the library of a client made its text.
    pub(super) fn end(&self) -> Option<End> {
        // With Kitex's suffix a server sent it on.
        let text = self.client_text().filter(|_| !self.message.contains(kitex::SUFFIX))?;
        End::of(text.trace)
    }

    /// The value of a field of Kitex's text for a time-out (`timeout=150ms, to=…, method=…, remote=…`). It ends with the field, or
    /// with what can't be in an address or a name, since anything may follow the text in a line. And whether the line was cut within it.
    fn field(&self, name: &str) -> Option<(&str, bool)> {
        let (_, value) = self.message.split_once(name)?;
        let can_be = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | '[' | ']' | '_' | '-' | '/');
        let end = value.find(|c: char| !can_be(c)).unwrap_or(value.len());
        let is_cut = cut_mark(value).is_some_and(|at| at <= end);
        let value = value.get(..end)?.trim_end_matches(['.', ':', '-']);
        // A bracket is of an IPv6 address, or closes what stands around the text.
        let value = if value.starts_with('[') { value } else { value.trim_end_matches(']') };
        Some((value, is_cut))
    }
}

#[cfg(test)]
mod tests {
    use rpcscope_parsers::Transport;

    use super::super::parse_log;
    use super::*;
    use crate::calls::reported::reported_as;
    use crate::calls::sample;
    use crate::codes::library::Library;

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
        call.outcome.message = Some("order not found".into());
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
            call.outcome.message = Some(wire.into());
            assert_eq!(read(text).matches(&call), found, "{wire}");
        }
    }

    #[test]
    fn what_kitex_sends_over_grpc_is_found_by_what_both_sides_print() {
        let call = |carrier, code, message: &str| {
            let mut call = sample::bare();
            call.rpc = Rpc::Grpc;
            call.outcome.class = Some(Class::Rpc);
            call.outcome.carrier = carrier;
            call.outcome.code = Some(code);
            call.outcome.message = Some(message.into());
            call
        };
        let server = |error: &str| {
            read(&format!(
                "[Error] KITEX: processing gRPC request error, remoteAddr=127.0.0.1:40578, error={error}"
            ))
        };
        let marked = call(Carrier::GrpcStatus, 13, "disk gone [biz error]");
        assert!(server("biz error: disk gone").matches(&marked));
        assert!(!server("biz error: disk full").matches(&marked));
        let status = call(Carrier::GrpcStatus, 5, "no such letter [biz error]");
        assert!(server("biz error: rpc error: code = 5 desc = no such letter").matches(&status));
        let business = call(Carrier::BizStatus, 3003, "no stock");
        assert!(read("rpc error: code = Internal desc = no stock").matches(&business));
        assert!(!read("rpc error: code = NotFound desc = no stock").matches(&business));
        assert!(!read("rpc error: code = Internal desc = no stocking").matches(&business));
    }

    #[test]
    fn the_text_of_a_stream_finds_its_call() {
        let mut call = sample::bare();
        call.rpc = Rpc::TrpcStream;
        call.outcome.class = Some(Class::Business);
        call.outcome.carrier = Carrier::TrpcStreamReset;
        call.outcome.code = Some(9);
        call.outcome.message = Some("the shelf is empty".into());
        // Nothing on a stream shows whose library the caller's is.
        assert!(reported_as(&call).is_none());
        assert!(read("type:callee framework, code:9, msg:the shelf is empty").matches(&call));
        assert!(!read("type:callee framework, code:8, msg:the shelf is empty").matches(&call));
    }

    /// The text that the caller prints leads back to the call.
    #[test]
    fn every_wording_finds_its_call_again() {
        let carriers = [
            (Carrier::Ret, Class::Rpc, Rpc::Trpc),
            (Carrier::FuncRet, Class::Business, Rpc::Trpc),
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
            call.outcome.message = Some("the shelf is empty".into());
            // What the caller's library prints is known where the request shows the library.
            let library = match rpc {
                Rpc::Trpc => Library::TrpcGo,
                Rpc::Grpc => Library::GrpcGo,
                _ => Library::Kitex,
            };
            call.sender = Some((library, (1, 0, 0)));
            let text = reported_as(&call).unwrap().to_string();
            let error = parse_log(&text).unwrap_or_else(|| panic!("{text}"));
            assert!(error.matches(&call), "{text}: {error:?}");
        }
    }
}
