//! Opens the input of a command: files or interfaces, with limits, capture filter and `-w`.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use hashbrown::HashSet;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::comments::{Commented, Verdicts};
use super::embed::WithSecrets;
use super::memory::Shares;
use super::rights::{Network, Rights};
use super::{Failure, complain, output, signals};
use crate::calls::record::{Name, Observer};
use crate::calls::{Call, Initiator};
use crate::capture_point::{self, Survey};
use crate::cli::Input;
use crate::decode::FlowKey;
use crate::naming::NameBook;
use crate::pipeline::Options;
use crate::process::Processes;
use crate::sink::packets::{PacketWriter, Rotation};
use crate::source::files::Secrets;
use crate::source::live::{self, Counters, LiveSource, Refusal};
use crate::source::site::Sites;
use crate::source::{
    Batch, Filtered, Limited, LocalAddresses, Programs, Queued, Reread, Ring, Source, SourceError, Tap, Tee,
    Windows, files,
};
use crate::tls::KeyLogs;

/// Smaller files are read too quickly for a progress bar to be useful.
pub(super) const WORTH_A_BAR: u64 = 32 * 1024 * 1024;

/// An opened input.
pub(super) struct Opened {
    source: Box<dyn Source>,
    /// Ends the source; set by signals and by the interface.
    pub(super) stop: Arc<AtomicBool>,
    /// Counts of lost packets (interfaces only).
    pub(super) counters: Option<Arc<Counters>>,
    /// Names of the interfaces, for messages.
    pub(super) listening: Option<String>,
    /// Finds the local processes of connections (interfaces only).
    processes: Option<Arc<Processes>>,
    /// The host that captures or captured.
    host: Option<Name>,
    /// Its addresses; empty for files.
    own: HashSet<IpAddr>,
    /// Its addresses as packets of all interfaces say; `None` where files may be of several hosts.
    local: Option<Arc<LocalAddresses>>,
    /// Names of addresses from files.
    pub(super) names: Option<Arc<NameBook>>,
    /// Rereads packets of files.
    pub(super) reread: Option<Reread>,
    /// Where the files were captured.
    sites: Arc<Sites>,
    /// The capture filter of files.
    filter: Option<Programs>,
    /// The `-w` file while the run goes on.
    written: Written,
    /// Receives problems with an interface while the others go on.
    report: Option<Box<dyn FnMut(SourceError) + Send>>,
    /// Whether a problem was reported.
    has_reported: bool,
}

impl Opened {
    fn new(source: Box<dyn Source>, stop: &Arc<AtomicBool>) -> Self {
        Self {
            source,
            stop: Arc::clone(stop),
            counters: None,
            listening: None,
            processes: None,
            host: None,
            own: HashSet::default(),
            local: None,
            names: None,
            reread: None,
            sites: Arc::default(),
            filter: None,
            written: Written::default(),
            report: None,
            has_reported: false,
        }
    }

    /// Reports problems with interfaces when they happen. Problems with files are reported at the end.
    pub(super) fn report_to(&mut self, report: impl FnMut(SourceError) + Send + 'static) {
        if self.counters.is_some() {
            self.report = Some(Box::new(report));
        }
    }

    /// Ends the analysis before the end of the source. A stopped replay needs no more analysis, but packets that were already
    /// captured live do.
    pub(super) fn abandon(&self) -> Arc<AtomicBool> {
        if self.counters.is_some() { Arc::default() } else { Arc::clone(&self.stop) }
    }

    /// How many older files of `-w` were deleted, now and later.
    pub(super) fn deleted(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.written.deleted)
    }

    /// Takes the verdicts that become comments in the `-w` file.
    pub(super) fn verdicts(&self) -> Option<&Arc<Verdicts>> {
        self.written.verdicts.as_ref()
    }

    /// Whether a problem was reported.
    pub(super) fn has_reported(&self) -> bool {
        self.has_reported
    }

    /// Looks up the processes of a connection when it opens, so that the answer is there when its calls end.
    pub(super) fn watch(&self, options: &mut Options) {
        if let Some(processes) = self.processes.clone() {
            options.on_open = Some(Arc::new(move |key: &FlowKey| {
                // The lookup only starts a scan.
                _ = processes.at([key.a, key.b], key.network);
            }));
        }
    }

    /// Adds to a call where it was captured, and the processes and names of both of its ends.
    pub(super) fn lookup(&self) -> impl Fn(&mut Call) + Send + use<> {
        let (processes, host, own) = (self.processes.clone(), self.host.clone(), self.own.clone());
        let (names, local) = (self.names.clone(), self.local.clone());
        let is_named = host.is_some() || !own.is_empty();
        let adds = is_named || processes.is_some() || names.is_some();
        move |call| {
            let known = local.as_deref().filter(|local| local.has_any());
            if !adds && known.is_none() {
                return;
            }
            if let Some(processes) = &processes {
                call.set_processes(processes.at([call.client, call.server], call.network));
            }
            if let Some(names) = &names {
                names.name(call);
            }
            if host.is_some() {
                call.host.clone_from(&host);
            }
            if is_named || known.is_some() {
                call.observer = observer(|end| {
                    let ip = address(call, end);
                    if !own.is_empty() {
                        return Some(ip.is_loopback() || own.contains(&ip) || call.process(end).is_some());
                    }
                    let by_name = host.as_ref().and_then(|host| is_named_here(call, end, host));
                    by_name.or_else(|| known?.has(ip, call.end))
                });
            }
            if let Some(local) = known {
                call.is_local = [call.client.ip, call.server.ip].map(|ip| local.faces_others(ip, call.end));
            }
        }
    }
}

