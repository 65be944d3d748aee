//! The columns of a file, and the calls of one row group in them.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::calls::keys::{self, KEYS, Key, Member, Value, Visit};
use crate::calls::record::{Call, Name, RivalParent};

/// Columns whose values hardly come twice: a dictionary would cost and save nothing.
pub(super) const UNIQUE: &[&str] = &["uid", "start_ns", "arrival_ns", "call_key"];

/// Columns that people look single values up in.
pub(super) const SEARCHED: &[&str] = &["call_key", "parent_key", "trace_id"];

/// What the values of a key become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    Number,
    Share,
    /// Microseconds, and in a column of its own nanoseconds.
    Time,
    Texts,
    Numbers,
    Map,
}

impl Shape {
    fn of(key: &Key) -> Self {
        use keys::Type as Kind;
        match key.kind {
            Kind::Text | Kind::Word(_) | Kind::Choice(_) | Kind::Address | Kind::Uid | Kind::Body => {
                Self::Text
            }
            Kind::Number | Kind::Bytes | Kind::Duration => Self::Number,
            Kind::Share => Self::Share,
            Kind::Time => Self::Time,
            Kind::Set(_) | Kind::List => Self::Texts,
            Kind::Map => Self::Map,
            Kind::Packets => Self::Numbers,
        }
    }

    /// The fields of the schema for a key of this shape.
    fn fields(self, name: &str) -> Vec<Result<Type, ParquetError>> {
        let leaf = |name: &str, physical, logical, repetition| {
            Type::primitive_type_builder(name, physical)
                .with_logical_type(logical)
                .with_repetition(repetition)
                .build()
        };
        let text =
            |name: &str, repetition| leaf(name, Physical::BYTE_ARRAY, Some(LogicalType::String), repetition);
        let number = |name: &str, repetition| leaf(name, Physical::INT64, None, repetition);
        let nested = |logical, repeated: &str, fields: Vec<Result<Type, ParquetError>>| {
            let fields =
                fields.into_iter().map(|field| field.map(Arc::new)).collect::<Result<Vec<TypePtr>, _>>()?;
            let repeated = Type::group_type_builder(repeated)
                .with_repetition(Repetition::REPEATED)
                .with_fields(fields)
                .build()?;
            Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_logical_type(Some(logical))
                .with_fields(vec![Arc::new(repeated)])
                .build()
        };
        match self {
            Self::Text => vec![text(name, Repetition::OPTIONAL)],
            Self::Number => vec![number(name, Repetition::OPTIONAL)],
            Self::Share => vec![leaf(name, Physical::DOUBLE, None, Repetition::OPTIONAL)],
            Self::Time => {
                let time = LogicalType::timestamp(true, TimeUnit::MICROS);
                vec![
                    leaf(name, Physical::INT64, Some(time), Repetition::OPTIONAL),
                    number(&format!("{name}_ns"), Repetition::OPTIONAL),
                ]
            }
            Self::Texts => {
                vec![nested(LogicalType::List, "list", vec![text("element", Repetition::REQUIRED)])]
            }
            Self::Numbers => {
                vec![nested(LogicalType::List, "list", vec![number("element", Repetition::REQUIRED)])]
            }
            Self::Map => {
                let entry = ["key", "value"].map(|part| text(part, Repetition::REQUIRED));
                vec![nested(LogicalType::Map, "key_value", entry.into())]
            }
        }
    }
}

/// The values of one key. Levels say what is missing and where lists begin (Parquet's record shredding, after Dremel).
#[derive(Debug)]
struct Column {
    shape: Shape,
    /// Of a map: its names.
    texts: Vec<ByteArray>,
    /// Of a map: the values of its names.
    values: Vec<ByteArray>,
    numbers: Vec<i64>,
    shares: Vec<f64>,
    /// How much of the path to each value is there: 0 is nothing, 1 a value or an empty list, 2 an element.
    definition: Vec<i16>,
    /// 0 where a row begins, 1 for further elements; empty for columns without lists.
    repetition: Vec<i16>,
}

impl Column {
    fn new(shape: Shape) -> Self {
        let (texts, values, numbers) = (Vec::new(), Vec::new(), Vec::new());
        let (shares, definition, repetition) = (Vec::new(), Vec::new(), Vec::new());
        Self { shape, texts, values, numbers, shares, definition, repetition }
    }

    fn clear(&mut self) {
        self.texts.clear();
        self.values.clear();
        self.numbers.clear();
        self.shares.clear();
        self.definition.clear();
        self.repetition.clear();
    }

    /// Forgets what is beyond so many rows.
    fn truncate(&mut self, rows: usize) {
        let end = if self.is_repeated() {
            let mut begins = self.repetition.iter().enumerate().filter(|(_, level)| **level == 0);
            let end = begins.nth(rows).map_or(self.definition.len().min(self.repetition.len()), |(at, _)| at);
            self.repetition.truncate(end);
            end
        } else {
            rows
        };
        self.definition.truncate(end);
        let present = if self.is_repeated() { 2 } else { 1 };
        let values = self.definition.iter().filter(|level| **level == present).count();
        self.texts.truncate(values);
        self.values.truncate(values);
        self.numbers.truncate(values);
        self.shares.truncate(values);
    }

