//! What the calls of a method look like: numbers and sizes of messages, texts of errors. And how much more likely a call is
//! one of this method than one of any.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use rpcscope_parsers::event::{Form, Layout};
use smallvec::SmallVec;

use super::clues::{Clues, Field, Trailers, Value};
use crate::calls::record::Call;

/// Most values that are counted one by one; more of them are counted by their magnitude only.
const MAX_VALUES: usize = 24;

/// Most values of a group that are held against those of a method. More of them prove no more, since the sizes of a method's
/// messages depend on each other.
const MAX_COMPARED: usize = 6;

/// How likely a message goes on after its beginning or a field.
const GOES_ON: f64 = 0.75;

/// Bytes of a DATA frame with an empty message: the frame's head and the message's prefix.
const EMPTY: u64 = 9 + 5;

/// What is looked at in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trait {
    /// How many messages went each way.
    Kind,
    /// Bytes of the request's messages.
    Request,
    /// Bytes of the answer's messages.
    Response,
    /// Layout of the request's first message.
    RequestLayout,
    /// That of its first field with a length.
    RequestField,
    /// Layout of the answer's first message.
    ResponseLayout,
    /// That of its first field with a length.
    ResponseField,
    /// Text of the error, or the entries in which it stands.
    Error,
}

impl Trait {
    const ALL: [Self; 8] = [
        Self::Kind,
        Self::Request,
        Self::Response,
        Self::RequestLayout,
        Self::RequestField,
        Self::ResponseLayout,
        Self::ResponseField,
        Self::Error,
    ];

    /// How often any call has this value, as far as one can say without knowing the server.
    fn prior(self, value: u64) -> f64 {
        match self {
            Self::Kind if value == kind(1, 1) => 0.6,
            Self::Kind if value == kind(1, 0) => 0.2,
            Self::Kind => 0.05,
            // Empty messages and those of one number are the most frequent ones; others are spread over their magnitudes.
            Self::Request | Self::Response if value <= EMPTY => 0.3,
            Self::Request | Self::Response if value <= EMPTY + 8 => 0.03,
            Self::Request | Self::Response => 0.06 / ((value - EMPTY) as f64 + 8.0),
            Self::RequestLayout | Self::ResponseLayout => prior_of(Layout::from_number(value)),
            Self::RequestField | Self::ResponseField => {
                (prior_of(Layout::from_number(value)) / 2.0).max(0.02)
            }
            Self::Error => 0.01,
        }
    }
}

/// How often any message has this layout. Fields are mostly texts and messages or numbers, and mostly counted up from 1.
fn prior_of(layout: Layout) -> f64 {
    let Some(form) = layout.form() else { return 1.0 };
    match form {
        // A client compresses all of its messages or none, and a server has one codec.
        Form::Compressed | Form::Other => 0.5,
        // That of another method's field may begin the same.
        Form::Text => 0.3,
        Form::Protobuf | Form::Begun => {
            let mut before = 0;
            let mut share = 1.0;
            for (number, wire_type) in layout.fields() {
                let step = match number.saturating_sub(before) {
                    1 => 0.6,
                    2 => 0.2,
                    _ => 0.05,
                };
                let kind = match wire_type {
                    2 => 0.6,
                    0 => 0.35,
                    _ => 0.05,
                };
                share *= GOES_ON * step * kind;
                before = number;
            }
            if form == Form::Protobuf { share * (1.0 - GOES_ON) } else { share }
        }
    }
}

/// The values of a trait in many calls.
#[derive(Clone, Debug)]
struct Counts {
    values: SmallVec<[(u64, u32); 4]>,
    by_magnitude: [u32; 65],
    total: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Self { values: SmallVec::new(), by_magnitude: [0; 65], total: 0 }
    }
}

/// Position of the highest bit.
fn magnitude(value: u64) -> usize {
    (u64::BITS - value.leading_zeros()) as usize
}

impl Counts {
    fn add(&mut self, value: u64) {
        self.total = self.total.saturating_add(1);
        if let Some(count) = self.by_magnitude.get_mut(magnitude(value)) {
            *count = count.saturating_add(1);
        }
        if let Some((_, count)) = self.values.iter_mut().find(|(known, _)| *known == value) {
            *count = count.saturating_add(1);
        } else if self.values.len() < MAX_VALUES {
            self.values.push((value, 1));
        }
    }

    /// How often a call of the method has this value: as often as was seen, and a little for what was not seen yet. `None`
    /// if no call has the trait.
    fn share(&self, of: Trait, value: u64) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        let total = f64::from(self.total);
        // As many calls as have a value of their own are to be expected to have one that was not seen (Good and Turing).
        let repeated: u32 = self.values.iter().map(|(_, count)| *count).filter(|count| *count > 1).sum();
        let own = f64::from(self.total.saturating_sub(repeated)) + 1.0;
        let seen = self.values.iter().find(|(known, _)| *known == value).map_or(0, |(_, count)| *count);
        let near = match of {
            Trait::Request | Trait::Response => {
                let magnitude = magnitude(value);
                let width = 2_f64.powi(magnitude.saturating_sub(1) as i32);
                // Sizes on both sides of a power of two are near each other too.
                let of = |magnitude: Option<usize>| {
                    let count = magnitude.and_then(|magnitude| self.by_magnitude.get(magnitude));
                    f64::from(count.copied().unwrap_or_default())
                };
                let beside = of(magnitude.checked_sub(1)) + of(Some(magnitude + 1));
                f64::midpoint(of(Some(magnitude)), beside / 2.0) / total / width
            }
            _ => 0.0,
        };
        let unseen = 0.8 * near + 0.2 * of.prior(value);
        Some((f64::from(seen) + own * unseen) / (total + own))
    }
}

