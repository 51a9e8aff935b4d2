//! Prometheus' text format, version 0.0.4.

use std::fmt::Write as _;

use super::HistogramSnapshot;

/// A page of metrics, written family by family.
#[derive(Debug, Default)]
pub struct MetricsText {
    text: String,
    family: &'static str,
}

/// What a family's numbers are.
#[derive(Clone, Copy, Debug)]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number that comes and goes.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A label's name and its value.
type Label<'l> = (&'static str, &'l str);

impl MetricsText {
    /// What the page is, for its Content-Type.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family: all of its samples come before the next one.
    pub fn family(&mut self, name: &'static str, kind: MetricKind, help: &'static str) -> &mut Self {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        self.family = name;
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self
    }

    /// A whole number.
    pub fn sample(&mut self, labels: &[Label<'_>], value: u64) -> &mut Self {
        self.begin("", labels);
        self.put(format_args!(" {value}\n"));
        self
    }

    /// A number of seconds.
    pub fn seconds(&mut self, labels: &[Label<'_>], value: f64) -> &mut Self {
        self.begin("", labels);
        self.put(format_args!(" {value}\n"));
        self
    }

    /// A histogram.
    pub fn times(&mut self, label: Label<'_>, times: &HistogramSnapshot) -> &mut Self {
        for (bound, count) in &times.within {
            self.begin("_bucket", &[label, ("le", &bound.to_string())]);
            self.put(format_args!(" {count}\n"));
        }
        self.begin("_bucket", &[label, ("le", "+Inf")]);
        self.put(format_args!(" {}\n", times.count));
        self.begin("_sum", &[label]);
        self.put(format_args!(" {}\n", times.sum));
        self.begin("_count", &[label]);
        self.put(format_args!(" {}\n", times.count));
        self
    }

    /// The page.
    pub fn into_string(self) -> String {
        self.text
    }

    fn begin(&mut self, suffix: &str, labels: &[Label<'_>]) {
        let Self { text, family } = self;
        text.push_str(family);
        text.push_str(suffix);
        for (number, (name, value)) in labels.iter().enumerate() {
            text.push(if number == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            value.chars().for_each(|c| escape(text, c));
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes all");
    }
}

fn escape(text: &mut String, c: char) {
    match c {
        '\\' => text.push_str("\\\\"),
        '"' => text.push_str("\\\""),
        '\n' => text.push_str("\\n"),
        c => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = MetricsText::default();
        let times = HistogramSnapshot { within: vec![(0.001, 1), (2.5, 3)], count: 4, sum: 9.5 };

        page.family("a_total", MetricKind::Counter, "As.").sample(&[], 1).sample(&[("b", "x\"\\\ny"), ("c", "")], 2);
        page.family("d_seconds", MetricKind::Histogram, "Ds.").times(("e", "f"), &times);

        let expected = "# HELP a_total As.\n# TYPE a_total counter\na_total 1\na_total{b=\"x\\\"\\\\\\ny\",c=\"\"} 2\n\
                        # HELP d_seconds Ds.\n# TYPE d_seconds histogram\nd_seconds_bucket{e=\"f\",le=\"0.001\"} 1\n\
                        d_seconds_bucket{e=\"f\",le=\"2.5\"} 3\nd_seconds_bucket{e=\"f\",le=\"+Inf\"} 4\n\
                        d_seconds_sum{e=\"f\"} 9.5\nd_seconds_count{e=\"f\"} 4\n";
        assert_eq!(page.into_string(), expected);
    }
}
