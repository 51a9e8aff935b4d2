//! Limits: the size of a session, and the contents of a value.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, Outcome, Value, value::Kind};
use cloakroom::store::{Handle, Redis};
use tonic::Code;

use crate::support::calls::{ChangesExt as _, reason, refused, save};
use crate::support::{StoreKind, TestService, app_settings, long_timeouts, redis};

#[apply(on_every_store)]
async fn a_session_has_at_most_max_entries(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", limited(3, 4096))]).await;
    let token = service.stored(&[("a", "1"), ("b", "1"), ("c", "1")]).await;
    let new = Changes::default;

    let refusals = [new().set("d", "1"), new().increment("d", 1), new().unset("a").set("d", "1").set("e", "1")];
    for changes in refusals {
        assert_refused(&service, &token, changes, "TOO_MANY_ENTRIES", "4 entries; the limit is 3").await;
    }
    service.save(save(&token, new().unset("a").set("d", "1"))).await;
    service.save(save(&token, new().set("b", "2").increment("c", 1))).await;

    assert_eq!(service.entries(&token).await, [("b", "2"), ("c", "2"), ("d", "1")].map(owned).into());
}

#[apply(on_every_store)]
async fn a_session_has_at_most_max_session_bytes(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", limited(16, 1024))]).await;
    let (fits, over) = ("7".repeat(1020), "7".repeat(1021));
    let token = service.stored(&[("name", &fits)]).await;
    let new = Changes::default;

    for changes in [new().set("name", &over), new().set("b", "1"), new().increment("b", 1)] {
        let bytes = if changes.set.contains_key("name") { "1025 bytes" } else { "1026 bytes" };
        assert_refused(&service, &token, changes, "SESSION_TOO_LARGE", bytes).await;
    }
    service.save(save(&token, new().set("name", "1").set("é", &"7".repeat(1017)))).await;

    assert_refused(&service, &token, new().set("name", "12"), "SESSION_TOO_LARGE", "1025 bytes; the limit is 1024")
        .await;
}

#[apply(on_every_store)]
async fn a_counter_that_would_exceed_the_limit_is_not_incremented(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", limited(16, 1024))]).await;
    let token = service.stored(&[("n", "9"), ("x", &"7".repeat(1021))]).await;

    assert_refused(&service, &token, Changes::default().increment("n", 1), "SESSION_TOO_LARGE", "1025 bytes").await;

    assert_eq!(service.save(save(&token, Changes::default().increment("n", -1))).await.counters["n"], 8);
}

