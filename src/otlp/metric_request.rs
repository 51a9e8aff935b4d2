//! Turns metrics into the requests of one export.
//!
//! Names, labels and values stay as they are on the page of metrics, as OpenTelemetry's rules for Prometheus want it, so
//! that a Prometheus behind a collector has the same metrics.

use super::messages::{KeyValue, Resource};
use super::metric_messages::{
    ExemplarMessage, ExemplarValue, ExportMetricsServiceRequest, Gauge, HistogramDataPoint, HistogramMessage, Metric,
    MetricData, Number, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use super::resource::{attribute, scope};
use crate::telemetry::metrics::{self, HistogramSnapshot, Label, MetricKind, MetricsWriter};
use crate::telemetry::spans::AttributeValue;

/// The requests of one export, written family by family.
#[derive(Debug)]
pub(super) struct MetricRequests {
    /// Since when counters count, in nanoseconds since 1970.
    start: u64,
    /// When they are read, in nanoseconds since 1970.
    time: u64,
    /// The metrics of each request. The last is not full.
    requests: Vec<Vec<Metric>>,
    /// How many data points the last request has.
    points: usize,
    /// The present family, without data points.
    family: Metric,
    /// Whether the last request has data points of the present family.
    is_begun: bool,
}

impl MetricRequests {
    pub(super) fn new(start: u64, time: u64) -> Self {
        Self { start, time, requests: vec![Vec::new()], points: 0, family: Metric::default(), is_begun: false }
    }

    /// Returns the requests, all of one resource.
    pub(super) fn finish(self, resource: &Resource) -> Vec<ExportMetricsServiceRequest> {
        let request = |metrics| ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource.clone()),
                scope_metrics: vec![ScopeMetrics { scope: Some(scope()), metrics }],
            }],
        };
        self.requests.into_iter().map(request).collect()
    }

    /// Returns where the next data point of the family belongs, in a new request if the last one is full.
    fn data(&mut self) -> &mut MetricData {
        if self.points == MAX_POINTS {
            self.requests.push(Vec::new());
            (self.points, self.is_begun) = (0, false);
        }
        self.points += 1;
        let metrics = self.requests.last_mut().expect("there is always one");
        if !std::mem::replace(&mut self.is_begun, true) {
            metrics.push(self.family.clone());
        }
        metrics.last_mut().and_then(|metric| metric.data.as_mut()).expect("a family has data")
    }

    fn number(&mut self, labels: &[Label<'_>], value: Number) -> &mut dyn MetricsWriter {
        let (start, time) = (self.start, self.time);
        let point = |start_time_unix_nano| NumberDataPoint {
            attributes: labels.iter().map(|label| attribute_of(*label)).collect(),
            start_time_unix_nano,
            time_unix_nano: time,
            value: Some(value),
        };
        match self.data() {
            MetricData::Gauge(gauge) => gauge.data_points.push(point(0)),
            MetricData::Sum(sum) => sum.data_points.push(point(start)),
            MetricData::Histogram(_) => debug_assert!(false, "a histogram has no single numbers"),
        }
        self
    }
}

impl MetricsWriter for MetricRequests {
    fn family(&mut self, name: &'static str, kind: MetricKind, help: &'static str) -> &mut dyn MetricsWriter {
        self.is_begun = false;
        self.family = Metric {
            name: name.to_owned(),
            description: help.to_owned(),
            unit: unit(name).to_owned(),
            data: Some(match kind {
                MetricKind::Counter => MetricData::Sum(Sum {
                    data_points: Vec::new(),
                    aggregation_temporality: CUMULATIVE,
                    is_monotonic: true,
                }),
                MetricKind::Gauge => MetricData::Gauge(Gauge::default()),
                MetricKind::Histogram => MetricData::Histogram(HistogramMessage {
                    data_points: Vec::new(),
                    aggregation_temporality: CUMULATIVE,
                }),
            }),
        };
        self
    }

    fn sample(&mut self, labels: &[Label<'_>], value: u64) -> &mut dyn MetricsWriter {
        self.number(labels, Number::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    fn seconds(&mut self, labels: &[Label<'_>], value: f64) -> &mut dyn MetricsWriter {
        self.number(labels, Number::Float(value))
    }

    fn histogram(&mut self, label: Label<'_>, histogram: &HistogramSnapshot) -> &mut dyn MetricsWriter {
        let HistogramSnapshot { buckets, count, sum, exemplars } = histogram;
        let mut below = 0;
        let counts = buckets.iter().map(|(_, count)| *count).chain([*count]);
        let point = HistogramDataPoint {
            attributes: vec![attribute_of(label)],
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            count: *count,
            sum: Some(*sum),
            bucket_counts: counts.map(|count| count - std::mem::replace(&mut below, count)).collect(),
            explicit_bounds: buckets.iter().map(|(bound, _)| *bound).collect(),
            exemplars: exemplars.iter().flatten().map(exemplar).collect(),
        };
        match self.data() {
            MetricData::Histogram(histogram) => histogram.data_points.push(point),
            MetricData::Gauge(_) | MetricData::Sum(_) => debug_assert!(false, "the family is a histogram"),
        }
        self
    }
}

fn attribute_of((name, value): Label<'_>) -> KeyValue {
    attribute(name, &AttributeValue::from(value.to_owned()))
}

fn exemplar(exemplar: &metrics::Exemplar) -> ExemplarMessage {
    ExemplarMessage {
        time_unix_nano: exemplar.time,
        value: Some(ExemplarValue::Float(exemplar.seconds())),
        span_id: exemplar.span_id.to_be_bytes().to_vec(),
        trace_id: exemplar.trace_id.to_be_bytes().to_vec(),
    }
}

/// Returns the unit that a name ends with. Without one the unit is empty: `1` would add `_ratio` to the name.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit_once('_') {
        Some((_, "seconds")) => "s",
        Some((_, "bytes")) => "By",
        _ => "",
    }
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: i32 = 2;

/// The data points of one request. It has at most 2 MB then; collectors take 4 MB.
const MAX_POINTS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_that_of_the_name() {
        for (name, expected) in [
            ("process_cpu_seconds_total", "s"),
            ("cloakroom_call_duration_seconds", "s"),
            ("process_resident_memory_bytes", "By"),
            ("cloakroom_serving", ""),
            ("bytes", ""),
        ] {
            assert_eq!(unit(name), expected, "{name}");
        }
    }

    #[test]
    fn very_many_data_points_are_several_requests() {
        let mut requests = MetricRequests::new(1, 2);

        requests.family("empty", MetricKind::Gauge, "");
        requests.family("a_total", MetricKind::Counter, "As.");
        for number in 0..MAX_POINTS + 1 {
            requests.sample(&[("number", &number.to_string())], number as u64);
        }
        requests.family("b", MetricKind::Gauge, "Bs.").sample(&[], 7);

        let requests = requests.finish(&Resource::default());
        let metrics = requests.iter().map(|request| &request.resource_metrics[0].scope_metrics[0].metrics);
        let points = |metric: &Metric| match metric.data.clone() {
            Some(MetricData::Sum(sum)) => sum.data_points.len(),
            Some(MetricData::Gauge(gauge)) => gauge.data_points.len(),
            other => panic!("{other:?}"),
        };
        let sizes: Vec<Vec<_>> =
            metrics.map(|metrics| metrics.iter().map(|metric| (&*metric.name, points(metric))).collect()).collect();
        assert_eq!(sizes, [vec![("a_total", MAX_POINTS)], vec![("a_total", 1), ("b", 1)]]);
    }
}
