//! `rpcscope export`: the packets of the matching calls, for Wireshark.

use std::io;

use super::runner::{self, Consumer, Opening};
use super::{Failure, Status, complain, input, output};
use crate::calls::Call;
use crate::cli::View;
use crate::export::{self, Redacted, Wanted};
use crate::sink;
use crate::sink::packets::{PacketWriter, Rotation};
use crate::source::Source;
use crate::text;

/// Reads the input twice: first the calls, then their packets.
pub(super) fn run(view: &View) -> Result<Status, Failure> {
    let Some(path) = &view.output else {
        let text = "export needs -o FILE for the packets: -o calls.pcapng, or -o - for standard output";
        return Err(Failure::Usage(text.into()));
    };
    let redacts = !view.input.bodies.redact.is_empty();
    if redacts && view.input.embed_secrets {
        return Err(Failure::Usage(
            "--embed-secrets lets others read what --redact takes out: export takes one of them".into(),
        ));
    }
    if !input::can_reread(&view.input) {
        return Err(Failure::Usage(
            "export reads its input twice, which is impossible for standard input and interfaces: save the capture \
             first (-w FILE)"
                .into(),
        ));
    }
    let filter = runner::filter(view)?;
    let opening = Opening::export(&view.input, path)?;
    // In the sandbox it could not be created.
    let created = PacketWriter::create(path, Rotation::default());
    let mut writer = created.map_err(|error| Failure::Environment(error.to_string()))?;
    let mut run = opening.start()?.choosing(filter, &view.fail_on);
    let mut wanted = Wanted::default();
    let status = run.drive(&mut wanted)?;
    if wanted.is_empty() {
        complain(&format!("no call matches; {} has no packets", output::name(Some(path))));
        return Ok(status);
    }
    if wanted.uncommented() > 0 {
        let calls = text::counted(wanted.uncommented(), "call");
        complain(&format!("{calls} without a comment: too many end with one packet"));
    }
    if let Some(secrets) = run.key_logs_to_embed(&view.input).and_then(|logs| logs.used_secrets(&mut 0)) {
        writer.secrets(&[secrets]);
    } else if !view.input.embed_secrets && !redacts && !run.source.secrets().is_empty() {
        complain(
            "the secrets in the capture are left out: --embed-secrets writes those of the connections that were read",
        );
    }
    let mut redacted = None;
    if redacts {
        let mut reopened = input::reopen(&view.input, &run.source);
        let read = Redacted::read(&mut reopened, &wanted, &run.options.decode_as, run.options.limits);
        redacted = Some(read.map_err(|error| Failure::Environment(error.to_string()))?);
    }
    let mut reopened = input::reopen(&view.input, &run.source);
    let written = export::write(&mut reopened, wanted, redacted.as_mut(), &mut writer);
    for (why, packets) in redacted.iter().flat_map(Redacted::left_out) {
        complain(&format!(
            "{} left out: --redact can't take the bodies out of {}",
            text::counted(packets, "packet"),
            why.words()
        ));
    }
    // Read errors were reported the first time.
    drop(reopened.troubles());
    match written {
        // The error names the file.
        Err(error) if !sink::closed_pipe(&error) => Err(Failure::Environment(error.to_string())),
        _ => Ok(status),
    }
}

impl Consumer for Wanted {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.add(call);
        Ok(())
    }
}
