//! Reads files of the interface again for the bodies of their calls, once a filter asks for them.

use std::io;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::input::{self, Opened};
use crate::cli::Input;
use crate::payload::BodyDecoder;
use crate::pipeline::{self, Options, Output, Receive, Totals};
use crate::tui::BodyBatch;

/// Batches that wait for the interface; when they are full, reading waits.
const QUEUE: usize = 64;

/// How the files were read first.
pub(super) struct Again {
    pub(super) opened: Opened,
    pub(super) options: Options,
    pub(super) bodies: Arc<BodyDecoder>,
}

impl Again {
    /// What it takes to read the files of `input` again, opened as `opened`.
    pub(super) fn of(input: &Input, opened: &Opened, options: &Options, bodies: &Arc<BodyDecoder>) -> Self {
        let (opened, options) = (input::reopen(input, opened), options.clone());
        Self { opened, options, bodies: Arc::clone(bodies) }
    }

    /// Starts to read in a thread of its own. It ends early when the receiver is dropped.
    pub(super) fn begin(self) -> io::Result<Receiver<BodyBatch>> {
        let (sender, receiver) = bounded(QUEUE);
        std::thread::Builder::new().name("bodies".into()).spawn(move || self.read(&sender))?;
        Ok(receiver)
    }

    fn read(mut self, sender: &Sender<BodyBatch>) {
        let bodies = Some(self.bodies);
        // Connections are known from the first time.
        let options =
            Options { bodies, connections: false, on_open: None, stop: Arc::default(), ..self.options };
        let read = pipeline::run(&mut self.opened, &options, &mut Sending(sender));
        // What was wrong with the files was said the first time; only what ends the run is new.
        if let Err(error) = read {
            _ = sender.send(BodyBatch { trouble: Some(error.to_string()), ..BodyBatch::default() });
        }
    }
}

/// Sends calls that have bodies.
struct Sending<'s>(&'s Sender<BodyBatch>);

impl Receive for Sending<'_> {
    fn receive(&mut self, outputs: &mut Vec<Output>, totals: &Totals) -> bool {
        let calls = outputs.drain(..).filter_map(|output| match output {
            Output::Call(call) if call.bodies.is_some() => Some(Arc::new(*call)),
            Output::Call(_) | Output::Connection(_) | Output::Learned(_) => None,
        });
        let batch = BodyBatch { calls: calls.collect(), read: totals.progress, trouble: None };
        self.0.send(batch).is_ok()
    }
}
