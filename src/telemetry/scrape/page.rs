//! The text of the page.

use std::fmt::Write as _;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Spans;
use crate::calls::Call;
use crate::calls::Class;
use crate::pipeline::Totals;
use crate::source::live::{Counters, Drops};
use crate::telemetry::convention;
use crate::telemetry::histogram::{BOUNDS, Histogram};

/// Most combinations of labels of the counts of calls, and of the histograms, each of which is 17 lines. All others are one, `other`.
const MAX_COUNTS: usize = 2_000;
const MAX_HISTOGRAMS: usize = 300;
/// What stands for names and codes beyond these.
const OTHER: &str = "other";
/// Most characters of the value of a label.
const MAX_LABEL: usize = 200;

/// Calls that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Labels {
    rpc: &'static str,
    service: String,
    method: String,
    class: &'static str,
    code: String,
}

/// Calls whose durations are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Timed {
    rpc: &'static str,
    service: String,
    method: String,
}

/// What is counted.
pub(super) struct Board {
    counters: Option<Arc<Counters>>,
    calls: HashMap<Labels, u64>,
    times: HashMap<Timed, Histogram>,
    totals: Figures,
    pub(super) spans: Option<Spans>,
}

/// What the page has of [`Totals`].
#[derive(Default)]
struct Figures {
    packets: u64,
    bytes: u64,
    connections: u64,
    gaps: u64,
    shed: Vec<(&'static str, u64)>,
}

impl Board {
    pub(super) fn new(counters: Option<Arc<Counters>>) -> Self {
        Self {
            counters,
            calls: HashMap::new(),
            times: HashMap::new(),
            totals: Figures::default(),
            spans: None,
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        let rpc = call.rpc.name();
        let service = call.service.as_deref().unwrap_or_default();
        let method = call.method.as_deref().unwrap_or_default();
        let class = call.class().map_or("unknown", Class::name);
        let code = if call.failed() { convention::error_type(call) } else { "".into() };
        let labels =
            Labels { rpc, service: label(service), method: label(method), class, code: label(&code) };
        let rest =
            || Labels { service: OTHER.into(), method: OTHER.into(), code: OTHER.into(), ..labels.clone() };
        *bounded(&mut self.calls, MAX_COUNTS, &labels, rest) += 1;
        let timed = Timed { rpc, service: labels.service.clone(), method: labels.method.clone() };
        let rest = || Timed { service: OTHER.into(), method: OTHER.into(), ..timed };
        bounded(&mut self.times, MAX_HISTOGRAMS, &timed, rest).add(convention::seconds(call));
    }

    pub(super) fn totals(&mut self, totals: &Totals) {
        let figures = &mut self.totals;
        figures.packets = totals.packets;
        figures.bytes = totals.bytes;
        figures.connections = totals.connections;
        figures.gaps = totals.gaps;
        figures.shed.clear();
        figures.shed.extend(totals.shed_by_kind().iter().map(|kind| (kind.name, kind.count)));
    }

    /// The page in text format 0.0.4.
    pub(super) fn page(&self) -> String {
        let mut page = Page(String::with_capacity(16 * 1024));
        page.head("rpcscope_build_info", "gauge", "Version of rpcscope.");
        page.line("rpcscope_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.of_calls(&mut page);
        self.of_itself(&mut page);
        page.0
    }

    fn of_calls(&self, page: &mut Page) {
        let name = "rpcscope_calls_total";
        page.head(name, "counter", "Calls by class; code is the error's, of calls that failed.");
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_unstable_by_key(|(labels, _)| *labels);
        for (Labels { rpc, service, method, class, code }, count) in calls {
            let labels =
                [("rpc", *rpc), ("service", service), ("method", method), ("class", class), ("code", code)];
            page.line(name, &labels, *count);
        }
        let name = "rpcscope_call_duration_seconds";
        page.head(
            name,
            "histogram",
            "Request's first byte to answer's last byte, or to what decided that there is none.",
        );
        let mut times: Vec<_> = self.times.iter().collect();
        times.sort_unstable_by_key(|(labels, _)| *labels);
        for (Timed { rpc, service, method }, histogram) in times {
            let of = [("rpc", *rpc), ("service", service), ("method", method)];
            let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            let mut below = 0;
            for (bound, count) in bounds.zip(histogram.counts) {
                below += count;
                let [rpc, service, method] = of;
                page.line(&format!("{name}_bucket"), &[rpc, service, method, ("le", &bound)], below);
            }
            page.line(&format!("{name}_sum"), &of, histogram.sum);
            page.line(&format!("{name}_count"), &of, histogram.count());
        }
    }

    fn of_itself(&self, page: &mut Page) {
        let Figures { packets, bytes, connections, gaps, shed } = &self.totals;
        for (name, help, value) in [
            ("rpcscope_packets_total", "Packets read.", packets),
            ("rpcscope_packet_bytes_total", "Bytes of packets, as captured.", bytes),
            ("rpcscope_connections_total", "Connections seen.", connections),
            ("rpcscope_gaps_total", "Holes in streams that never were filled.", gaps),
        ] {
            page.head(name, "counter", help);
            page.line(name, &[], value);
        }
        let name = "rpcscope_shed_total";
        page.head(name, "counter", "What was dropped at a bound, or passed over.");
        for (kind, count) in shed {
            page.line(name, &[("kind", kind)], count);
        }
        if let Some(counters) = &self.counters {
            let Drops { kernel, interface, own, shortened, unwritten } = counters.drops();
            let name = "rpcscope_packets_dropped_total";
            page.head(name, "counter", "Packets lost before they were read.");
            for (by, count) in [("kernel", kernel), ("interface", interface), ("rpcscope", own)] {
                page.line(name, &[("by", by)], count);
            }
            for (name, help, value) in [
                ("rpcscope_packets_shortened_total", "Packets cut to their headers under load.", shortened),
                ("rpcscope_packets_unwritten_total", "Packets that could not be written with -w.", unwritten),
            ] {
                page.head(name, "counter", help);
                page.line(name, &[], value);
            }
            let name = "rpcscope_queue_batches";
            page.head(name, "gauge", "Batches of packets that wait for the analysis.");
            page.line(name, &[], counters.waiting());
        }
        if let Some(Spans { sent, dropped, waiting, on_disk }) = self.spans {
            let name = "rpcscope_otlp_spans_total";
            page.head(name, "counter", "Spans for --otlp.");
            page.line(name, &[("result", "sent")], sent);
            page.line(name, &[("result", "dropped")], dropped);
            let name = "rpcscope_otlp_queue_batches";
            page.head(name, "gauge", "Batches of spans that wait to be sent.");
            page.line(name, &[], waiting);
            if let Some(bytes) = on_disk {
                let name = "rpcscope_otlp_queue_bytes";
                page.head(name, "gauge", "Bytes of batches that wait on disk.");
                page.line(name, &[], bytes);
            }
        }
        if let Some(bytes) = memory() {
            let name = "process_resident_memory_bytes";
            page.head(name, "gauge", "Memory in use.");
            page.line(name, &[], bytes);
        }
    }
}

/// The entry of a key, or that of the rest if there are too many keys.
fn bounded<'m, K: Clone + Eq + std::hash::Hash, V: Default>(
    map: &'m mut HashMap<K, V>,
    most: usize,
    key: &K,
    rest: impl FnOnce() -> K,
) -> &'m mut V {
    let is_new = map.len() >= most && !map.contains_key(key);
    map.entry(if is_new { rest() } else { key.clone() }).or_default()
}

/// A name of the wire, at a bounded length.
fn label(text: &str) -> String {
    text.chars().take(MAX_LABEL).collect()
}

/// Bytes of memory that are in use (proc(5)); `None` where the system does not say.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String can't fail.
        _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    // The format allows these, but people print the page.
                    c if c.is_control() => self.0.push('\u{fffd}'),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        _ = writeln!(self.0, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Carrier, sample};

