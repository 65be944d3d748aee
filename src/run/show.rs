//! `rpcscope show`: one call in full.

use std::io;

use super::runner::{Consumer, Opening};
use super::{Failure, Status, input, output};
use crate::calls::Call;
use crate::calls::record::Uid;
use crate::cli::ShowArgs;
use crate::detail::{self, print};

/// Width at which explanations wrap if the output is not a terminal.
const PLAIN_WIDTH: usize = 110;

/// Prints the call with the given uid.
pub(super) fn run(args: &ShowArgs) -> Result<Status, Failure> {
    if !args.input.paths().is_empty() && !input::can_reread(&args.input) {
        return Err(Failure::Usage(
            "show reads its input twice, which is impossible for standard input: save the capture to a file"
                .into(),
        ));
    }
    let mut run = Opening::new(&args.input, None)?.start()?;
    run.options.metadata = true;
    let mut search = Search { id: args.id, found: None };
    let status = run.drive(&mut search)?;
    let Some(call) = search.found else {
        let text = format!(
            "there is no call {} in the input; see the key uid in rpcscope calls --format jsonl",
            args.id
        );
        return Err(Failure::Environment(text));
    };
    let Some(reread) = &run.source.reread else {
        return Err(Failure::Environment("the packets of the call can't be reread".into()));
    };
    let mut packets = reread.packets(call.reading());
    let detail = detail::collect(&mut packets, &call, &args.input.decode_as)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    let look = print::Look {
        colored: output::colored(args.color, false),
        width: output::columns().unwrap_or(PLAIN_WIDTH),
    };
    let mut out = String::new();
    print::push(&mut out, &detail, look);
    output::print(out.as_bytes()).map(|_| status)
}

/// Ends the run when the call is found.
struct Search {
    id: Uid,
    found: Option<Box<Call>>,
}

impl Consumer for Search {
    fn call(&mut self, call: &Call) -> io::Result<()> {
        if call.uid == self.id {
            self.found = Some(Box::new(call.clone()));
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.found.is_some()
    }
}
