//! Errors: every reason of the contract is provoked by each protocol, and the session stays unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloakroom::app;
use cloakroom::grpc::wire::changes::Lifetime;
use cloakroom::grpc::wire::{
    Changes, CookieAttributes, DestroySessionRequest, GetAppPolicyRequest, GetExpirationTimeRequest,
    ListSessionsRequest, MakeNullSessionRequest, MigrateStoreRequest, OpenSessionRequest, OpenSessionResponse, Outcome,
    RotateSessionRequest, RotationCause, SaveSessionRequest, ShouldSetCookieRequest, Value, WatchEventsRequest,
    WatchSessionRequest, destroy_session_request, rotate_session_request,
};
use cloakroom::server;
use cloakroom::store::{Handle, Redis, RedisSettings};
use prost_reflect::DynamicMessage;
use tokio::task::JoinSet;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::support::calls::{ChangesExt as _, open_cookie, reason, refused, save, save_cookie, save_unmodified};
use crate::support::connect::{Codec, Protocol, Transport, descriptors};
use crate::support::policy::{open_in, save_in};
use crate::support::redis::RedisServer;
use crate::support::watches::watch_token;
use crate::support::{StoreKind, TestService, app_settings, long_timeouts};

/// A save that must fail: reason, code, request, and a part of the message.
type Row = (&'static str, Code, SaveSessionRequest, &'static str);

#[apply(on_every_store)]
async fn an_invalid_save_is_refused_with_the_field_and_writes_nothing(store: StoreKind) {
    let settings = app::Settings { subject_key: "user".to_owned(), ..app_settings() };
    let mut service = TestService::with_apps(store, [("default", settings)]).await;
    let token = service.stored(&[("a", "1"), ("text", "\"x\"")]).await;
    let other = service.stored(&[("b", "2")]).await;
    let before = service.open_cookie(&token).await.session.unwrap();

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let rows = invalid_changes(&token).into_iter().chain(invalid_requests(&token, &other));
        for (expected, code, request, part) in rows {
            if let Protocol::Connect(Codec::Json, _) = protocol
                && !has_json("SaveSessionRequest", &request)
            {
                continue;
            }
            let status = service.try_save(request).await.err();
            let status = status.unwrap_or_else(|| panic!("{protocol:?} {expected} {part}: accepted"));

            assert_eq!(reason(&status), (code, expected.to_owned()), "{protocol:?} {}", status.message());
            assert!(status.message().contains(part), "{expected}: {} does not contain {part}", status.message());
            let after = service.open_cookie(&token).await.session.unwrap();
            let is_unchanged = after.etag == before.etag && after.entries == before.entries;
            assert!(is_unchanged && after.subject.is_empty(), "{protocol:?} {expected}");
        }
    }
}

/// Whether a message can be written as JSON and read again. Times and durations out of their range cannot.
fn has_json(name: &str, message: &impl prost::Message) -> bool {
    let descriptor = descriptors().get_message_by_name(&format!("cloakroom.v1.{name}")).unwrap();
    let message = DynamicMessage::decode(descriptor.clone(), message.encode_to_vec().as_slice()).unwrap();
    let Ok(json) = serde_json::to_vec(&message) else { return false };
    DynamicMessage::deserialize(descriptor, &mut serde_json::Deserializer::from_slice(&json)).unwrap() == message
}

/// Returns the error of a stream that has no message.
async fn refused_stream<T>(begun: Result<Response<Streaming<T>>, Status>) -> Status {
    match begun {
        Ok(stream) => refused(stream.into_inner().message().await),
        Err(status) => status,
    }
}

