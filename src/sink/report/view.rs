//! The page: everything is put into words here, and the template only places it.

use std::collections::BTreeMap;

use askama::Template;

use super::data::{push_array, push_rows, push_string};
use super::details::Details;
use super::graph::{self, Arrow};
use super::model::{Began, ChainView, Gathered, HopView};
use super::{MAX_CALLS, MAX_LINES, MAX_LISTED, policy, story};
use crate::calls::{Class, Uid, labels};
use crate::logs::report::Report;
use crate::pipeline::Totals;
use crate::text::{self, counted, thousands};
use crate::time::Timestamp;

/// Origins that are listed unfolded.
const MAX_UNFOLDED: usize = 8;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Longest line of a log in the page, in bytes.
const MAX_LINE: usize = 600;

/// What the page says beside the calls.
#[derive(Debug, Default)]
pub struct About {
    /// The heading.
    pub title: String,
    /// Names of the captures.
    pub captures: Vec<String>,
    /// The filter.
    pub filter: Option<String>,
    /// What was read.
    pub totals: Totals,
    /// More that is missing, a sentence each.
    pub missing: Vec<String>,
    /// Details of failed calls.
    pub details: Details,
    /// Whether bytes are left out because that was asked for.
    pub is_redacted: bool,
    /// What logs say.
    pub logs: Option<Report>,
}

/// A line of a log in the page.
#[derive(Clone, Debug)]
pub struct LogView {
    place: String,
    text: String,
    uid: Option<Uid>,
    why: String,
}

struct Tile {
    class: &'static str,
    count: String,
    name: &'static str,
    share: String,
}

struct OriginView {
    operation: String,
    class: &'static str,
    label: &'static str,
    verdict: String,
    fault: &'static str,
    chains: String,
    sure: String,
    first: String,
    last: String,
    uid: Uid,
}

struct GroupView {
    number: usize,
    count: String,
    operation: String,
    class: &'static str,
    label: &'static str,
    code: String,
    text: String,
    share: String,
    first: String,
    last: String,
    example: Uid,
}

struct KindView<'g> {
    class: &'static str,
    label: &'static str,
    count: String,
    sentence: &'g str,
    chains: Vec<NumberedChain<'g>>,
    left_out: u64,
}

struct NumberedChain<'g> {
    number: u32,
    start: String,
    view: &'g ChainView,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'g> {
    policy: String,
    version: &'static str,
    title: String,
    style: &'static str,
    script: &'static str,
    source: String,
    parts: Vec<(&'static str, &'static str)>,
    story: Vec<String>,
    warnings: Vec<String>,
    tiles: Vec<Tile>,
    /// Those that everybody should see, then the others.
    origins: Vec<Vec<OriginView>>,
    origins_left_out: usize,
    timeline: Option<String>,
    interval: String,
    groups: Vec<GroupView>,
    groups_left_out: usize,
    graph: Option<String>,
    arrows: Vec<Arrow>,
    arrows_left_out: usize,
    doubts: Option<String>,
    kinds: Vec<KindView<'g>>,
    chains_note: String,
    calls_note: String,
    classes: Vec<(usize, &'static str, &'static str)>,
    has_logs: bool,
    logs_note: String,
    log_lines: Vec<LogView>,
    silent: Vec<String>,
    links: Vec<(&'static str, String, String)>,
    links_note: String,
    remarks: Vec<String>,
    facts: Vec<(&'static str, String)>,
    has_bytes: bool,
    data: String,
}

/// The name of a class in styles.
fn style(class: Option<Class>) -> &'static str {
    class.map_or("unknown", Class::name)
}

impl HopView {
    fn style(&self) -> &'static str {
        style(self.class)
    }

    fn label(&self) -> &'static str {
        labels::label(self.class)
    }
}

/// All classes, and `None` last, as `intervals::index` numbers them.
fn all_classes() -> impl Iterator<Item = Option<Class>> {
    Class::ALL.iter().copied().map(Some).chain([None])
}

