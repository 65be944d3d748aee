//! Totals per service, method and protocol: calls of each class, latencies and error codes.

use hashbrown::{Equivalent, HashMap};
use hdrhistogram::Histogram;

use super::labels;
use super::record::{Call, Carrier, Class, Finding, Initiator, Name};
use crate::text;
use crate::time::Timestamp;

/// Maximum number of rows. Further operations are counted in one row (protocol `other`), so that hostile names can't fill
/// the memory.
pub const MAX_ROWS: usize = 4096;
/// Maximum number of different codes of a row; further ones are counted without their code.
pub const MAX_CODES: usize = 64;
/// Significant digits of latencies: errors below 1 %, some kilobytes per row.
const DIGITS: u8 = 2;

/// What the calls of a row have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Service as the wire names it.
    pub service: Option<Name>,
    /// Method as the wire names it.
    pub method: Option<Name>,
    /// Group of calls whose method is unknown.
    pub unknown_name: Option<u64>,
    /// RPC protocol; `other` for the row of all further operations.
    pub rpc: &'static str,
    /// The callee's name in a file, where the wire names no service.
    pub server_name: Option<Name>,
}

impl Operation {
    /// That of a row for calls of several names.
    fn nameless(rpc: &'static str) -> Self {
        Self { service: None, method: None, unknown_name: None, rpc, server_name: None }
    }

    /// Its name for people, escaped for terminals: `Service.Method`, where the wire names no service with the callee's name in a file
    /// before it.
    #[must_use]
    pub fn label(&self) -> String {
        let named = |name: &Option<Name>| name.clone().filter(|name| !name.is_empty());
        let mut label = String::new();
        if let Some(server) = &self.server_name {
            text::push_escaped(&mut label, server);
            label.push(' ');
        }
        let (service, method) = (named(&self.service), named(&self.method));
        labels::push_operation(&mut label, service.as_deref(), method.as_deref(), self.unknown_name);
        label
    }

    pub(crate) fn of(call: &Call) -> Self {
        Self {
            service: call.service.clone(),
            method: call.method.clone(),
            unknown_name: call.nameless(),
            rpc: call.rpc.name(),
            server_name: server_name(call).cloned(),
        }
    }
}

fn server_name(call: &Call) -> Option<&Name> {
    if call.service.is_some() { None } else { call.file_name(Initiator::Server) }
}

/// The [`Operation`] of a call, borrowed for look-ups, with the same hash.
#[derive(Hash)]
pub(crate) struct OperationRef<'c> {
    service: Option<&'c str>,
    method: Option<&'c str>,
    unknown_name: Option<u64>,
    rpc: &'static str,
    server_name: Option<&'c str>,
}

impl<'c> OperationRef<'c> {
    pub(crate) fn of(call: &'c Call) -> Self {
        Self {
            service: call.service.as_deref(),
            method: call.method.as_deref(),
            unknown_name: call.nameless(),
            rpc: call.rpc.name(),
            server_name: server_name(call).map(|name| &**name),
        }
    }
}

impl Equivalent<Operation> for OperationRef<'_> {
    fn equivalent(&self, key: &Operation) -> bool {
        self.service == key.service.as_deref()
            && self.method == key.method.as_deref()
            && self.unknown_name == key.unknown_name
            && self.rpc == key.rpc
            && self.server_name == key.server_name.as_deref()
    }
}

/// How often an error code was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCount {
    /// Class of the calls.
    pub class: Class,
    /// Carrier of the code.
    pub carrier: Carrier,
    /// The code.
    pub code: Option<i64>,
    /// Its standard name.
    pub code_name: Option<&'static str>,
    /// Number of calls.
    pub count: u64,
}

