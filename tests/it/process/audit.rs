//! The audit line of each call of AdminService: who called, what for, and how it ended.

use std::str::FromStr as _;

use cloakroom::auth::TokenHash;
use cloakroom::grpc;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{
    Changes, ExportSessionsRequest, GetSessionRequest, ListSessionsRequest, MigrateStoreRequest, OpenSessionRequest,
    RevokeAppRequest, RevokeSessionRequest, RevokeSubjectRequest, WatchEventsRequest,
};
use cloakroom::token::Key;
use http::uri::PathAndQuery;
use serde_json::Value;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Request, Streaming};
use tonic_prost::ProstCodec;

use super::child::{Process, eventually, with_timeout};
use crate::support::calls::{ChangesExt as _, reason, refused, save};
use crate::support::connect::{Protocol, Transport};
use crate::support::redis::RedisServer;

const SUBJECT: &str = "ann@test.example";

/// A process with the callers `desk` and `limited`, who are operators of all apps and of the app `other`, and the
/// frontend `shop`. The token of each is its name.
async fn process() -> Process {
    process_at("info").await
}

async fn process_at(level: &str) -> Process {
    let keys = Key::generate();
    Process::start(&config(level, "[store]\nkind = 'memory'\n"), &[("keys", &keys)], &[]).await
}

fn config(level: &str, stores: &str) -> String {
    let caller = |name: &str, role: &str, app: &str| {
        let hash = TokenHash::of(name.as_bytes());
        format!("[callers.{name}]\nroles = [{role}]\napps = ['{app}']\ntoken_hashes = ['{hash}']\n")
    };
    let callers = [
        caller("desk", "'admin', 'backup'", "*"),
        caller("limited", "'admin'", "other"),
        caller("shop", "'frontend'", "*"),
    ];
    format!("[log]\nlevel = '{level}'\n{stores}[apps.default]\nkeys_file = 'keys'\n[apps.other]\n{}", callers.concat())
}

/// A request of this caller, whose audit line has this `call.id`.
pub(super) fn of<T>(caller: &str, id: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let header = |text: &str| text.parse::<MetadataValue<Ascii>>().unwrap();
    request.metadata_mut().insert("x-request-id", header(id));
    if !caller.is_empty() {
        request.metadata_mut().insert("authorization", header(&format!("Bearer {caller}")));
    }
    request
}

/// Makes a call of this RPC with an empty message. Its result does not matter here.
async fn call(process: &Process, rpc: &str, caller: &str, id: &str, protocol: Protocol) {
    let address = format!("http://{}", process.admin_address());
    let mut client = Grpc::new(Transport::connect(&address, protocol).await);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_str(&format!("/{rpc}")).unwrap();
    let _ = client.server_streaming(of(caller, id, ()), path, ProstCodec::<(), ()>::default()).await;
}

/// Waits for the audit line of a call; returns it without what every line has.
async fn audit_line(process: &Process, id: &str) -> Value {
    audit_line_with(process, id, "a call of AdminService").await
}

/// Waits for the audit line of the end of a stream; returns it without what every line has.
async fn stream_end_line(process: &Process, id: &str) -> Value {
    audit_line_with(process, id, "a stream of AdminService ended").await
}

async fn audit_line_with(process: &Process, id: &str, message: &str) -> Value {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["target"] == "cloakroom::audit" && line["call.id"] == id && line["message"] == message).then_some(line)
    };
    let mut line = eventually(id, async || process.output().lines().find_map(line)).await;
    assert_eq!(line["level"], "INFO");
    for name in ["level", "target", "call.id", "timestamp", "message"] {
        line.as_object_mut().unwrap().remove(name);
    }
    line
}

fn by_each_protocol(rpcs: Vec<&str>) -> impl Iterator<Item = (&str, Protocol)> {
    rpcs.into_iter().flat_map(|rpc| Protocol::ALL.into_iter().map(move |protocol| (rpc, protocol)))
}

fn admin_rpcs() -> Vec<&'static str> {
    let rpcs: Vec<_> = grpc::rpcs().iter().filter(|rpc| rpc.starts_with(grpc::ADMIN_SERVICE)).collect();
    assert!(rpcs.len() > 6);
    rpcs.into_iter().map(String::as_str).collect()
}

/// Whether the requests of an RPC are not about one app.
fn is_of_no_app(rpc: &str) -> bool {
    ["/ListApps", "/GetServiceInfo", "/ExportSessions", "/MigrateStore"].iter().any(|name| rpc.ends_with(name))
}

