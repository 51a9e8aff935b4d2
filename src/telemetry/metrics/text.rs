//! Prometheus' text format, version 0.0.4.

use std::fmt::Write as _;

use super::HistogramSnapshot;

/// A metrics page, written family by family.
#[derive(Debug, Default)]
pub struct MetricsText {
    text: String,
    family: &'static str,
}

/// The type of a family.
#[derive(Clone, Copy, Debug)]
pub enum MetricKind {
    /// A number that only increases.
    Counter,
    /// A number that can also decrease.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A label's name and its value.
type Label<'l> = (&'static str, &'l str);

impl MetricsText {
    /// The `Content-Type` of the page.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Starts a family. All its samples have to follow before the next family.
    pub fn family(&mut self, name: &'static str, kind: MetricKind, help: &'static str) -> &mut Self {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        self.family = name;
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self
    }

    /// Writes an integer.
    pub fn sample(&mut self, labels: &[Label<'_>], value: u64) -> &mut Self {
        self.start_sample("", labels);
        self.push(format_args!(" {value}\n"));
        self
    }

    /// Writes a number of seconds.
    pub fn seconds(&mut self, labels: &[Label<'_>], value: f64) -> &mut Self {
        self.start_sample("", labels);
        self.push(format_args!(" {value}\n"));
        self
    }

    /// Writes a histogram.
    pub fn histogram(&mut self, label: Label<'_>, histogram: &HistogramSnapshot) -> &mut Self {
        for (bound, count) in &histogram.buckets {
            self.start_sample("_bucket", &[label, ("le", &bound.to_string())]);
            self.push(format_args!(" {count}\n"));
        }
        self.start_sample("_bucket", &[label, ("le", "+Inf")]);
        self.push(format_args!(" {}\n", histogram.count));
        self.start_sample("_sum", &[label]);
        self.push(format_args!(" {}\n", histogram.sum));
        self.start_sample("_count", &[label]);
        self.push(format_args!(" {}\n", histogram.count));
        self
    }

    /// Returns the page.
    pub fn into_string(self) -> String {
        self.text
    }

    fn start_sample(&mut self, suffix: &str, labels: &[Label<'_>]) {
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

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes any text");
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
    fn a_page_is_in_the_text_format_of_prometheus() {
        let mut page = MetricsText::default();
        let histogram = HistogramSnapshot { buckets: vec![(0.001, 1), (2.5, 3)], count: 4, sum: 9.5 };

        page.family("a_total", MetricKind::Counter, "As.").sample(&[], 1).sample(&[("b", "x\"\\\ny"), ("c", "")], 2);
        page.family("d_seconds", MetricKind::Histogram, "Ds.").histogram(("e", "f"), &histogram);

        let expected = "# HELP a_total As.\n# TYPE a_total counter\na_total 1\na_total{b=\"x\\\"\\\\\\ny\",c=\"\"} 2\n\
                        # HELP d_seconds Ds.\n# TYPE d_seconds histogram\nd_seconds_bucket{e=\"f\",le=\"0.001\"} 1\n\
                        d_seconds_bucket{e=\"f\",le=\"2.5\"} 3\nd_seconds_bucket{e=\"f\",le=\"+Inf\"} 4\n\
                        d_seconds_sum{e=\"f\"} 9.5\nd_seconds_count{e=\"f\"} 4\n";
        assert_eq!(page.into_string(), expected);
    }
}
