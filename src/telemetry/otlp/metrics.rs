//! `rpc.client.call.duration` and `rpc.server.call.duration`, with examples of calls in each bucket.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::message::{
    CUMULATIVE, Exemplar, ExportMetricsServiceRequest, HistogramData, HistogramPoint, KeyValue, Metric,
    ResourceMetrics, ScopeMetrics, Value, attribute, text,
};
use super::spans::{Names, Observed, Service};
use super::{resource, scope};
use crate::calls::record::Call;
use crate::decode::Endpoint;
use crate::telemetry::convention::{self, End};
use crate::telemetry::histogram::{BOUNDS, BUCKETS, Histogram};

/// Most combinations of attributes. All others are one, as the libraries of OpenTelemetry have it
/// (`specification/metrics/sdk.md`, "Overflow attribute"), of which services stay apart no more.
const MAX_SERIES: usize = 2_000;

/// What is counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Series {
    service: Service,
    end: End,
    /// `None` for all that are too many.
    call: Option<Attributes>,
}

/// The attributes of a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Attributes {
    system: &'static str,
    method: String,
    status: Option<String>,
    error: Option<String>,
    server: Endpoint,
}

/// The calls of a series.
#[derive(Clone, Debug, Default)]
struct Counted {
    histogram: Histogram,
    /// By bucket, since the last report: the first call that failed, and the slowest.
    examples: [[Option<Exemplar>; 2]; BUCKETS],
}

/// Counts how long calls took.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    series: HashMap<Series, Counted>,
    /// When the first call began and the last ended, nanoseconds since the Unix epoch.
    span: Option<(u64, u64)>,
    has_news: bool,
}

impl Metrics {
    /// Counts the span of an end of a call.
    pub(super) fn add(&mut self, observed: &Observed<'_>) {
        let Observed { call, end, service, span } = observed;
        let mut series = Series { service: service.clone(), end: *end, call: Some(attributes(call, *end)) };
        if self.series.len() >= MAX_SERIES && !self.series.contains_key(&series) {
            let service = Service { name: super::PROGRAM.to_owned(), host: None };
            series = Series { service, call: None, ..series };
        }
        let counted = self.series.entry(series).or_default();
        let seconds = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) as f64 / 1e9;
        let bucket = counted.histogram.add(seconds);
        let [failed, slowest] = &mut counted.examples[bucket];
        let example = || {
            Some(Exemplar {
                time_unix_nano: span.end_time_unix_nano,
                as_double: Some(seconds),
                span_id: span.span_id.clone(),
                trace_id: span.trace_id.clone(),
            })
        };
        if failed.is_none() && convention::is_error(call, *end) {
            *failed = example();
        } else if slowest.as_ref().and_then(|slowest| slowest.as_double).is_none_or(|other| other < seconds) {
            *slowest = example();
        }
        let (first, last) = self.span.get_or_insert((span.start_time_unix_nano, span.end_time_unix_nano));
        (*first, *last) = ((*first).min(span.start_time_unix_nano), (*last).max(span.end_time_unix_nano));
        self.has_news = true;
    }

    /// All counts, if any changed since the last report, and the number of points.
    pub(super) fn report(&mut self, names: Names) -> Option<(ExportMetricsServiceRequest, u64)> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let (first, last) = self.span?;
        let mut services: BTreeMap<&Service, [Vec<HistogramPoint>; 2]> = BTreeMap::new();
        let mut sorted: Vec<_> = self.series.iter_mut().collect();
        sorted.sort_unstable_by_key(|(series, _)| *series);
        let points = sorted.len() as u64;
        for (series, counted) in sorted {
            let point = HistogramPoint {
                start_time_unix_nano: first,
                time_unix_nano: last,
                count: counted.histogram.count(),
                sum: Some(counted.histogram.sum),
                bucket_counts: counted.histogram.counts.to_vec(),
                explicit_bounds: BOUNDS.to_vec(),
                exemplars: std::mem::take(&mut counted.examples).into_iter().flatten().flatten().collect(),
                attributes: series.attributes(names),
            };
            services.entry(&series.service).or_default()[series.end as usize].push(point);
        }
        let resource_metrics = services.into_iter().map(|(service, points)| ResourceMetrics {
            resource: Some(resource(service)),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(scope()),
                metrics: [END_NAMES[0], END_NAMES[1]]
                    .into_iter()
                    .zip(points)
                    .filter(|(_, points)| !points.is_empty())
                    .map(|((name, description), data_points)| Metric {
                        name: name.to_owned(),
                        description: description.to_owned(),
                        unit: "s".to_owned(),
                        histogram: Some(HistogramData { data_points, aggregation_temporality: CUMULATIVE }),
                    })
                    .collect(),
            }],
        });
        Some((ExportMetricsServiceRequest { resource_metrics: resource_metrics.collect() }, points))
    }
}

