//! The text formats of Prometheus: its own, version 0.0.4, and OpenMetrics 1.0, which has exemplars.

use std::fmt::Write as _;

use http::{HeaderMap, header};

use super::{Exemplar, HistogramSnapshot, Label, MetricKind, MetricsWriter};

/// A metrics page, written family by family.
#[derive(Debug)]
pub struct MetricsText {
    text: String,
    format: TextFormat,
    family: &'static str,
}

/// The format of a metrics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    Prometheus,
    OpenMetrics,
}

impl TextFormat {
    /// Returns OpenMetrics if a request accepts it, as Prometheus does, whatever else it accepts.
    pub fn of_request(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let is_accepted = values.flat_map(|value| value.split(',')).any(accepts_open_metrics);
        if is_accepted { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type` of the page.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Whether a part of an `Accept` header is OpenMetrics 1.0, or any version of it, and is not refused by `q=0`.
fn accepts_open_metrics(part: &str) -> bool {
    let mut words = part.split(';').map(str::trim);
    if !words.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text")) {
        return false;
    }
    words.filter_map(|word| word.split_once('=')).all(|(name, value)| match name.trim() {
        "version" => value.trim().trim_matches('"') == "1.0.0",
        "q" => value.trim().parse::<f64>().is_ok_and(|q| q > 0.0),
        _ => true,
    })
}

impl MetricsText {
    /// Begins a page.
    pub const fn new(format: TextFormat) -> Self {
        Self { text: String::new(), format, family: "" }
    }

    /// Returns the page.
    pub fn into_string(mut self) -> String {
        if self.format == TextFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn start_sample(&mut self, suffix: &str, labels: &[Label<'_>]) {
        let Self { text, family, .. } = self;
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

    fn bucket(&mut self, label: Label<'_>, bound: &str, count: u64, exemplar: Option<&Exemplar>) {
        self.start_sample("_bucket", &[label, ("le", bound)]);
        self.push(format_args!(" {count}"));
        if self.format == TextFormat::OpenMetrics
            && let Some(exemplar) = exemplar
        {
            let Exemplar { trace_id, span_id, time, .. } = exemplar;
            let (seconds, millis) = (time / 1_000_000_000, time / 1_000_000 % 1000);
            self.push(format_args!(" # {{trace_id=\"{trace_id:032x}\",span_id=\"{span_id:016x}\"}} "));
            self.push(format_args!("{} {seconds}.{millis:03}", exemplar.seconds()));
        }
        self.text.push('\n');
    }

    /// Returns a bound as the format writes it. OpenMetrics has one form for each number.
    fn bound(&self, bound: f64) -> String {
        match self.format {
            TextFormat::Prometheus => bound.to_string(),
            TextFormat::OpenMetrics => {
                let text = format!("{bound:?}");
                match text.split_once("e-") {
                    Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
                    None => text,
                }
            }
        }
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes any text");
    }
}

impl MetricsWriter for MetricsText {
    fn family(&mut self, name: &'static str, kind: MetricKind, help: &'static str) -> &mut dyn MetricsWriter {
        let (kind, is_counter) = match kind {
            MetricKind::Counter => ("counter", true),
            MetricKind::Gauge => ("gauge", false),
            MetricKind::Histogram => ("histogram", false),
        };
        self.family = name;
        // In OpenMetrics, `_total` belongs to the sample of a counter, and not to its name.
        let name = match self.format {
            TextFormat::OpenMetrics if is_counter => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self
    }

    fn sample(&mut self, labels: &[Label<'_>], value: u64) -> &mut dyn MetricsWriter {
        self.start_sample("", labels);
        self.push(format_args!(" {value}\n"));
        self
    }

    fn seconds(&mut self, labels: &[Label<'_>], value: f64) -> &mut dyn MetricsWriter {
        self.start_sample("", labels);
        self.push(format_args!(" {value}\n"));
        self
    }

    fn histogram(&mut self, label: Label<'_>, histogram: &HistogramSnapshot) -> &mut dyn MetricsWriter {
        let exemplar = |index: usize| histogram.exemplars.get(index).and_then(Option::as_ref);
        for (index, (bound, count)) in histogram.buckets.iter().enumerate() {
            let bound = self.bound(*bound);
            self.bucket(label, &bound, *count, exemplar(index));
        }
        self.bucket(label, "+Inf", histogram.count, exemplar(histogram.buckets.len()));
        self.start_sample("_sum", &[label]);
        self.push(format_args!(" {}\n", histogram.sum));
        self.start_sample("_count", &[label]);
        self.push(format_args!(" {}\n", histogram.count));
        self
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

    fn page(format: TextFormat) -> String {
        let mut page = MetricsText::new(format);
        let exemplar = Exemplar { trace_id: 0xab, span_id: 1, nanos: 2_000_000_000, time: 1_500_000_000_007_900_000 };
        let exemplars = vec![None, Some(exemplar), None];
        let histogram = HistogramSnapshot { buckets: vec![(0.000_05, 1), (5.0, 3)], count: 4, sum: 9.5, exemplars };

        page.family("a_total", MetricKind::Counter, "As.").sample(&[], 1).sample(&[("b", "x\"\\\ny"), ("c", "")], 2);
        page.family("d_seconds", MetricKind::Histogram, "Ds.").histogram(("e", "f"), &histogram);
        page.into_string()
    }

    #[test]
    fn a_page_is_in_the_text_format_of_prometheus() {
        let expected = "# HELP a_total As.\n# TYPE a_total counter\na_total 1\na_total{b=\"x\\\"\\\\\\ny\",c=\"\"} 2\n\
                        # HELP d_seconds Ds.\n# TYPE d_seconds histogram\nd_seconds_bucket{e=\"f\",le=\"0.00005\"} 1\n\
                        d_seconds_bucket{e=\"f\",le=\"5\"} 3\nd_seconds_bucket{e=\"f\",le=\"+Inf\"} 4\n\
                        d_seconds_sum{e=\"f\"} 9.5\nd_seconds_count{e=\"f\"} 4\n";
        assert_eq!(page(TextFormat::Prometheus), expected);
    }

    #[test]
    fn a_page_in_open_metrics_has_exemplars() {
        let expected = "# HELP a As.\n# TYPE a counter\na_total 1\na_total{b=\"x\\\"\\\\\\ny\",c=\"\"} 2\n\
                        # HELP d_seconds Ds.\n# TYPE d_seconds histogram\nd_seconds_bucket{e=\"f\",le=\"5e-05\"} 1\n\
                        d_seconds_bucket{e=\"f\",le=\"5.0\"} 3 # {trace_id=\"000000000000000000000000000000ab\",\
                        span_id=\"0000000000000001\"} 2 1500000000.007\n\
                        d_seconds_bucket{e=\"f\",le=\"+Inf\"} 4\nd_seconds_sum{e=\"f\"} 9.5\nd_seconds_count{e=\"f\"} 4\n\
                        # EOF\n";
        assert_eq!(page(TextFormat::OpenMetrics), expected);
    }

    #[test]
    fn a_request_that_accepts_open_metrics_gets_it() {
        let format = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            TextFormat::of_request(&headers)
        };

        for accept in [
            // Those of Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3",
            "text/plain, Application/OpenMetrics-Text",
            "application/openmetrics-text; version=\"1.0.0\"; charset=utf-8",
        ] {
            assert_eq!(format(accept), TextFormat::OpenMetrics, "{accept}");
        }
        for accept in [
            "*/*",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text2",
        ] {
            assert_eq!(format(accept), TextFormat::Prometheus, "{accept}");
        }
        assert_eq!(TextFormat::of_request(&HeaderMap::new()), TextFormat::Prometheus);
    }
}