/// Returns saves with invalid changes.
fn invalid_changes(token: &str) -> Vec<Row> {
    let new = Changes::default;
    let by = |changes: Changes| save(token, changes);
    let invalid = Code::InvalidArgument;
    let lifetime = |lifetime| by(Changes { lifetime: Some(lifetime), ..new() });
    let without_kind = Changes { set: [("k".to_owned(), Value { kind: None })].into(), ..new() };
    let duration = |seconds, nanos| Lifetime::IdleTimeout(prost_types::Duration { seconds, nanos });
    let time = |seconds, nanos| Lifetime::DeadlineTime(prost_types::Timestamp { seconds, nanos });
    let long = "n".repeat(257);
    let many = Changes { unset: (0..8191).map(|n| n.to_string()).collect(), ..new().set("a", "2").increment("n", 1) };
    vec![
        ("ENTRY_NAME_INVALID", invalid, by(new().set("", "1")), "0 bytes"),
        ("ENTRY_NAME_INVALID", invalid, by(new().unset("")), "1 to 256"),
        ("ENTRY_NAME_INVALID", invalid, by(new().set(&long, "1")), "257 bytes"),
        ("ENTRY_NAME_INVALID", invalid, by(new().increment(&long, 1)), "257 bytes"),
        ("ENTRY_REPEATED", invalid, by(new().set("a", "2").unset("a")), "`a`"),
        ("ENTRY_REPEATED", invalid, by(new().set("a", "2").increment("a", 1)), "`a`"),
        ("ENTRY_REPEATED", invalid, by(new().unset("a").increment("a", 1)), "`a`"),
        ("ENTRY_REPEATED", invalid, by(new().permanent(true).set("_permanent", "false")), "`_permanent`"),
        ("ENTRY_REPEATED", invalid, by(new().subject("one").set("user", "\"two\"")), "`user`"),
        ("TOO_MANY_CHANGES", invalid, by(many), "8193 entries; the limit is 8192"),
        ("VALUE_INVALID", invalid, by(without_kind), "changes.set[\"k\"]"),
        ("VALUE_INVALID", invalid, by(new().set("k", "{").set("a", "2")), "changes.set[\"k\"]"),
        ("VALUE_INVALID", invalid, by(new().set("_permanent", "1")), "`_permanent`"),
        ("VALUE_INVALID", invalid, by(new().increment("_permanent", 1)), "`_permanent`"),
        ("SUBJECT_INVALID", invalid, by(new().subject(&"s".repeat(257))), "256"),
        ("SUBJECT_INVALID", invalid, by(new().set("user", "1.5")), "subject"),
        ("SUBJECT_INVALID", invalid, by(new().set("user", "[1]")), "subject"),
        ("SUBJECT_INVALID", invalid, by(new().set_raw("user", b"1")), "subject"),
        ("SUBJECT_INVALID", invalid, by(new().increment("user", 1)), "subject"),
        ("LIFETIME_INVALID", invalid, lifetime(duration(0, 0)), "changes.idle_timeout"),
        ("LIFETIME_INVALID", invalid, lifetime(duration(0, 999_999_999)), "at least a second"),
        ("LIFETIME_INVALID", invalid, lifetime(duration(-1, 0)), "changes.idle_timeout"),
        ("LIFETIME_INVALID", invalid, lifetime(duration(1, -1)), "changes.idle_timeout"),
        ("LIFETIME_INVALID", invalid, lifetime(duration(1, 1_000_000_000)), "changes.idle_timeout"),
        ("LIFETIME_INVALID", invalid, lifetime(duration(315_576_000_001, 0)), "changes.idle_timeout"),
        ("LIFETIME_INVALID", invalid, lifetime(time(253_402_300_800, 0)), "changes.deadline_time"),
        ("LIFETIME_INVALID", invalid, lifetime(time(1_000_000_000, 0)), "changes.deadline_time"),
        ("LIFETIME_INVALID", invalid, lifetime(time(-1, 0)), "changes.deadline_time"),
        ("LIFETIME_INVALID", invalid, lifetime(time(4_000_000_000, 1_000_000_000)), "changes.deadline_time"),
        ("NOT_A_COUNTER", Code::FailedPrecondition, by(new().set("a", "2").increment("text", 1)), "`text`"),
        ("SUBJECT_MISSING", Code::FailedPrecondition, by(new().set("a", "2").authenticated()), "changes.subject"),
    ]
}

/// Returns saves whose other fields are invalid.
fn invalid_requests(token: &str, other: &str) -> Vec<Row> {
    let new = Changes::default;
    let by = |changes: Changes| save(token, changes);
    let invalid = Code::InvalidArgument;
    let two = format!("session={token}; session={other}");
    let of_age = |seconds, nanos| SaveSessionRequest {
        request_age: Some(prost_types::Duration { seconds, nanos }),
        ..save_cookie(&format!("session={token}"), new().set("a", "2"))
    };
    vec![
        ("TOKEN_MISSING", invalid, SaveSessionRequest { credential: None, ..by(new()) }, "cookie_header"),
        ("TOKEN_MISSING", invalid, save("", new().set("a", "2")), "token"),
        ("TOKEN_INVALID", invalid, save("v1.x", new().set("a", "2")), "token"),
        ("TOKEN_INVALID", invalid, save_unmodified("v1.x"), "token"),
        ("COOKIE_HEADER_TOO_LARGE", invalid, save_cookie(&"x".repeat(1 << 21), new()), "1048576"),
        (
            "COOKIE_NAME_INVALID",
            invalid,
            SaveSessionRequest { cookie_name: "a b".to_owned(), ..by(new()) },
            "cookie_name",
        ),
        (
            "COOKIE_ATTRIBUTES_INVALID",
            invalid,
            SaveSessionRequest {
                cookie_attributes: Some(CookieAttributes { path: Some("shop".to_owned()), ..Default::default() }),
                ..by(new())
            },
            "cookie_attributes: path",
        ),
        ("COOKIES_AMBIGUOUS", invalid, save_cookie(&two, new().set("a", "2")), "two live sessions"),
        ("ETAG_INVALID", invalid, SaveSessionRequest { etag: "01".to_owned(), ..by(new()) }, "etag"),
        ("ETAG_INVALID", invalid, SaveSessionRequest { etag: "W/\"1\"".to_owned(), ..by(new()) }, "etag"),
        ("REQUEST_AGE_INVALID", invalid, of_age(-1, 0), "request_age"),
        ("REQUEST_AGE_INVALID", invalid, of_age(0, 1_000_000_000), "request_age"),
        ("REQUEST_AGE_INVALID", invalid, of_age(315_576_000_001, 0), "request_age"),
        ("REQUEST_ID_INVALID", invalid, SaveSessionRequest { request_id: "r".repeat(65), ..by(new()) }, "request_id"),
        (
            "ETAG_MISMATCH",
            Code::Aborted,
            SaveSessionRequest { etag: "7".to_owned(), ..by(new().set("a", "2")) },
            "etag",
        ),
        ("APP_UNKNOWN", Code::NotFound, save_in("unknown", by(new().set("a", "2"))), "app"),
        ("REQUEST_TOO_LARGE", Code::ResourceExhausted, by(new().set_raw("a", &vec![0; 5 << 20])), "4194304"),
    ]
}

