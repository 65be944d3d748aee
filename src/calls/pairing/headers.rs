//! What names and headers say of a call.

use rpcscope_parsers::event::{Headers, Names, Pairs, Text};

use super::super::marks::{self, Marks, Meaning, Meanings};
use super::super::names::Names as Interned;
use super::super::record::{Call, Name};
use super::super::trace::{self, Trace};
use super::{MAX_METADATA, Matcher};

/// Most header pairs kept of one message, and the longest value kept.
const MAX_PAIRS: usize = 256;
const MAX_VALUE: usize = 16 * 1024;

/// What is kept of headers.
#[derive(Debug, Default)]
pub(super) enum Kept {
    #[default]
    Nothing,
    /// [`Call::marks`].
    Marks(Meanings),
    /// Keys and values.
    Pairs,
}

impl Matcher {
    /// Fills in what the record does not know yet from the names and headers of either side.
    #[expect(clippy::inline_always, reason = "most of it is not to be done for most messages")]
    #[inline(always)]
    pub(super) fn describe(&mut self, call: &mut Call, said: &Names<'_>, headers: Headers<'_>, answer: bool) {
        // Most answers: those of HTTP/2 name nothing, and those of Thrift what the request has named.
        let is_news = said.service.is_some()
            || said.caller.is_some()
            || said.callee.is_some()
            || (said.method.is_some() && call.method.is_none());
        if is_news {
            self.name(call, said);
        }
        if let Some(sender) = said.sender.filter(|_| !answer) {
            call.sender = self.senders.get(sender);
        }
        if !matches!(self.headers, Kept::Nothing)
            && let Some(headers) = headers
        {
            self.read(call, headers, answer);
        }
    }

    /// Keeps headers, or what linking reads of them.
    #[inline(never)]
    fn read(&mut self, call: &mut Call, headers: &dyn Pairs, answer: bool) {
        match &mut self.headers {
            Kept::Pairs => keep(&mut call.metadata, answer, headers),
            Kept::Marks(meanings) if !answer => mark(&mut call.marks, meanings, headers),
            Kept::Marks(_) | Kept::Nothing => {}
        }
    }

    // Apart, so that what else is looked after does not take its registers.
    #[inline(never)]
    fn name(&mut self, call: &mut Call, said: &Names<'_>) {
        let names = &mut self.names;
        fill(names, &mut call.service, said.service.as_ref());
        fill(names, &mut call.method, said.method.as_ref());
        fill(names, &mut call.caller, said.caller.as_ref());
        fill(names, &mut call.callee, said.callee.as_ref());
    }

    /// Fills in the trace and the span that the headers of a request name.
    #[inline]
    pub(super) fn trace(&mut self, call: &mut Call, headers: Headers<'_>) {
        if let Some(headers) = headers {
            self.read_trace(call, headers);
        }
    }

    #[inline(never)]
    fn read_trace(&mut self, call: &mut Call, headers: &dyn Pairs) {
        if let Some(Trace { trace_id, span_id, .. }) = trace::context(headers) {
            // The last ones are shared by their calls. Among the names, they would take the places of others for good.
            let mut id = |id: Option<String>| id.map(|id| self.texts.get(id.as_bytes()));
            (call.trace_id, call.span_id) = (id(trace_id), id(span_id));
        }
    }

    // Apart, so that runs without it do not pay for its registers.
    #[inline(never)]
    pub(super) fn log_id(&mut self, call: &mut Call, headers: Headers<'_>) {
        let id = headers.and_then(marks::log_id);
        call.log_id = id.and_then(|id| self.names.get(id.as_bytes()));
    }
}

/// Fills in a name that is not known yet.
#[expect(
    clippy::inline_always,
    reason = "four of them stand in one function, which saves its registers once"
)]
#[inline(always)]
fn fill(names: &mut Interned, into: &mut Option<Name>, text: Option<&Text<'_>>) {
    if let (None, Some(text)) = (&into, text) {
        *into = match text {
            Text::Plain(bytes) => names.get(bytes),
            encoded => decoded(names, encoded),
        };
    }
}

#[inline(never)]
fn decoded(names: &mut Interned, encoded: &Text<'_>) -> Option<Name> {
    names.get(&encoded.decode())
}

fn keep(into: &mut Vec<(bool, String, String)>, answer: bool, headers: &dyn Pairs) {
    let mut room =
        MAX_METADATA.saturating_sub(into.iter().map(|(_, key, value)| key.len() + value.len()).sum());
    headers.each(&mut |key, value| {
        let value = value.get(..MAX_VALUE).unwrap_or(value);
        let size = key.len().min(MAX_VALUE) + value.len();
        if into.len() < MAX_PAIRS && size <= room {
            room -= size;
            let text =
                |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..MAX_VALUE).unwrap_or(bytes)).into_owned();
            into.push((answer, text(key), text(value)));
        }
    });
}

/// Notes what headers say about the cause of their call, within the bounds of [`keep`].
fn mark(into: &mut Option<Box<Marks>>, meanings: &mut Meanings, headers: &dyn Pairs) {
    headers.each(&mut |key, value| {
        let value = value.get(..MAX_VALUE).unwrap_or(value);
        let key = key.get(..MAX_VALUE).unwrap_or(key);
        let meaning = meanings.of(key);
        // Of most calls of gRPC all headers are.
        if meaning == Meaning::Descriptive && into.is_none() {
            return;
        }
        let marks = into.get_or_insert_default();
        let octets = marks.octets as usize + key.len() + value.len();
        if (marks.headers as usize) < MAX_PAIRS && octets <= MAX_METADATA {
            marks.read_as(meaning, key, value);
        }
    });
}
