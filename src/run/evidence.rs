//! The proof of a call for the interface: the files are read again when somebody opens its detail.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rpcscope_parsers::protocol::Field;

use super::input;
use crate::calls::Call;
use crate::cli::Input;
use crate::detail::{self, Detail, Message};
use crate::tui::{DetailSource, Evidence, PacketLine, WireMessage};

/// Reads the files of the command line again.
#[derive(Debug)]
pub(super) struct Files {
    input: Input,
}

impl Files {
    /// `None` where the input can be read only once.
    pub(super) fn new(input: &Input) -> Option<Self> {
        let again = input.paths().iter().all(|path| path.as_os_str() != "-");
        again.then(|| Self { input: input.clone() })
    }
}

impl DetailSource for Files {
    fn evidence(&mut self, call: &Call) -> Result<Evidence, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut source = input::open(&self.input, &stop).map_err(|error| error.to_string())?;
        detail::collect(&mut source, call, &self.input.decode_as)
            .map(evidence)
            .map_err(|error| error.to_string())
    }
}

/// The detail in the terms of the interface. Signs that have no bytes of their own (a side that ends its sending) stand in
/// the list of packets already.
fn evidence(detail: Detail) -> Evidence {
    Evidence {
        messages: detail.messages.into_iter().filter(|message| !message.is_empty()).map(message).collect(),
        packets: detail
            .packets
            .into_iter()
            .map(|packet| PacketLine {
                number: packet.number,
                time: packet.time,
                from_server: !packet.from_client,
                payload: packet.payload,
                note: match (packet.flags.as_str(), packet.missing) {
                    ("" | ".", 0) => String::new(),
                    (flags, 0) => format!("[{flags}]"),
                    (_, missing) => format!("{missing} bytes cut off"),
                },
            })
            .collect(),
        notes: detail.left_out.into_iter().map(|what| format!("not shown: {what}")).collect(),
    }
}

fn message(message: Message) -> WireMessage {
    let mut fields = message.fields;
    // Only the connection's table could decode these; their bytes stand in the block, so the group has no range.
    if message.undecoded {
        let children = message
            .headers
            .into_iter()
            .map(|(name, value)| Field { name, value, ..Field::default() })
            .collect();
        fields.insert(0, Field { name: "headers, decoded".to_owned(), children, ..Field::default() });
    }
    WireMessage {
        from_server: !message.from_client,
        packet: message.packet,
        time: message.time,
        bytes: message.bytes,
        size: message.size,
        fields,
    }
}