#[apply(on_every_store)]
async fn a_first_save_over_a_limit_creates_nothing(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", limited(1, 1024))]).await;
    let ticket = service.open_new().await.token;

    for changes in [Changes::default().set("a", "1").set("b", "1"), Changes::default().set("a", &"7".repeat(1024))] {
        let status = refused(service.try_save(save(&ticket, changes)).await);
        assert_eq!(status.code(), Code::FailedPrecondition);
    }
    let saved = service.save(save(&ticket, Changes::default().set("a", "1"))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
}

#[apply(on_every_store)]
async fn the_largest_session_is_stored_and_answered(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", limited(4096, 1024 * 1024))]).await;
    let ticket = service.open_new().await.token;
    let names: Vec<String> = (0..4096).map(|n| format!("{n:04}")).collect();

    let everything = names.iter().fold(Changes::default(), |changes, name| changes.set(name, &"7".repeat(252)));
    let token = service.save(save(&ticket, everything)).await.session.unwrap().token;
    let again = names.iter().fold(Changes::default(), |changes, name| changes.set(name, &"8".repeat(252)));
    service.save(save(&token, again)).await;
    let entries = service.entries(&token).await;
    let half = names.iter().step_by(2).fold(Changes::default(), |changes, name| changes.unset(name));
    service.save(save(&token, half)).await;

    assert!(entries.len() == 4096 && entries.values().all(|json| *json == "8".repeat(252)));
    assert_eq!(service.entries(&token).await.len(), 2048);
}

#[apply(on_every_store)]
async fn a_name_is_any_text_of_up_to_256_bytes(store: StoreKind) {
    let service = TestService::new(store).await;
    let long = "é".repeat(128);
    let names = [long.as_str(), " ", "\0", "e:a", "m", "\u{1f9e5}", "__proto__", "a.b[0]", "\r\n"];

    let token = service.stored(&names.map(|name| (name, "1"))).await;

    assert_eq!(service.entries(&token).await, names.map(|name| owned((name, "1"))).into());
    let status = refused(service.try_save(save(&token, Changes::default().set(&format!("{long}x"), "1"))).await);
    assert_eq!(reason(&status), (Code::InvalidArgument, "ENTRY_NAME_INVALID".to_owned()));
}

#[apply(on_every_store)]
async fn json_is_stored_byte_for_byte(store: StoreKind) {
    let service = TestService::new(store).await;
    let huge = format!("-{}", "9".repeat(5000));
    let texts = [
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "1E400",
        "-1e-400",
        "12345678901234567890",
        huge.as_str(),
        "\"\"",
        " [1 ,\t2\r\n] ",
        "{\"b\":1,\"a\":2,\"a\":3}",
        r#""\ud800""#,
        r#""\udc00\ud800x""#,
        r#"{"\ud83d":"\ude00"}"#,
        r#""\u0000\/\b""#,
        "\"\u{2028}\u{7f}é🧥\"",
        "{\"\":{}}",
        "[[],[[]],{}]",
    ];
    let named: Vec<(String, &str)> = texts.iter().enumerate().map(|(n, text)| (n.to_string(), *text)).collect();
    let entries: Vec<(&str, &str)> = named.iter().map(|(name, text)| (name.as_str(), *text)).collect();

    let token = service.stored(&entries).await;

    assert_eq!(service.entries(&token).await, entries.iter().copied().map(owned).collect());
}

#[apply(on_every_store)]
async fn invalid_json_is_refused(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let texts = [
        "",
        " ",
        "{",
        "]",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "0x1",
        "NaN",
        "Infinity",
        "-",
        "'a'",
        "[1,]",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":1,}",
        "nul",
        "True",
        "1 2",
        "// 1",
        "\"a",
        r#""\x""#,
        r#""\u12""#,
        "\"\n\"",
        "\"\u{0}\"",
        "\u{feff}1",
        "1\0",
    ];

    for text in texts {
        let status = refused(service.try_save(save(&token, Changes::default().set("a", text))).await);

        assert_eq!(reason(&status), (Code::InvalidArgument, "VALUE_INVALID".to_owned()), "{text:?}");
        assert!(status.message().starts_with("changes.set[\"a\"]: json is not RFC 8259 text"), "{}", status.message());
    }
    assert_eq!(service.entries(&token).await["a"], "1");
}

#[apply(on_every_store)]
async fn json_may_be_nested_127_levels_deep(store: StoreKind) {
    let service = TestService::new(store).await;
    let nested = |open: &str, close: &str, depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let token = service.stored(&[("a", &nested("[", "]", 127)), ("o", &nested("{\"x\":", "}", 127))]).await;

    for text in [nested("[", "]", 128), nested("{\"x\":", "}", 128), nested("[", "]", 400_000), "[".repeat(1_000_000)] {
        let status = refused(service.try_save(save(&token, Changes::default().set("a", &text))).await);

        assert_eq!(reason(&status), (Code::InvalidArgument, "VALUE_INVALID".to_owned()));
        assert!(status.message().contains("127 levels"), "{}", status.message());
    }
    let brackets = format!("\"\\\"{}\"", "[{".repeat(200));
    service.save(save(&token, Changes::default().set("s", &brackets))).await;
    assert_eq!(service.entries(&token).await["a"], nested("[", "]", 127));
}

#[apply(on_every_store)]
async fn raw_bytes_are_stored_unchanged(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let every: Vec<u8> = (0..=255).collect();
    let raw: [(&str, &[u8]); 5] =
        [("every", &every), ("empty", b""), ("zero", b"\0"), ("json", b"{\"a\":"), ("number", b"7")];

    let changes = raw.iter().fold(Changes::default(), |changes, (name, bytes)| changes.set_raw(name, bytes));
    let token = service.save(save(&ticket, changes)).await.session.unwrap().token;

    let entries = service.open_cookie(&token).await.session.unwrap().entries;
    for (name, bytes) in raw {
        assert!(entries[name] == Value { kind: Some(Kind::Raw(bytes.to_vec())) }, "{name}");
    }
    let counted = refused(service.try_save(save(&token, Changes::default().increment("number", 1))).await);
    assert_eq!(reason(&counted), (Code::FailedPrecondition, "NOT_A_COUNTER".to_owned()));
}

#[apply(on_every_store)]
async fn a_request_over_four_mebibytes_is_refused_and_one_below_is_processed(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let with = |bytes: usize| save(&token, Changes::default().set_raw("a", &vec![1; bytes]));

    let over = refused(service.try_save(with(4 << 20)).await);
    let below = refused(service.try_save(with((4 << 20) - 4096)).await);

    assert_eq!(reason(&over), (Code::ResourceExhausted, "REQUEST_TOO_LARGE".to_owned()));
    assert_eq!(reason(&below), (Code::FailedPrecondition, "SESSION_TOO_LARGE".to_owned()));
    assert_eq!(service.entries(&token).await["a"], "1");
}

#[tokio::test]
async fn a_save_that_does_not_grow_is_allowed_after_a_limit_was_lowered() {
    let (settings, key) = (redis::settings(), app_settings().keys);
    let with_limits = |entries, bytes| app::Settings { keys: key.clone(), ..limited(entries, bytes) };
    let large = service_on(&settings, with_limits(8, 4096)).await;
    let token = large.stored(&[("a", &"7".repeat(2000)), ("b", "1"), ("c", "1")]).await;
    let new = Changes::default;

    let small = service_on(&settings, with_limits(2, 1024)).await;
    for changes in [new().set("b", "2"), new().increment("b", 1), new().unset("c").set("d", "1"), new().permanent(true)]
    {
        assert_eq!(small.save(save(&token, changes)).await.outcome(), Outcome::Updated);
    }

    assert_refused(&small, &token, new().set("e", "1"), "TOO_MANY_ENTRIES", "4 entries; the limit is 2").await;
    assert_refused(&small, &token, new().set("b", "22"), "SESSION_TOO_LARGE", "2006 bytes; the limit is 1024").await;
    assert_eq!(small.save(save(&token, new().unset("a"))).await.outcome(), Outcome::Updated);
    assert_eq!(small.entries(&token).await, [("b", "3"), ("d", "1")].map(owned).into());
}

async fn assert_refused(service: &TestService, token: &str, changes: Changes, expected: &str, message: &str) {
    let before = service.entries(token).await;

    let status = service.try_save(save(token, changes)).await.err().expect(expected);

    assert_eq!(reason(&status), (Code::FailedPrecondition, expected.to_owned()), "{}", status.message());
    assert!(status.message().contains(message), "{}", status.message());
    assert_eq!(service.entries(token).await, before);
}

/// Starts a service on a Redis that another service can share.
async fn service_on(settings: &cloakroom::store::RedisSettings, app: app::Settings) -> TestService {
    let store = Handle::from(Redis::new(settings).unwrap());
    TestService::on_store(store, [("default", app)], long_timeouts()).await
}

fn limited(max_entries: u32, max_session_bytes: u32) -> app::Settings {
    let mut settings = app_settings();
    (settings.limits.max_entries, settings.limits.max_session_bytes) = (max_entries, max_session_bytes);
    settings
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
