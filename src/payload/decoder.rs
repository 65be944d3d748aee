//! Decodes the bodies of calls, in the order in which the calls come out, and lets what they say into the records.

use std::num::NonZeroU32;
use std::sync::{PoisonError, RwLock};

use rpcscope_parsers::Rpc;

use super::names::static_name;
use super::redact::{REDACTED, Redaction};
use super::{Bodies, RawBody};
use crate::body::outline::MethodOutline;
use crate::body::{self, BODY_LIMIT, Context, Decoded, Descriptions, ExceptionName, NoteKind, Value};
use crate::calls::record::{Call, CallKind, Carrier, Class, Finding, Name};
use crate::contain::caught;
use crate::text;

/// Most remarks on the bodies of one call; one more says how many were left out.
const MAX_REMARKS: usize = 20;

/// What is shown of the bodies of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    /// Messages of the caller.
    pub request: Vec<Decoded>,
    /// Messages of the callee.
    pub response: Vec<Decoded>,
    /// The exception that the IDL declares: an object of its name, its field and its fields.
    pub exception: Option<Value>,
    /// A gRPC status with details: an object of code, message and details.
    pub error: Option<Value>,
    /// What is remarkable about the messages and why, in words, each once; empty where values are not to be shown, which they may quote.
    pub remarks: Vec<Name>,
    /// Records have it (`--payload`), not only whoever asks for single fields.
    pub shown: bool,
}

impl Payload {
    /// Memory that it takes beside its own size, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let messages = [&self.request, &self.response];
        let decoded = messages.into_iter().flatten().map(|message| {
            let names = message.type_name.as_ref().map_or(0, String::capacity);
            let unknown = message.unknown.as_ref().map_or(0, Value::memory);
            size_of::<Decoded>() + names + message.value.memory() + unknown
        });
        let values = [&self.exception, &self.error].into_iter().flatten().map(Value::memory);
        let remarks = self.remarks.iter().map(|remark| size_of::<Name>() + remark.len());
        decoded.sum::<usize>() + values.sum::<usize>() + remarks.sum::<usize>()
    }
}

/// Decodes bodies.
#[derive(Debug)]
pub struct BodyDecoder {
    /// Grows while descriptions pass by.
    descriptions: RwLock<Descriptions>,
    redaction: Redaction,
    limit: NonZeroU32,
    shown: bool,
    /// Decoding panics, in tests.
    #[cfg(test)]
    is_broken: bool,
}

impl Default for BodyDecoder {
    fn default() -> Self {
        Self::new(Descriptions::default(), Redaction::Nothing, None, false)
    }
}

impl BodyDecoder {
    /// Decodes with these descriptions, messages of at most `limit` bytes. `shown`: whole bodies go into the records.
    #[must_use]
    pub fn new(
        descriptions: Descriptions,
        redaction: Redaction,
        limit: Option<NonZeroU32>,
        shown: bool,
    ) -> Self {
        let limit = limit.or(NonZeroU32::new(BODY_LIMIT as u32)).unwrap_or(NonZeroU32::MAX);
        Self {
            descriptions: RwLock::new(descriptions),
            redaction,
            limit,
            shown,
            #[cfg(test)]
            is_broken: false,
        }
    }

    /// The most bytes of a message.
    #[must_use]
    pub fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// What is not to be shown.
    #[must_use]
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// The names of all described fields, sorted.
    #[must_use]
    pub fn field_names(&self) -> Vec<String> {
        self.descriptions.read().unwrap_or_else(PoisonError::into_inner).field_names()
    }

    /// The described gRPC methods.
    #[must_use]
    pub fn methods(&self) -> Vec<MethodOutline> {
        self.descriptions.read().unwrap_or_else(PoisonError::into_inner).methods()
    }

    /// Adds a description that passed by: a serialised `google.protobuf.FileDescriptorProto`.
    pub fn learn(&self, file: &[u8]) {
        self.descriptions.write().unwrap_or_else(PoisonError::into_inner).learn_file(file);
    }

    /// Decodes the bodies of a call, and lets the record say what they show.
    pub fn decode(&self, call: &mut Call) {
        if let Some(mut bodies) = call.bodies.take() {
            let decoded = caught(|| {
                let descriptions = self.descriptions.read().unwrap_or_else(PoisonError::into_inner);
                self.decode_messages(&descriptions, call, &mut bodies);
                self.decode_status(&descriptions, call, &mut bodies);
                self.break_off();
            });
            if let Err(fault) = decoded {
                call.findings.insert(Finding::UndecodableBody);
                *bodies = Bodies::default();
                bodies.payload.shown = self.shown;
                if !self.redaction.is_on() {
                    bodies.payload.remarks.push(fault.to_string().into());
                }
            }
            call.bodies = Some(bodies);
        }
        if self.redaction.is_on() {
            self.redact_texts(call);
        }
    }

