//! The live interface: the pipeline in a thread of its own, the interface in this one, a bounded channel between them.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Sender, bounded};

use super::evidence::Packets;
use super::input::{self, Opened};
use super::{Failure, Status, complain};
use crate::calls::Class;
use crate::cli::{Color, View};
use crate::filter::Filter;
use crate::pipeline::{self, Options, Output, Totals};
use crate::source::{Ring, Source};
use crate::tui::{self, Colors, DetailSource, PacketExport, Progress, TuiOptions, Update};

/// Updates on their way to the interface; a file that is read faster than they are taken waits.
const QUEUE: usize = 64;
/// Bytes of live packets that are kept for what is shown of one call.
const RING: usize = 64 << 20;
/// Bytes that the calls of the interface may take.
const MAX_MEMORY: usize = 1 << 30;

/// Whether the interface can be shown: somebody sits at the terminal that the output goes to.
pub(super) fn fits(view: &View) -> bool {
    view.output.is_none() && io::stdout().is_terminal()
}

/// Opens the interface on the input.
pub(super) fn run(view: &View) -> Result<Status, Failure> {
    let filter = input::filter(view)?;
    let stop = Arc::new(AtomicBool::new(false));
    let ring = (!view.input.interfaces.is_empty()).then(|| Ring::new(RING));
    let mut source = input::open_with(&view.input, &stop, ring.as_ref())?;
    let mut options = Options { connections: true, metadata: true, ..input::options(&view.input, &stop) };
    source.watch(&mut options);
    let (give, updates) = bounded(QUEUE);
    let fail_on = view.fail_on.clone();
    let feeder = std::thread::spawn(move || feed(&mut source, &options, filter.as_ref(), &fail_on, &give));
    let shown = tui::run(updates, ui_options(view, Packets::of(&view.input, ring.as_ref())));
    stop.store(true, Ordering::Relaxed);
    shown.map_err(|error| Failure::Environment(format!("the terminal can't be used: {error}")))?;
    // A source that waits for input (a pipe) may never look at the stop: then there is nothing more to hear of it.
    let (status, troubles) = if feeder.is_finished() {
        feeder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    } else {
        Default::default()
    };
    for trouble in troubles {
        complain(&trouble);
    }
    Ok(status)
}

fn ui_options(view: &View, packets: Option<Packets>) -> TuiOptions {
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
        max_memory: MAX_MEMORY,
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
    filter: Option<&Filter>,
    fail_on: &[Class],
    give: &Sender<Update>,
) -> (Status, Vec<String>) {
    let mut status = Status::default();
    let lookup = source.lookup();
    let counters = source.counters.clone();
    let end = pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, totals: &Totals| {
        let mut calls = Vec::new();
        let mut connections = Vec::new();
        for output in outputs.drain(..) {
            match output {
                Output::Call(mut call) => {
                    lookup(&mut call);
                    let passes = filter.is_none_or(|filter| filter.matches(&call));
                    status.matched |= passes && call.class().is_some_and(|class| fail_on.contains(&class));
                    calls.push(Arc::from(call));
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
        let updates = [
            Some(calls).filter(|calls| !calls.is_empty()).map(Update::Calls),
            Some(connections).filter(|some| !some.is_empty()).map(Update::Connections),
            Some(Update::Progress(progress)),
        ];
        updates.into_iter().flatten().all(|update| give.send(update).is_ok())
    });
    let mut troubles: Vec<String> = source.troubles().iter().map(ToString::to_string).collect();
    troubles.extend(end.err().map(|error| error.to_string()));
    status.input_failed = !troubles.is_empty();
    for trouble in &troubles {
        // Whoever quit will read it on the terminal.
        _ = give.send(Update::Trouble(trouble.clone()));
    }
    (status, troubles)
}