/// The address from which or to which packets of a call go.
fn address(call: &Call, end: Initiator) -> IpAddr {
    match end {
        Initiator::Client => call.client.ip,
        Initiator::Server => call.server.ip,
    }
}

/// Whether names say that an end of a call is on `host`; `None` where they say nothing of it.
fn is_named_here(call: &Call, end: Initiator, host: &Name) -> Option<bool> {
    // The name is that of the client behind a proxy.
    if end == Initiator::Client && call.caller_address() != call.client {
        return None;
    }
    Some(call.named(end)?.node.as_ref()? == host)
}

/// Which end of a call is here: the caller's if both are, the middle if neither is.
fn observer(is_here: impl Fn(Initiator) -> Option<bool>) -> Option<Observer> {
    match (is_here(Initiator::Client), is_here(Initiator::Server)) {
        (Some(true), _) => Some(Observer::Client),
        (_, Some(true)) => Some(Observer::Server),
        (Some(false), Some(false)) => Some(Observer::Middle),
        _ => None,
    }
}

impl Source for Opened {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        let more = self.source.next_batch(batch);
        if let Some(local) = &self.local {
            local.learn(batch);
        }
        if let Some(report) = &mut self.report {
            for trouble in self.source.troubles() {
                self.has_reported = true;
                report(trouble);
            }
        }
        more
    }

    fn finish(&mut self) -> bool {
        self.source.finish()
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        self.source.troubles()
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.source.progress()
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        self.source.interface_name(interface)
    }

    fn secrets(&self) -> &[Secrets] {
        self.source.secrets()
    }
}

/// The input of a command before anything of it is parsed: interfaces and outputs are open, and all rights are still there.
pub(super) struct Prepared {
    pub(super) rights: Rights,
    stop: Arc<AtomicBool>,
    /// `None` for files.
    live: Option<LiveSource>,
    /// Addresses of this host; empty for files.
    own: HashSet<IpAddr>,
    /// The capture filter for files.
    filter: Option<Programs>,
    tap: Option<Box<dyn Tap>>,
    /// The `-w` file while the run goes on.
    written: Written,
}

/// Opens the interfaces and the `-w` file of the command line. `output`: what is opened later; `has_interface`: calls are shown in the live interface.
pub(super) fn prepare(
    input: &Input,
    output: Option<&Path>,
    has_interface: bool,
    key_logs: Option<&Arc<KeyLogs>>,
) -> Result<Prepared, Failure> {
    if input.rotate_count.is_some() && !input.rotates() {
        return Err(Failure::Usage(
            "-W limits the number of rotated files: add -C or -G (or --max-disk) to rotate".into(),
        ));
    }
    let stop = Arc::new(AtomicBool::new(false));
    signals::outlive_size_limits()?;
    let is_live = match (input.paths().is_empty(), input.interfaces.is_empty()) {
        (true, true) => {
            let text = "nothing to read: name a capture file (or - for standard input), or an interface with -i; \
                        see --help";
            return Err(Failure::Usage(text.into()));
        }
        (false, false) => return Err(Failure::Usage("files and interfaces can't be read together".into())),
        (_, no_interfaces) => !no_interfaces,
    };
    let filter = input.bpf.as_deref().filter(|_| !is_live).map(Programs::compile).transpose();
    let filter = filter.map_err(refused)?;
    // Whatever can't be opened is said before an output is created.
    output::check_writable(output)?;
    NameBook::expect(&input.names).map_err(Failure::Environment)?;
    let rights = Rights::new(input, has_interface)?;
    let live = if is_live { Some(open_interfaces(input, &stop, rights.is_sealed())?) } else { None };
    // The -w file must belong to the user who takes over.
    rights.hand_over()?;
    let interfaces = if is_live { live::interfaces().unwrap_or_default() } else { Vec::new() };
    let own = interfaces.into_iter().flat_map(|interface| interface.addresses).collect();
    let (tap, written) = tap(input, key_logs)?;
    Ok(Prepared { rights, stop, live, own, filter, tap, written })
}

