//! Chains as text: a tree of calls with their classes and codes, the origin marked, and a summary sentence below.

use std::fmt::Write as _;
use std::io;

use super::super::{RecordWriter, color};
use super::ChainSink;
use crate::calls::labels;
use crate::calls::record::Call;
use crate::chains::summary::{self, Ending, Summary};
use crate::chains::{Chain, Evidence, Operation};
use crate::text::{self, Align};

/// Maximum width of the tree of names, unless half the terminal is wider.
const MAX_NAME: usize = 44;

/// Maximum width of the verdict.
const MAX_VERDICT: usize = 60;

/// Minimum width of the verdict.
const MIN_VERDICT: usize = 16;

/// Total width of letters, durations and gaps.
const BETWEEN: usize = 16;

/// Where to look for the other calls that may have caused one.
const RIVALS: &str = "; what else may have caused a call with ?: rpcscope show CALL --link, or the key rivals of --format jsonl";

/// The sink of `chains --format text`.
#[derive(Debug)]
pub struct ChainText {
    out: RecordWriter,
    width: Option<usize>,
    colored: bool,
    plain: u64,
    shown: u64,
    /// Failed calls whose origin is not sure.
    unsure: u64,
    /// Whether a link was printed that has rivals.
    has_rivals: bool,
}

impl ChainText {
    /// Writes to `out`; lines are cut to `width` columns, if given.
    #[must_use]
    pub fn new(out: RecordWriter, width: Option<usize>, colored: bool) -> Self {
        Self { out, width, colored, plain: 0, shown: 0, unsure: 0, has_rivals: false }
    }
}

impl ChainSink for ChainText {
    fn chain(&mut self, chain: &Chain) -> io::Result<()> {
        if !chain.is_telling() {
            self.plain += 1;
            return Ok(());
        }
        self.shown += 1;
        self.has_rivals |= chain.hops.iter().any(|hop| !hop.rivals.is_empty());
        self.unsure += chain.unsure_failures().count() as u64;
        let text = tree(chain, self.width, self.colored);
        self.out.buffer().extend_from_slice(text.as_bytes());
        self.out.buffer().push(b'\n');
        self.out.end_record()
    }

