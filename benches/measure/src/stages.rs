//! Instructions of each stage, from a profile of callgrind.
//!
//! The profile is a graph: what each function costs by itself, line by line, and what its calls cost. A line belongs to the
//! stage of the source file that it comes from, also where it was inlined into another stage. What is not of this
//! repository (the standard library, other crates, libc) belongs to the stage that called it. So stages need no
//! function that must not be inlined, and their sum is the whole program.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a stage's cost is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Packet,
    GrpcCall,
    FramedCall,
    Call,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::GrpcCall => "gRPC call",
            Self::FramedCall => "framed call",
            Self::Call => "call",
        }
    }
}

/// A stage: its name, what it is counted by, and the beginnings of the paths of its files.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// What is aimed at.
    pub(crate) aim: Option<f64>,
    files: &'static [&'static str],
}

/// The stages in the order of the data. Of several beginnings that fit a path the longest counts.
pub(crate) const STAGES: &[Stage] = &[
    Stage { name: "read", unit: Unit::Packet, aim: None, files: &["src/source/"] },
    Stage { name: "decode", unit: Unit::Packet, aim: Some(150.0), files: &["src/decode/"] },
    Stage { name: "flow", unit: Unit::Packet, aim: Some(250.0), files: &["src/flow/", "src/pipeline"] },
    Stage { name: "dispatch", unit: Unit::Packet, aim: None, files: &["src/dispatch"] },
    Stage { name: "http2", unit: Unit::GrpcCall, aim: Some(7_000.0), files: &["parsers/src/http2/"] },
    Stage { name: "framed", unit: Unit::FramedCall, aim: Some(3_000.0), files: &["parsers/src/"] },
    Stage { name: "pairing", unit: Unit::Call, aim: Some(1_500.0), files: &["src/calls/", "src/codes/"] },
    Stage {
        name: "json",
        unit: Unit::Call,
        aim: Some(1_500.0),
        files: &[
            "src/sink/",
            "src/digits",
            "src/time",
            "src/calls/keys",
            "src/calls/join_key",
            "src/calls/reported",
        ],
    },
    Stage { name: "rest", unit: Unit::Packet, aim: None, files: &["src/"] },
];

/// What is aimed at for everything together, per packet.
pub(crate) const TOTAL_AIM: f64 = 2_000.0;

/// The stage of everything that no other has.
const REST: usize = STAGES.len() - 1;

/// The stage of a source file; `None` for files that are not of this repository.
fn stage(path: &str) -> Option<usize> {
    let inside = Path::new(path).strip_prefix(crate::root()).ok().and_then(Path::to_str);
    let path = inside.unwrap_or(path);
    let fitting = STAGES.iter().enumerate().flat_map(|(index, stage)| {
        stage.files.iter().filter(|start| path.starts_with(**start)).map(move |start| (start.len(), index))
    });
    fitting.max().map(|(_, index)| index)
}

/// Instructions of each stage, in the order of [`STAGES`].
pub(crate) type Costs = [f64; STAGES.len()];

/// Runs the program on a capture under callgrind, on one thread.
pub(crate) fn count(program: &Path, capture: &Path, profile: &Path) -> io::Result<Costs> {
    let mut output = std::ffi::OsString::from("--callgrind-out-file=");
    output.push(profile);
    let status = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(output)
        .arg(program)
        .args(["calls", "--threads", "1", "--format", "jsonl", "-o", "/dev/null"])
        .arg(capture)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("valgrind: {status}")));
    }
    Ok(costs(&std::fs::read_to_string(profile)?))
}

/// What a function calls and costs, as far as stages need it.
#[derive(Default)]
struct Function {
    /// The stage of its file.
    stage: Option<usize>,
    /// Its own cost, if it is of no stage.
    own: f64,
    /// Callees and what the calls cost, with the stage of the calling line.
    calls: HashMap<(String, Option<usize>), f64>,
}

/// Reads a profile ("Callgrind Format Specification" in valgrind's manual). Names are written once as `(7) name` and from
/// then on as `(7)`.
fn costs(profile: &str) -> Costs {
    let mut costs = Costs::default();
    let mut functions: HashMap<String, Function> = HashMap::new();
    let mut files: HashMap<&str, &str> = HashMap::new();
    let (mut current, mut line_stage, mut function_stage) = (String::new(), None, None);
    let mut callee = None;
    for line in profile.lines() {
        if let Some((key, value)) = line.split_once('=') {
            let id = value.split(' ').next().unwrap_or(value);
            match key {
                "fl" | "fi" | "fe" => {
                    if let Some((_, path)) = value.split_once(' ') {
                        files.insert(id, path);
                    }
                    line_stage = files.get(id).and_then(|path| stage(path));
                    if key == "fl" {
                        function_stage = line_stage;
                    }
                }
                "cfl" | "cfi" => {
                    if let Some((_, path)) = value.split_once(' ') {
                        files.insert(id, path);
                    }
                }
                "fn" => {
                    id.clone_into(&mut current);
                    functions.entry(current.clone()).or_default().stage = function_stage;
                }
                "cfn" => callee = Some(id.to_owned()),
                _ => {}
            }
        } else if line.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '*')) {
            let Some(cost) = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok()) else {
                continue;
            };
            let stage = line_stage.or(function_stage);
            let function = functions.entry(current.clone()).or_default();
            match (callee.take(), stage) {
                (Some(callee), _) => *function.calls.entry((callee, stage)).or_default() += cost,
                (None, Some(stage)) => costs[stage] += cost,
                (None, None) => function.own += cost,
            }
        }
    }
    add_foreign(&functions, &mut costs);
    let all = profile.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok());
    // Starting and ending the program, and what the shares could not place.
    costs[REST] += all.unwrap_or_default() - costs.iter().sum::<f64>();
    costs
}

/// Rounds in which the shares of foreign functions settle: chains of such calls are no longer.
const ROUNDS: usize = 30;

/// Adds the cost of foreign functions to the stages that called them.
fn add_foreign(functions: &HashMap<String, Function>, costs: &mut Costs) {
    let is_foreign = |name: &str| functions.get(name).is_some_and(|function| function.stage.is_none());
    // The share of a foreign function's cost that is foreign itself: it may call back into a stage (sorting, closures).
    let mut shares: HashMap<&str, f64> = HashMap::new();
    for _ in 0..ROUNDS {
        let next =
            functions.iter().filter(|(_, function)| function.stage.is_none()).map(|(name, function)| {
                let all = function.own + function.calls.values().sum::<f64>();
                let foreign = function
                    .calls
                    .iter()
                    .filter(|((callee, stage), _)| stage.is_none() && is_foreign(callee));
                let called: f64 = foreign
                    .map(|((callee, _), cost)| cost * shares.get(callee.as_str()).unwrap_or(&1.0))
                    .sum();
                (name.as_str(), if all > 0.0 { (function.own + called) / all } else { 0.0 })
            });
        shares = next.collect();
    }
    for function in functions.values() {
        for ((callee, stage), cost) in &function.calls {
            let stage = stage.or(function.stage);
            if let Some(stage) = stage
                && is_foreign(callee)
            {
                costs[stage] += cost * shares.get(callee.as_str()).unwrap_or(&1.0);
            }
        }
    }
}