impl Prepared {
    /// Enters the sandbox, unless it is waived. Call this before threads are started.
    pub(super) fn give_up_rights(
        &self,
        input: &Input,
        has_interface: bool,
        network: Network,
    ) -> Result<(), Failure> {
        let read_only_from = self.live.as_ref().and_then(LiveSource::sealed_from);
        self.rights.give_up(input, has_interface, read_only_from, network)
    }

    /// Starts the threads that read; the last packets of interfaces are kept in `ring`. Ctrl-C, SIGTERM and a hang-up end the source from
    /// here on. Call this in the sandbox.
    pub(super) fn start(mut self, input: &Input, ring: Option<&Arc<Ring>>) -> Result<Opened, Failure> {
        let names = self::names(input)?;
        signals::catch(&self.stop)?;
        let written = self.written.clone();
        let opened = match self.live.take() {
            None => self.files(input),
            Some(live) => self.interfaces(input, live, ring)?,
        };
        signals::answer_impatience()?;
        let is_live = opened.counters.is_some();
        let named = input.host.clone().or_else(|| is_live.then(host_name).flatten());
        let is_one_host = is_live || named.is_some() || input.paths().len() == 1;
        let local = is_one_host.then(Arc::default);
        Ok(Opened { local, host: named.map(Name::from), written, names, ..opened })
    }
}

/// Reads the files of names. Those of an endless run are read again when they change.
pub(super) fn names(input: &Input) -> Result<Option<Arc<NameBook>>, Failure> {
    if input.names.is_empty() {
        return Ok(None);
    }
    let book = Arc::new(NameBook::read(&input.names).map_err(Failure::Environment)?);
    if input.is_endless() {
        book.watch().map_err(|error| Failure::Environment(format!("no thread to read names in: {error}")))?;
    }
    Ok(Some(book))
}

/// Whether another program writes what is read: standard input, or a file that is a pipe (`rpcscope <(ssh -n host tcpdump -w -)`).
pub(super) fn is_piped(input: &Input) -> bool {
    let is_file = |path: &PathBuf| {
        if path.as_os_str() == "-" {
            return output::standard(&io::stdin()).is_some();
        }
        // What is missing is reported when it is opened.
        path.metadata().map_or(true, |data| data.is_file() || data.is_dir())
    };
    !input.paths().iter().all(is_file)
}

/// Whether the input can be read twice, unlike standard input and interfaces.
pub(super) fn can_reread(input: &Input) -> bool {
    let paths = input.paths();
    !paths.is_empty() && paths.iter().all(|path| path.as_os_str() != "-")
}

/// Opens the files of the command line again, to read their packets a second time.
pub(super) fn reopen(input: &Input, opened: &Opened) -> Opened {
    let input = Input { follow: false, ..input.clone() };
    files_at(&input, &Arc::default(), Arc::clone(&opened.sites), opened.filter.clone(), None)
}

impl Prepared {
    fn files(self, input: &Input) -> Opened {
        // Growing files can't be compared in advance.
        let survey = if input.follow { Survey::default() } else { survey(&input.paths(), &self.stop) };
        for note in &survey.notes {
            complain(note);
        }
        files_at(input, &self.stop, Arc::new(survey.sites), self.filter, self.tap)
    }
}