/// Name and meaning of the metric of each [`End`].
const END_NAMES: [(&str, &str); 2] = [
    ("rpc.client.call.duration", "Duration of outbound calls, as captured."),
    ("rpc.server.call.duration", "Duration of inbound calls, as captured."),
];

impl Series {
    fn attributes(&self, names: Names) -> Vec<KeyValue> {
        let Some(call) = &self.call else {
            return vec![attribute("otel.metric.overflow", Value::Bool(true))];
        };
        let mut all = vec![
            text("rpc.system.name", call.system),
            text("rpc.method", call.method.clone()),
            text("server.address", call.server.ip.to_string()),
            attribute("server.port", Value::Int(call.server.port.into())),
        ];
        all.extend(call.status.as_ref().map(|status| text(names.status_code(), status.clone())));
        all.extend(call.error.as_ref().map(|error| text("error.type", error.clone())));
        all
    }
}

fn attributes(call: &Call, end: End) -> Attributes {
    let error = convention::is_error(call, end).then(|| convention::error_type(call).into_owned());
    Attributes {
        system: convention::system(call),
        method: convention::method(call).into_owned(),
        status: convention::status_code(call).map(std::borrow::Cow::into_owned),
        error,
        server: call.server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Carrier, Class, sample};
    use crate::telemetry::otlp::spans;

    fn count(metrics: &mut Metrics, call: &Call) {
        spans::of_call(call, Names::default(), &mut |observed| metrics.add(&observed));
    }

    #[test]
    fn examples_are_the_first_failed_and_the_slowest_call_of_a_bucket() {
        let mut metrics = Metrics::default();
        for (packet, duration, failed) in
            [(1, 1_000_000, false), (2, 4_000_000, false), (3, 2_000_000, false), (4, 1, true), (5, 2, true)]
        {
            let mut call = if failed {
                sample::failed(Class::Business, Carrier::BizStatus, Some(7), "no")
            } else {
                sample::ok()
            };
            (call.uid.packet, call.duration) = (packet, Some(duration));
            count(&mut metrics, &call);
        }
        let (report, points) = metrics.report(Names::default()).unwrap();
        assert_eq!(points, 2);
        let metric = &report.resource_metrics[0].scope_metrics[0].metrics[0];
        assert_eq!((&*metric.name, &*metric.unit), ("rpc.client.call.duration", "s"));
        let points = &metric.histogram.as_ref().unwrap().data_points;
        let examples =
            |at: usize| points[at].exemplars.iter().map(|e| e.as_double.unwrap()).collect::<Vec<_>>();
        assert_eq!(points.iter().map(|point| point.count).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(examples(0), [0.004]);
        assert_eq!(examples(1), [1e-9, 2e-9]);
        assert!(metrics.report(Names::default()).is_none());
        // Counts go on, examples begin anew.
        count(&mut metrics, &sample::ok());
        let (report, _) = metrics.report(Names::default()).unwrap();
        let histogram = report.resource_metrics[0].scope_metrics[0].metrics[0].histogram.as_ref().unwrap();
        assert_eq!(histogram.data_points.iter().map(|point| point.count).sum::<u64>(), 6);
        assert_eq!(histogram.data_points.iter().map(|point| point.exemplars.len()).sum::<usize>(), 1);
    }

    #[test]
    fn series_are_bounded() {
        let mut metrics = Metrics::default();
        for number in 0..MAX_SERIES + 50 {
            let mut call = sample::ok();
            call.method = Some(format!("m{number}").into());
            count(&mut metrics, &call);
        }
        let (report, points) = metrics.report(Names::default()).unwrap();
        assert_eq!(points, MAX_SERIES as u64 + 1);
        let all = report.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics[0].metrics);
        let all: Vec<_> = all.flat_map(|metric| &metric.histogram.as_ref().unwrap().data_points).collect();
        assert_eq!(all.iter().map(|point| point.count).sum::<u64>(), MAX_SERIES as u64 + 50);
        let rest = all.iter().find(|point| point.attributes[0].key == "otel.metric.overflow").unwrap();
        assert_eq!(rest.count, 50);
    }
}