#[tokio::test]
async fn each_rpc_of_admin_service_has_an_audit_line_with_caller_app_and_result() {
    let process = process().await;

    for (number, (rpc, protocol)) in by_each_protocol(admin_rpcs()).enumerate() {
        call(&process, rpc, "desk", &number.to_string(), protocol).await;

        let line = audit_line(&process, &number.to_string()).await;
        assert_eq!((&line["caller"], &line["call.rpc"]), (&"desk".into(), &rpc.into()), "{line}");
        let app = if is_of_no_app(rpc) { Value::Null } else { "default".into() };
        assert_eq!(line["app"], app, "{line}");
        assert!(line["call.code"] == "OK" || line["reason"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn each_refused_call_of_admin_service_has_an_audit_line_too() {
    let process = process().await;

    for (number, (rpc, protocol)) in by_each_protocol(admin_rpcs()).enumerate() {
        let refusals = [("shop", "ROLE_MISSING"), ("limited", "APP_NOT_ALLOWED")];
        for (caller, reason) in refusals.into_iter().take(if is_of_no_app(rpc) { 1 } else { 2 }) {
            let id = format!("{caller}{number}");
            call(&process, rpc, caller, &id, protocol).await;

            let expected = serde_json::json!({
                "caller": caller, "call.rpc": rpc, "call.code": "PERMISSION_DENIED", "reason": reason,
            });
            assert_eq!(audit_line(&process, &id).await, expected);
        }
    }
    call(&process, admin_rpcs()[0], "", "call-of-unknown", Protocol::Grpc).await;
    let line = audit_line(&process, "call-of-unknown").await;
    assert_eq!((&line["caller"], &line["reason"]), (&"unknown".into(), &"CALLER_UNKNOWN".into()));
}

#[tokio::test]
async fn unknown_callers_do_not_fill_the_log_with_audit_lines() {
    let process = process().await;

    for number in 0..50 {
        let protocol = Protocol::ALL[number % Protocol::ALL.len()];
        call(&process, admin_rpcs()[0], "unknown", &number.to_string(), protocol).await;
    }
    call(&process, admin_rpcs()[0], "desk", "last", Protocol::Grpc).await;

    audit_line(&process, "last").await;
    let output = process.output();
    let lines = output.lines().filter(|line| line.contains("cloakroom::audit") && line.contains("CALLER_UNKNOWN"));
    assert!(lines.count() < 25, "{output}");
}

#[tokio::test]
async fn audit_lines_name_the_session_and_the_number_of_sessions_but_no_subject() {
    let process = process().await;
    let mut admin = process.admin();
    let mut frontend = process.client();
    let mut stored = async || {
        let opened = frontend.open_session(of("shop", "open", OpenSessionRequest::default())).await.unwrap();
        let ticket = opened.into_inner().session.unwrap().token;
        let changes = Changes::default().set("a", "1").subject(SUBJECT);
        let saved = frontend.save_session(of("shop", "save", save(&ticket, changes))).await.unwrap();
        saved.into_inner().session.unwrap().id
    };
    let (first, _, _) = (stored().await, stored().await, stored().await);

    let list = ListSessionsRequest { subject: SUBJECT.to_owned(), with_entries: true, ..Default::default() };
    admin.list_sessions(of("desk", "list", list)).await.unwrap();
    let get = GetSessionRequest { id: first.clone(), ..Default::default() };
    admin.get_session(of("desk", "get", get)).await.unwrap();
    for id in ["revoke", "again"] {
        let revoke = RevokeSessionRequest { id: first.clone(), ..Default::default() };
        admin.revoke_session(of("desk", id, revoke)).await.unwrap();
    }
    let subject = RevokeSubjectRequest { subject: SUBJECT.to_owned(), ..Default::default() };
    admin.revoke_subject(of("desk", "subject", subject)).await.unwrap();
    admin.revoke_app(of("desk", "app", RevokeAppRequest::default())).await.unwrap();
    let chosen = RevokeAppRequest { app: SUBJECT.to_owned() };
    admin.revoke_app(of("desk", "chosen", chosen)).await.err().unwrap();

    for (id, expected) in [
        ("list", serde_json::json!({ "call.rpc": "ListSessions", "sessions": 3, "entries": true })),
        ("get", serde_json::json!({ "call.rpc": "GetSession", "session.id": first })),
        ("revoke", serde_json::json!({ "call.rpc": "RevokeSession", "session.id": first, "outcome": "DELETED" })),
        ("again", serde_json::json!({ "call.rpc": "RevokeSession", "session.id": first, "outcome": "GONE" })),
        ("subject", serde_json::json!({ "call.rpc": "RevokeSubject", "sessions": 2 })),
        ("app", serde_json::json!({ "call.rpc": "RevokeApp" })),
    ] {
        let mut line = audit_line(&process, id).await;
        let rpc = line["call.rpc"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
        line["call.rpc"] = rpc.into();
        for (name, value) in [("caller", "desk"), ("app", "default"), ("call.code", "OK")] {
            assert_eq!(line.as_object_mut().unwrap().remove(name), Some(value.into()), "{line}");
        }
        assert_eq!(line, expected);
    }
    assert_eq!(audit_line(&process, "chosen").await["reason"], "APP_UNKNOWN");
    assert!(!process.output().contains(SUBJECT));
}

#[tokio::test]
async fn the_end_of_a_stream_has_an_audit_line_with_the_number_of_sessions() {
    let (redis, file) = (RedisServer::start(), "[store]\nkind = 'embedded'\n");
    let mut process = Process::start(&config("info", file), &[("keys", &Key::generate())], &[]).await;
    for _ in 0..3 {
        create(&process).await;
    }
    let moving = format!(
        "[store]\nkind = 'redis'\n[store.redis]\ntimeout = '30s'\nurl = '{}'\n[store.previous]\nkind = 'embedded'\n",
        redis.url()
    );

    let mut admin = process.admin();
    let export = admin.export_sessions(of("desk", "export", ExportSessionsRequest::default())).await.unwrap();
    read_to_end(export.into_inner()).await;
    let watch = admin.watch_events(of("desk", "watch", WatchEventsRequest::default())).await.unwrap();
    drop(watch);
    assert_stream(&process, "export", "OK", Some(3)).await;
    assert_stream(&process, "watch", "CANCELLED", None).await;
    process.replace("cloakroom.toml", &config("info", &moving));
    process.signal("-TERM");
    process.await_exit().await;
    process.start_again().await;
    let mut admin = process.admin();
    for (id, dry_run) in [("dry", true), ("move", false)] {
        let migration = admin.migrate_store(of("desk", id, MigrateStoreRequest { dry_run })).await.unwrap();
        read_to_end(migration.into_inner()).await;
    }

    assert_stream(&process, "dry", "OK", None).await;
    assert_stream(&process, "move", "OK", Some(3)).await;
}

#[tokio::test]
async fn the_end_of_a_stream_whose_token_was_removed_has_an_audit_line_with_the_reason() {
    let process = process().await;
    let mut watch =
        process.admin().watch_events(of("desk", "removed", WatchEventsRequest::default())).await.unwrap().into_inner();

    let [old, new] = ["desk", "another"].map(|token| TokenHash::of(token.as_bytes()).to_string());
    process.replace("cloakroom.toml", &config("info", "[store]\nkind = 'memory'\n").replace(&old, &new));
    process.signal("-HUP");
    let ended = async {
        while watch.message().await?.is_some() {}
        Ok(())
    };
    let status = refused(with_timeout(ended).await);

    assert_eq!(reason(&status), (Code::Unauthenticated, "CALLER_UNKNOWN".to_owned()));
    assert_stream(&process, "removed", "UNAUTHENTICATED", None).await;
    assert_eq!(stream_end_line(&process, "removed").await["reason"], "CALLER_UNKNOWN");
}

/// Checks the two audit lines of a stream of `desk`.
async fn assert_stream(process: &Process, id: &str, code: &str, sessions: Option<u64>) {
    let begin = audit_line(process, id).await;
    let end = stream_end_line(process, id).await;
    assert_eq!((&begin["call.code"], &begin["sessions"]), (&"OK".into(), &Value::Null), "{begin}");
    assert_eq!((&end["call.code"], &end["caller"]), (&code.into(), &"desk".into()), "{end}");
    assert_eq!(end["sessions"].as_u64(), sessions, "{end}");
}

async fn create(process: &Process) {
    let mut frontend = process.client();
    let opened = frontend.open_session(of("shop", "open", OpenSessionRequest::default())).await.unwrap();
    let change = save(&opened.into_inner().session.unwrap().token, Changes::default().set("a", "1"));
    frontend.save_session(of("shop", "save", change)).await.unwrap();
}

async fn read_to_end<T>(mut stream: Streaming<T>) {
    while stream.message().await.unwrap().is_some() {}
}

#[tokio::test]
async fn at_level_debug_every_call_has_a_line_with_its_caller() {
    let process = process_at("info,cloakroom::server=debug").await;

    for (number, protocol) in Protocol::ALL.into_iter().enumerate() {
        let id = format!("known-{number}");
        let transport = Transport::connect(&format!("http://{}", process.listen()), protocol).await;
        let call = of("shop", &id, OpenSessionRequest::default());
        SessionServiceClient::new(transport).open_session(call).await.unwrap();

        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "a call ended" && line["call.id"] == id.as_str()).then_some(line)
        };
        let line = eventually("the line of the call", async || process.output().lines().find_map(line)).await;
        let name = if protocol == Protocol::Grpc { "grpc" } else { "connect" };
        let fields = ["caller", "call.protocol", "call.code"].map(|field| line[field].as_str().unwrap());
        assert_eq!(fields, ["shop", name, "OK"]);
    }
}