#[apply(on_every_store)]
async fn a_save_over_a_limit_is_refused_and_changes_nothing(store: StoreKind) {
    let mut settings = app_settings();
    (settings.limits.max_entries, settings.limits.max_session_bytes) = (2, 1024);
    let mut service = TestService::with_apps(store, [("default", settings)]).await;
    let token = service.stored(&[("a", "1")]).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let many = refused(service.try_save(save(&token, Changes::default().set("b", "2").set("c", "3"))).await);
        let large = refused(service.try_save(save(&token, Changes::default().set("b", &"7".repeat(1024)))).await);

        assert_eq!(reason(&many), (Code::FailedPrecondition, "TOO_MANY_ENTRIES".to_owned()));
        assert_eq!(many.message(), "the session would have 3 entries; the limit is 2");
        assert_eq!(reason(&large), (Code::FailedPrecondition, "SESSION_TOO_LARGE".to_owned()));
        assert!(large.message().contains("1027 bytes; the limit is 1024"), "{}", large.message());
        assert_eq!(service.entries(&token).await, [("a".to_owned(), "1".to_owned())].into());
    }
}

#[apply(on_every_store)]
async fn a_request_id_cannot_be_reused_for_another_call(store: StoreKind) {
    let mut service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let with_id = |changes| SaveSessionRequest { request_id: "0123456789abcdef".to_owned(), ..save(&token, changes) };
    service.save(with_id(Changes::default().set("a", "2"))).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let status = refused(service.try_save(with_id(Changes::default().set("a", "3"))).await);

        assert_eq!(reason(&status), (Code::Aborted, "REQUEST_ID_REUSED".to_owned()));
        assert!(status.message().contains("request_id"));
        assert_eq!(service.entries(&token).await["a"], "2");
        let repeated = service.save(with_id(Changes::default().set("a", "2"))).await;
        assert_eq!(repeated.outcome(), Outcome::Updated, "a repeat by {protocol:?} is the same call");
    }
}

#[apply(on_every_store)]
async fn a_ticket_expires_after_fifteen_minutes(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    service.advance(Duration::from_secs(901));
    let status = refused(service.try_save(save(&ticket, Changes::default().set("a", "1"))).await);

    assert_eq!(reason(&status), (Code::InvalidArgument, "TOKEN_INVALID".to_owned()));
    assert!(status.message().contains("15 minutes"), "{}", status.message());
}