/// Finds out which files share a capture point, with a progress bar for large files.
fn survey(paths: &[PathBuf], stop: &Arc<AtomicBool>) -> Survey {
    let mut bar = None;
    let survey = capture_point::survey(paths, stop, &mut |at, total| {
        if bar.is_none() && total >= WORTH_A_BAR && io::stderr().is_terminal() {
            bar = progress_bar(total, "comparing ");
        }
        if let Some(bar) = &bar {
            bar.set_position(at);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    survey
}

fn files_at(
    input: &Input,
    stop: &Arc<AtomicBool>,
    sites: Arc<Sites>,
    filter: Option<Programs>,
    tap: Option<Box<dyn Tap>>,
) -> Opened {
    let windows = Arc::new(Windows::within(Shares::unpacking(input)));
    let options = files::Options {
        follow: input.follow,
        stop: Arc::clone(stop),
        sites: Arc::clone(&sites),
        windows,
        max_secrets: Some(Shares::carried_secrets(input)),
    };
    let source = files::open(&input.paths(), options);
    let reread = source.reread();
    let source: Box<dyn Source> = match &filter {
        None => Box::new(source),
        Some(programs) => Box::new(Filtered::new(source, programs)),
    };
    let limited = Limited::new(source).packets(input.count).packet_time(input.duration);
    let source: Box<dyn Source> = match tap {
        None => Box::new(limited),
        Some(tap) => Box::new(Tee::new(limited, tap)),
    };
    Opened { reread, sites, filter, ..Opened::new(source, stop) }
}

fn open_interfaces(input: &Input, stop: &Arc<AtomicBool>, is_sealed: bool) -> Result<LiveSource, Failure> {
    let options = live::Options {
        interfaces: input.interfaces.clone(),
        filter: input.bpf.clone(),
        snap_len: input.snap_len,
        buffer_size: input.buffer_size.map(|kib| kib.saturating_mul(1024)),
        no_promiscuous: input.no_promiscuous,
        stop: Arc::clone(stop),
        is_sealed,
    };
    live::open(options).map_err(refused)
}

impl Prepared {
    fn interfaces(
        mut self,
        input: &Input,
        live: LiveSource,
        ring: Option<&Arc<Ring>>,
    ) -> Result<Opened, Failure> {
        let taps = LiveTaps { writer: self.tap.take(), ring: ring.cloned() };
        let counters = live.counters();
        let limited = Limited::new(live).packets(input.count).wall_time(input.duration);
        let queued = Queued::spawn(limited, Arc::clone(&counters), Some(Box::new(taps)))
            .map_err(|error| Failure::Environment(format!("no thread for the capture: {error}")))?;
        // Process names are optional: calls are reported without them too.
        let processes = self.rights.scan().and_then(|scan| Processes::start(scan).ok()).map(Arc::new);
        let listening = Some(input.interfaces.join(", "));
        let opened = Opened::new(Box::new(queued), &self.stop);
        Ok(Opened { counters: Some(counters), listening, processes, own: self.own, ..opened })
    }
}

/// The name of this host.
pub(super) fn host_name() -> Option<String> {
    let system = rustix::system::uname();
    system.nodename().to_str().ok().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Receives every live packet: the `-w` file and the ring of recent packets.
struct LiveTaps {
    writer: Option<Box<dyn Tap>>,
    ring: Option<Arc<Ring>>,
}

impl Tap for LiveTaps {
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        let written = self.writer.as_mut().map_or(Ok(()), |writer| writer.packets(batch, name));
        if let Some(ring) = &mut self.ring {
            ring.packets(batch, name)?;
        }
        written
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), |writer| writer.finish())
    }

    fn lost(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.lost())
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Filter(text) => Failure::Usage(text),
        Refusal::Interface(text) => Failure::Environment(text),
    }
}

/// What the run knows of the `-w` file.
#[derive(Clone, Default)]
struct Written {
    /// How many older files of a rotation were deleted.
    deleted: Arc<AtomicU64>,
    /// Where verdicts become comments.
    verdicts: Option<Arc<Verdicts>>,
}

/// Creates the `-w` file.
fn tap(input: &Input, key_logs: Option<&Arc<KeyLogs>>) -> Result<(Option<Box<dyn Tap>>, Written), Failure> {
    let Some(path) = &input.write else { return Ok((None, Written::default())) };
    let rotation = Rotation {
        bytes: input.rotate_size.map(|megabytes| megabytes.saturating_mul(1_000_000)),
        span: input.rotate_seconds.map(Duration::from_secs),
        files: input.rotate_count,
        quota: input.max_disk,
    };
    let writer = PacketWriter::create(path, rotation).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => Failure::Usage(error.to_string()),
        _ => Failure::Environment(error.to_string()),
    })?;
    let writer = writer.packet_buffered(input.packet_buffered);
    let verdicts = input.comments.then(Arc::<Verdicts>::default);
    let written = Written { deleted: writer.deleted(), verdicts: verdicts.clone() };
    let tap: Box<dyn Tap> = match (key_logs.filter(|_| input.embed_secrets), verdicts) {
        (_, Some(verdicts)) => {
            // Whoever reads the other end of a pipe does not wait for the end of the input.
            let is_live = input.is_endless() || !can_reread(input);
            Box::new(Commented::new(writer, verdicts, is_live))
        }
        (Some(key_logs), None) => {
            Box::new(WithSecrets { writer, key_logs: Arc::clone(key_logs), written: 0 })
        }
        (None, None) => Box::new(writer),
    };
    Ok((Some(tap), written))
}

/// A progress bar on standard error.
pub(super) fn progress_bar(total: u64, what: &str) -> Option<ProgressBar> {
    let template = format!("{what}{{bar:40}} {{bytes}} of {{total_bytes}}  {{bytes_per_sec}}  {{eta}} left");
    let style = ProgressStyle::with_template(&template).ok()?;
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    Some(bar.with_style(style))
}