/// Totals of one operation.
#[derive(Clone, Debug)]
pub struct Row {
    /// The operation.
    pub operation: Operation,
    /// Number of calls.
    pub calls: u64,
    /// Calls whose outcome is unknown.
    pub unknown: u64,
    /// Different codes; in rows of [`Stats::rows`] the most frequent first.
    pub codes: Vec<CodeCount>,
    /// Failed calls whose code is not in `codes`.
    pub other_codes: u64,
    classes: [u64; Class::ALL.len()],
    latency: Histogram<u32>,
    slowest: u64,
}

/// Latencies in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of the calls were at most this slow.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// The slowest, exactly.
    pub max: u64,
}

impl Row {
    pub(crate) fn new(operation: Operation) -> Self {
        Self {
            operation,
            calls: 0,
            unknown: 0,
            codes: Vec::new(),
            other_codes: 0,
            classes: [0; Class::ALL.len()],
            latency: histogram(),
            slowest: 0,
        }
    }

    /// Calls of a class.
    #[must_use]
    pub fn class(&self, class: Class) -> u64 {
        self.classes[class as usize]
    }

    /// Calls with a known outcome that expected an answer: the denominator of the shares.
    fn judged(&self) -> u64 {
        self.calls - self.unknown - self.class(Class::Oneway)
    }

    /// The share of calls without a failure of framework or network; a business error counts as a success, as it does in
    /// the frameworks' own monitoring. `None` if there is no such call.
    #[must_use]
    pub fn rpc_success(&self) -> Option<f64> {
        let judged = self.judged();
        (judged > 0).then(|| (self.class(Class::Ok) + self.class(Class::Business)) as f64 / judged as f64)
    }

    /// The share of calls without any error.
    #[must_use]
    pub fn success(&self) -> Option<f64> {
        let judged = self.judged();
        (judged > 0).then(|| self.class(Class::Ok) as f64 / judged as f64)
    }

    /// Latencies of the answered calls; `None` if there are none.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        // A bucket's upper end may lie above the slowest call.
        let at = |quantile| self.latency.value_at_quantile(quantile).min(self.slowest);
        (!self.latency.is_empty()).then(|| Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: self.slowest,
        })
    }

    /// The distribution of the latencies, nanoseconds. Its quantiles may exceed the slowest call; [`Self::latency`] returns
    /// them corrected.
    pub(crate) fn latencies(&self) -> &Histogram<u32> {
        &self.latency
    }

    /// Counts a call.
    pub(crate) fn add(&mut self, call: &Call) {
        self.calls += 1;
        match call.class() {
            Some(class) => self.classes[class as usize] += 1,
            None => self.unknown += 1,
        }
        if let Some(latency) = call.latency {
            // A histogram that grows takes every value.
            _ = self.latency.record(latency);
            self.slowest = self.slowest.max(latency);
        }
        if let Some(class) = call.class()
            && call.failed()
        {
            let outcome = &call.outcome;
            self.add_code(CodeCount {
                class,
                carrier: outcome.carrier,
                code: outcome.code,
                code_name: outcome.code_name,
                count: 1,
            });
        }
    }

    fn add_code(&mut self, code: CodeCount) {
        let same = |known: &&mut CodeCount| {
            known.class == code.class && known.carrier == code.carrier && known.code == code.code
        };
        if let Some(known) = self.codes.iter_mut().find(same) {
            known.count += code.count;
        } else if self.codes.len() < MAX_CODES {
            self.codes.push(code);
        } else {
            self.other_codes += code.count;
        }
    }

    /// Adds the calls of another row.
    fn merge(&mut self, other: Row) {
        self.calls += other.calls;
        self.unknown += other.unknown;
        for (sum, count) in self.classes.iter_mut().zip(other.classes) {
            *sum += count;
        }
        // Both grow and have the same precision, so they can be added.
        _ = self.latency.add(&other.latency);
        self.slowest = self.slowest.max(other.slowest);
        self.other_codes += other.other_codes;
        for code in other.codes {
            self.add_code(code);
        }
    }

    fn sort_codes(&mut self) {
        self.codes.sort_by_key(|code| (std::cmp::Reverse(code.count), code.class, code.carrier, code.code));
    }
}