#[tokio::test]
async fn an_unknown_app_is_not_found_by_any_rpc() {
    let mut service = TestService::new(StoreKind::Memory).await;
    let app = "unknown".to_owned();

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let mut client = service.client.clone();
        let refusals = [
            refused(service.try_open(open_in(&app, OpenSessionRequest::default())).await),
            refused(service.try_save(save_in(&app, save("x", Changes::default()))).await),
            refused(client.get_app_policy(GetAppPolicyRequest { app: app.clone() }).await),
            refused(client.should_set_cookie(ShouldSetCookieRequest { app: app.clone(), ..Default::default() }).await),
            refused(client.get_expiration_time(GetExpirationTimeRequest { app: app.clone(), permanent: true }).await),
            refused(client.make_null_session(MakeNullSessionRequest { app: app.clone() }).await),
        ];

        for status in refusals {
            assert_eq!(reason(&status), (Code::NotFound, "APP_UNKNOWN".to_owned()), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn an_app_without_a_key_refuses_to_save() {
    let mut service = TestService::with_apps(StoreKind::Memory, [("default", app::Settings::default())]).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let status = refused(service.try_save(save_cookie("", Changes::default().set("a", "1"))).await);

        assert_eq!(reason(&status), (Code::FailedPrecondition, "NULL_SESSION".to_owned()), "{protocol:?}");
        assert!(status.message().contains("`keys`"), "{}", status.message());
    }
}

#[tokio::test]
async fn a_message_does_not_repeat_more_of_the_request_than_headers_can_take() {
    let service = TestService::new(StoreKind::Memory).await;
    let token = service.stored(&[("a", "1")]).await;
    let name = "ä".repeat(35_000);

    let refused =
        service.try_save(save(&token, Changes::default().set(&name, "{"))).await.err().expect("the value is no JSON");

    assert_eq!(reason(&refused), (Code::InvalidArgument, "VALUE_INVALID".to_owned()));
    let message = refused.message();
    assert!(message.len() < 1100 && message.starts_with("changes.set[\"ää"), "{} bytes", message.len());
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_malformed() {
    let service = TestService::new(StoreKind::Memory).await;
    let invalid_text = InvalidText { app: vec![0xff, 0xfe] };

    for protocol in Protocol::ALL {
        let call = raw_call(&service, "/cloakroom.v1.SessionService/OpenSession", invalid_text.clone(), protocol);
        let status = call.await;

        assert_eq!(reason(&status), (Code::InvalidArgument, "REQUEST_MALFORMED".to_owned()), "{protocol:?}");
        // By JSON the bytes of the message are sent as they are, which are no JSON.
        let part = if let Protocol::Connect(Codec::Json, _) = protocol { "column 1" } else { "app" };
        assert!(status.message().contains(part), "{protocol:?}: {}", status.message());
    }
}

#[tokio::test]
async fn an_unknown_service_and_an_unknown_method_are_unimplemented() {
    let service = TestService::new(StoreKind::Memory).await;

    for protocol in Protocol::ALL {
        let call = async |path| raw_call(&service, path, InvalidText::default(), protocol).await;
        let unknown_service = call("/cloakroom.v1.Unknown/OpenSession").await;
        let unknown_method = call("/cloakroom.v1.SessionService/Nothing").await;
        let elsewhere = call("/cloakroom.v1.AdminService/GetStats").await;

        assert_eq!(reason(&unknown_service), (Code::Unimplemented, "SERVICE_UNKNOWN".to_owned()), "{protocol:?}");
        assert_eq!(reason(&unknown_method), (Code::Unimplemented, "METHOD_UNKNOWN".to_owned()), "{protocol:?}");
        assert_eq!(reason(&elsewhere), (Code::Unimplemented, "SERVICE_UNKNOWN".to_owned()), "{protocol:?}");
    }
}

#[tokio::test]
async fn an_invalid_timeout_is_refused() {
    let mut service = TestService::new(StoreKind::Memory).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let mut request = Request::new(OpenSessionRequest::default());
        request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
        let status = refused(service.client.clone().open_session(request).await);

        let (expected, header) = match protocol {
            Protocol::Grpc => ("GRPC_TIMEOUT_INVALID", "grpc-timeout"),
            Protocol::Connect(..) => ("CONNECT_TIMEOUT_INVALID", "connect-timeout-ms"),
        };
        assert_eq!(reason(&status), (Code::InvalidArgument, expected.to_owned()));
        assert!(status.message().contains(header), "{}", status.message());
    }
}

#[tokio::test]
async fn a_stopped_store_is_unavailable() {
    let (mut redis, mut service) = service_on_its_own_redis(long_timeouts()).await;
    let token = service.stored(&[("a", "1")]).await;

    redis.stop();
    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let opened = refused(service.try_open(open_cookie(&format!("session={token}"))).await);
        let saved = refused(service.try_save(save(&token, Changes::default().set("a", "2"))).await);

        for status in [opened, saved] {
            assert_eq!(reason(&status), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()), "{protocol:?}");
            assert!(status.message().contains("store"));
        }
    }
}

#[tokio::test]
async fn a_full_store_refuses_writes_and_answers_reads() {
    let (redis, mut service) = service_on_its_own_redis(long_timeouts()).await;
    let token = service.stored(&[("a", "1"), ("n", "1")]).await;
    let ticket = service.open_new().await.token;

    redis.cli(&["config", "set", "maxmemory", "1"]);
    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let refusals = [
            refused(service.try_save(save(&token, Changes::default().set("a", "2"))).await),
            refused(service.try_save(save(&token, Changes::default().unset("nothing").set("a", "2"))).await),
            refused(service.try_save(save(&token, Changes::default().increment("n", 1))).await),
            refused(service.try_save(save(&ticket, Changes::default().set("a", "2"))).await),
        ];

        for status in refusals {
            assert_eq!(reason(&status), (Code::ResourceExhausted, "STORE_FULL".to_owned()), "{}", status.message());
            assert!(status.message().contains("full"));
        }
        assert_eq!(service.entries(&token).await, BTreeMap::from([("a", "1"), ("n", "1")].map(owned)));
    }
    redis.cli(&["config", "set", "maxmemory", "0"]);
    let counters = service.save(save(&token, Changes::default().increment("n", 1))).await.counters;
    assert_eq!(counters["n"], 2);
}