/// The page, which is complete and needs nothing else.
///
/// # Errors
///
/// Only if the template can't be rendered.
pub fn page(mut gathered: Gathered, about: &About) -> Result<String, askama::Error> {
    let rows = gathered.rows();
    let calls = gathered.count();
    let (log_lines, silent, logs_note, lines_of_calls) = logs(about.logs.as_ref());
    let data = data(&gathered, &rows, about, &lines_of_calls);
    let span = gathered.span;
    let clock = |time| story::clock(time, span);
    let (arrows, arrows_left_out) = graph::arrows(&gathered.summary);
    let origins = story::origins(&gathered);
    let missing: Vec<String> = about.missing.iter().map(|line| text::escape(line).into_owned()).collect();
    let mut remarks = missing.clone();
    // The page has no command line.
    let lists = "; rpcscope calls --connections";
    remarks.extend(
        about.totals.remarks().iter().map(|line| line.split(lists).next().unwrap_or_default().to_owned()),
    );
    if gathered.texts.left_out > 0 {
        remarks.push(format!(
            "{} of calls have no room in the page: … stands for them",
            counted(gathered.texts.left_out, "text")
        ));
    }
    let gaps = about.totals.gaps + about.totals.shed_calls;
    let mut warnings = missing;
    if gathered.unlinked > 0 {
        warnings.push(format!(
            "{} came faster than they could be linked: they are in no chain",
            counted(gathered.unlinked, "call")
        ));
    }
    if gaps > 0 {
        warnings.push(format!(
            "the capture has {}: some calls, or how they ended, are not known",
            counted(gaps, "gap")
        ));
    }
    let mut parts = vec![
        ("summary", "What happened"),
        ("time", "Over time"),
        ("errors", "Errors"),
        ("services", "Services"),
        ("chains", "Chains"),
        ("calls", "Calls"),
        ("logs", "Logs"),
        ("evidence", "Evidence and gaps"),
    ];
    parts.retain(|(id, _)| *id != "logs" || about.logs.is_some());
    let all_groups = groups(&gathered);
    let page = Page {
        policy: policy(STYLE, SCRIPT),
        version: env!("CARGO_PKG_VERSION"),
        title: text::escape(&about.title).into_owned(),
        style: STYLE,
        script: SCRIPT,
        source: source(&gathered, about),
        parts,
        story: story::sentences(&gathered),
        warnings,
        tiles: tiles(&gathered),
        origins_left_out: origins.len().saturating_sub(MAX_LISTED),
        origins: origin_views(&origins, &clock),
        timeline: gathered.timeline.svg(),
        interval: gathered.timeline.interval(),
        groups_left_out: all_groups.len().saturating_sub(MAX_LISTED)
            + usize::from(gathered.groups_left_out > 0),
        groups: all_groups.into_iter().take(MAX_LISTED).collect(),
        graph: graph::svg(&arrows),
        arrows,
        arrows_left_out,
        doubts: gathered.summary.doubts(),
        kinds: kinds(&gathered),
        chains_note: chains_note(&gathered),
        calls_note: calls_note(&rows, &gathered, about),
        classes: all_classes()
            .enumerate()
            .filter(|(index, _)| gathered.counts[*index] > 0)
            .map(|(index, class)| (index, style(class), labels::label(class)))
            .collect(),
        has_logs: about.logs.is_some(),
        logs_note,
        log_lines,
        silent,
        links: links(&gathered),
        links_note: format!(
            "{} between calls, of which {} are told as facts: they are at least 80 % likely, by the evidence of ids, names, \
             contents and times. Words such as “perhaps” mark what is less likely. No link is surer than 99 %.",
            counted(gathered.all_links.links, "link"),
            thousands(gathered.all_links.sure)
        ),
        remarks,
        facts: facts(&about.totals, calls),
        has_bytes: about.details.count() > 0 && !about.is_redacted,
        data,
    };
    page.render()
}

/// The first origins, and the others as far as they are listed.
fn origin_views(origins: &[&Began], clock: &dyn Fn(Timestamp) -> String) -> Vec<Vec<OriginView>> {
    let view = |began: &&Began| OriginView {
        operation: began.operation.clone(),
        class: style(began.call.class()),
        label: labels::label(began.call.class()),
        verdict: text::head(&labels::verdict(&began.call), 200).to_owned(),
        fault: story::fault(&began.call),
        chains: thousands(began.chains),
        sure: story::surely(began),
        first: clock(began.first),
        last: clock(began.last),
        uid: began.call.uid,
    };
    let shown = &origins[..origins.len().min(MAX_LISTED)];
    let (first, others) = shown.split_at(shown.len().min(MAX_UNFOLDED));
    [first, others]
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| part.iter().map(view).collect())
        .collect()
}

fn source(gathered: &Gathered, about: &About) -> String {
    let mut out = text::escape(&about.captures.join(", ")).into_owned();
    if let Some((first, last)) = about.totals.span.or(gathered.span) {
        out = format!(
            "{out} · {} to {} ({})",
            story::when(first),
            story::clock(last, Some((first, last))),
            text::duration(last.since(first))
        );
    }
    if let Some(filter) = &about.filter {
        out = format!("{out} · only calls with {}", text::escape(filter));
    }
    out
}

