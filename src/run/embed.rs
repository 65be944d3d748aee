//! Secrets in the files of packets (`--embed-secrets`).

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Failure, complain};
use crate::cli::Input;
use crate::sink::packets::PacketWriter;
use crate::source::{Batch, Tap};
use crate::tls::KeyLogs;

/// What whoever asks for it has to know.
const WARNING: &str = "--embed-secrets: whoever gets the file can read all that the connections with keys said, and what they will say";

/// Warns. An error if the secrets would go nowhere. `packets`: the file that packets are written to.
pub(super) fn check(input: &Input, packets: Option<&Path>) -> Result<(), Failure> {
    if !input.embed_secrets {
        return Ok(());
    }
    if input.tls_keylog.is_empty() && !input.interfaces.is_empty() {
        return Err(Failure::Usage("--embed-secrets needs secrets: --tls-keylog FILE".into()));
    }
    let Some(packets) = packets else {
        return Err(Failure::Usage("--embed-secrets needs a file of packets: -w FILE, or export".into()));
    };
    if packets.extension().is_some_and(|ending| ending == "pcap") {
        return Err(Failure::Usage("--embed-secrets needs pcapng: a .pcap file can't hold secrets".into()));
    }
    complain(WARNING);
    Ok(())
}

/// A `-w` file that gets the secrets which were used, behind the packets that had come by then.
pub(super) struct WithSecrets {
    pub(super) writer: PacketWriter,
    pub(super) key_logs: Arc<KeyLogs>,
    /// Connections whose secrets are in the file.
    pub(super) written: usize,
}

impl WithSecrets {
    fn add(&mut self) {
        if let Some(secrets) = self.key_logs.used_secrets(&mut self.written) {
            self.writer.secrets(&[secrets]);
        }
    }
}

impl Tap for WithSecrets {
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        self.add();
        Tap::packets(&mut self.writer, batch, name)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.add();
        Tap::finish(&mut self.writer)
    }

    fn lost(&self) -> u64 {
        Tap::lost(&self.writer)
    }

    fn ends_after_analysis(&self) -> bool {
        true
    }
}
