//! `rpcscope record`: an agent that fills a folder with the records of its host.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::input::{host_name, is_piped};
use super::linked::Linked;
use super::memory::Shares;
use super::runner::{self, Consumer, Opening};
use super::telemetry::Ready;
use super::{Failure, Status, complain, output};
use crate::calls::Call;
use crate::cli::{Input, PART_SECONDS, PART_SIZE, RecordArgs, View};
use crate::filter::Filter;
use crate::pipeline::Totals;
use crate::records::folder::HostFolder;
use crate::sink::packets::Rotation;
use crate::sink::record::{Place, Recorder, Settings, Summary};
use crate::text;
use crate::time::Timestamp;

/// Records the calls of the input.
pub(super) fn run(args: &RecordArgs) -> Result<Status, Failure> {
    let dir = args.dir.as_path();
    let input = Input { records: Some(args.dir.clone()), ..args.input.clone() };
    let is_of_packets =
        input.rotate_count.is_some() || input.packet_buffered || input.embed_secrets || input.comments;
    if input.write.is_some() || is_of_packets {
        return Err(Failure::Usage(
            "record writes no packets: -w, -W, -U, --embed-secrets and --comments are for rpcscope calls -w FILE"
                .into(),
        ));
    }
    let host = host(&input)?;
    let view = View { input, filter: args.filter.clone(), fail_on: args.fail_on.clone(), ..View::default() };
    let filter = runner::filter(&view)?;
    let settings = Settings {
        folder: HostFolder::new(dir, &host),
        rotation: Rotation {
            bytes: Some(view.input.rotate_size.unwrap_or(PART_SIZE).saturating_mul(1_000_000)),
            span: Some(Duration::from_secs(view.input.rotate_seconds.unwrap_or(PART_SECONDS))),
            files: None,
            quota: view.input.max_disk,
        },
        keep: args.keep,
    };
    // The options of rotation are for records here, not for packets.
    let input = Input { rotate_size: None, rotate_seconds: None, max_disk: None, ..view.input.clone() };
    let view = View { input, ..view };
    let mut opening = Opening::filling(&view.input, dir)?;
    let place = take(settings, dir, &host)?;
    let ready = Ready::new(&args.telemetry, &view.input)?;
    opening.network = ready.network();
    let mut run = opening.start()?;
    let telemetry = ready.start(run.source.counters.as_ref())?;
    run.options.metadata = args.metadata || filter.as_ref().is_some_and(Filter::needs_metadata);
    if filter.as_ref().is_some_and(Filter::needs_bodies) {
        run.read_bodies();
    }
    run.options.marks = true;
    run.options.limits = Shares::of_chains(&view.input).limits();
    let recorder = Recorder::start(place, complain)
        .map_err(|error| output::unwritable(&dir.display().to_string(), &error))?;
    complain(&format!("recording to {} as host {host}", dir.display()));
    let chosen = filter.clone().filter(|filter| !filter.needs_links());
    let rows = Rows { recorder };
    let mut recording = Recording {
        linked: Linked::new(rows, filter, &view, &args.linking, args.metadata, telemetry, run.losses()),
        filter: chosen,
        metadata: args.metadata,
        is_watched: output::comes_once(&view.input),
        is_piped: is_piped(&view.input),
    };
    let status = run.drive(&mut recording);
    let Linked { inner: Rows { recorder }, mut telemetry, matched, .. } = recording.linked;
    let summary = recorder.finish();
    complain(&concluded(&summary, dir));
    let status = telemetry.conclude(status)?;
    let output_failed = status.output_failed || summary.has_failed || summary.lost > 0;
    Ok(Status { output_failed, matched, ..status })
}

/// The host whose calls these are. The capture of another one must name it, because records of hosts are joined by it.
fn host(input: &Input) -> Result<String, Failure> {
    let is_live = !input.interfaces.is_empty();
    let name = input.host.clone().or_else(|| is_live.then(host_name).flatten());
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Failure::Usage(
            "which host captured this is not known: name it with --host, for record keeps files by host"
                .into(),
        )
    })
}

/// Takes the host's place in the folder.
fn take(settings: Settings, dir: &Path, host: &str) -> Result<Place, Failure> {
    let place =
        Place::take(settings).map_err(|error| output::unwritable(&dir.display().to_string(), &error))?;
    place.ok_or_else(|| {
        Failure::Environment(format!(
            "{}: another rpcscope record writes the files of host {host} there; stop it, or give this one another --dir or --host",
            dir.display()
        ))
    })
}

/// What a run did, in a line.
fn concluded(summary: &Summary, dir: &Path) -> String {
    let Summary { calls, files, bytes, deleted, lost, has_failed: _ } = *summary;
    let (calls, files) = (text::counted(calls, "call"), text::counted(files, "file"));
    let recorded = format!("recorded {calls} in {files} of {} in {}", text::bytes(bytes), dir.display());
    let deleted = (deleted > 0)
        .then(|| format!("{} deleted (--keep, --max-disk)", text::counted(deleted, "older file")));
    let lost = (lost > 0).then(|| format!("{} lost", text::counted(lost, "call")));
    [Some(recorded), deleted, lost].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Passes linked calls to the recorder.
struct Rows {
    recorder: Recorder,
}

impl Consumer for Rows {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.recorder.linked(call);
        Ok(())
    }

    fn left_out(&mut self, call: &Call) {
        self.recorder.left_out(call.uid);
    }

    fn tick(&mut self) -> io::Result<()> {
        self.recorder.tick();
        Ok(())
    }
}

/// Writes calls to the journal before they wait to be linked.
struct Recording {
    linked: Linked<Rows>,
    /// Chooses calls that are decided; `None` if that is possible only when they are linked.
    filter: Option<Filter>,
    /// Whether headers stay in the records.
    metadata: bool,
    /// Whether calls should be in the journal at once: the input can't be read again.
    is_watched: bool,
    /// Whether another program writes the packets, at its own pace.
    is_piped: bool,
}

impl Consumer for Recording {
    fn begin(&mut self, first: Timestamp) {
        self.linked.begin(first);
    }

    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        if self.filter.as_ref().is_none_or(|filter| filter.matches(call)) {
            // Headers that only linking or the filter needs are not for the disk.
            let hidden = if self.metadata { Vec::new() } else { std::mem::take(&mut call.metadata) };
            self.linked.inner.recorder.decided(call);
            if !self.metadata {
                call.metadata = hidden;
            }
        }
        self.linked.call(call)
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        self.linked.progress(totals)?;
        let recorder = &mut self.linked.inner.recorder;
        if self.is_watched {
            recorder.flush();
        }
        if let (true, Some((first, now))) = (self.is_piped, totals.span) {
            recorder.clock(first, now);
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.linked.tick()
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.linked.totals(totals)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.linked.finish()
    }
}