fn tiles(gathered: &Gathered) -> Vec<Tile> {
    let all = gathered.count();
    let total = Tile { class: "all", count: thousands(all), name: "calls", share: String::new() };
    let of_class =
        all_classes().enumerate().filter(|(index, _)| gathered.counts[*index] > 0).map(|(index, class)| {
            let count = gathered.counts[index];
            Tile {
                class: style(class),
                count: thousands(count),
                name: labels::label(class),
                share: story::percent(count, all),
            }
        });
    std::iter::once(total).chain(of_class).collect()
}

fn groups(gathered: &Gathered) -> Vec<GroupView> {
    let names: BTreeMap<&str, u64> = gathered
        .of_operation
        .iter()
        .map(|(operation, count)| (gathered.texts.get(*operation), *count))
        .collect();
    let mut all: Vec<_> = gathered.groups.iter().enumerate().collect();
    all.sort_by_key(|(number, group)| (std::cmp::Reverse(group.count), *number));
    let view = |(number, group): (usize, &super::model::Group)| GroupView {
        number,
        count: thousands(group.count),
        operation: group.operation.clone(),
        class: style(group.class),
        label: labels::label(group.class),
        code: group.code.clone(),
        text: group.text.clone(),
        share: story::percent(group.count, names.get(&*group.operation).copied().unwrap_or(group.count)),
        first: story::clock(group.first, gathered.span),
        last: story::clock(group.last, gathered.span),
        example: group.example,
    };
    all.into_iter().map(view).collect()
}

fn kinds(gathered: &Gathered) -> Vec<KindView<'_>> {
    let mut all: Vec<_> = gathered.kinds.iter().filter(|kind| !kind.chains.is_empty()).collect();
    all.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    all.into_iter()
        .map(|kind| KindView {
            class: style(kind.class),
            label: labels::label(kind.class),
            count: thousands(kind.count),
            left_out: kind.count - kind.chains.len() as u64,
            sentence: &kind.sentence,
            chains: kind
                .chains
                .iter()
                .filter_map(|number| {
                    let view = gathered.chains.get(*number as usize)?;
                    Some(NumberedChain {
                        number: *number,
                        start: story::clock(view.start, gathered.span),
                        view,
                    })
                })
                .collect(),
        })
        .collect()
}

fn chains_note(gathered: &Gathered) -> String {
    let kept = gathered.chains.len() as u64;
    let all = gathered.failed_chains;
    let which = if kept == all {
        format!("{}, those that went the same way together.", counted(all, "chain"))
    } else {
        format!(
            "{} of {} are in the page, at least one of each kind; those that went the same way are together.",
            thousands(kept),
            counted(all, "chain")
        )
    };
    format!("{which} The outermost call is at the top; ★ marks where the error began.")
}

fn calls_note(rows: &[super::data::Row], gathered: &Gathered, about: &About) -> String {
    let all = gathered.count();
    let shown = rows.len() as u64;
    let mut out = if shown == all {
        format!("All {}.", counted(all, "call"))
    } else {
        let failed = gathered.failures();
        let missing = failed.saturating_sub(MAX_CALLS as u64);
        let failed = if missing == 0 {
            "all that failed, and an even choice of the others".to_owned()
        } else {
            format!("the first {} of {} that failed", thousands(MAX_CALLS as u64), thousands(failed))
        };
        format!("{} of {}: {failed}.", thousands(shown), counted(all, "call"))
    };
    let failures = gathered.failures();
    let detailed = about.details.count();
    if failures > 0 && detailed >= failures {
        out.push_str(" Each failed call has its verdict, time line and bytes: choose it.");
    } else if detailed > 0 {
        out = format!(
            "{out} {} of {} have their verdict, time line and bytes in the page, at least one of each kind as far as there was room.",
            thousands(detailed),
            counted(failures, "failed call")
        );
    }
    out
}

fn links(gathered: &Gathered) -> Vec<(&'static str, String, String)> {
    let mut all: Vec<_> = gathered.links.clone();
    all.sort_by_key(|(evidence, linked)| (std::cmp::Reverse(linked.links), *evidence));
    all.into_iter()
        .map(|(evidence, linked)| (evidence.name(), thousands(linked.links), thousands(linked.sure)))
        .collect()
}

fn facts(totals: &Totals, calls: u64) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Calls in this report", thousands(calls)),
        ("Calls in the capture", thousands(totals.calls)),
        ("Packets", format!("{}, {}", thousands(totals.packets), text::bytes(totals.bytes))),
        ("Connections", thousands(totals.connections)),
        ("Gaps", thousands(totals.gaps)),
    ];
    let without: Vec<String> = totals
        .without_calls
        .sorted()
        .iter()
        .map(|(reason, tallied)| {
            format!("{} {reason} ({})", thousands(tallied.connections), text::bytes(tallied.amount))
        })
        .collect();
    if !without.is_empty() {
        facts.push(("Connections without a call", without.join(", ")));
    }
    facts
}

