//! Exemplars: the trace of a sampled call, at the bucket of its duration.

use cloakroom::grpc::wire::OpenSessionRequest;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, ResourceMetrics};

use super::config;
use super::values::metrics;
use crate::process::child::{Process, eventually};
use crate::support::collector::Collector;
use crate::traces::{TRACE, hex, sampled};

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";

/// Returns the exemplars of an export.
fn exemplars(export: &ResourceMetrics) -> Vec<Exemplar> {
    let points = metrics(export).iter().flat_map(|metric| match metric.data.clone().unwrap() {
        Data::Histogram(histogram) => histogram.data_points,
        _ => Vec::new(),
    });
    points.flat_map(|point| point.exemplars).collect()
}

#[tokio::test]
async fn a_sampled_call_is_an_exemplar_of_its_duration_and_no_other_call_is() {
    let collector = Collector::start().await;
    let tables = format!("endpoint = {0:?}\ninterval = \"1s\"\n[traces]\nendpoint = {0:?}", collector.url());
    let process = Process::start(&config(&tables), &[], &[]).await;
    let mut client = process.client();

    client.open_session(OpenSessionRequest::default()).await.unwrap();
    let without = process.page_as("/metrics", OPEN_METRICS).await;
    client.open_session(sampled(TRACE, OpenSessionRequest::default())).await.unwrap();
    client.open_session(OpenSessionRequest::default()).await.unwrap();
    let span = collector.await_span("the call", |_| true).await;
    let with = process.page_as("/metrics", OPEN_METRICS).await;
    let plain = process.page("/metrics").await;
    let export = collector.await_exports(2).await;

    let of_page = |page: &str| page.lines().filter(|line| line.contains(" # ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((of_page(&without), of_page(&plain)), (Vec::new(), Vec::new()));
    let [line] = &*of_page(&with) else { panic!("{:?}", of_page(&with)) };
    let rpc = "cloakroom_call_duration_seconds_bucket{rpc=\"cloakroom.v1.SessionService/OpenSession\",le=";
    assert!(line.starts_with(rpc), "{line}");
    let ids = format!(" # {{trace_id=\"{TRACE}\",span_id=\"{}\"}} ", hex(&span.span_id));
    let (bucket, example) = line.split_once(&ids).unwrap();
    let (value, time) = example.split_once(' ').unwrap();
    let (value, time) = (value.parse::<f64>().unwrap(), time.parse::<f64>().unwrap());
    let bound = bucket.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(bound == "+Inf" || value <= bound.parse::<f64>().unwrap(), "{line}");
    let [exemplar] = &*exemplars(&export) else { panic!("{:?}", exemplars(&export)) };
    assert_eq!((hex(&exemplar.trace_id), &exemplar.span_id), (TRACE.to_owned(), &span.span_id));
    assert_eq!(exemplar.value, Some(Value::AsDouble(value)));
    assert_eq!((time * 1e3) as u64, exemplar.time_unix_nano / 1_000_000);
    assert!(span.start_time_unix_nano <= exemplar.time_unix_nano);
}

#[tokio::test]
async fn a_scraper_that_asks_for_open_metrics_gets_every_sample_in_it() {
    let process = Process::start(&config(""), &[], &[]).await;
    process.client().open_session(OpenSessionRequest::default()).await.unwrap();
    // The count of live sessions adds metrics.
    let counted = "cloakroom_sessions_counted_timestamp_seconds{app=\"default\"}";
    eventually(counted, async || process.metric(counted).await).await;

    let page = process.page_as("/metrics", OPEN_METRICS).await;
    let plain = process.page("/metrics").await;

    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.ends_with("\n# EOF\n"), "{body}");
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{plain}");
    let names = |page: &str| {
        let samples = page.lines().filter(|line| line.contains('{') && !line.contains("le=\""));
        samples.filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(names(body), names(&plain));
    let mut kinds = std::collections::BTreeMap::new();
    for line in body.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            assert_eq!(kinds.insert(name, kind), None, "{name} is there twice");
            assert!(!name.ends_with("_total"), "{name}");
        }
    }
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
        let families = suffixes.iter().filter_map(|suffix| Some((*suffix, *kinds.get(name.strip_suffix(suffix)?)?)));
        let right = [
            ("", "gauge"),
            ("_total", "counter"),
            ("_bucket", "histogram"),
            ("_sum", "histogram"),
            ("_count", "histogram"),
        ];
        let families = families.collect::<Vec<_>>();
        assert!(families.len() == 1 && right.contains(&families[0]), "{line}: {families:?}");
    }
}