    /// Panics if a test wants it.
    #[cfg(test)]
    fn break_off(&self) {
        assert!(!self.is_broken, "a fault of the test");
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests break it")]
    #[inline]
    fn break_off(&self) {}

    fn decode_messages(&self, descriptions: &Descriptions, call: &mut Call, bodies: &mut Bodies) {
        let mut exception = None;
        let mut payload = Payload { shown: self.shown, ..Payload::default() };
        let messages = bodies.take_messages().into_iter();
        let mut messages: Vec<_> = messages
            .filter(|(answer, _)| !(*answer && is_error_body(call)))
            .map(|(answer, body)| (answer, decode_body(descriptions, call, answer, &body)))
            .collect();
        let notes = || messages.iter().flat_map(|(_, decoded)| &decoded.notes);
        for note in notes() {
            call.findings.insert(finding_of(note.kind));
        }
        // Beside a field of another type, a number without a name may be the same field's in another version.
        let fits = !notes().any(|note| note.kind == NoteKind::DescriptionMismatch);
        for (_, decoded) in &mut messages {
            decoded.settle(fits);
            self.redaction.apply(decoded);
        }
        payload.remarks = remarks(&messages);
        for (answer, mut decoded) in messages {
            if let Some(found) = decoded.exception.take() {
                exception = Some(found);
            } else if answer {
                payload.response.push(decoded);
            } else {
                payload.request.push(decoded);
            }
        }
        if let Some(exception) = exception {
            payload.exception = Some(exception_value(&exception));
            name_exception(call, exception);
        }
        bodies.payload = payload;
    }

    /// Opens the details of a gRPC status.
    fn decode_status(&self, descriptions: &Descriptions, call: &mut Call, bodies: &mut Bodies) {
        let Some(status) = bodies.status.take() else { return };
        let mut details = body::decode_details(&status, descriptions);
        if details.is_empty() {
            return;
        }
        for detail in &mut details {
            self.redaction.value(detail);
        }
        if !descriptions.is_empty() {
            name_details(call, &details);
        }
        let mut error = Vec::new();
        error.extend(call.outcome.code.map(|code| ("code".to_owned(), Value::Int(code))));
        let message = call
            .outcome
            .message
            .as_deref()
            .map(|text| if self.redaction.hides("message") { REDACTED } else { text }.to_owned());
        error.extend(message.map(|text| ("message".to_owned(), Value::Text(text))));
        error.push(("details".to_owned(), Value::List(details)));
        bodies.payload.error = Some(Value::Object(error));
    }

    /// Replaces what else of the record the peers' applications wrote: the text of the error, and the texts beside it.
    fn redact_texts(&self, call: &mut Call) {
        if self.redaction.hides("message")
            && let Some(message) = &mut call.outcome.message
        {
            *message = REDACTED.into();
        }
        let outcome = &mut call.outcome;
        if !outcome.biz_extra().is_empty() {
            for (name, text) in &mut outcome.extra().biz_extra {
                if self.redaction.hides(name) {
                    REDACTED.clone_into(text);
                }
            }
        }
        if !outcome.details().is_empty() {
            // Their text holds fields of any name.
            for (_, text) in &mut outcome.extra().details {
                REDACTED.clone_into(text);
            }
        }
    }
}

/// Decodes one body.
fn decode_body(descriptions: &Descriptions, call: &Call, answer: bool, body: &RawBody) -> Decoded {
    let context = Context {
        rpc: call.rpc,
        codec: call.codec,
        service: call.service.as_deref(),
        method: call.method.as_deref(),
        answer,
        encoding: body.encoding.as_deref(),
    };
    body::decode(&body.bytes, &context, descriptions)
}

/// Whether the answer's body is no message but says what went wrong, which the record has already.
fn is_error_body(call: &Call) -> bool {
    matches!(call.rpc, Rpc::Connect | Rpc::Triple)
        && call.kind == CallKind::Unary
        && call.outcome.class != Some(Class::Ok)
}

/// What is said of the messages, with the side that sent them.
fn remarks(messages: &[(bool, Decoded)]) -> Vec<Name> {
    let mut remarks: Vec<Name> = Vec::new();
    // What is left out is not compared with what else is: it may be the same several times.
    let mut left_out = 0;
    for (answer, decoded) in messages {
        let side = if *answer { "response" } else { "request" };
        for note in decoded.notes.iter().filter(|note| !note.text.is_empty()) {
            let remark: Name = format!("{side}: {}", note.text).into();
            if remarks.contains(&remark) {
                continue;
            }
            if remarks.len() < MAX_REMARKS {
                remarks.push(remark);
            } else {
                left_out += 1;
            }
        }
    }
    if left_out > 0 {
        remarks.push(format!("{} left out", text::counted(left_out, "more remark")).into());
    }
    remarks
}

fn finding_of(kind: NoteKind) -> Finding {
    match kind {
        NoteKind::DescriptionMismatch => Finding::DescriptionMismatch,
        NoteKind::UnknownFields => Finding::UnknownFields,
        NoteKind::MethodAmbiguous => Finding::MethodAmbiguous,
        NoteKind::Undecodable => Finding::UndecodableBody,
        NoteKind::Cut => Finding::BodyCut,
    }
}

/// An exception as the record has it.
fn exception_value(exception: &ExceptionName) -> Value {
    let mut parts = Vec::new();
    parts.extend(exception.name.clone().map(|name| ("name".to_owned(), Value::Text(name))));
    parts.push(("field".to_owned(), Value::Text(exception.field.clone())));
    parts.push(("fields".to_owned(), exception.fields.clone()));
    Value::Object(parts)
}

/// Lets a record say which exception of the IDL its answer holds.
fn name_exception(call: &mut Call, exception: ExceptionName) {
    let Some(name) = exception.name.filter(|_| call.outcome.carrier == Carrier::IdlException) else { return };
    call.outcome.code_name = static_name(&name);
    if call.outcome.message.is_none() {
        call.outcome.message = exception.message.map(Into::into);
    }
    if let (None, Some(code)) = (call.outcome.code, exception.code) {
        call.outcome.code = Some(code);
        call.findings.insert(Finding::CodeFromField);
    }
}

/// Lets the texts of details say what only a description names.
fn name_details(call: &mut Call, details: &[Value]) {
    let texts = &mut call.outcome.extra().details;
    for ((name, text), detail) in texts.iter_mut().zip(details) {
        if !name.starts_with("google.rpc.")
            && let Value::Object(fields) = detail
        {
            let fields = fields.iter().filter(|(name, _)| name != "@type").cloned().collect();
            *text = Value::Object(fields).to_json();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Note;
    use crate::calls::sample::{self, ok};

    #[test]
    fn a_body_that_cant_be_read_says_why_once_unless_values_are_hidden() {
        let body = |encoding: Option<&str>, bytes: &[u8]| RawBody {
            bytes: bytes.into(),
            whole: true,
            encoding: encoding.map(Into::into),
        };
        let decoded = |redaction| {
            let mut call = ok();
            call.rpc = Rpc::Grpc;
            call.codec = Some("protobuf");
            let mut bodies = Box::<Bodies>::default();
            assert!(bodies.add(false, body(None, b"\x08\x07")));
            assert!(bodies.add(true, body(Some("lz4"), b"\x04\x22\x4d\x18")));
            assert!(bodies.add(true, body(Some("lz4"), b"\x04\x22\x4d\x19")));
            call.bodies = Some(bodies);
            BodyDecoder::new(Descriptions::default(), redaction, None, true).decode(&mut call);
            assert!(call.findings.contains(Finding::UndecodableBody));
            call.bodies.unwrap().payload.remarks
        };
        let remarks = decoded(Redaction::Nothing);
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].starts_with("response: ") && remarks[0].contains("lz4"), "{remarks:?}");
        assert_eq!(decoded(Redaction::All), [] as [Name; 0]);
    }

    #[test]
    fn a_panic_costs_the_bodies_of_a_call_and_nothing_that_is_to_be_hidden_is_shown() {
        for (redaction, remarks) in [(Redaction::Nothing, 1), (Redaction::All, 0)] {
            let hides = redaction.is_on();
            let mut call = sample::failed(Class::Business, Carrier::BizStatus, Some(7), "no stock for 4711");
            let mut bodies = Box::<Bodies>::default();
            assert!(bodies.add(true, RawBody { bytes: (*b"4711").into(), whole: true, encoding: None }));
            call.bodies = Some(bodies);
            let decoder = BodyDecoder::new(Descriptions::default(), redaction, None, true);
            BodyDecoder { is_broken: true, ..decoder }.decode(&mut call);
            assert!(call.findings.contains(Finding::UndecodableBody));
            assert_eq!(call.outcome.message.as_deref() == Some("no stock for 4711"), !hides);
            let payload = call.bodies.unwrap().payload;
            assert_eq!((payload.response.len(), payload.remarks.len()), (0, remarks));
            assert!(payload.remarks.iter().all(|remark| remark.contains("a fault of the test")));
        }
    }

    #[test]
    fn remarks_beyond_the_most_are_counted() {
        let of = |notes: usize| {
            let note = |number| Note::new(NoteKind::UnknownFields, format!("field {number}"));
            remarks(&[(true, Decoded { notes: (0..notes).map(note).collect(), ..Decoded::of(Value::Null) })])
        };
        assert_eq!(of(MAX_REMARKS).len(), MAX_REMARKS);
        let more = of(MAX_REMARKS + 3);
        assert_eq!(more.len(), MAX_REMARKS + 1);
        assert_eq!(
            (&*more[MAX_REMARKS - 1], &*more[MAX_REMARKS]),
            ("response: field 19", "3 more remarks left out")
        );
    }
}