type LinesOfCalls = BTreeMap<Uid, Vec<(String, String)>>;

/// Lines, silent calls, sums, and the lines of each call.
fn logs(report: Option<&Report>) -> (Vec<LogView>, Vec<String>, String, LinesOfCalls) {
    let Some(report) = report else { return <_>::default() };
    let mut views = Vec::new();
    let mut of_calls = LinesOfCalls::new();
    let shown = |line: &crate::logs::report::ToldLine| {
        let place = format!("{}:{}", text::escape(&line.log), line.line);
        let said = text::escape(line.text.trim()).into_owned();
        (place, text::head(&said, MAX_LINE).to_owned())
    };
    let mut count = 0u64;
    for told in report.stories.iter().flat_map(|story| &story.calls) {
        for line in &told.lines {
            count += 1;
            if views.len() >= MAX_LINES {
                continue;
            }
            let (place, said) = shown(line);
            of_calls.entry(told.call.uid).or_default().push((place.clone(), said.clone()));
            let why = line.found.as_ref().map(|found| found.why.join(", ")).unwrap_or_default();
            views.push(LogView { place, text: said, uid: Some(told.call.uid), why });
        }
    }
    for lines in &report.homeless {
        let Some(first) = lines.lines.first() else { continue };
        count += lines.lines.len() as u64;
        if views.len() >= MAX_LINES {
            continue;
        }
        let (place, text) = shown(first);
        let more = match lines.lines.len() - 1 {
            0 => String::new(),
            more => format!("; {more} more lines like it"),
        };
        views.push(LogView { place, text, uid: None, why: format!("{}{more}", lines.reason.sentence()) });
    }
    let silent = report.silent.iter().take(MAX_LISTED).map(|silent| {
        let call = &silent.first;
        format!(
            "{} × {}: {} ({})",
            thousands(silent.count),
            labels::operation(call),
            text::head(&labels::verdict(call), 200),
            silent.silence.sentence()
        )
    });
    let names: Vec<String> =
        report.summary.logs.iter().map(|log| text::escape(&log.name).into_owned()).collect();
    let note = format!(
        "{} in {}; they mention {} of {}.",
        counted(count, "error line"),
        names.join(", "),
        thousands(report.summary.mentioned),
        counted(report.summary.failed, "failed call")
    );
    (views, silent.collect(), note, of_calls)
}

/// The data of the script.
fn data(gathered: &Gathered, rows: &[super::data::Row], about: &About, lines: &LinesOfCalls) -> String {
    let first = rows.first().map_or(0, |row| row.start);
    let mut out = String::from("{\"first\":{\"ms\":");
    out.push_str(&first.div_euclid(1_000_000).to_string());
    out.push_str(",\"micros\":");
    out.push_str(&(first.rem_euclid(1_000_000) / 1_000).to_string());
    out.push_str("},\"days\":");
    let day = 86_400_000_000_000;
    let is_one = gathered.span.is_none_or(|(a, b)| a.0.div_euclid(day) == b.0.div_euclid(day));
    out.push_str(if is_one { "false" } else { "true" });
    out.push_str(",\"classes\":");
    push_array(&mut out, all_classes(), |out, class| {
        out.push_str("{\"name\":");
        push_string(out, style(class));
        out.push_str(",\"label\":");
        push_string(out, labels::label(class));
        out.push('}');
    });
    out.push_str(",\"groups\":");
    push_array(&mut out, gathered.groups.iter(), |out, group| {
        push_string(out, text::head(&format!("{} {} {}", group.operation, group.code, group.text), 200));
    });
    out.push_str(",\"rows\":{");
    push_rows(&mut out, rows, first);
    out.push_str("},\"texts\":");
    gathered.texts.push(&mut out);
    out.push_str(",\"calls\":{");
    out.push_str(about.details.json());
    out.push_str("},\"logs\":{");
    for (at, (uid, said)) in lines.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_string(&mut out, &uid.to_string());
        out.push(':');
        push_array(&mut out, said.iter(), |out, (place, line)| {
            push_array(out, [place, line].into_iter(), |out, text| push_string(out, text));
        });
    }
    out.push_str("},\"command\":");
    let files = about.captures.join(" ");
    push_string(&mut out, &format!("rpcscope show UID {}", text::escape(&files)));
    out.push('}');
    out
}
