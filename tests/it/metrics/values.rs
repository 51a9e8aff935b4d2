//! A collector gets the metrics of the page: the same names, labels, types, units and values.

use std::collections::BTreeMap;

use cloakroom::grpc::wire::OpenSessionRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, HistogramDataPoint, Metric, ResourceMetrics};

use super::config;
use crate::process::child::{Process, eventually};
use crate::support::calls::{ChangesExt as _, save};
use crate::support::collector::Collector;
use crate::traces::{TRACE, sampled};

/// The values of an export or a page, by the name and the labels that the page gives them.
pub(super) type Values = BTreeMap<String, f64>;

/// Returns the values of a page in the text format of Prometheus.
fn of_page(page: &str) -> Values {
    let lines = page.lines().skip_while(|line| !line.starts_with('#')).filter(|line| !line.starts_with('#'));
    let value = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
    lines.filter_map(value).collect()
}

/// Returns the values of an export, as a page would have them.
pub(super) fn of_export(export: &ResourceMetrics) -> Values {
    let mut values = Values::new();
    for metric in metrics(export) {
        let name = &metric.name;
        let points = match metric.data.clone().unwrap() {
            Data::Gauge(gauge) => gauge.data_points,
            Data::Sum(sum) => sum.data_points,
            Data::Histogram(histogram) => {
                histogram.data_points.iter().for_each(|point| add_histogram(&mut values, name, point));
                continue;
            }
            other => panic!("{name} is {other:?}"),
        };
        for point in points {
            let value = match point.value.unwrap() {
                Number::AsInt(value) => value as f64,
                Number::AsDouble(value) => value,
            };
            assert_eq!(values.insert(format!("{name}{}", labels(&point.attributes, None)), value), None, "{name}");
        }
    }
    values
}

pub(super) fn metrics(export: &ResourceMetrics) -> &[Metric] {
    let [scope] = &*export.scope_metrics else { panic!("there is one scope: {export:?}") };
    &scope.metrics
}

fn add_histogram(values: &mut Values, name: &str, point: &HistogramDataPoint) {
    let label = |bound: Option<&str>| labels(&point.attributes, bound);
    let mut count = 0;
    let bounds = point.explicit_bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    for (bound, in_bucket) in bounds.zip(&point.bucket_counts) {
        count += in_bucket;
        values.insert(format!("{name}_bucket{}", label(Some(&bound))), count as f64);
    }
    assert_eq!(count, point.count, "{name}");
    values.insert(format!("{name}_sum{}", label(None)), point.sum.unwrap());
    values.insert(format!("{name}_count{}", label(None)), point.count as f64);
}

fn labels(attributes: &[KeyValue], bound: Option<&str>) -> String {
    let text = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => format!("{}=\"{text}\"", attribute.key),
        other => panic!("{} is {other:?}", attribute.key),
    };
    let bound = bound.map(|bound| format!("le=\"{bound}\""));
    let labels = attributes.iter().map(text).chain(bound).collect::<Vec<_>>().join(",");
    if labels.is_empty() { labels } else { format!("{{{labels}}}") }
}

/// Returns name, help and type of each family of a page that has samples.
fn families(page: &str) -> Vec<(String, String, String)> {
    let values = of_page(page);
    let mut families = Vec::new();
    for (help, kind) in page.lines().zip(page.lines().skip(1)) {
        let Some((name, help)) = help.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) else { continue };
        let kind = kind.strip_prefix(&format!("# TYPE {name} ")).unwrap();
        if values.keys().any(|key| key.starts_with(name)) {
            families.push((name.to_owned(), help.to_owned(), kind.to_owned()));
        }
    }
    families
}

async fn start() -> (Collector, Process) {
    let collector = Collector::start().await;
    let metrics = format!("endpoint = {:?}\ninterval = \"1s\"", collector.url());
    let process = Process::start(&config(&metrics), &[], &[]).await;
    (collector, process)
}

/// Makes calls that succeed and one that fails.
async fn call(process: &Process) {
    let mut client = process.client();
    let ticket = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap().token;
    let change = cloakroom::grpc::wire::Changes::default().set("a", "1");
    client.save_session(save(&ticket, change)).await.unwrap();
    let unknown = OpenSessionRequest { app: "nobody".to_owned(), ..Default::default() };
    client.open_session(unknown).await.err().unwrap();
}

