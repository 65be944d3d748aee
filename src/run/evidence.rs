//! Rereads the packets of a call when its detail view is opened.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::input::Opened;
use crate::calls::Call;
use crate::cli::Input;
use crate::detail::{self, Detail};
use crate::dispatch::DecodeAs;
use crate::export::{self, Redacted, Wanted};
use crate::flow::Limits;
use crate::payload::BodyDecoder;
use crate::sink::packets::PacketWriter;
use crate::source::{Batch, Reread, Ring, Source, SourceError};
use crate::text;
use crate::tls::KeyLogs;
use crate::tui::{CreateFile, DetailSource};

/// Why the packets of a live capture can't be read again.
const NO_LONGER_HELD: &str = "its packets are no longer in memory: -w FILE keeps them all";

/// Where to reread the packets of a call.
#[derive(Clone, Debug)]
pub(super) enum Packets {
    /// The files of the command line.
    Files(Reread, Again),
    /// The part of a live capture that is still in memory.
    Ring(Arc<Ring>, Again),
}

/// What it takes to read them as they were read first.
#[derive(Clone, Debug)]
pub(super) struct Again {
    decode_as: Vec<DecodeAs>,
    key_logs: Option<Arc<KeyLogs>>,
    bodies: Arc<BodyDecoder>,
    embed_secrets: bool,
}

impl Packets {
    /// `None` if the input can be read only once.
    pub(super) fn of(
        source: &Opened,
        input: &Input,
        ring: Option<Arc<Ring>>,
        key_logs: Option<Arc<KeyLogs>>,
        bodies: Arc<BodyDecoder>,
    ) -> Option<Self> {
        let again = Again {
            decode_as: input.decode_as.clone(),
            key_logs,
            bodies,
            embed_secrets: input.embed_secrets,
        };
        match ring {
            Some(ring) => Some(Self::Ring(ring, again)),
            None => source.reread.clone().map(|reread| Self::Files(reread, again)),
        }
    }

    /// Packets by number; fails if packet `first` is no longer available.
    fn read(&self, numbers: RangeInclusive<u64>, first: u64) -> Result<Box<dyn Source>, String> {
        match self {
            Self::Files(reread, _) => Ok(Box::new(reread.packets(numbers))),
            Self::Ring(ring, _) => {
                let oldest = ring.oldest().unwrap_or(u64::MAX);
                if oldest > first {
                    return Err(NO_LONGER_HELD.into());
                }
                Ok(Box::new(ring.packets(numbers)))
            }
        }
    }

    /// Writes the packets of calls to a new file and returns a line for the user.
    pub(super) fn export(
        &self,
        calls: &[Arc<Call>],
        path: &Path,
        create: CreateFile<'_>,
    ) -> Result<String, String> {
        let (calls, gone) = self.held(calls);
        if calls.is_empty() {
            return Err(NO_LONGER_HELD.to_owned());
        }
        let mut wanted = Wanted::default();
        for call in &calls {
            wanted.add(call);
        }
        let from = calls.iter().map(|call| *call.reading().start()).min().unwrap_or(0);
        let to = calls.iter().map(|call| *call.reading().end()).max().unwrap_or(0);
        let first = calls.iter().map(|call| call.packets.0).min().unwrap_or(0);
        let (Self::Files(_, again) | Self::Ring(_, again)) = self;
        let mut redacted = None;
        if again.bodies.redaction().is_on() {
            let mut source = self.read(from..=to, first)?;
            let read = Redacted::read(&mut source, &wanted, &again.decode_as, Limits::default());
            redacted = Some(read.map_err(|error| error.to_string())?);
        }
        let mut source = self.read(from..=to, first)?;
        let mut writer = PacketWriter::opened(create()?, path);
        let to_embed = again.key_logs.as_ref().filter(|_| again.embed_secrets && redacted.is_none());
        if let Some(secrets) = to_embed.and_then(|logs| logs.used_secrets(&mut 0)) {
            writer.secrets(&[secrets]);
        }
        let written = export::write(&mut source, wanted, redacted.as_mut(), &mut writer)
            .map_err(|error| error.to_string())?;
        let left_out: u64 = redacted.iter().flat_map(Redacted::left_out).map(|(_, packets)| packets).sum();
        let left_out = match left_out {
            0 => String::new(),
            packets => format!(", {packets} left out, whose bodies --redact can't take out"),
        };
        let gone = match gone {
            0 => String::new(),
            calls => format!("; the packets of {} are no longer in memory", text::counted(calls, "call")),
        };
        let (packets, calls) = (text::counted(written, "packet"), text::counted(calls.len() as u64, "call"));
        Ok(format!(
            "wrote {packets} of {calls} to {}, verdicts as packet comments{left_out}{gone}",
            path.display()
        ))
    }

    /// The calls whose packets are still available, and the number of the others.
    fn held(&self, calls: &[Arc<Call>]) -> (Vec<Arc<Call>>, u64) {
        let oldest = match self {
            Self::Files(..) => 0,
            Self::Ring(ring, _) => ring.oldest().unwrap_or(u64::MAX),
        };
        let held: Vec<_> = calls.iter().filter(|call| call.packets.0 >= oldest).cloned().collect();
        let gone = (calls.len() - held.len()) as u64;
        (held, gone)
    }
}

impl DetailSource for Packets {
    fn detail(&mut self, call: &Call, stop: &Arc<AtomicBool>) -> Result<Detail, String> {
        let inner = self.read(call.reading(), call.packets.0)?;
        let mut source = Stoppable { inner, stop: Arc::clone(stop) };
        let (Self::Files(_, again) | Self::Ring(_, again)) = self;
        detail::collect(&mut source, call, &again.decode_as, again.key_logs.as_ref(), &again.bodies)
            .map_err(|error| error.to_string())
    }
}

/// A source that ends when `stop` is set: the user has moved on to another call.
struct Stoppable {
    inner: Box<dyn Source>,
    stop: Arc<AtomicBool>,
}

impl Source for Stoppable {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        if self.stop.load(Ordering::Relaxed) {
            batch.clear();
            return Ok(false);
        }
        self.inner.next_batch(batch)
    }
}
