//! `rpcscope show`: one call in full.

use std::io;

use hashbrown::HashMap;

use super::memory::Shares;
use super::runner::{Consumer, Opening};
use super::{Failure, Status, complain, input, output, pager};
use crate::calls::Call;
use crate::calls::record::Uid;
use crate::chains::{Chain, Engine, Operation, Options};
use crate::cli::{self, ShowArgs};
use crate::detail::{self, linked, print};
use crate::pipeline::Totals;
use crate::text;

/// Width at which explanations wrap if the output is not a terminal.
const PLAIN_WIDTH: usize = 110;

/// Most calls whose names are kept for the rivals of a link; others are named by their uid alone.
const MAX_NAMED: usize = 1 << 20;

/// Prints the call with the given uid.
pub(super) fn run(args: &ShowArgs) -> Result<Status, Failure> {
    if !args.input.paths().is_empty() && !input::can_reread(&args.input) {
        return Err(Failure::Usage(
            "show reads its input twice, which is impossible for standard input: save the capture to a file"
                .into(),
        ));
    }
    pager::start();
    let zone = args.time.unwrap_or_default().zone();
    let mut run = Opening::new(&args.input, None)?.start()?;
    run.options.metadata = true;
    let mut linking = None;
    if !args.link && args.linking != cli::Linking::default() {
        return Err(Failure::Usage(
            "--min-confidence, --evidence and --calls choose links between calls: they need --link".into(),
        ));
    }
    if args.link {
        let shares = Shares::of_chains(&args.input);
        run.options.limits = shares.limits();
        let options = Options { metadata: false, ..Options::within(shares.max_linked()) };
        linking = Some(Linking::new(super::linking::engine(&args.linking, options)));
    }
    let mut search = Search { id: args.id, found: None, linking };
    let status = run.drive(&mut search)?;
    let chain = search.linking.as_ref().map(|linking| linking.lines(args.id)).unwrap_or_default();
    let Some(call) = search.found else {
        let paths = args.input.paths();
        let names: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        let (id, names) = (args.id, names.join(" "));
        let text = format!(
            "there is no call {id} in {names}; rpcscope calls {names} --fields uid,start,method,class lists them"
        );
        return Err(Failure::Environment(text));
    };
    let Some(reread) = &run.source.reread else {
        return Err(Failure::Environment("the packets of the call can't be reread".into()));
    };
    let mut packets = reread.packets(call.reading());
    let (keys, bodies) = (run.options.key_logs.as_ref(), &run.bodies);
    let detail = detail::collect(&mut packets, &call, &args.input.decode_as, keys, bodies)
        .map_err(|error| Failure::Environment(error.to_string()))?;
    let look = print::Look {
        colored: output::colored(args.color, false),
        width: output::columns().unwrap_or(PLAIN_WIDTH),
        zone,
    };
    let mut out = String::new();
    print::push(&mut out, &detail, &chain, &look);
    output::print(out.as_bytes()).map(|_| status)
}

/// Finds a call. Unless all calls are linked, the run ends there.
struct Search {
    id: Uid,
    found: Option<Box<Call>>,
    linking: Option<Linking>,
}

impl Consumer for Search {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        if call.uid == self.id {
            self.found = Some(call.clone());
        }
        if let Some(linking) = &mut self.linking {
            linking.call(call, self.id);
        }
        Ok(())
    }

    fn totals(&mut self, _totals: &Totals) -> io::Result<()> {
        if let Some(linking) = &mut self.linking {
            linking.finish(self.id);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.linking.is_none() && self.found.is_some()
    }
}

/// Links all calls, and keeps the chain of one of them.
struct Linking {
    engine: Engine,
    chain: Option<Chain>,
    /// The numbers of the operations of calls, for the names of rivals, which may be in other chains.
    operations: HashMap<Uid, u32>,
    numbers: HashMap<String, u32>,
}

impl Linking {
    fn new(engine: Engine) -> Self {
        Self { engine, chain: None, operations: HashMap::new(), numbers: HashMap::new() }
    }

    fn call(&mut self, call: &Call, wanted: Uid) {
        if self.operations.len() < MAX_NAMED {
            let next = self.numbers.len() as u32;
            let number = *self.numbers.entry(Operation(call).to_string()).or_insert(next);
            self.operations.insert(call.uid, number);
        }
        let Self { engine, chain, .. } = self;
        engine.call(call.clone(), &mut |linked| keep(chain, linked, wanted));
    }

    fn finish(&mut self, wanted: Uid) {
        let Self { engine, chain, .. } = self;
        engine.finish(&mut |linked| keep(chain, linked, wanted));
        engine.shortfalls().iter().for_each(|shortfall| complain(shortfall));
    }

    fn lines(&self, id: Uid) -> Vec<detail::verdict::Line> {
        let Some((chain, hop)) = self.chain.as_ref().and_then(|chain| Some((chain, chain.find(id)?))) else {
            return Vec::new();
        };
        linked::lines(chain, hop, |uid| {
            let wanted = self.operations.get(&uid)?;
            let (name, _) = self.numbers.iter().find(|(_, number)| *number == wanted)?;
            Some(text::escape(name).into_owned())
        })
    }
}

/// Keeps the chain with the wanted call.
fn keep(kept: &mut Option<Chain>, chain: Chain, wanted: Uid) {
    if chain.find(wanted).is_some() {
        *kept = Some(chain);
    }
}