#[tokio::test]
async fn every_family_of_the_page_is_exported_with_its_values() {
    let (collector, process) = start().await;
    call(&process).await;
    // The first count of the live sessions adds metrics.
    let counted = "cloakroom_sessions_counted_timestamp_seconds{app=\"default\"}";
    eventually(counted, async || process.metric(counted).await).await;

    let before = process.page("/metrics").await;
    // The first of them may have begun before the page.
    let export = collector.await_exports(2).await;
    let after = process.page("/metrics").await;

    let exported = of_export(&export);
    let (before_values, after_values) = (of_page(&before), of_page(&after));
    let names = |values: &Values| values.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&exported), names(&before_values));
    assert_eq!(names(&exported), names(&after_values));
    let families = families(&before);
    assert_eq!(families.len(), metrics(&export).len());
    for ((name, help, kind), metric) in families.iter().zip(metrics(&export)) {
        let unit = if name.contains("_seconds") {
            "s"
        } else if name.ends_with("_bytes") {
            "By"
        } else {
            ""
        };
        assert_eq!((name, help, unit), (&metric.name, &metric.description, &*metric.unit));
        let cumulative = AggregationTemporality::Cumulative;
        match metric.data.as_ref().unwrap() {
            Data::Gauge(_) => assert_eq!(kind, "gauge", "{name}"),
            Data::Sum(sum) => {
                assert_eq!((&**kind, sum.is_monotonic), ("counter", true), "{name}");
                assert_eq!(sum.aggregation_temporality(), cumulative, "{name}");
            }
            Data::Histogram(histogram) => {
                assert_eq!((&**kind, histogram.aggregation_temporality()), ("histogram", cumulative), "{name}");
            }
            other => panic!("{name} is {other:?}"),
        }
        let is_gauge = kind == "gauge";
        for (series, value) in exported.iter().filter(|(series, _)| is_series_of(series, name)) {
            let (least, most) = (before_values[series], after_values[series]);
            if !is_gauge {
                assert!((least..=most).contains(value), "{series}: {value} is not between {least} and {most}");
            } else if least.to_bits() == most.to_bits() && !is_changed_by_the_page(series) {
                assert_eq!(value.to_bits(), least.to_bits(), "{series}: {value} is not {least}");
            }
        }
    }
    let opens = "cloakroom_calls_total{rpc=\"cloakroom.v1.SessionService/OpenSession\",protocol=\"grpc\",code=\"OK\"}";
    assert_eq!(exported[opens].to_bits(), 1f64.to_bits());
}

fn is_series_of(series: &str, family: &str) -> bool {
    let name = series.split_once('{').map_or(series, |(name, _)| name);
    let name = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    name == family
}

/// Whether a gauge has another value while the page is asked for.
fn is_changed_by_the_page(series: &str) -> bool {
    series.starts_with("process_") || series.contains("listener=\"operators\"")
}

#[tokio::test]
async fn counters_grow_from_export_to_export_since_one_start_time() {
    let (collector, process) = start().await;
    let opens = "cloakroom_calls_total{rpc=\"cloakroom.v1.SessionService/OpenSession\",protocol=\"grpc\",code=\"OK\"}";
    let count = |export: &ResourceMetrics| of_export(export)[opens];

    call(&process).await;
    let first = collector.await_exports(2).await;
    call(&process).await;
    let second = collector.await_exports(2).await;

    assert_eq!((count(&first).to_bits(), count(&second).to_bits()), (1f64.to_bits(), 2f64.to_bits()));
    let (first, second) = (times(&first), times(&second));
    assert_eq!((first.len(), second.len()), (1, 1), "{first:?} {second:?}");
    let ((start, first), (same_start, second)) = (first[0], second[0]);
    assert_eq!(start, same_start);
    assert!(0 < start && start < first && first < second, "{start} {first} {second}");
}

/// Returns the start time and the time of all data points that have both, each pair once. Gauges have no start.
fn times(export: &ResourceMetrics) -> Vec<(u64, u64)> {
    let mut times = Vec::new();
    for metric in metrics(export) {
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => assert!(gauge.data_points.iter().all(|point| point.start_time_unix_nano == 0)),
            Data::Sum(sum) => {
                times.extend(sum.data_points.iter().map(|point| (point.start_time_unix_nano, point.time_unix_nano)));
            }
            Data::Histogram(histogram) => times
                .extend(histogram.data_points.iter().map(|point| (point.start_time_unix_nano, point.time_unix_nano))),
            other => panic!("{other:?}"),
        }
    }
    times.sort_unstable();
    times.dedup();
    times
}

#[tokio::test]
async fn metrics_and_spans_are_of_the_same_resource() {
    let collector = Collector::start().await;
    let tables = format!(
        "endpoint = {0:?}\ninterval = \"1s\"\n[traces]\nendpoint = {0:?}\nservice_name = \"sessions\"",
        collector.url()
    );
    let process = Process::start(&config(&tables), &[], &[]).await;

    process.client().open_session(sampled(TRACE, OpenSessionRequest::default())).await.unwrap();
    collector.await_span("the call", |_| true).await;
    let export = collector.await_exports(1).await;

    let spans = collector.resource_spans()[0].clone();
    assert_eq!(export.resource, spans.resource);
    assert_eq!(export.scope_metrics[0].scope, spans.scope_spans[0].scope);
    let name = &export.resource.unwrap().attributes[0];
    assert_eq!(
        (&*name.key, labels(std::slice::from_ref(name), None)),
        ("service.name", "{service.name=\"sessions\"}".to_owned())
    );
}
