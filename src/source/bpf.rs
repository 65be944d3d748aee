//! Capture filters for files. For live interfaces, the kernel applies them.

use ::pcap::{BpfProgram, Capture, Linktype};

use super::files::Secrets;
use super::live::Refusal;
use super::{Batch, LinkType, Source, SourceError};

/// Maximum number of link types in a capture for which the filter is compiled.
const MAX_LINKS: usize = 64;

/// The packets of another source that match a filter in libpcap syntax. They keep their numbers.
pub struct Filtered<S> {
    inner: S,
    expression: String,
    /// The filter for each link type; `None` if it can't be compiled for it and matches nothing.
    programs: Vec<(LinkType, Option<BpfProgram>)>,
    troubles: Vec<SourceError>,
}

impl<S: Source> Filtered<S> {
    /// Checks the filter by compiling it for Ethernet.
    pub fn new(inner: S, expression: &str) -> Result<Self, Refusal> {
        const ETHERNET: LinkType = LinkType(1);
        let program = compile(ETHERNET, expression).map_err(|e| Refusal::filter(expression, &e))?;
        let programs = vec![(ETHERNET, Some(program))];
        Ok(Self { inner, expression: expression.to_owned(), programs, troubles: Vec::new() })
    }

    /// Compiles the filter for a new link type.
    fn prepare(&mut self, link: LinkType) {
        if self.programs.len() >= MAX_LINKS || self.programs.iter().any(|(known, _)| *known == link) {
            return;
        }
        let program = match compile(link, &self.expression) {
            Ok(program) => Some(program),
            Err(error) => {
                let refusal = Refusal::filter(&self.expression, &error);
                self.troubles.push(SourceError(format!("packets of link type {}: {refusal}", link.0)));
                None
            }
        };
        self.programs.push((link, program));
    }
}

impl<S: Source> Source for Filtered<S> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        if !self.inner.next_batch(batch)? {
            return Ok(false);
        }
        let mut last = None;
        for record in &batch.records {
            if last.replace(record.link) != Some(record.link) {
                self.prepare(record.link);
            }
        }
        let Batch { data, records, .. } = batch;
        records.retain(|record| {
            let bytes = data.get(record.offset as usize..).and_then(|rest| rest.get(..record.len as usize));
            let program = self.programs.iter().find(|(link, _)| *link == record.link);
            matches!((bytes, program), (Some(bytes), Some((_, Some(program)))) if program.filter(bytes))
        });
        Ok(true)
    }

    fn finish(&mut self) -> bool {
        self.inner.finish()
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        let mut troubles = self.inner.troubles();
        troubles.append(&mut self.troubles);
        troubles
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.inner.progress()
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        self.inner.interface_name(interface)
    }

    fn secrets(&self) -> &[Secrets] {
        self.inner.secrets()
    }
}

fn compile(link: LinkType, expression: &str) -> Result<BpfProgram, ::pcap::Error> {
    // Raw IP has different numbers in the API and in files.
    let number = match link.0 {
        101 if cfg!(target_os = "openbsd") => Linktype(14),
        101 => Linktype(12),
        number => Linktype(i32::from(number)),
    };
    Capture::dead(number)?.compile(expression, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{CapturePoint, Packet, Record};
    use crate::time::Timestamp;

    /// One batch of the packets given, once.
    struct Once(Vec<(LinkType, Vec<u8>)>);

    impl Source for Once {
        fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
            batch.clear();
            for (number, (link, bytes)) in (1..).zip(self.0.drain(..)) {
                let (offset, len) = (batch.data.len() as u32, bytes.len() as u32);
                let time = Timestamp(0);
                batch.records.push(Record {
                    number,
                    time,
                    link,
                    interface: 0,
                    capture_point: CapturePoint::default(),
                    wire_len: len,
                    offset,
                    len,
                });
                batch.data.extend(bytes);
            }
            Ok(!batch.records.is_empty())
        }
    }

    fn frame(port: u16) -> Vec<u8> {
        let mut out = Vec::new();
        etherparse::PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(1000, port)
            .write(&mut out, b"x")
            .unwrap();
        out
    }

    #[test]
    fn packets_are_filtered_by_their_link_and_keep_their_numbers() {
        let (ethernet, raw) = (LinkType(1), LinkType(101));
        let packets = vec![
            (ethernet, frame(80)),
            (ethernet, frame(81)),
            (raw, frame(80).split_off(14)),
            (raw, frame(81).split_off(14)),
            (LinkType(9999), frame(80)),
        ];
        let mut source = Filtered::new(Once(packets), "udp port 80").unwrap();
        let mut batch = Batch::default();
        assert!(source.next_batch(&mut batch).unwrap());
        let numbers: Vec<u64> = batch.packets().map(|p: Packet<'_>| p.number).collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(source.troubles().len(), 1);
        assert!(!source.next_batch(&mut batch).unwrap());
    }

    #[test]
    fn an_invalid_filter_is_reported_with_libpcaps_message() {
        let error = Filtered::new(Once(Vec::new()), "prot 80").err().unwrap();
        assert!(matches!(error, Refusal::Filter(_)));
        assert!(
            error.to_string().contains("`prot 80`") && error.to_string().contains("syntax error"),
            "{error}"
        );
    }
}
