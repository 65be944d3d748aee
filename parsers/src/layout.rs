//! What a message is made of, in one number: methods can be told apart by it although nothing is known of their schemas.
//!
//! ```text
//! bits 63–56  form: 0 none, 1 protobuf, 2 protobuf whose end is not there, 3 text, 4 compressed, 5 something else
//! bits 55–0   protobuf: its first seven fields, the first one in the highest byte: number (at most 31) << 3 | wire type;
//!             text: its first three bytes
//! ```

use crate::protobuf::{Value, field};

/// Most fields of a message that are read: repeated ones count once.
const READ: usize = 32;

/// The highest field number that is told from higher ones.
const HIGHEST: u32 = 31;

/// How many bytes of a field are looked at to see whether it is text.
const LOOKED_AT: usize = 16;

/// Where the form stands.
const FORM: u32 = 56;

/// What a message is made of: the numbers and wire types of its fields, in the order of the wire, without repetitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layout(u64);

/// What can be said of a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It can be read as protobuf, to its end.
    Protobuf,
    /// As far as it was seen it can be read as protobuf.
    Begun,
    /// It is printable text, which only a field of a message can be.
    Text,
    /// It is compressed.
    Compressed,
    /// It is no protobuf.
    Other,
}

impl Form {
    const ALL: [Self; 5] = [Self::Protobuf, Self::Begun, Self::Text, Self::Compressed, Self::Other];
}

impl Layout {
    /// Most fields of a message that are noted.
    pub const NOTED: u32 = 7;

    /// That of a message of which `message` was seen, and that of its first field with a length, if it is there; `whole`:
    /// that is all of the message.
    pub(crate) fn of(message: &[u8], whole: bool) -> [Self; 2] {
        let mut inner = None;
        let outer = Self::walk(message, whole, &mut |bytes| _ = inner.get_or_insert(bytes));
        [outer, inner.map_or(Self::default(), Self::of_field)]
    }

    /// That of the value of a field, which may be text, a message or something else.
    fn of_field(value: &[u8]) -> Self {
        if let [first, second, third, ..] = value
            && value.iter().take(LOOKED_AT).all(|byte| matches!(byte, b' '..=b'~'))
        {
            return Self::new(Form::Text, u64::from_be_bytes([0, 0, 0, 0, 0, *first, *second, *third]));
        }
        Self::walk(value, true, &mut |_| {})
    }

    /// Reads the fields; `sized` takes each value that has a length.
    fn walk<'a>(message: &'a [u8], whole: bool, sized: &mut dyn FnMut(&'a [u8])) -> Self {
        let mut rest = message;
        let (mut noted, mut last) = (0, None);
        let mut layout = 0;
        for _ in 0..READ {
            if rest.is_empty() || noted == Self::NOTED {
                break;
            }
            let (after, field) = match field(rest) {
                Ok(read) => read,
                Err(nom::Err::Incomplete(_)) if !whole => break,
                Err(_) => return Self::new(Form::Other, 0),
            };
            let wire_type = match field.value {
                Value::Varint(_) => 0,
                Value::Fixed64(_) => 1,
                Value::Bytes(bytes) => {
                    sized(bytes);
                    2
                }
                Value::Fixed32(_) => 5,
            };
            let sign = u64::from(field.number.min(HIGHEST) << 3 | wire_type);
            if last != Some(sign) {
                noted += 1;
                layout |= sign << (FORM - 8 * noted);
                last = Some(sign);
            }
            rest = after;
        }
        // What is noted of a message with more fields is the same whether its end is there or not.
        let read = whole || noted == Self::NOTED;
        Self::new(if read { Form::Protobuf } else { Form::Begun }, layout)
    }

    /// That of a compressed message.
    pub(crate) const COMPRESSED: Self = Self::new(Form::Compressed, 0);

    const fn new(form: Form, fields: u64) -> Self {
        Self((form as u64 + 1) << FORM | fields)
    }

    /// What the message is; `None` if it was not looked at.
    #[must_use]
    pub fn form(self) -> Option<Form> {
        let form = (self.0 >> FORM).checked_sub(1)?;
        Form::ALL.into_iter().find(|one| *one as u64 == form)
    }