/// How much more likely the values of a trait are, as a logarithm.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// Of all calls whose value speaks for the method, and how many they are. Together they prove as much as one: the values
    /// of a method depend on each other.
    likely: f64,
    calls: u32,
    /// Of the values that speak against it.
    unlikely: f64,
    others: u32,
}

impl Sum {
    /// Adds a value of that many calls.
    fn add(&mut self, likeness: f64, calls: u32) {
        if likeness < 0.0 {
            self.unlikely += likeness;
            self.others += calls;
        } else {
            self.likely += likeness * f64::from(calls);
            self.calls += calls;
        }
    }

    fn of_all(self) -> f64 {
        self.unlikely + self.likely / f64::from((self.calls + self.others).max(1))
    }
}

/// What calls with the same path look like.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    traits: [Counts; Trait::ALL.len()],
    calls: u32,
}

/// What calls of a method look like.
pub(super) trait Looks {
    /// How often a call of it has this value; `None` if that is not known.
    fn share(&self, of: Trait, value: u64) -> Option<f64>;
}

impl Looks for Shape {
    fn share(&self, of: Trait, value: u64) -> Option<f64> {
        self.traits.get(of as usize)?.share(of, value)
    }
}

/// Numbers of messages, as far as they tell kinds of methods apart.
fn kind(requests: u32, responses: u32) -> u64 {
    u64::from(requests.min(2)) << 8 | u64::from(responses.min(2))
}

/// The numbers of messages, 2 for more than one, in a value of [`Trait::Kind`].
pub(super) fn kind_parts(value: u64) -> [u64; 2] {
    [value >> 8, value & 0xff]
}

impl Shape {
    /// The shape of one call.
    pub(super) fn of(call: &Call) -> Self {
        let mut shape = Self::default();
        shape.add(call);
        shape
    }

    /// How many calls it is of.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// Adds a call.
    pub(super) fn add(&mut self, call: &Call) {
        self.calls = self.calls.saturating_add(1);
        // Of a request that was not captured, neither are its messages counted; the answer may be half.
        let whole = call.request_bytes > 0;
        if whole {
            self.count(Trait::Kind, kind(call.request_messages, call.response_messages));
        }
        if whole && call.request_messages > 0 {
            self.count(Trait::Request, call.message_bytes[0]);
        }
        if whole && call.response_messages > 0 {
            self.count(Trait::Response, call.message_bytes[1]);
        }
        let layouts =
            [Trait::RequestLayout, Trait::RequestField, Trait::ResponseLayout, Trait::ResponseField];
        for (of, layout) in layouts.into_iter().zip(call.layouts.into_iter().flatten()) {
            if layout.form().is_some() {
                self.count(of, layout.number());
            }
        }
        if let Some(error) = error_of(call) {
            self.count(Trait::Error, error);
        }
    }

    fn count(&mut self, of: Trait, value: u64) {
        if let Some(counts) = self.traits.get_mut(of as usize) {
            counts.add(value);
        }
    }

    /// Of each method, how many times more likely these calls are such of it than of one of which no name was seen, as a
    /// logarithm. That one is half like the other methods of the server: what many of them have speaks for none.
    pub(super) fn likeness(&self, methods: &[&dyn Looks]) -> Vec<f64> {
        let mut all = vec![0.0; methods.len()];
        for of in Trait::ALL {
            let Some(own) = self.traits.get(of as usize) else { continue };
            let mut sums = vec![Sum::default(); methods.len()];
            for (value, count) in own.values.iter().take(MAX_COMPARED) {
                let shares: Vec<Option<f64>> =
                    methods.iter().map(|method| method.share(of, *value)).collect();
                let known = shares.iter().flatten().count();
                let sum: f64 = shares.iter().flatten().sum();
                for (total, share) in sums.iter_mut().zip(shares) {
                    let Some(share) = share else { continue };
                    let others = if known > 1 { (sum - share) / (known - 1) as f64 } else { 0.0 };
                    let likeness = (share / of.prior(*value).max(others)).ln();
                    total.add(likeness, *count);
                }
            }
            all.iter_mut().zip(sums).for_each(|(likeness, sum)| *likeness += sum.of_all());
        }
        all
    }
}

/// What the error of a call is like: its text without numbers, or the entries in which it stands on its connection.
fn error_of(call: &Call) -> Option<u64> {
    let state = FixedState::default();
    if let Some(text) = call.outcome.message.as_deref().filter(|text| !text.is_empty()) {
        return Some(state.hash_one(template(text)));
    }
    let trailers = call.clues.as_deref().and_then(|Clues { trailers, .. }| trailers.as_ref())?;
    let Trailers { alone: true, fields, .. } = trailers else { return None };
    let text = fields.iter().find_map(|field| match &field.value {
        Value::Text(text) => Some(text),
        Value::Entry | Value::Number(_) => None,
    });
    if let Some(text) = text {
        return Some(state.hash_one(template(text)));
    }
    let entry =
        |field: &Field| (field.name, if let Value::Number(code) = field.value { Some(code) } else { None });
    let entries: SmallVec<[(u64, Option<i64>); 4]> = fields.iter().map(entry).collect();
    Some(state.hash_one((call.connection, entries)))
}

/// The text with one sign for each number in it.
fn template(text: &str) -> String {
    let mut template = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if c != '#' || !template.ends_with('#') {
            template.push(c);
        }
    }
    template
}