    #[test]
    fn names_of_the_wire_are_escaped() {
        let mut board = Board::new(None);
        let mut call = sample::failed(Class::Business, Carrier::BizStatus, Some(7), "no");
        call.method = Some("a\"b\\c\nd\u{1b}e".into());
        board.call(&call);
        let page = board.page();
        let labels = "rpc=\"thrift\",service=\"OrderService\",method=\"a\\\"b\\\\c\\nd\u{fffd}e\"";
        let line = format!("rpcscope_calls_total{{{labels},class=\"business\",code=\"7\"}} 1\n");
        assert!(page.contains(&line), "{page}");
        let line = format!("rpcscope_call_duration_seconds_bucket{{{labels},le=\"0.005\"}} 1\n");
        assert!(page.contains(&line), "{page}");
    }

    #[test]
    fn series_are_bounded() {
        let mut board = Board::new(None);
        for number in 0..MAX_COUNTS + 10 {
            let mut call = sample::ok();
            call.method = Some(format!("m{number}").into());
            board.call(&call);
        }
        let page = board.page();
        let all: Vec<_> = page.lines().filter(|line| line.starts_with("rpcscope_calls_total{")).collect();
        assert_eq!(all.len(), MAX_COUNTS + 1);
        let rest = "{rpc=\"thrift\",service=\"other\",method=\"other\",class=\"ok\",code=\"other\"} 10";
        assert!(all.iter().any(|line| line.ends_with(rest)), "{all:?}");
        assert_eq!(board.times.len(), MAX_HISTOGRAMS + 1);
        let count = |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok());
        assert_eq!(all.into_iter().filter_map(count).sum::<usize>(), MAX_COUNTS + 10);
    }

    #[test]
    fn figures_of_the_run_are_on_the_page() {
        let mut board = Board::new(Some(Arc::default()));
        board.totals(&Totals { packets: 7, gaps: 2, ..Totals::default() });
        board.spans = Some(Spans { sent: 3, dropped: 1, waiting: 0, on_disk: Some(5) });
        let page = board.page();
        for line in [
            "rpcscope_packets_total 7",
            "rpcscope_gaps_total 2",
            "rpcscope_shed_total{kind=\"heavy\"} 0",
            "rpcscope_packets_dropped_total{by=\"kernel\"} 0",
            "rpcscope_queue_batches 0",
            "rpcscope_otlp_spans_total{result=\"dropped\"} 1",
            "rpcscope_otlp_queue_bytes 5",
        ] {
            assert!(page.lines().any(|other| other == line), "{line}: {page}");
        }
        // Every metric has its type before its first line.
        let mut known = Vec::new();
        for line in page.lines() {
            match line.strip_prefix("# TYPE ") {
                Some(rest) => known.push(rest.split(' ').next().unwrap_or_default().to_owned()),
                None if line.starts_with('#') => {}
                None => assert!(known.iter().any(|name| line.starts_with(&**name)), "{line}"),
            }
        }
    }
}
