//! The formats of the page, and which of them is asked for: Prometheus' text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), and OpenMetrics 1.0
//! (<https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>), which has examples.

use std::fmt::Write as _;

use super::example::Example;

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The value of `content-type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The one that the value of `accept` prefers (RFC 9110, section 12.5.1); OpenMetrics only where it is named.
    pub(super) fn accepted(accept: &str) -> Self {
        let quality = |name: &str| {
            let of = |range: &str| {
                let mut parts = range.split(';').map(str::trim);
                let is_it = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(name));
                let weight =
                    parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
                is_it.then(|| weight.map_or(1.0, |weight| weight.trim().parse::<f64>().unwrap_or(0.0)))
            };
            accept.split(',').filter_map(of).fold(0.0, f64::max)
        };
        let open = quality("application/openmetrics-text");
        if open > 0.0 && open >= quality("text/plain") { Self::OpenMetrics } else { Self::Text }
    }
}

/// The text of a page.
pub(super) struct Page {
    format: Format,
    text: String,
}

impl Page {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(16 * 1024) }
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Begins a metric. The names of counters end in `_total`; OpenMetrics leaves that to their lines.
    pub(super) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let is_family = self.format == Format::OpenMetrics && kind == "counter";
        let name = name.strip_suffix("_total").filter(|_| is_family).unwrap_or(name);
        // Writing to a String can't fail.
        _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.line_with(name, labels, value, None);
    }

    /// A line with an example, which only OpenMetrics has.
    pub(super) fn line_with(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
        example: Option<&Example>,
    ) {
        self.text.push_str(name);
        if !labels.is_empty() {
            self.labels(labels);
        }
        _ = write!(self.text, " {value}");
        if let Some(example) = example.filter(|_| self.format == Format::OpenMetrics) {
            let [trace, key] = example.labels();
            let labels: Vec<_> = trace.iter().chain(&key).map(|(name, value)| (*name, &**value)).collect();
            self.text.push_str(" # ");
            self.labels(&labels);
            _ = write!(self.text, " {} {}", example.seconds, example.end());
        }
        self.text.push('\n');
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        self.text.push('{');
        for (at, (label, text)) in labels.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.text.push_str(label);
            self.text.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    // The format allows these, but people print the page.
                    c if c.is_control() => self.text.push('\u{fffd}'),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        self.text.push('}');
    }

    /// The bound of a bucket. OpenMetrics wants a floating-point number, and the text format has had whole ones without a point.
    pub(super) fn bound(&self, bound: f64) -> String {
        match self.format {
            Format::Text => bound.to_string(),
            Format::OpenMetrics => format!("{bound:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        for (accept, format) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            // Of Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.9", Format::Text),
            ("application/openmetrics-text; q=0", Format::Text),
            ("application/openmetrics-text;q=x", Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
