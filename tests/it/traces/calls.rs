//! The calls that have spans, and what the spans say.

use cloakroom::auth::TokenHash;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{
    Changes, OpenSessionRequest, SaveSessionRequest, WatchSessionRequest, open_session_request, watch_session_request,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{PARENT, TRACE, attribute, config, hex, sampled, traced};
use crate::process::child::Process;
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::collector::Collector;
use crate::support::connect::{Protocol, Transport};
use crate::support::redis::RedisServer;

const OPEN: &str = "cloakroom.v1.SessionService/OpenSession";
const SAVE: &str = "cloakroom.v1.SessionService/SaveSession";

/// The flags of a span: of a sampled trace, and that it is known whether the parent is in another process.
const SAMPLED: u32 = 0x101;
const REMOTE_PARENT: u32 = 0x200;

/// Starts a service that sends its spans to a new collector.
async fn start(traces: &str) -> (Collector, Process) {
    let collector = Collector::start().await;
    let traces = format!("endpoint = {:?}\n{traces}", collector.url());
    (collector, Process::start(&config(&traces), &[], &[]).await)
}

async fn client(process: &Process, protocol: Protocol) -> SessionServiceClient<Transport> {
    SessionServiceClient::new(Transport::connect(&format!("http://{}", process.listen()), protocol).await)
}

/// Returns the id of a trace of the test.
fn trace(number: usize) -> String {
    format!("{}{number:04x}", &TRACE[..28])
}

fn is_call_of(span: &Span, trace: &str) -> bool {
    hex(&span.trace_id) == trace && span.kind() == SpanKind::Server
}

/// Stores a session and returns its token.
async fn stored(client: &mut SessionServiceClient<Transport>) -> String {
    let ticket = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap().token;
    let saved = client.save_session(save(&ticket, Changes::default().set("a", "1"))).await.unwrap();
    saved.into_inner().session.unwrap().token
}

#[tokio::test]
async fn a_call_is_a_span_in_the_trace_of_its_caller_over_every_protocol() {
    let (collector, process) = start("service_name = \"sessions\"").await;

    for (number, protocol) in Protocol::ALL.into_iter().enumerate() {
        let mut client = client(&process, protocol).await;
        let token = stored(&mut client).await;
        let mut request = sampled(&trace(number), open_cookie(&format!("session={token}")));
        request.metadata_mut().insert("tracestate", "vendor=1,other=2".parse().unwrap());
        request.metadata_mut().insert("x-request-id", "call-7".parse().unwrap());
        client.open_session(request).await.unwrap();

        let span = collector.await_span("the call", |span| is_call_of(span, &trace(number))).await;

        assert_eq!((&*span.name, &*hex(&span.parent_span_id), &*span.trace_state), (OPEN, PARENT, "vendor=1,other=2"));
        assert_eq!((span.flags, span.status.clone()), (SAMPLED | REMOTE_PARENT, None));
        let is_grpc = protocol == Protocol::Grpc;
        for (name, value) in [
            ("rpc.system", Some(if is_grpc { "grpc" } else { "connect_rpc" })),
            ("rpc.service", Some("cloakroom.v1.SessionService")),
            ("rpc.method", Some("OpenSession")),
            ("rpc.grpc.status_code", is_grpc.then_some("0")),
            ("rpc.connect_rpc.error_code", None),
            ("cloakroom.call.id", Some("call-7")),
            ("cloakroom.app", Some("default")),
            ("cloakroom.found", Some("LIVE")),
            ("cloakroom.reason", None),
        ] {
            assert_eq!(attribute(&span, name).as_deref(), value, "{protocol:?}: {name}");
        }
        let of_trace = |other: &&Span| other.trace_id == span.trace_id && other.kind() != SpanKind::Server;
        let spans = collector.spans();
        let load = spans.iter().find(of_trace).unwrap();
        assert_eq!((&*load.name, load.kind(), &load.parent_span_id), ("store.load", SpanKind::Internal, &span.span_id));
        assert_eq!((load.flags, attribute(load, "db.system")), (SAMPLED, None));
        assert!(span.start_time_unix_nano <= load.start_time_unix_nano);
        assert!(load.start_time_unix_nano <= load.end_time_unix_nano);
        assert!(load.end_time_unix_nano <= span.end_time_unix_nano);
    }

    let resource = collector.resource_spans()[0].clone();
    let resource_span = Span { attributes: resource.resource.unwrap().attributes, ..Span::default() };
    assert_eq!(attribute(&resource_span, "service.name").as_deref(), Some("sessions"));
    assert_eq!(attribute(&resource_span, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert!(attribute(&resource_span, "service.instance.id").is_some());
    assert_eq!(resource.scope_spans[0].scope.clone().unwrap().name, "cloakroom");
}

#[tokio::test]
async fn at_ratio_0_only_sampled_traces_of_callers_have_spans() {
    let (collector, process) = start("").await;
    let mut client = client(&process, Protocol::Grpc).await;

    for traceparent in ["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "no trace"] {
        client.open_session(traced(traceparent, OpenSessionRequest::default())).await.unwrap();
    }
    client.open_session(OpenSessionRequest::default()).await.unwrap();
    client.open_session(sampled(TRACE, OpenSessionRequest::default())).await.unwrap();
    collector.await_span("the sampled call", |span| is_call_of(span, TRACE)).await;

    assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());
}

#[tokio::test]
async fn at_ratio_1_every_call_has_a_span_unless_its_caller_does_not_sample() {
    let (collector, process) = start("sample_ratio = 1").await;
    let mut client = client(&process, Protocol::Grpc).await;

    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    client.open_session(traced(&unsampled, OpenSessionRequest::default())).await.unwrap();
    let mut roots = Vec::new();
    for (id, traceparent) in [("none", ""), ("malformed", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01")] {
        let mut request = traced(traceparent, OpenSessionRequest::default());
        request.metadata_mut().insert("tracestate", "vendor=1".parse().unwrap());
        request.metadata_mut().insert("x-request-id", id.parse().unwrap());
        client.open_session(request).await.unwrap();
        let is_it = |span: &Span| attribute(span, "cloakroom.call.id").as_deref() == Some(id);
        roots.push(collector.await_span(id, is_it).await);
    }

    for root in &roots {
        assert_eq!((root.flags, root.trace_id.len(), root.span_id.len()), (SAMPLED, 16, 8));
        assert_eq!(
            (&*root.parent_span_id, &*root.trace_state),
            (&[][..], ""),
            "another trace's state does not belong to it"
        );
    }
    assert_ne!(roots[0].trace_id, roots[1].trace_id);
    assert!(collector.spans().iter().all(|span| hex(&span.trace_id) != TRACE));
}

#[tokio::test]
async fn a_span_says_how_its_call_ended() {
    let (collector, process) = start("").await;

    for (number, protocol) in [Protocol::Grpc, Protocol::ALL[2]].into_iter().enumerate() {
        let mut client = client(&process, protocol).await;
        let call = |step: usize| trace(number * 16 + step);
        let unknown = OpenSessionRequest { app: "nobody".to_owned(), ..Default::default() };
        let refused = client.open_session(sampled(&call(0), unknown)).await.err().unwrap();
        let token = stored(&mut client).await;
        let change = || save(&token, Changes::default().set("a", "2"));
        client.save_session(sampled(&call(1), change())).await.unwrap();
        let clear = SaveSessionRequest { ..save(&token, Changes::default().clear()) };
        client.save_session(clear).await.unwrap();
        client.save_session(sampled(&call(2), change())).await.unwrap();
        let get = |step| {
            let collector = &collector;
            let call = call(step);
            async move { collector.await_span("a call", move |span| is_call_of(span, &call)).await }
        };
        let (failed, updated, gone) = (get(0).await, get(1).await, get(2).await);

        let code = match protocol {
            Protocol::Grpc => ("rpc.grpc.status_code", i32::from(refused.code()).to_string()),
            Protocol::Connect(..) => ("rpc.connect_rpc.error_code", "not_found".to_owned()),
        };
        assert_eq!((refused.code(), attribute(&failed, code.0)), (Code::NotFound, Some(code.1)));
        assert_eq!(attribute(&failed, "cloakroom.reason").as_deref(), Some("APP_UNKNOWN"));
        assert_eq!((attribute(&failed, "cloakroom.app"), &failed.status), (None, &None), "a mistake of the caller");
        assert_eq!((&*updated.name, attribute(&updated, "cloakroom.outcome").as_deref()), (SAVE, Some("UPDATED")));
        assert_eq!(attribute(&updated, "cloakroom.end_reason"), None);
        let outcome = ["cloakroom.outcome", "cloakroom.end_reason"].map(|name| attribute(&gone, name).unwrap());
        assert_eq!(outcome, ["GONE", "EMPTIED"]);
    }
}

#[tokio::test]
async fn calls_of_redis_are_spans_of_a_client_and_say_how_they_failed() {
    let (collector, mut redis) = (Collector::start().await, RedisServer::start());
    let config = format!(
        "[store]\nkind = \"redis\"\n[store.redis]\nurl = {:?}\n[apps.default]\nkeys = [{:?}]\n[traces]\nendpoint = {:?}\n",
        redis.url(),
        cloakroom::token::Key::generate(),
        collector.url(),
    );
    let process = Process::start(&config, &[], &[]).await;
    let mut client = client(&process, Protocol::Grpc).await;
    let cookie = format!("session={}", stored(&mut client).await);
    let is_load_of = |trace: String| move |span: &Span| hex(&span.trace_id) == trace && span.name == "store.load";

    client.open_session(sampled(&trace(1), open_cookie(&cookie))).await.unwrap();
    let load = collector.await_span("the load", is_load_of(trace(1))).await;
    redis.stop();
    let failed = client.open_session(sampled(&trace(2), open_cookie(&cookie))).await.err().unwrap();
    let failed_load = collector.await_span("the failed load", is_load_of(trace(2))).await;
    let failed_call = collector.await_span("the failed call", |span| is_call_of(span, &trace(2))).await;

    let attributes = |span: &Span| ["db.system", "db.operation", "error.type"].map(|name| attribute(span, name));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!((load.kind(), attributes(&load)), (SpanKind::Client, [text("redis"), text("load"), None]));
    assert_eq!(attributes(&failed_load), [text("redis"), text("load"), text("UNAVAILABLE")]);
    assert_eq!(failed.code(), Code::Unavailable);
    for span in [&failed_load, &failed_call] {
        assert_eq!(span.status.clone().unwrap().code(), StatusCode::Error, "{span:?}");
    }
}

#[tokio::test]
async fn the_span_of_a_watch_ends_with_the_watch() {
    let (collector, process) = start("").await;

    for (number, protocol) in [Protocol::Grpc, Protocol::ALL[1]].into_iter().enumerate() {
        let mut client = client(&process, protocol).await;
        let token = stored(&mut client).await;
        let watch = WatchSessionRequest {
            credential: Some(watch_session_request::Credential::Token(token.clone())),
            ..Default::default()
        };
        let mut states = client.watch_session(sampled(&trace(number), watch)).await.unwrap().into_inner();
        assert!(states.message().await.unwrap().is_some());
        // The spans of a trace arrive in the order of their ends.
        client.open_session(sampled(&trace(number + 16), OpenSessionRequest::default())).await.unwrap();
        collector.await_span("the open", |span| is_call_of(span, &trace(number + 16))).await;
        let is_over = collector.spans().iter().any(|span| is_call_of(span, &trace(number)));
        client.save_session(save(&token, Changes::default().clear())).await.unwrap();
        while states.message().await.unwrap().is_some() {}
        let span = collector.await_span("the watch", |span| is_call_of(span, &trace(number))).await;

        assert_eq!((is_over, &*span.name), (false, "cloakroom.v1.SessionService/WatchSession"));
        assert_eq!((attribute(&span, "cloakroom.app").as_deref(), span.status), (Some("default"), None));
    }
}

#[tokio::test]
async fn a_caller_that_is_refused_or_unknown_has_no_span() {
    let hash = TokenHash::of(b"right").to_string();
    let callers =
        format!("sample_ratio = 1\n[callers.shop]\nroles = [\"frontend\"]\napps = [\"*\"]\ntoken_hashes = [{hash:?}]");
    let (collector, process) = start(&callers).await;
    let mut client = client(&process, Protocol::Grpc).await;
    let with_token = |token: &str, mut request: Request<OpenSessionRequest>| {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    };
    let open = |number| sampled(&trace(number), OpenSessionRequest::default());

    client.open_session(open(1)).await.err().unwrap();
    client.open_session(with_token("wrong", open(2))).await.err().unwrap();
    // It needs no token, so anybody may call it.
    let mut health = HealthClient::new(process.endpoint().connect_lazy());
    health.check(sampled(&trace(4), HealthCheckRequest::default())).await.unwrap();
    client.open_session(with_token("right", open(3))).await.unwrap();
    collector.await_span("the call", |span| is_call_of(span, &trace(3))).await;

    let of_refused = |span: &&Span| [trace(1), trace(2), trace(4)].contains(&hex(&span.trace_id));
    assert_eq!(collector.spans().iter().filter(of_refused).count(), 0);
}

#[tokio::test]
async fn a_log_line_of_a_call_names_its_trace_and_its_span() {
    let (collector, process) = start("sample_ratio = 1\n[log]\nlevel = \"debug\"").await;
    let mut client = client(&process, Protocol::Grpc).await;
    let mut request = Request::new(OpenSessionRequest {
        credential: Some(open_session_request::Credential::CookieHeader(String::new())),
        ..Default::default()
    });
    request.metadata_mut().insert("x-request-id", "root".parse().unwrap());

    client.open_session(request).await.unwrap();
    let is_it = |span: &Span| attribute(span, "cloakroom.call.id").as_deref() == Some("root");
    let span = collector.await_span("the call", is_it).await;

    let lines = process.output();
    let line = lines.lines().find(|line| line.contains("\"call.id\":\"root\"") && line.contains("a call ended"));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!((&line["trace.id"], &line["trace.span_id"]), (&hex(&span.trace_id).into(), &hex(&span.span_id).into()));
    assert_eq!(line.get("trace.parent_id"), None);
}