#[tokio::test]
async fn users_can_log_out_with_a_full_store() {
    let (redis, service) = service_on_its_own_redis(long_timeouts()).await;
    let token = service.stored(&[("a", "1")]).await;
    let emptied = service.stored(&[("a", "1")]).await;

    redis.cli(&["config", "set", "maxmemory", "1"]);
    let ended = service.destroy(&token).await;
    let gone = service.save(save(&token, Changes::default().set("a", "2"))).await;
    let unset = service.save(save(&emptied, Changes::default().unset("a"))).await;

    assert_eq!([ended.outcome(), gone.outcome(), unset.outcome()], [Outcome::Deleted, Outcome::Gone, Outcome::Deleted]);
    assert!(service.open_cookie(&token).await.session.unwrap().new);
}

#[tokio::test]
async fn invalid_data_in_the_store_is_an_internal_error() {
    let (redis, mut service) = service_on_its_own_redis(long_timeouts()).await;
    let damages: [&[&[&str]]; 4] = [
        &[&["hset", KEY_PLACEHOLDER, "m", "nonsense"]],
        &[&["hdel", KEY_PLACEHOLDER, "u"]],
        &[&["del", KEY_PLACEHOLDER], &["set", KEY_PLACEHOLDER, "nonsense"]],
        &[&["del", KEY_PLACEHOLDER], &["rpush", KEY_PLACEHOLDER, "nonsense"]],
    ];

    for damage in damages {
        redis.cli(&["flushall"]);
        let token = service.stored(&[("a", "1")]).await;
        let key = redis.cli(&["--raw", "keys", &format!("*:{}", "?".repeat(32))]);
        for command in damage {
            let command: Vec<_> =
                command.iter().map(|part| if *part == KEY_PLACEHOLDER { key.trim() } else { part }).collect();
            redis.cli(&command);
        }
        for protocol in Protocol::ALL {
            service.use_protocol(protocol).await;
            let header = format!("session={token}");
            let change = || Changes::default().set("a", "2");
            let statuses = [
                refused(service.try_open(open_cookie(&header)).await),
                refused(service.try_save(save(&token, change())).await),
                refused(service.try_save(save_cookie(&header, change())).await),
                refused(service.try_rotate(rotation(&token)).await),
                refused(service.try_destroy(destruction(&token)).await),
            ];
            for (index, status) in statuses.iter().enumerate() {
                let call = format!("{damage:?} {protocol:?} call {index}");
                assert_eq!(reason(status), (Code::Internal, "INTERNAL".to_owned()), "{call}");
                assert!(!status.message().contains("nonsense") && !status.message().contains(&token), "{call}");
            }
        }
    }
}

#[tokio::test]
async fn damage_that_only_some_calls_read_is_an_internal_error_of_these_calls() {
    let (redis, service) = service_on_its_own_redis(long_timeouts()).await;
    let old = service.stored(&[("a", "1")]).await;
    let current = service.rotate(&old, RotationCause::Privilege, "").await.session.unwrap().token;
    let key = redis.cli(&["--raw", "keys", &format!("*:{}", "?".repeat(32))]);
    let change = |request_id: &str| {
        let changes = Some(Changes::default().set("a", "2"));
        SaveSessionRequest { request_id: request_id.to_owned(), changes, ..save_unmodified(&current) }
    };

    // The previous token, and the idempotency records.
    redis.cli(&["hset", key.trim(), "p", "nonsense", "k", "nonsense"]);
    let statuses = [
        refused(service.try_destroy(destruction(&old)).await),
        refused(service.try_save(change("0123456789abcdef")).await),
    ];

    assert_eq!(statuses.map(|status| reason(&status)), [0; 2].map(|_| (Code::Internal, "INTERNAL".to_owned())));
    service.try_destroy(destruction(&current)).await.map(drop).unwrap();
}