    fn is_repeated(&self) -> bool {
        matches!(self.shape, Shape::Texts | Shape::Numbers | Shape::Map)
    }

    /// Adds a row without a value, or with an empty list.
    fn push_none(&mut self, is_empty: bool) {
        self.definition.push(is_empty.into());
        if self.is_repeated() {
            self.repetition.push(0);
        }
    }

    /// Adds the levels of a row with so many elements, at least one.
    fn push_elements(&mut self, count: usize) {
        self.definition.extend(std::iter::repeat_n(2, count));
        self.repetition.extend((0..count).map(|at| i16::from(at > 0)));
    }

    /// Adds a row; returns the bytes of its texts.
    fn push(&mut self, value: &Value<'_>, absent: Option<&'static str>) -> usize {
        if matches!(value, Value::Null | Value::Messages(_, false) | Value::Body(_, false)) {
            self.push_none(absent == Some("[]"));
            return 0;
        }
        match self.shape {
            Shape::Text => {
                let text = text(value);
                let bytes = text.len();
                self.texts.push(text.into_bytes().into());
                self.definition.push(1);
                bytes
            }
            Shape::Number | Shape::Time => {
                self.numbers.push(number(value));
                self.definition.push(1);
                0
            }
            Shape::Share => {
                self.shares.push(if let Value::Share(share) = value { share.number() } else { 0.0 });
                self.definition.push(1);
                0
            }
            Shape::Numbers => {
                let Value::Packets(first, last) = *value else {
                    self.push_none(true);
                    return 0;
                };
                self.numbers.extend([first, last].map(|packet| packet as i64));
                self.push_elements(2);
                0
            }
            Shape::Texts => {
                let texts = elements(value);
                let bytes = texts.iter().map(String::len).sum();
                self.push_elements(texts.len());
                self.texts.extend(texts.into_iter().map(|text| ByteArray::from(text.into_bytes())));
                bytes
            }
            Shape::Map => {
                let pairs = pairs(value);
                let bytes = pairs.iter().map(|(name, text)| name.len() + text.len()).sum();
                self.push_elements(pairs.len());
                for (name, text) in pairs {
                    self.texts.push(name.into_bytes().into());
                    self.values.push(text.into_bytes().into());
                }
                bytes
            }
        }
    }

    /// Writes the values to the next columns of the file, and forgets them.
    fn write<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let repetition = self.is_repeated().then_some(self.repetition.as_slice());
        let levels = (self.definition.as_slice(), repetition);
        match self.shape {
            Shape::Text | Shape::Texts => write_texts(group, &self.texts, levels)?,
            Shape::Map => {
                write_texts(group, &self.texts, levels)?;
                write_texts(group, &self.values, levels)?;
            }
            Shape::Number | Shape::Numbers => write_numbers(group, &self.numbers, levels)?,
            Shape::Share => {
                let Some(mut column) = group.next_column()? else { return Ok(()) };
                column.typed::<DoubleType>().write_batch(&self.shares, Some(&self.definition), None)?;
                column.close()?;
            }
            Shape::Time => {
                let micros: Vec<i64> = self.numbers.iter().map(|nanos| nanos.div_euclid(1_000)).collect();
                write_numbers(group, &micros, levels)?;
                write_numbers(group, &self.numbers, levels)?;
            }
        }
        self.clear();
        Ok(())
    }
}

type Levels<'l> = (&'l [i16], Option<&'l [i16]>);

fn write_texts<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    texts: &[ByteArray],
    (definition, repetition): Levels<'_>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<ByteArrayType>().write_batch(texts, Some(definition), repetition)?;
    column.close()
}

fn write_numbers<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    numbers: &[i64],
    (definition, repetition): Levels<'_>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<Int64Type>().write_batch(numbers, Some(definition), repetition)?;
    column.close()
}

/// One text.
fn text(value: &Value<'_>) -> String {
    match value {
        Value::Processes(ends) => {
            let ends = ["client", "server"].into_iter().zip(ends.iter());
            let known = ends.filter_map(|(end, process)| {
                process.as_ref().map(|process| {
                    let place = |name: &str, place: &Option<Name>| {
                        place.as_ref().map(|place| format!(" {name}={place}")).unwrap_or_default()
                    };
                    let (container, pod) =
                        (place("container", &process.container), place("pod_uid", &process.pod_uid));
                    format!("{end}={}({}{container}{pod})", process.name, process.pid)
                })
            });
            known.collect::<Vec<_>>().join(",")
        }
        Value::Messages(messages, _) => {
            let bodies: Vec<String> = messages.iter().map(|message| message.value.to_json()).collect();
            format!("[{}]", bodies.join(","))
        }
        other => other.to_string(),
    }
}

