//! An error text as it was parsed: layers, the outermost first. The forms that are parsed are in [`super::forms`].

use super::agreement::cut_at_end;
use super::forms::{LAYER_LIMIT, parse_layer};
use crate::calls::Initiator;
use crate::codes::client_texts::{ClientText, client_text, cut_client_text};
use crate::codes::library::Library;
use crate::codes::named::values;
use crate::codes::value::ErrorValue;
use crate::codes::{self, Entry, Family, grpc, thrift};

/// The library that worded a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wording {
    /// trpc-go, type 1: its framework at this side.
    TrpcFramework,
    /// trpc-go, type 2: business.
    TrpcBusiness,
    /// trpc-go, type 3: the callee's framework.
    TrpcCalleeFramework,
    /// Kitex: an error from the other side, with its address if the text has it. Each is one hop.
    KitexRemote(Option<String>),
    /// Kitex: an error of the framework at this side (`rpc timeout`, `get connection error` …), by its words.
    KitexLocal(&'static str),
    /// Kitex: a handler's plain error.
    KitexHandler,
    /// Kitex: a business error with a code.
    BizStatus,
    /// Kitex: a line that its server logged of a request, by what it says.
    KitexServer(&'static str),
    /// TTHeader Streaming: the side that raised it, and the services of the cancel path.
    Ttstream(Option<Initiator>, Vec<String>),
    /// gRPC.
    Grpc,
    /// thrift: an application exception.
    Thrift,
    /// tRPC in a form that does not show whose error it is.
    Trpc,
    /// An error of a library at this side without a code: how its connection ended, or why there was none.
    Local,
}

/// One layer of an error text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    /// How it is worded.
    pub wording: Wording,
    /// The library that worded it, where the text shows which.
    pub library: Option<Library>,
    /// Its code, if the text has one.
    pub code: Option<i64>,
    /// Its text; if it came over the wire, exactly as sent.
    pub message: String,
    /// The error that it contains.
    pub cause: Option<Box<LogError>>,
}

/// Parses the error text in a log line; `None` if it contains no known form.
#[must_use]
pub fn parse_log(line: &str) -> Option<LogError> {
    parse_layer(line.trim_end(), LAYER_LIMIT)
}

impl LogError {
    /// This layer and those that it contains, the outermost first.
    pub fn layers(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |layer| layer.cause.as_deref())
    }

    /// What is known of its text, if the library of a client makes it by itself.
    #[must_use]
    pub fn client_text(&self) -> Option<&'static ClientText> {
        let cut = |texts: &[Library]| cut_client_text(cut_at_end(&self.message)?, texts);
        let own = |texts: &[Library]| client_text(&self.message, texts).or_else(|| cut(texts));
        match &self.wording {
            Wording::Grpc | Wording::Thrift | Wording::Local => own(self.library.as_slice()),
            Wording::TrpcFramework | Wording::Trpc => own(&[self.library.unwrap_or(Library::TrpcGo)]),
            Wording::KitexLocal(words) => {
                let whole = || client_text(&format!("{words}: {}", self.message), &[Library::Kitex]);
                own(&[Library::Kitex]).or_else(whole)
            }
            Wording::Ttstream(..) => own(&[Library::Kitex]),
            Wording::TrpcBusiness
            | Wording::TrpcCalleeFramework
            | Wording::KitexRemote(_)
            | Wording::KitexHandler
            | Wording::KitexServer(_)
            | Wording::BizStatus => None,
        }
    }

    /// Whether its form is not proof of its library: names of Connect's codes are words that other programs begin an error with too.
    #[must_use]
    pub fn is_likely(&self) -> bool {
        let is_connect = matches!(self.library, Some(Library::ConnectGo | Library::ConnectEs));
        self.wording == Wording::Grpc && is_connect && self.client_text().is_none()
    }

    /// Whether sockets or a proxy word it, which carry RPCs and everything else.
    #[must_use]
    pub fn is_of_any_connection(&self) -> bool {
        let carriers = [Library::GoNet, Library::NodeNet, Library::JavaNet, Library::Nginx, Library::Envoy];
        self.wording == Wording::Local && self.library.is_some_and(|library| carriers.contains(&library))
    }

    /// The error value of its library that it is, if its words show one.
    #[must_use]
    pub fn value(&self) -> Option<&'static ErrorValue> {
        let Wording::KitexLocal(words) = self.wording else { return None };
        let whole = format!("{words}: {}", self.message);
        let known = values(Family::Kitex).iter().filter(|value| whole.starts_with(value.text));
        known.max_by_key(|value| value.text.len())
    }

    /// The number of hosts that the error came through, according to the text.
    #[must_use]
    pub fn hops(&self) -> usize {
        let hop =
            |layer: &&Self| matches!(layer.wording, Wording::KitexRemote(_) | Wording::TrpcCalleeFramework);
        self.layers().filter(hop).count()
    }

    /// The family of its code.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        Some(match self.wording {
            Wording::TrpcFramework | Wording::TrpcBusiness | Wording::TrpcCalleeFramework | Wording::Trpc => {
                Family::Trpc
            }
            Wording::KitexRemote(_) | Wording::KitexHandler => Family::Kitex,
            Wording::Ttstream(..) => Family::Ttstream,
            Wording::Grpc => Family::Grpc,
            Wording::Thrift => Family::Thrift,
            Wording::KitexLocal(_) | Wording::KitexServer(_) | Wording::BizStatus | Wording::Local => {
                return None;
            }
        })
    }

    /// What is known about its code. A business code is the callee's own, even if a framework uses the same number.
    #[must_use]
    pub fn entry(&self) -> Option<&'static Entry> {
        match self.family()? {
            // Not every library prints the number; some texts are only sent with one.
            Family::Thrift => {
                codes::entry(Family::Thrift, self.code.or_else(|| thrift::code_of_text(&self.message))?)
            }
            Family::Grpc => grpc::entry(self.code?, self.message.as_bytes()),
            family => codes::entry(family, self.code?),
        }
    }
}