    /// Protobuf: number and wire type of its fields. Numbers above 31 are 31.
    pub fn fields(self) -> impl Iterator<Item = (u32, u8)> {
        let bytes = (1..=Self::NOTED).map(move |nth| (self.0 >> (FORM - 8 * nth)) as u8);
        bytes.take_while(|byte| *byte != 0).map(|byte| (u32::from(byte >> 3), byte & 7))
    }

    /// The number that stands for it: equal layouts have equal ones. 0 if the message was not looked at.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The layout of such a number.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(layout: Layout) -> Vec<(u32, u8)> {
        layout.fields().collect()
    }

    #[test]
    fn a_layout_has_the_fields_in_their_order_without_repetitions() {
        let message = b"\x0a\x02hi\x12\x01a\x12\x00\x20\x05\x2d\0\0\0\0\x31\0\0\0\0\0\0\0\0";
        let [layout, inner] = Layout::of(message, true);
        assert_eq!(layout.form(), Some(Form::Protobuf));
        assert_eq!(fields(layout), [(1, 2), (2, 2), (4, 0), (5, 5), (6, 1)]);
        assert_eq!(inner, Layout::walk(b"hi", true, &mut |_| {}));
        assert_eq!(Layout::from_number(layout.number()), layout);
        assert_eq!(fields(Layout::of(b"\x92\x4e\x00", true)[0]), [(31, 2)]);
        assert_eq!(Layout::of(b"", true)[0].form(), Some(Form::Protobuf));
        assert_eq!(Layout::default().form(), None);
    }

    #[test]
    fn a_message_that_goes_on_has_the_fields_that_were_seen() {
        let message = b"\x08\x01\x12\x05hello\x18\x01";
        for end in 0..message.len() {
            let [layout, _] = Layout::of(&message[..end], false);
            assert_eq!(layout.form(), Some(Form::Begun), "{end}");
            let known = [2, 9, 11].iter().filter(|ends| **ends <= end).count();
            assert_eq!(fields(layout), [(1, 0), (2, 2), (3, 0)][..known], "{end}");
            assert_eq!(
                Layout::of(&message[..end], true)[0].form() == Some(Form::Other),
                ![0, 2, 9].contains(&end)
            );
        }
    }

    #[test]
    fn no_more_fields_are_read_than_are_noted() {
        let many: Vec<u8> = (1..=15).flat_map(|number| [number << 3, 1]).collect();
        let [layout, _] = Layout::of(&many, true);
        assert_eq!(fields(layout).len(), 7);
        assert_eq!(Layout::of(&many[..15], false)[0], layout);
        // A list of which the end is not looked at.
        let list = [0x0a, 0].repeat(1000);
        assert_eq!(fields(Layout::of(&list, true)[0]), [(1, 2)]);
    }

    #[test]
    fn the_first_field_with_a_length_is_text_or_a_message() {
        let inner = |message: &[u8]| Layout::of(message, true)[1];
        let user = inner(b"\x08\x01\x12\x08user-123\x1a\x02\x08\x01");
        assert_eq!(user.form(), Some(Form::Text));
        assert_eq!(user, inner(b"\x0a\x09user-4567"));
        assert_ne!(user, inner(b"\x0a\x08item-123"));
        assert_eq!(fields(inner(b"\x0a\x04\x08\x01\x10\x02")), [(1, 0), (2, 0)]);
        assert_eq!(inner(b"\x08\x01"), Layout::default());
        // A field that goes on is not there.
        assert_eq!(Layout::of(b"\x0a\x08user", false)[1], Layout::default());
    }

    #[test]
    fn text_and_compressed_messages_are_no_protobuf() {
        assert_eq!(Layout::of(b"{\"id\": 5}", true)[0].form(), Some(Form::Other));
        assert_eq!(Layout::of(b"\x80\x01\x00\x02\0\0\0\0", true)[0].form(), Some(Form::Other));
        assert_eq!(Layout::COMPRESSED.form(), Some(Form::Compressed));
    }
}