#[tokio::test]
async fn a_call_that_takes_too_long_exceeds_its_deadline() {
    let settings = server::Settings { call_timeout: Duration::from_secs(2), ..Default::default() };
    let (redis, mut service) = service_on_its_own_redis(settings).await;
    let token = service.stored(&[("a", "1")]).await;

    redis.signal("-STOP");
    let mut opens = JoinSet::new();
    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        // A client of gRPC ends its call itself at its own timeout.
        let timeouts = [(None, "2s"), (Some("30m"), "30ms")];
        for (timeout, part) in timeouts.into_iter().take(if protocol == Protocol::Grpc { 1 } else { 2 }) {
            let (mut client, open) = (service.client.clone(), open_cookie(&format!("session={token}")));
            opens.spawn(async move {
                let mut request = Request::new(open);
                if let Some(timeout) = timeout {
                    request.metadata_mut().insert("grpc-timeout", timeout.parse().unwrap());
                }
                (protocol, part, refused(client.open_session(request).await))
            });
        }
    }

    for (protocol, part, status) in opens.join_all().await {
        assert_eq!(reason(&status), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()), "{protocol:?}");
        assert!(status.message().contains(part), "{protocol:?}: {}", status.message());
    }
}

#[tokio::test]
async fn a_call_over_the_limit_is_an_overload() {
    let settings = server::Settings { max_calls: 1, ..Default::default() };
    let (redis, mut service) = service_on_its_own_redis(settings).await;
    let header = format!("session={}", service.stored(&[("a", "1")]).await);

    redis.signal("-STOP");
    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        // One of the calls waits for the store, and the other is answered at once.
        let first = tokio::select! {
            one = service.try_open(open_cookie(&header)) => one,
            other = service.try_open(open_cookie(&header)) => other,
        };

        let status = refused(first);
        assert_eq!(reason(&status), (Code::ResourceExhausted, "OVERLOADED".to_owned()), "{protocol:?}");
        assert!(status.message().contains("calls"));
    }
}

#[tokio::test]
async fn a_large_request_over_the_budget_is_an_overload() {
    let settings = server::Settings { request_budget_bytes: 4 << 20, ..Default::default() };
    let (redis, mut service) = service_on_its_own_redis(settings).await;
    let token = service.stored(&[("a", "1")]).await;
    let header = format!("x={}; session={token}", "x".repeat(900_000));

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        redis.signal("-STOP");
        // Four of the calls fit and wait for the store, and the last one is answered at once.
        let mut opens = JoinSet::new();
        for _ in 0..5 {
            let (mut client, open) = (service.client.clone(), open_cookie(&header));
            opens.spawn(async move { client.open_session(open).await });
        }

        let status = refused(opens.join_next().await.unwrap().unwrap());
        assert_eq!(reason(&status), (Code::ResourceExhausted, "OVERLOADED".to_owned()), "{protocol:?}");
        assert!(status.message().contains("large requests"));
        redis.signal("-CONT");
        for answer in opens.join_all().await {
            assert!(!answer.unwrap().into_inner().session.unwrap().new);
        }
        assert!(!service.open_cookie(&token).await.session.unwrap().new, "there is room again");
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_connection_at_the_maximum_age() {
    let settings = server::Settings { max_connection_age: Duration::from_millis(500), ..Default::default() };
    let mut service = TestService::with_server(StoreKind::Memory, settings).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let watch = service.watch(&service.stored(&[("a", "1")]).await).await;
        let status = watch.failed().await;

        assert_eq!(reason(&status), (Code::Unavailable, "GOING_AWAY".to_owned()), "{protocol:?}");
        assert!(status.message().contains("another one"));
    }
}

#[tokio::test]
async fn the_reasons_of_other_tests_are_the_same_by_each_protocol() {
    let mut settings = app_settings();
    (settings.max_sessions_per_subject, settings.on_session_limit) = (1, app::OnSessionLimit::Refuse);
    let cookie = app::Settings { kind: app::KindSetting::Cookie, ..app_settings() };
    let mut service = TestService::with_apps(StoreKind::Memory, [("default", settings), ("flask", cookie)]).await;
    let subject = |token: &str| save(token, Changes::default().set("a", "1").subject("ann"));
    service.save(subject(&service.open_new().await.token)).await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        let (mut client, mut admin) = (service.client.clone(), service.admin.clone());
        let age = Some(prost_types::Duration { seconds: -1, nanos: 0 });
        let list = ListSessionsRequest::default;
        let watch = WatchSessionRequest { app: "flask".to_owned(), ..watch_token("x") };
        let events = WatchEventsRequest { cursor: "none".to_owned(), ..Default::default() };
        let refusals = [
            refused(service.try_save(subject(&service.open_new().await.token)).await),
            refused(service.try_open(OpenSessionRequest { max_authenticate_age: age, ..Default::default() }).await),
            refused_stream(client.watch_session(watch).await).await,
            refused(service.try_list(ListSessionsRequest { page_size: -1, ..list() }).await),
            refused(service.try_list(ListSessionsRequest { page_token: "x".to_owned(), ..list() }).await),
            refused(service.try_info("x", false).await),
            refused(service.try_info(&"0".repeat(32), false).await),
            refused_stream(admin.watch_events(events).await).await,
            refused_stream(admin.migrate_store(MigrateStoreRequest::default()).await).await,
        ];

        let reasons = refusals.map(|status| reason(&status).1);
        assert_eq!(
            reasons.each_ref().map(String::as_str),
            [
                "TOO_MANY_SESSIONS",
                "AUTHENTICATE_AGE_INVALID",
                "NOT_IN_COOKIE_KIND",
                "PAGE_SIZE_INVALID",
                "PAGE_TOKEN_INVALID",
                "SESSION_ID_INVALID",
                "SESSION_UNKNOWN",
                "EVENTS_MISSED",
                "NO_PREVIOUS_STORE",
            ],
            "{protocol:?}"
        );
    }
}

