//! The text of the page.

use std::sync::Arc;

use hashbrown::HashMap;

use super::Spans;
use super::example::Example;
use super::format::{Format, Page};
use crate::calls::Call;
use crate::calls::Class;
use crate::pipeline::Totals;
use crate::source::live::{Counters, Drops};
use crate::telemetry::convention;
use crate::telemetry::histogram::{BOUNDS, BUCKETS, Histogram};

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

/// A count, and the last of its calls that failed.
#[derive(Default)]
struct Counted {
    count: u64,
    failed: Option<Example>,
}

/// Durations, and the slowest call of each bucket.
#[derive(Default)]
struct Times {
    histogram: Histogram,
    slowest: [Option<Example>; BUCKETS],
}

/// What is counted.
pub(super) struct Board {
    counters: Option<Arc<Counters>>,
    calls: HashMap<Labels, Counted>,
    times: HashMap<Timed, Times>,
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
        let counted = bounded(&mut self.calls, MAX_COUNTS, &labels, rest);
        counted.count += 1;
        Example::last_failed(&mut counted.failed, call);
        let timed = Timed { rpc, service: labels.service.clone(), method: labels.method.clone() };
        let rest = || Timed { service: OTHER.into(), method: OTHER.into(), ..timed };
        let times = bounded(&mut self.times, MAX_HISTOGRAMS, &timed, rest);
        let seconds = convention::seconds(call);
        let bucket = times.histogram.add(seconds);
        Example::slowest(&mut times.slowest[bucket], call, seconds);
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

    /// The page.
    pub(super) fn page(&self, format: Format) -> String {
        let mut page = Page::new(format);
        page.head("rpcscope_build_info", "gauge", "Version of rpcscope.");
        page.line("rpcscope_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.of_calls(&mut page);
        self.of_itself(&mut page);
        page.finish()
    }

    fn of_calls(&self, page: &mut Page) {
        let name = "rpcscope_calls_total";
        page.head(name, "counter", "Calls by class; code is the error's, of calls that failed.");
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_unstable_by_key(|(labels, _)| *labels);
        for (Labels { rpc, service, method, class, code }, counted) in calls {
            let labels =
                [("rpc", *rpc), ("service", service), ("method", method), ("class", class), ("code", code)];
            page.line_with(name, &labels, counted.count, counted.failed.as_ref());
        }
        let name = "rpcscope_call_duration_seconds";
        page.head(
            name,
            "histogram",
            "Request's first byte to answer's last byte, or to what decided that there is none.",
        );
        let mut times: Vec<_> = self.times.iter().collect();
        times.sort_unstable_by_key(|(labels, _)| *labels);
        for (Timed { rpc, service, method }, Times { histogram, slowest }) in times {
            let of = [("rpc", *rpc), ("service", service), ("method", method)];
            let bounds: Vec<_> = BOUNDS.iter().map(|bound| page.bound(*bound)).collect();
            let bounds = bounds.iter().map(String::as_str).chain(["+Inf"]);
            let mut below = 0;
            for ((bound, count), slowest) in bounds.zip(histogram.counts).zip(slowest) {
                below += count;
                let [rpc, service, method] = of;
                let labels = [rpc, service, method, ("le", bound)];
                page.line_with(&format!("{name}_bucket"), &labels, below, slowest.as_ref());
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
        let page = board.page(Format::Text);
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
        let page = board.page(Format::Text);
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
        let page = board.page(Format::Text);
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

    #[test]
    fn openmetrics_has_examples_of_failed_and_slowest_calls() {
        let mut board = Board::new(None);
        for (number, duration) in [(1, 2_000_000), (2, 3_000_000), (3, 1_000_000)] {
            let mut call = sample::failed(Class::Business, Carrier::BizStatus, Some(7), "no");
            (call.positions[0], call.duration) = (Some(number), Some(duration));
            call.trace_id = Some(format!("trace{number}").into());
            board.call(&call);
        }
        let page = board.page(Format::OpenMetrics);
        assert!(page.ends_with("\n# EOF\n"));
        assert!(page.contains("# TYPE rpcscope_calls counter\n"));
        let with = |start: &str, trace: &str, seconds: &str| {
            let has = |line: &str| {
                line.starts_with(start)
                    && line.contains(&format!(" # {{trace_id=\"{trace}\",call_key=\""))
                    && line.contains(&format!("\"}} {seconds} "))
            };
            page.lines().any(has)
        };
        // The last that failed, and the slowest.
        assert!(with("rpcscope_calls_total{", "trace3", "0.001"), "{page}");
        assert!(with("rpcscope_call_duration_seconds_bucket{", "trace2", "0.003"), "{page}");
        assert!(page.contains("le=\"1.0\"") && !board.page(Format::Text).contains(" # {"));
        assert!(board.page(Format::Text).contains("le=\"1\""));
    }
}