fn number(value: &Value<'_>) -> i64 {
    match *value {
        Value::Number(n) => n,
        Value::Bytes(n) | Value::Duration(n) => i64::try_from(n).unwrap_or(i64::MAX),
        Value::Time(time) => time.0,
        _ => 0,
    }
}

fn elements(value: &Value<'_>) -> Vec<String> {
    match value {
        Value::Findings(findings, newer) => {
            keys::finding_words(*findings, newer).map(str::to_owned).collect()
        }
        Value::List(names) => names.iter().map(|name| name.as_ref().to_owned()).collect(),
        other => vec![other.to_string()],
    }
}

/// Names and texts. Readers want each name once, so that texts of one name are joined.
fn pairs(value: &Value<'_>) -> Vec<(String, String)> {
    let all: Vec<(String, String)> = match value {
        Value::Map(pairs) | Value::Pairs(pairs) => pairs.to_vec(),
        Value::Rivals(rivals) => {
            let pair = |rival: &RivalParent| (rival.parent.to_string(), rival.confidence.to_string());
            rivals.iter().map(pair).collect()
        }
        Value::GoAway(note) => {
            note.members().map(|(name, text)| (name.to_owned(), text.into_owned())).collect()
        }
        Value::Likely(likely) => {
            likely.members().map(|(name, text)| (name.to_owned(), text.into_owned())).collect()
        }
        Value::Metadata(headers) => {
            headers.iter().map(|(_, name, text)| (name.clone(), text.clone())).collect()
        }
        other => vec![(String::new(), other.to_string())],
    };
    let mut joined: Vec<(String, String)> = Vec::with_capacity(all.len());
    for (name, text) in all {
        match joined.iter_mut().find(|(known, _)| *known == name) {
            Some((_, texts)) => {
                texts.push_str(", ");
                texts.push_str(&text);
            }
            None => joined.push((name, text)),
        }
    }
    joined
}

/// The schema of the file.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    let fields = KEYS.iter().flat_map(|key| Shape::of(key).fields(key.name));
    let fields = fields.map(|field| field.map(Arc::new)).collect::<Result<Vec<TypePtr>, _>>()?;
    Type::group_type_builder("call").with_fields(fields).build().map(Arc::new)
}

/// All columns, with the calls of one row group.
#[derive(Debug)]
pub(super) struct Columns {
    all: Vec<Column>,
    rows: usize,
    /// Bytes of all texts.
    bytes: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self { all: KEYS.iter().map(|key| Column::new(Shape::of(key))).collect(), rows: 0, bytes: 0 }
    }
}

impl Columns {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all calls.
    pub(super) fn clear(&mut self) {
        self.all.iter_mut().for_each(Column::clear);
        (self.rows, self.bytes) = (0, 0);
    }

    /// Forgets a call of which only some columns have a value.
    pub(super) fn recover(&mut self) {
        self.all.iter_mut().for_each(|column| column.truncate(self.rows));
    }

    pub(super) fn push(&mut self, call: &Call) {
        let mut row = Row { columns: self.all.iter_mut(), bytes: 0 };
        keys::visit(call, &mut row);
        self.bytes += row.bytes;
        self.rows += 1;
    }

    /// Writes the calls as a row group, and forgets them.
    pub(super) fn write<W: Write + Send>(
        &mut self,
        file: &mut SerializedFileWriter<W>,
    ) -> Result<(), ParquetError> {
        let mut group = file.next_row_group()?;
        for column in &mut self.all {
            column.write(&mut group)?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// Puts the keys of a call into their columns.
struct Row<'c> {
    columns: std::slice::IterMut<'c, Column>,
    bytes: usize,
}

impl Visit for Row<'_> {
    fn key(&mut self, _member: Member, value: Value<'_>, absent: Option<&'static str>) {
        if let Some(column) = self.columns.next() {
            self.bytes += column.push(&value, absent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::record::{Carrier, Class};
    use crate::calls::sample::{bare, failed, full, ok};
    use crate::contain::caught;

    /// Breaks off after some keys.
    struct Breaks<'c>(Row<'c>, usize);

    impl Visit for Breaks<'_> {
        fn key(&mut self, member: Member, value: Value<'_>, absent: Option<&'static str>) {
            assert!(self.1 > 0, "a fault in the test's row");
            self.1 -= 1;
            self.0.key(member, value, absent);
        }
    }

    #[test]
    fn a_row_that_breaks_off_leaves_no_trace() {
        let before = [full(), bare(), failed(Class::Rpc, Carrier::FuncRet, Some(101), "late"), full()];
        let filled = || {
            let mut columns = Columns::default();
            for call in &before {
                columns.push(call);
            }
            columns
        };
        for broken in [full(), ok()] {
            for keys in 0..KEYS.len() {
                let mut columns = filled();
                let mut row = Breaks(Row { columns: columns.all.iter_mut(), bytes: 0 }, keys);
                caught(|| keys::visit(&broken, &mut row)).unwrap_err();
                columns.recover();
                assert_eq!(format!("{columns:?}"), format!("{:?}", filled()), "{keys} keys");
            }
        }
    }
}