fn histogram() -> Histogram<u32> {
    Histogram::new(DIGITS).expect("two digits are in the range of the crate")
}

/// Totals of all calls.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    rows: HashMap<Operation, Row, foldhash::fast::RandomState>,
    other: Option<Box<Row>>,
    /// Operations of calls that were named by others of their group, by group, and whether the name is from the text of an
    /// answer.
    group_names: HashMap<u64, (Operation, bool), foldhash::fast::RandomState>,
    span: Option<(Timestamp, Timestamp)>,
}

impl Stats {
    /// Counts a call.
    pub fn add(&mut self, call: &Call) {
        let (first, last) = self.span.unwrap_or((call.start, call.end));
        self.span = Some((first.min(call.start), last.max(call.end)));
        let key = OperationRef::of(call);
        if let Some(group) = call.unknown_name.filter(|_| call.method.is_some())
            && self.group_names.len() < MAX_ROWS
        {
            let quoted = call.findings.contains(Finding::NameFromAnswer);
            self.group_names.entry(group).or_insert_with(|| (Operation::of(call), quoted));
        }
        if let Some(row) = self.rows.get_mut(&key) {
            row.add(call);
        } else if self.rows.len() < MAX_ROWS {
            let operation = Operation::of(call);
            self.rows.entry(operation.clone()).or_insert_with(|| Row::new(operation)).add(call);
        } else {
            let nothing = Operation::nameless("other");
            self.other.get_or_insert_with(|| Box::new(Row::new(nothing))).add(call);
        }
    }