#[test]
fn the_contract_and_the_page_list_the_provoked_reasons() {
    let provoked: BTreeSet<(String, String)> =
        PROVOKED.iter().map(|(code, reason)| ((*code).to_owned(), (*reason).to_owned())).collect();

    assert_eq!(reasons_of_the_contract(), provoked, "proto comments (left) and this file (right)");
    assert_eq!(reasons_of_the_page(), provoked, "docs/errors.md (left) and this file (right)");
}

/// Codes and reasons that tests provoke: those above, and those of apps of the kinds `cookie` and `external`, AdminService, its streams,
/// the limit of sessions per subject, and callers (in `server`).
const PROVOKED: [(&str, &str); 59] = [
    ("ABORTED", "APP_REVOKED"),
    ("ABORTED", "ETAG_MISMATCH"),
    ("ABORTED", "EVENTS_MISSED"),
    ("ABORTED", "REQUEST_ID_REUSED"),
    ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
    ("FAILED_PRECONDITION", "AUDIT_LOG_UNREADABLE"),
    ("FAILED_PRECONDITION", "CREDENTIAL_NOT_OF_KIND"),
    ("FAILED_PRECONDITION", "NOT_A_COUNTER"),
    ("FAILED_PRECONDITION", "NOT_IN_COOKIE_KIND"),
    ("FAILED_PRECONDITION", "NOT_IN_EXTERNAL_KIND"),
    ("FAILED_PRECONDITION", "NO_PREVIOUS_STORE"),
    ("FAILED_PRECONDITION", "NULL_SESSION"),
    ("FAILED_PRECONDITION", "SESSION_TOO_LARGE"),
    ("FAILED_PRECONDITION", "SUBJECT_MISSING"),
    ("FAILED_PRECONDITION", "TOO_MANY_ENTRIES"),
    ("FAILED_PRECONDITION", "TOO_MANY_SESSIONS"),
    ("INTERNAL", "INTERNAL"),
    ("INVALID_ARGUMENT", "AUTHENTICATE_AGE_INVALID"),
    ("INVALID_ARGUMENT", "CONNECT_TIMEOUT_INVALID"),
    ("INVALID_ARGUMENT", "CONNECT_VERSION_UNSUPPORTED"),
    ("INVALID_ARGUMENT", "CONTENT_TYPE_UNSUPPORTED"),
    ("INVALID_ARGUMENT", "COOKIES_AMBIGUOUS"),
    ("INVALID_ARGUMENT", "COOKIE_ATTRIBUTES_INVALID"),
    ("INVALID_ARGUMENT", "COOKIE_HEADER_TOO_LARGE"),
    ("INVALID_ARGUMENT", "COOKIE_NAME_INVALID"),
    ("INVALID_ARGUMENT", "ENTRY_NAME_INVALID"),
    ("INVALID_ARGUMENT", "ENTRY_REPEATED"),
    ("INVALID_ARGUMENT", "ETAG_INVALID"),
    ("INVALID_ARGUMENT", "GRPC_TIMEOUT_INVALID"),
    ("INVALID_ARGUMENT", "HTTP_METHOD_UNSUPPORTED"),
    ("INVALID_ARGUMENT", "HTTP_VERSION_UNSUPPORTED"),
    ("INVALID_ARGUMENT", "KEY_INVALID"),
    ("INVALID_ARGUMENT", "LIFETIME_INVALID"),
    ("INVALID_ARGUMENT", "PAGE_SIZE_INVALID"),
    ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"),
    ("INVALID_ARGUMENT", "REQUEST_AGE_INVALID"),
    ("INVALID_ARGUMENT", "REQUEST_ID_INVALID"),
    ("INVALID_ARGUMENT", "REQUEST_MALFORMED"),
    ("INVALID_ARGUMENT", "SESSION_ID_INVALID"),
    ("INVALID_ARGUMENT", "SUBJECT_INVALID"),
    ("INVALID_ARGUMENT", "TOKEN_INVALID"),
    ("INVALID_ARGUMENT", "TOKEN_MISSING"),
    ("INVALID_ARGUMENT", "TOO_MANY_CHANGES"),
    ("INVALID_ARGUMENT", "VALUE_INVALID"),
    ("NOT_FOUND", "APP_UNKNOWN"),
    ("NOT_FOUND", "SESSION_UNKNOWN"),
    ("PERMISSION_DENIED", "APP_NOT_ALLOWED"),
    ("PERMISSION_DENIED", "BROWSER_REFUSED"),
    ("PERMISSION_DENIED", "HOST_REFUSED"),
    ("PERMISSION_DENIED", "ROLE_MISSING"),
    ("RESOURCE_EXHAUSTED", "OVERLOADED"),
    ("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE"),
    ("RESOURCE_EXHAUSTED", "STORE_FULL"),
    ("UNAUTHENTICATED", "CALLER_UNKNOWN"),
    ("UNAVAILABLE", "GOING_AWAY"),
    ("UNAVAILABLE", "STORE_UNAVAILABLE"),
    ("UNIMPLEMENTED", "COMPRESSION_UNSUPPORTED"),
    ("UNIMPLEMENTED", "METHOD_UNKNOWN"),
    ("UNIMPLEMENTED", "SERVICE_UNKNOWN"),
];

