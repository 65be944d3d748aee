//! Capture filters for files. For live interfaces, the kernel applies them.

use std::sync::{Arc, Mutex, PoisonError};

use ::pcap::{BpfProgram, Capture, Linktype};

use super::files::Secrets;
use super::live::Refusal;
use super::{Batch, LinkType, Record, Source, SourceError};

/// Maximum number of link types in a capture for which the filter is compiled.
const MAX_LINKS: usize = 64;
/// The usual link types, for which the filter is compiled at once: Ethernet, loopback (BSD), raw IP, cooked (Linux), and IPv4
/// and IPv6. Names of hosts and ports in the filter can be looked up only then, because the sandbox allows that no more.
const USUAL: [LinkType; 7] =
    [LinkType(1), LinkType(0), LinkType(101), LinkType(113), LinkType(276), LinkType(228), LinkType(229)];

/// A filter in libpcap syntax, compiled for each link type.
#[derive(Clone)]
pub struct Programs(Arc<Mutex<Compiled>>);

struct Compiled {
    expression: String,
    /// Why it can't be compiled for a link type; it matches nothing then.
    programs: Vec<(LinkType, Result<BpfProgram, Refusal>)>,
}

impl Programs {
    /// Compiles the filter. Whether it is right shows with Ethernet.
    pub fn compile(expression: &str) -> Result<Self, Refusal> {
        let mut compiled = Compiled { expression: expression.to_owned(), programs: Vec::new() };
        for link in USUAL {
            match compile(link, expression) {
                Err(refusal) if compiled.programs.is_empty() => return Err(refusal),
                program => compiled.programs.push((link, program)),
            }
        }
        Ok(Self(Arc::new(Mutex::new(compiled))))
    }
}

impl Compiled {
    /// Compiles the filter for a link type, unless it is. Returns why it can't be compiled.
    fn prepare(&mut self, link: LinkType) -> Option<&Refusal> {
        let is_known = self.programs.iter().any(|(known, _)| *known == link);
        if !is_known && self.programs.len() < MAX_LINKS {
            self.programs.push((link, compile(link, &self.expression)));
        }
        let (_, program) = self.programs.iter().find(|(known, _)| *known == link)?;
        program.as_ref().err()
    }
}

/// The packets of another source that match a filter. They keep their numbers.
pub struct Filtered<S> {
    inner: S,
    programs: Programs,
    /// The link types seen so far.
    links: Vec<LinkType>,
    troubles: Vec<SourceError>,
}

impl<S: Source> Filtered<S> {
    /// Passes on the packets that match.
    pub fn new(inner: S, programs: &Programs) -> Self {
        Self { inner, programs: programs.clone(), links: Vec::new(), troubles: Vec::new() }
    }
}

impl<S: Source> Source for Filtered<S> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        if !self.inner.next_batch(batch)? {
            return Ok(false);
        }
        // Nobody else reads at the same time.
        let mut compiled = self.programs.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        for Record { link, .. } in &batch.records {
            if last.replace(*link) == Some(*link)
                || self.links.contains(link)
                || self.links.len() >= MAX_LINKS
            {
                continue;
            }
            self.links.push(*link);
            if let Some(refusal) = compiled.prepare(*link) {
                self.troubles.push(SourceError(format!("packets of link type {}: {refusal}", link.0)));
            }
        }
        let Batch { data, records, .. } = batch;
        records.retain(|record| {
            let bytes = data.get(record.offset as usize..).and_then(|rest| rest.get(..record.len as usize));
            let program = compiled.programs.iter().find(|(link, _)| *link == record.link);
            matches!((bytes, program), (Some(bytes), Some((_, Ok(program)))) if program.filter(bytes))
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

fn compile(link: LinkType, expression: &str) -> Result<BpfProgram, Refusal> {
    // Raw IP has different numbers in the API and in files.
    let number = match link.0 {
        101 if cfg!(target_os = "openbsd") => Linktype(14),
        101 => Linktype(12),
        number => Linktype(i32::from(number)),
    };
    let compiled = Capture::dead(number).and_then(|capture| capture.compile(expression, true));
    compiled.map_err(|error| Refusal::filter(expression, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{CapturePoint, Packet};
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
        let mut source = Filtered::new(Once(packets), &Programs::compile("udp port 80").unwrap());
        let mut batch = Batch::default();
        assert!(source.next_batch(&mut batch).unwrap());
        let numbers: Vec<u64> = batch.packets().map(|p: Packet<'_>| p.number).collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(source.troubles().len(), 1);
        assert!(!source.next_batch(&mut batch).unwrap());
    }

    #[test]
    fn an_invalid_filter_is_reported_with_libpcaps_message() {
        let error = Programs::compile("prot 80").err().unwrap();
        assert!(matches!(error, Refusal::Filter(_)));
        assert!(
            error.to_string().contains("`prot 80`") && error.to_string().contains("syntax error"),
            "{error}"
        );
    }
}