    /// Seconds from the first request to the last answer, the denominator of rates. At least one second, because a rate over
    /// milliseconds would be meaningless.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let (first, last) = self.span.unwrap_or_default();
        (last.since(first) as f64 / 1e9).max(1.0)
    }

    /// All rows, the busiest first, the row of further operations last. Calls that were written before another of their
    /// group was named are counted under that name, unless it is from the text of an answer and one of them was served.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.rows.values().cloned();
        let named = |row: &Row| {
            let (operation, quoted) =
                row.operation.unknown_name.and_then(|group| self.group_names.get(&group))?;
            let served = row.class(Class::Ok) + row.class(Class::Business) > 0;
            (!quoted || !served).then_some(operation)
        };
        let (late, mut rows): (Vec<Row>, Vec<Row>) = rows.partition(|row| named(row).is_some());
        for row in late {
            let same =
                named(&row).and_then(|operation| rows.iter_mut().find(|row| row.operation == *operation));
            match same {
                Some(same) => same.merge(row),
                None => rows.push(row),
            }
        }
        rows.sort_by(|a, b| {
            let key =
                |row: &Row| (std::cmp::Reverse(row.calls), row.operation.rpc, row.operation.unknown_name);
            let names = |row: &Row| (row.operation.service.clone(), row.operation.method.clone());
            key(a).cmp(&key(b)).then_with(|| names(a).cmp(&names(b)))
        });
        rows.extend(self.other.as_deref().cloned());
        for row in &mut rows {
            row.sort_codes();
        }
        rows
    }

    /// One row over all calls.
    #[must_use]
    pub fn total(&self) -> Row {
        let mut total = Row::new(Operation::nameless("all"));
        // In the order of `rows`, so that the same codes find a place in every run.
        for row in self.rows() {
            total.merge(row);
        }
        total.sort_codes();
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample::{bare, failed, ok};

    #[test]
    fn business_errors_are_successes_of_the_rpc_and_failures_all_the_same() {
        let mut stats = Stats::default();
        for _ in 0..6 {
            stats.add(&ok());
        }
        for code in [10_001, 10_001, 10_002] {
            stats.add(&failed(Class::Business, Carrier::FuncRet, Some(code), ""));
        }
        stats.add(&failed(Class::Rpc, Carrier::Ret, Some(21), ""));
        stats.add(&failed(Class::Oneway, Carrier::None, None, ""));
        let rows = stats.rows();
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.calls, row.class(Class::Ok), row.class(Class::Business)), (11, 6, 3));
        assert_eq!((row.rpc_success(), row.success()), (Some(0.9), Some(0.6)));
        assert_eq!((row.codes[0].code, row.codes[0].count), (Some(10_001), 2));
        assert_eq!(row.codes.len(), 3);
    }

    #[test]
    fn lost_outcomes_count_for_neither_side() {
        let mut stats = Stats::default();
        stats.add(&bare());
        let row = &stats.rows()[0];
        assert_eq!((row.calls, row.unknown, row.success(), row.latency()), (1, 1, None, None));
    }

    #[test]
    fn percentiles_are_within_a_hundredth_and_the_slowest_is_exact() {
        let mut stats = Stats::default();
        for i in 1..=1000_u64 {
            let mut call = ok();
            call.latency = Some(i * 1_000_003);
            stats.add(&call);
        }
        let latency = stats.rows()[0].latency().unwrap();
        for (value, exact) in [(latency.p50, 500.0), (latency.p90, 900.0), (latency.p99, 990.0)] {
            let share = value as f64 / (exact * 1_000_003.0);
            assert!((0.99..=1.01).contains(&share), "{share}");
        }
        assert_eq!(latency.max, 1_000_003_000);
        let mut extreme = ok();
        extreme.latency = Some(u64::MAX);
        stats.add(&extreme);
        assert_eq!(stats.rows()[0].latency().unwrap().max, u64::MAX);
    }

    #[test]
    fn rows_and_codes_are_bounded_and_nothing_is_lost() {
        let mut stats = Stats::default();
        for i in 0..MAX_ROWS + 10 {
            let mut call = failed(Class::Rpc, Carrier::Ret, Some(i as i64), "");
            call.method = Some(format!("m{i}").into());
            stats.add(&call);
        }
        let rows = stats.rows();
        assert_eq!(rows.len(), MAX_ROWS + 1);
        assert_eq!((rows[MAX_ROWS].operation.rpc, rows[MAX_ROWS].calls), ("other", 10));
        let total = stats.total();
        assert_eq!(total.calls, (MAX_ROWS + 10) as u64);
        assert_eq!(total.codes.len(), MAX_CODES);
        assert_eq!(total.other_codes + MAX_CODES as u64, total.calls);
    }

    #[test]
    fn rates_are_per_second_of_the_whole_span() {
        let mut stats = Stats::default();
        assert!((stats.seconds() - 1.0).abs() < f64::EPSILON);
        stats.add(&ok());
        let mut later = ok();
        later.start.0 += 4_000_000_000;
        later.end.0 = ok().start.0 + 5_000_000_000;
        stats.add(&later);
        assert!((stats.seconds() - 5.0).abs() < 1e-9);
    }

    #[test]
    fn calls_of_a_group_are_counted_under_the_name_of_one_of_them() {
        let unnamed = |class| {
            let mut call = failed(class, Carrier::GrpcStatus, None, "");
            (call.service, call.method, call.unknown_name) = (None, None, Some(17));
            call
        };
        let mut named = failed(Class::Rpc, Carrier::GrpcStatus, Some(12), "");
        named.unknown_name = Some(17);
        named.findings.insert(Finding::NameFromAnswer);
        let mut stats = Stats::default();
        stats.add(&unnamed(Class::Rpc));
        stats.add(&named);
        let rows = stats.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].calls, &rows[0].operation.method), (2, &named.method));
        // Served: the answer spoke of another method.
        stats.add(&unnamed(Class::Ok));
        let rows = stats.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].calls, rows[0].operation.unknown_name), (2, Some(17)));
    }
}
