//! `rpcscope interfaces`: the interfaces that can be sniffed.

use std::fmt::Write as _;

use super::{Failure, Status, complain, output};
use crate::sandbox;
use crate::source::live;
use crate::text::{self, Align};

/// Prints one interface per line: name, state, addresses, libpcap's description. Standard error says what a sandbox does here.
pub(super) fn run() -> Result<Status, Failure> {
    let interfaces = live::interfaces().map_err(|refusal| Failure::Environment(refusal.to_string()))?;
    let columns = interfaces.iter().map(|interface| text::width(&interface.name)).max().unwrap_or(0);
    let mut out = String::new();
    for interface in &interfaces {
        text::push_cell(&mut out, &interface.name, columns, Align::Left);
        out.push_str(if interface.is_up { "  up    " } else { "  down  " });
        let mut rest: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
        if interface.is_loopback {
            rest.push("loopback".into());
        }
        rest.extend(interface.description.iter().map(|description| text::escape(description).into_owned()));
        // Writing to a String can't fail.
        _ = writeln!(out, "{}", rest.join("  "));
    }
    let printed = output::print(out.as_bytes());
    if cfg!(target_os = "linux") {
        complain(&format!("the sandbox of a run on this system: {}", sandbox::available()));
    }
    printed.map(|_| Status::default())
}