/// Reads every `CODE  REASON, REASON  text` from the comments of the contract.
fn reasons_of_the_contract() -> BTreeSet<(String, String)> {
    let file = |name| std::fs::read_to_string(format!("proto/cloakroom/v1/{name}.proto")).unwrap();
    let text = file("session_service") + &file("admin_service");
    let (mut reasons, mut continued) = (BTreeSet::new(), None);
    for line in text.lines() {
        let mut words = line.trim_start().strip_prefix("//").unwrap_or_default().split_whitespace().peekable();
        let code = words.next_if(|word| CODES.contains(word)).or(continued.take());
        let Some(code) = code else { continue };
        // A list of reasons continues after a comma, on the next line too.
        while let Some(word) = words.next() {
            let reason = word.trim_end_matches(',');
            if reason.is_empty() || !reason.bytes().all(|c| c.is_ascii_uppercase() || c == b'_') {
                break;
            }
            reasons.insert((code.to_owned(), reason.to_owned()));
            if !word.ends_with(',') {
                break;
            }
            if words.peek().is_none() {
                continued = Some(code);
            }
        }
    }
    reasons
}

/// Reads every reason from `docs/errors.md`: the code is a heading, and each row of its table begins with a reason.
fn reasons_of_the_page() -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string("docs/errors.md").unwrap();
    let (mut reasons, mut code) = (BTreeSet::new(), "");
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            code = heading;
        } else if let Some((reason, _)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            reasons.insert((code.to_owned(), reason.to_owned()));
        }
    }
    reasons
}

const CODES: [&str; 11] = [
    "ABORTED",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
];

/// An OpenSessionRequest whose `app` is not UTF-8.
#[derive(Clone, PartialEq, prost::Message)]
struct InvalidText {
    #[prost(bytes = "vec", tag = "1")]
    app: Vec<u8>,
}

/// Calls a method with this message and returns the error.
async fn raw_call(service: &TestService, path: &'static str, request: InvalidText, protocol: Protocol) -> Status {
    let mut grpc = tonic::client::Grpc::new(Transport::connect(&service.address, protocol).await);
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<InvalidText, OpenSessionResponse>::default();
    refused(grpc.unary(Request::new(request), PathAndQuery::from_static(path), codec).await)
}

/// Starts a service on a Redis of its own, which a test can stop, freeze and fill.
async fn service_on_its_own_redis(settings: server::Settings) -> (RedisServer, TestService) {
    let redis = RedisServer::start();
    let store = RedisSettings { url: redis.url(), timeout: Duration::from_secs(10), ..Default::default() };
    let store = Handle::from(Redis::new(&store).unwrap());
    let service = TestService::on_store(store, [("default", app_settings())], settings).await;
    (redis, service)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn rotation(token: &str) -> RotateSessionRequest {
    let credential = Some(rotate_session_request::Credential::Token(token.to_owned()));
    let (cause, request_id) = (RotationCause::Privilege.into(), "0123456789abcdef".to_owned());
    RotateSessionRequest { credential, cause, request_id, ..Default::default() }
}

fn destruction(token: &str) -> DestroySessionRequest {
    let credential = Some(destroy_session_request::Credential::Token(token.to_owned()));
    DestroySessionRequest { credential, ..Default::default() }
}

/// Stands for the key of the session.
const KEY_PLACEHOLDER: &str = "<key>";
