//! The live interface: the pipeline in a thread of its own, the linking in another, the interface in this one, a bounded
//! channel from both to it.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Sender, bounded};

use super::chains::LIVE_PATIENCE;
use super::evidence::Packets;
use super::input::{self, Opened};
use super::linking::Linking;
use super::{Failure, Status, complain};
use crate::calls::Call;
use crate::chains::{self, Engine};
use crate::cli::{Color, View};
use crate::pipeline::{self, Options, Output, Totals};
use crate::source::{Ring, Source};
use crate::tui::{self, Colors, DetailSource, PacketExport, Progress, TuiOptions, Update};

/// Updates on their way to the interface; a file that is read faster than they are taken waits.
const QUEUE: usize = 64;
/// A call with its headers is taken to be this large, bytes.
const CALL: usize = 2_048;
/// Calls that wait for their turn to be linked may take this part of the memory; mostly the list holds them anyway.
const WAITING_PART: usize = 2;
/// Calls that are being linked may take this part.
const LINKED_PART: usize = 4;
/// Bytes of live packets that are kept for what is shown of one call.
const RING: usize = 64 << 20;

/// Whether the interface can be shown: somebody sits at the terminal that the output goes to.
pub(super) fn fits(view: &View) -> bool {
    view.output.is_none() && io::stdout().is_terminal()
}

/// Opens the interface on the input; its calls may take `max_memory` bytes.
pub(super) fn run(view: &View, max_memory: usize) -> Result<Status, Failure> {
    let filter = input::filter(view)?;
    let stop = Arc::new(AtomicBool::new(false));
    let ring = (!view.input.interfaces.is_empty()).then(|| Ring::new(RING));
    let mut source = input::open_with(&view.input, &stop, ring.as_ref())?;
    let mut options = Options {
        connections: true,
        open_connections: true,
        metadata: true,
        ..input::options(&view.input, &stop)
    };
    source.watch(&mut options);
    let packets = Packets::of(&source, &view.input, ring);
    let (give, updates) = bounded(QUEUE);
    // A file is linked best in one piece; what never ends can't wait for its end.
    let endless = !view.input.interfaces.is_empty() || view.input.follow;
    let patience = endless.then_some(LIVE_PATIENCE);
    let usual = chains::Options::default();
    let max_held = usual.max_held.min(max_memory / CALL / LINKED_PART);
    let engine = Engine::new(chains::Options { patience, max_held, ..usual });
    let limit = max_memory / CALL / WAITING_PART;
    let linking = Linking::start(engine, limit, give.clone(), Arc::clone(&stop));
    let fail_on = view.fail_on.clone();
    let (conclude, concluded) = bounded(1);
    std::thread::spawn(move || {
        let passes = |call: &Call| filter.as_ref().is_none_or(|filter| filter.matches(call));
        let matched = |call: &Call| call.class().is_some_and(|c| fail_on.contains(&c)) && passes(call);
        let conclusion = feed(&mut source, &options, linking, &matched, &give);
        // It is there before the interface can see the end, which comes when `give` is dropped.
        _ = conclude.send(conclusion);
    });
    let shown = tui::run(updates, ui_options(view, max_memory, packets));
    stop.store(true, Ordering::Relaxed);
    shown.map_err(|error| Failure::Environment(format!("the terminal can't be used: {error}")))?;
    // A source that waits for input (a pipe) may never look at the stop: then there is nothing more to hear of it.
    let (status, troubles): (Status, Vec<String>) = concluded.try_recv().unwrap_or_default();
    for trouble in troubles {
        complain(&trouble);
    }
    Ok(status)
}

fn ui_options(view: &View, max_memory: usize, packets: Option<Packets>) -> TuiOptions {
    let files = view.input.paths().into_iter().map(|path| path.display().to_string());
    let names: Vec<String> = files.chain(view.input.interfaces.iter().cloned()).collect();
    let colors = match view.color {
        Color::Never => Colors::None,
        Color::Auto => Colors::detect(|name| std::env::var(name).ok()),
        Color::Always => Colors::detect(|name| std::env::var(name).ok().filter(|_| name != "NO_COLOR")),
    };
    TuiOptions {
        source: names.join(" "),
        filter: view.filter.clone(),
        max_memory,
        colors,
        time: view.time.into(),
        detail: packets.clone().map(|packets| Box::new(packets) as Box<dyn DetailSource>),
        export: packets
            .map(|packets| -> PacketExport { Box::new(move |calls, path| packets.export(calls, path)) }),
    }
}

/// Runs the pipeline and sends on what comes out, until the end or until nobody takes it any more.
fn feed(
    source: &mut Opened,
    options: &Options,
    mut linking: Linking,
    matched: &dyn Fn(&Call) -> bool,
    give: &Sender<Update>,
) -> (Status, Vec<String>) {
    let mut status = Status::default();
    let lookup = source.lookup();
    let counters = source.counters.clone();
    let at_once = give.clone();
    source.tell(move |trouble| {
        // Nobody is told any more once the interface is closed.
        _ = at_once.send(Update::Trouble(trouble.to_string()));
    });
    let mut undecoded = None;
    let end = pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, totals: &Totals| {
        undecoded = totals.undecoded();
        let mut calls = Vec::new();
        let mut connections = Vec::new();
        for output in outputs.drain(..) {
            match output {
                Output::Call(mut call) => {
                    lookup(&mut call);
                    status.matched |= matched(&call);
                    calls.push(Arc::<Call>::from(call));
                }
                Output::Connection(connection) => connections.push(*connection),
            }
        }
        let progress = Progress {
            read: totals.progress,
            packets: totals.packets,
            bytes: totals.bytes,
            drops: counters.as_ref().map_or(0, |counters| counters.drops().packets()),
            gaps: totals.gaps,
        };
        let mut told = true;
        if !calls.is_empty() {
            // A call is shown before its chain.
            told = give.send(Update::Calls(calls.clone())).is_ok();
            linking.calls(calls);
        }
        if let Some((_, now)) = totals.span {
            linking.tick(now, totals.oldest_open);
        }
        let updates = [
            Some(connections).filter(|some| !some.is_empty()).map(Update::Connections),
            Some(Update::Progress(progress)),
        ];
        told && updates.into_iter().flatten().all(|update| give.send(update).is_ok())
    });
    let mut troubles: Vec<String> = source.troubles().iter().map(ToString::to_string).collect();
    troubles.extend(undecoded.into_iter().chain(end.err()).map(|error| error.to_string()));
    status.input_failed = !troubles.is_empty() || source.has_told();
    for trouble in &troubles {
        // Whoever quit will read it on the terminal.
        _ = give.send(Update::Trouble(trouble.clone()));
    }
    if let Some(left_out) = linking.finish() {
        _ = give.send(Update::Trouble(left_out));
    }
    (status, troubles)
}
