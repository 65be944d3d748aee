//! Comma-separated values (RFC 4180) with a header line. Times are RFC 3339 in UTC, durations are nanoseconds. Control
//! characters from the wire are escaped (`\n`, `\x1b`), so a record is always one line and safe on a terminal. A cell that a
//! spreadsheet would take for a formula begins with `'`, which spreadsheets read as "text follows".
//!
//! Whoever reads the file guesses the types of its columns, quotes or not: a call id begins with `c`, because 71.10 and 71.1 are one
//! number, and packets are `1..4`, because 1-4 is a day.

use std::fmt::Write as _;
use std::io;

use super::fields::Field;
use super::{RecordWriter, Sink};
use crate::calls::keys::Value;
use crate::calls::record::Call;
use crate::text;

/// The sink for `--format csv`. Connections have different columns and are omitted.
#[derive(Debug)]
pub struct Csv {
    out: RecordWriter,
    fields: Vec<Field>,
    head: bool,
    cell: String,
}

impl Csv {
    /// Prints these columns, or all keys except the headers if there are none.
    #[must_use]
    pub fn new(out: RecordWriter, fields: Vec<Field>) -> Self {
        let fields = if fields.is_empty() { Field::all() } else { fields };
        Self { out, fields, head: false, cell: String::new() }
    }

    /// Writes the header line once, even if there are no calls.
    fn head(&mut self) -> io::Result<()> {
        if self.head {
            return Ok(());
        }
        self.head = true;
        for (i, field) in self.fields.iter().enumerate() {
            push(self.out.buffer(), i == 0, &field.name());
        }
        self.out.buffer().push(b'\n');
        self.out.end_record()
    }
}

/// Whether a spreadsheet would calculate the cell. Numbers may have a sign.
fn is_formula(value: &str) -> bool {
    value.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) && value.parse::<f64>().is_err()
}

/// Appends a cell, quoted if necessary.
fn push(out: &mut Vec<u8>, first: bool, value: &str) {
    if !first {
        out.push(b',');
    }
    // Most cells need neither escapes nor quotes.
    let is_plain = |byte: &u8| matches!(byte, b'!' | b'#'..=b'+' | b'-'..=b'~');
    let is_formula = is_formula(value);
    if !is_formula && value.as_bytes().iter().all(is_plain) {
        out.extend_from_slice(value.as_bytes());
        return;
    }
    let mut value = text::escape(value);
    if is_formula {
        value.to_mut().insert(0, '\'');
    }
    if value.contains([',', '"']) || value.starts_with(' ') || value.ends_with(' ') {
        out.push(b'"');
        out.extend_from_slice(value.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(value.as_bytes());
    }
}

impl Sink for Csv {
    fn call(&mut self, call: &Call) -> io::Result<()> {
        self.head()?;
        for (i, field) in self.fields.iter().enumerate() {
            let value = field.value(call);
            match value.value {
                Value::Uid(uid) => _ = write!(self.cell, "c{uid}"),
                Value::Packets(first, last) => _ = write!(self.cell, "{first}..{last}"),
                _ => value.push(&mut self.cell),
            }
            push(self.out.buffer(), i == 0, &self.cell);
            self.cell.clear();
        }
        self.out.buffer().push(b'\n');
        self.out.end_record()
    }

    fn tick(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn recover(&mut self) -> Option<usize> {
        self.out.recover();
        self.cell.clear();
        None
    }

    fn finish(&mut self) -> io::Result<()> {
        self.head()?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shared;
    use super::*;
    use crate::calls::keys::{KEYS, Key};
    use crate::calls::record::Uid;
    use crate::calls::sample::{bare, full};

    fn printed(fields: &[&str], calls: &[Call]) -> String {
        let shared = Shared::default();
        let fields = fields.iter().map(|name| Field::parse(name).unwrap()).collect();
        let mut sink = Csv::new(RecordWriter::new(Box::new(shared.clone()), false), fields);
        for call in calls {
            sink.call(call).unwrap();
        }
        sink.finish().unwrap();
        shared.text()
    }

    #[test]
    fn cells_are_quoted_where_needed() {
        let csv =
            printed(&["uid", "start", "code", "message", "biz_extra", "metadata.x-user"], &[full(), bare()]);
        assert_eq!(
            csv,
            "uid,start,code,message,biz_extra,metadata.x-user\n\
             c71.2,2026-01-02T01:34:09.120000000Z,-4041,\"no \"\"stock\"\"\\n\\u{202e}\",\
             \"reason=first,reason=sold \"\"out\"\",cell=7\",\"7,9,8\"\n\
             c71,2026-01-02T01:34:09.120000000Z,,,,\n"
        );
    }

    #[test]
    fn ids_of_calls_and_packets_are_no_numbers_and_days() {
        let mut call = bare();
        call.parent = Some(Uid { packet: 7, ordinal: 10 });
        call.packets = (1, 4);
        let csv = printed(&["uid", "parent", "packets"], &[call]);
        let cells: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
        assert!(cells.iter().all(|cell| cell.parse::<f64>().is_err()), "{csv}");
        let uids: Vec<Uid> = cells[..2].iter().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(uids, [bare().uid, Uid { packet: 7, ordinal: 10 }], "the program reads them");
        assert_eq!(cells[2], "1..4");
    }

    #[test]
    fn no_text_of_the_wire_is_a_formula() {
        let cells = [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("@SUM(A1,A2)", "\"'@SUM(A1,A2)\""),
            ("+1+2", "'+1+2"),
            ("-2+3", "'-2+3"),
            ("＝1+2", "'＝1+2"),
            ("\t=1", "\\t=1"),
            ("\r=1", "\\r=1"),
            // A number, which calculates nothing.
            ("-4041", "-4041"),
            ("a=b", "a=b"),
        ];
        for (text, cell) in cells {
            let mut call = bare();
            call.outcome.message = Some(text.into());
            assert_eq!(printed(&["message"], &[call]), format!("message\n{cell}\n"));
        }
    }

    #[test]
    fn without_calls_there_is_still_a_head_of_all_keys() {
        let csv = printed(&[], &[]);
        assert_eq!(csv.lines().count(), 1);
        let varies = |key: &&Key| key.name == "metadata" || key.needs_bodies();
        assert_eq!(csv.split(',').count(), KEYS.iter().filter(|key| !varies(key)).count());
    }
}
