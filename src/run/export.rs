//! `rpcscope export`: the packets of the matching calls, for Wireshark.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Failure, Status, complain, input};
use crate::cli::View;
use crate::export::{self, Wanted};
use crate::pipeline::Output;
use crate::sink::packets::{PacketWriter, Rotation};
use crate::source::Source;

/// Reads the input twice: for the calls, and for their packets.
pub(super) fn run(view: &View) -> Result<Status, Failure> {
    let Some(path) = &view.output else {
        return Err(Failure::Usage("export needs -o FILE for the packets (-o - is standard output)".into()));
    };
    if !input::can_read_again(&view.input) {
        return Err(Failure::Usage(
            "export reads its input twice, which standard input and interfaces can't be: save the capture first \
             (-w FILE)"
                .into(),
        ));
    }
    let filter = input::filter(view)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = input::open(&view.input, &stop)?;
    let options = input::options(&view.input, &stop);
    let mut wanted = Wanted::default();
    let mut each = |output: Output| {
        if let Output::Call(call) = output {
            wanted.add(&call);
        }
        Ok(())
    };
    let (status, _) = input::drive(&mut source, &options, filter.as_ref(), view, &mut each, &mut |_| Ok(()));
    if wanted.is_empty() {
        complain("no call matches: nothing is written");
        return Ok(status);
    }
    let mut again = input::open_again(&view.input, &source)?;
    let write = || -> io::Result<u64> {
        let mut writer = PacketWriter::create(path, Rotation::default())?;
        export::write(&mut again, wanted, &mut writer)
    };
    let written = write();
    // What can't be read was said the first time.
    drop(again.troubles());
    input::conclude(status, written.map(|_| ()), view)
}