    fn tick(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn recover(&mut self) -> Option<usize> {
        self.out.recover();
        None
    }

    fn finish(&mut self) -> io::Result<()> {
        let calls = match self.plain {
            0 => String::new(),
            1 => "; 1 ok call without calls of its own was omitted".to_owned(),
            count => format!("; {} ok calls without calls of their own were omitted", text::thousands(count)),
        };
        let chains = if self.shown == 1 { "chain" } else { "chains" };
        let doubts = summary::doubts(self.unsure).map(|doubts| format!("; {doubts}")).unwrap_or_default();
        let rivals = if self.has_rivals { RIVALS } else { "" };
        let line = format!("{} {chains}{calls}{doubts}{rivals}\n", text::thousands(self.shown));
        self.out.buffer().extend_from_slice(line.as_bytes());
        self.out.flush()
    }
}

/// A chain as text, with evidence and summary sentence below.
#[must_use]
pub fn tree(chain: &Chain, width: Option<usize>, colored: bool) -> String {
    let branches = chain.branches();
    let names: Vec<String> = chain
        .hops
        .iter()
        .zip(&branches)
        .map(|(hop, branch)| format!("{branch}{}", text::escape(&Operation(&hop.call).to_string())))
        .collect();
    let verdicts: Vec<String> = chain.hops.iter().map(|hop| verdict(&hop.call)).collect();
    let widest = |texts: &[String]| texts.iter().map(|text| text::width(text)).max().unwrap_or(0);
    let name = widest(&names).min(width.map_or(usize::MAX, |width| (width / 2).max(MAX_NAME)));
    let room = width.map_or(MAX_VERDICT, |width| width.saturating_sub(name + BETWEEN).max(MIN_VERDICT));
    let verdict = widest(&verdicts).min(MAX_VERDICT).min(room);
    let mut out = String::new();
    for (index, hop) in chain.hops.iter().enumerate() {
        text::push_cell(&mut out, &text::cut_middle(&names[index], name), name, Align::Left);
        let letter = labels::letter(hop.call.class());
        let cell = text::cut_end(&verdicts[index], verdict);
        let mut cells = format!("  {letter} ");
        text::push_cell(&mut cells, &cell, verdict, Align::Left);
        color::push(&mut out, color::class(hop.call.class()), colored, &cells);
        let took = hop.call.duration.or(hop.call.latency).map_or_else(|| "—".to_owned(), text::duration);
        out.push_str("  ");
        text::push_cell(&mut out, &took, 8, Align::Right);
        if let Some(mut remark) = chain.remark(index) {
            if !hop.rivals.is_empty() {
                _ = write!(remark, "  (call {})", hop.call.uid);
            }
            let style = if remark.contains('★') { color::head() } else { anstyle::Style::new() };
            out.push_str("  ");
            color::push(&mut out, style, colored, &remark);
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    }
    if let Some(evidence) = evidence(chain) {
        _ = writeln!(out, "  evidence: {evidence}");
    }
    _ = writeln!(out, "  {}", chain.sentence());
    out
}

/// Code, name and text of an outcome; its class is the letter before it.
fn verdict(call: &Call) -> String {
    let mut verdict = labels::verdict(call);
    if let (Some(name), Some(code)) = (call.outcome.code_name, call.outcome.code) {
        // Add the code's name, because codes of different protocols may be listed together.
        let number = code.to_string();
        if let Some(rest) = verdict.strip_prefix(&number)
            && !rest.trim_start().starts_with(name)
        {
            verdict = format!("{number} {name}{rest}");
        }
    }
    verdict
}

/// `trace-id for 2 of 3 links, timing for 1; 93 % sure of all`.
#[must_use]
pub fn evidence(chain: &Chain) -> Option<String> {
    let links = chain.hops.iter().filter(|hop| hop.parent.is_some()).count();
    if links == 0 {
        return None;
    }
    let mut parts = Vec::new();
    for evidence in chain.evidence.iter() {
        let by = chain.links_by(evidence);
        let trace = match evidence {
            Evidence::TraceId => chain.hops.iter().rev().find_map(|hop| hop.call.trace_id.as_deref()),
            _ => None,
        };
        let id = trace.map(|id| format!(" {}", text::cut_end(&text::escape(id), 9))).unwrap_or_default();
        let of = if links == 1 { String::new() } else { format!(" ({by} of {links} links)") };
        parts.push(format!("{}{id}{of}", evidence.name()));
    }
    Some(format!("{}; {:.0} % sure", parts.join(", "), chain.confidence * 100.0))
}

/// The sink of `chains --summary`.
#[derive(Debug)]
pub struct ChainSummary {
    out: RecordWriter,
    colored: bool,
    summary: Summary,
}

impl ChainSummary {
    /// Writes to `out` when it is finished.
    #[must_use]
    pub fn new(out: RecordWriter, colored: bool) -> Self {
        Self { out, colored, summary: Summary::default() }
    }
}

/// A short form of how a call ended, escaped for terminals: `Stock.Reserve B 10002`.
#[must_use]
pub fn ending(ending: &Ending) -> String {
    let code = ending.code.map(|code| format!(" {code}")).unwrap_or_default();
    let class = match labels::letter(ending.class) {
        ' ' => "ok".to_owned(),
        letter => letter.to_string(),
    };
    format!("{} {class}{code}", text::escape(&ending.operation))
}

impl ChainSink for ChainSummary {
    fn chain(&mut self, chain: &Chain) -> io::Result<()> {
        self.summary.add(chain);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut rows = vec![
            ["count", "callee answered", "service answered", "what happened", "example"].map(String::from),
        ];
        for turn in self.summary.turns() {
            rows.push([
                text::thousands(turn.count),
                turn.from.as_ref().map_or_else(|| "all ok".to_owned(), ending),
                ending(&turn.to),
                summary::words(turn.findings),
                turn.example.to_string(),
            ]);
        }
        for turn in self.summary.doubtful() {
            rows.push([
                text::thousands(turn.count),
                "not known for sure".to_owned(),
                ending(&turn.to),
                "origin not known for sure".to_owned(),
                turn.example.to_string(),
            ]);
        }
        let mut widths = [0; 5];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = text::width(cell).max(*width);
            }
        }
        let mut out = String::new();
        for (index, row) in rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                let align = if column == 0 { Align::Right } else { Align::Left };
                text::push_cell(&mut line, cell, width, align);
                line.push_str("  ");
            }
            let style = if index == 0 { color::head() } else { anstyle::Style::new() };
            color::push(&mut out, style, self.colored, line.trim_end());
            out.push('\n');
        }
        let sums = &self.summary;
        let counts = [sums.chains, sums.calls, sums.links].map(text::thousands);
        _ = writeln!(out, "{} chains, {} calls, {} links", counts[0], counts[1], counts[2]);
        if let Some(doubts) = sums.doubts() {
            let turns = match sums.unsure_turns {
                0 => String::new(),
                turns => format!(
                    "; {} that rest on links that are not sure are not listed",
                    text::counted(turns, "change")
                ),
            };
            _ = writeln!(out, "{doubts}{turns}");
        }
        if sums.beyond > 0 {
            _ = writeln!(
                out,
                "{} more were of kinds beyond the bound of this table",
                text::thousands(sums.beyond)
            );
        }
        self.out.buffer().extend_from_slice(out.as_bytes());
        self.out.flush()
    }
}
