//! How often messages of a described method are like one that was seen.
//!
//! Of a described method nothing needs to have been seen by name: its messages can only have its fields. How often each of them is
//! there is not known, so the model is a coarse one: the next field is the next one of the description, or another one, or there is
//! none.

use rpcscope_parsers::event::{Form, Layout};

use super::methods::Path;
use super::shapes::{Looks, Trait, kind_parts};
use crate::body::outline::{Content, FieldOutline, MethodOutline};

/// How likely the next field of a message is the next one of its description. Each of the others, and the end, share the rest.
const NEXT: f64 = 0.55;

/// How likely a field comes that is not after the last one: some encoders write in another order.
const ASTRAY: f64 = 0.02;

/// How likely a field comes that is not described: the description may be of another version.
const UNDESCRIBED: f64 = 0.002;

/// Numbers of fields that a layout does not tell from higher ones begin here.
const HIGHEST: u32 = 31;

/// How likely the first field with a length that was sent is the first one of the description.
const FIRST: f64 = 0.7;

/// How likely text reads as text, and as something else by chance.
const READABLE: f64 = 0.2;
const UNREADABLE: f64 = 0.05;

/// How likely a method with single messages has none, and more than one.
const ABSENT: f64 = 0.15;
const SEVERAL: f64 = 0.005;

/// A method of the descriptions.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) path: Path,
    outline: MethodOutline,
}

impl From<MethodOutline> for Described {
    fn from(outline: MethodOutline) -> Self {
        Self { path: (Some(outline.service.clone()), outline.method.clone()), outline }
    }
}

impl Looks for Described {
    fn share(&self, of: Trait, value: u64) -> Option<f64> {
        let [request, response] = &self.outline.messages;
        let layout = Layout::from_number(value);
        match of {
            Trait::Kind => Some(share_of_kind(self.outline.streams, kind_parts(value))),
            Trait::RequestLayout => share_of_message(layout, request),
            Trait::ResponseLayout => share_of_message(layout, response),
            Trait::RequestField => share_of_first(layout, request),
            Trait::ResponseField => share_of_first(layout, response),
            Trait::Request | Trait::Response | Trait::Error => None,
        }
    }
}

/// How often a method whose sides stream or not has these numbers of messages (none, one, several).
fn share_of_kind(streams: [bool; 2], messages: [u64; 2]) -> f64 {
    let of = |(streams, messages): (bool, u64)| match (streams, messages) {
        (true, 0) => 0.2,
        (true, 1) => 0.3,
        (true, _) => 0.5,
        (false, 0) => ABSENT,
        (false, 1) => 1.0 - ABSENT - SEVERAL,
        (false, _) => SEVERAL,
    };
    streams.into_iter().zip(messages).map(of).product()
}

/// How often a message with these fields has this layout; `None` where it tells nothing.
fn share_of_message(layout: Layout, fields: &[FieldOutline]) -> Option<f64> {
    let fields: Vec<_> = fields.iter().map(|field| (field.number, field.wire_types)).collect();
    share_of_fields(layout, &fields)
}

fn share_of_fields(layout: Layout, described: &[(u32, u8)]) -> Option<f64> {
    let is_ended = match layout.form()? {
        Form::Protobuf => true,
        Form::Begun => false,
        Form::Text | Form::Compressed | Form::Other => return None,
    };
    let (mut share, mut rest, mut seen) = (1.0, described, 0);
    for (number, wire_type) in layout.fields() {
        seen += 1;
        let fits = |(own, wire_types): &(u32, u8)| {
            wire_types & (1 << wire_type) != 0 && (*own == number || number == HIGHEST && *own > HIGHEST)
        };
        if let Some(at) = rest.iter().position(fits) {
            share *= if at == 0 { NEXT } else { (1.0 - NEXT) / rest.len() as f64 };
            rest = rest.get(at + 1..).unwrap_or_default();
        } else {
            share *= if described.iter().any(fits) { ASTRAY } else { UNDESCRIBED };
        }
    }
    if is_ended && seen < Layout::NOTED && !rest.is_empty() {
        share *= (1.0 - NEXT) / rest.len() as f64;
    }
    Some(share)
}

/// How often the first field with a length has this layout.
fn share_of_first(layout: Layout, fields: &[FieldOutline]) -> Option<f64> {
    const SIZED: u8 = 1 << 2;
    let form = layout.form()?;
    let mut weight = FIRST;
    let (mut share, mut left) = (0.0, 1.0);
    let mut sized = fields.iter().filter(|field| field.wire_types & SIZED != 0).peekable();
    while let Some(field) = sized.next() {
        let weight_of = if sized.peek().is_some() { weight } else { left };
        let own = match (&field.content, form) {
            (Content::Opaque, _) => return None,
            (Content::Text, Form::Text) => READABLE,
            (Content::Text, _) | (Content::Message(_), Form::Text) => UNREADABLE,
            (Content::Message(inner), _) => share_of_fields(layout, inner).unwrap_or(UNDESCRIBED),
        };
        share += weight_of * own;
        left -= weight_of;
        weight *= 1.0 - FIRST;
    }
    Some(share.max(UNDESCRIBED))
}

#[cfg(test)]
mod tests {
    use super::super::tests::layout;
    use super::*;

    /// How often a message with these fields (number, wire type), whose end was seen, is sent.
    fn share(fields: &[(u64, u64)], described: &[(u32, u8)]) -> f64 {
        share_of_fields(layout(fields), described).expect("protobuf")
    }

    #[test]
    fn messages_of_the_description_are_likelier_than_those_of_another() {
        let message = [(1, 2), (2, 0), (3, 2)];
        let own = [(1, 1 << 2), (2, 1), (3, 1 << 2)];
        let swapped = [(1, 1 << 2), (2, 1 << 2), (3, 1)];
        let larger = [(1, 1 << 2), (2, 1), (3, 1 << 2), (4, 1), (5, 1)];
        assert!(share(&message, &own) > 100.0 * share(&message, &swapped));
        assert!(share(&message, &own) > share(&message, &larger));
        assert!(share(&message, &larger) > 10.0 * share(&message, &swapped));
    }

    #[test]
    fn shares_of_all_messages_sum_up_to_one() {
        // All messages of three fields, each there or not.
        let described = [(1, 1), (2, 1), (3, 1)];
        let messages = (0..8_u64).map(|there| {
            let fields = (1..=3).filter(|number| there >> (number - 1) & 1 == 1);
            fields.map(|number| (number, 0)).collect::<Vec<_>>()
        });
        let sum: f64 = messages.map(|message| share(&message, &described)).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn what_is_no_message_of_protobuf_tells_nothing() {
        let compressed = Layout::from_number(4 << 56);
        assert_eq!(compressed.form(), Some(Form::Compressed));
        assert_eq!(share_of_fields(compressed, &[(1, 1)]), None);
        assert_eq!(share_of_fields(Layout::default(), &[(1, 1)]), None);
    }
}
