//! The import of Flask-Session's sessions from its Redis, which is only read.

use cloakroom::grpc::wire::{Changes, OpenSessionRequest, Outcome};
use serde_json::json;
use tonic::Code;

use super::real_flask::{records_settings, run_legacy_app};
use super::*;
use crate::support::calls::{ChangesExt as _, open_cookie, reason, save_cookie};
use crate::support::redis::RedisServer;
use crate::support::sessions::{MINUTE, SECOND};

/// Creates sessions by Flask-Session, each with an entry `n`, and returns their cookies.
fn legacy_sessions<const N: usize>(server: &RedisServer, signer: bool) -> [String; N] {
    let sessions = (0..N).map(|n| json!({"n": n, "_user_id": "anna"})).collect::<Vec<_>>();
    let request = json!({"kind": "msgpack", "signer": signer, "socket": server.socket(), "sessions": sessions});
    run_legacy_app(&request).try_into().unwrap()
}

async fn service_on(store: StoreKind, server: &RedisServer) -> TestService {
    TestService::with_apps(store, [("default", records_settings(server, &[]))]).await
}

#[tokio::test]
async fn a_record_is_imported_once_and_not_changed() {
    let server = RedisServer::start();
    let [old] = legacy_sessions(&server, false);
    let key = format!("session:{old}");
    let [value, ttl] = [["get", key.as_str()], ["pexpiretime", &key]].map(|command| server.cli(&command));
    let service = service_on(StoreKind::Embedded, &server).await;

    let (id, token) = service.import(&old).await;
    service.update(&token, Changes::default().set("n", "5")).await;
    let again = service.import(&old).await;

    assert_eq!(again, (id, token));
    assert_eq!(entries(service.open_value(&old).await.1), pairs(&[("_user_id", "\"anna\""), ("n", "5")]));
    assert_eq!([["get", key.as_str()], ["pexpiretime", &key]].map(|command| server.cli(&command)), [value, ttl]);
    assert_eq!(service.migration("flask_session").await.imported, 1);
}

/// The caller may give up before the other Redis is asked for the last time.
#[tokio::test]
async fn a_logout_ends_the_session_of_the_token_while_the_redis_of_another_credential_hangs() {
    let server = RedisServer::start();
    let [imported, other] = legacy_sessions(&server, false);
    let mut settings = records_settings(&server, &[]);
    settings.migrate.flask_session.timeout = Duration::from_secs(60);
    let service = TestService::with_apps(StoreKind::Embedded, [("default", settings)]).await;
    let (_, token) = service.import(&imported).await;
    let header = format!("session={other}; session={token}");

    server.signal("-STOP");
    let logout = service.destroy_header(&header);
    let ended = async {
        while service.is_live(&token).await {
            tokio::task::yield_now().await;
        }
        server.signal("-CONT");
    };
    let (destroyed, ()) = tokio::join!(logout, ended);

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    assert!(service.opens_nothing(&other).await);
}

#[apply(on_every_store)]
async fn a_logout_lasts_although_the_record_is_still_there(store: StoreKind) {
    let server = RedisServer::start();
    let [old, never] = legacy_sessions(&server, false);
    let service = service_on(store, &server).await;
    let (_, token) = service.import(&old).await;

    service.destroy(&token).await;
    let destroyed = service.destroy_header(&format!("session={never}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    for after in [SECOND, 20 * MINUTE, 30 * DAY, 29 * DAY] {
        service.advance(after);
        service.store.sweep(service.clock.now()).await.unwrap();
        assert!(service.opens_nothing(&old).await && service.opens_nothing(&never).await);
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_malformed_and_no_outage() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server).await;
    let sids = ["hash", "list", "zset"].map(|kind| format!("{kind}-{}", "a".repeat(32)));
    server.cli(&["hset", &format!("session:{}", sids[0]), "a", "b"]);
    server.cli(&["rpush", &format!("session:{}", sids[1]), "a"]);
    server.cli(&["zadd", &format!("session:{}", sids[2]), "1", "a"]);

    for sid in &sids {
        assert!(service.opens_nothing(sid).await);
    }

    assert_eq!(service.migration("flask_session").await.refused["MALFORMED"], 3);
}

#[tokio::test]
async fn an_outage_of_the_legacy_redis_is_an_error_for_legacy_cookies_only() {
    let mut server = RedisServer::start();
    let [old, imported] = legacy_sessions(&server, false);
    let service = service_on(StoreKind::Memory, &server).await;
    let found = service.import(&imported).await;
    let token = service.stored(&[("a", "1")]).await;

    server.stop();

    let opened = service.try_open(open_cookie(&format!("session={old}"))).await.err().unwrap();
    let saved = service.try_save(save_cookie(&format!("session={old}"), Changes::default().set("a", "1"))).await;
    assert_eq!(reason(&opened), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    assert_eq!(saved.err().unwrap().code(), Code::Unavailable);
    assert!(service.is_live(&token).await);
    assert_eq!(service.import(&imported).await, found);
}

#[tokio::test]
async fn a_record_that_is_no_session_opens_nothing() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server).await;
    let sid = |letter: &str| letter.repeat(43);
    let set = |letter: &str, value: &str| server.cli(&["set", &format!("session:{}", sid(letter)), value]);
    set("p", "(dp0\nS'_user_id'\np1\nS'anna'\np2\ns.");
    set("j", r#"["a"]"#);
    set("e", r#"{"_permanent":true}"#);
    let large = r#"return redis.call('set', KEYS[1], '{"a":"' .. string.rep('x', 1048576) .. '"}')"#;
    server.cli(&["eval", large, "1", &format!("session:{}", sid("l"))]);
    let pickle = "return redis.call('set', KEYS[1], string.char(128, 4, 149, 1, 0, 0))";
    server.cli(&["eval", pickle, "1", &format!("session:{}", sid("q"))]);

    for letter in ["p", "j", "e", "l", "q", "m"] {
        assert!(service.opens_nothing(&sid(letter)).await, "{letter}");
    }
    assert!(service.opens_nothing("short").await);
    assert!(service.opens_nothing(&format!("{}.signature", sid("j"))).await);

    let counted = [("MALFORMED", 4), ("PICKLE", 1), ("TOO_LARGE", 1), ("UNKNOWN", 1)];
    assert_eq!(service.rejections("flask_session").await, counted.map(|(why, n)| (why.to_owned(), n)).into());
}

#[tokio::test]
async fn with_a_signer_only_signed_ids_are_imported() {
    let server = RedisServer::start();
    let [old] = legacy_sessions(&server, true);
    let bare = old.split('.').next().unwrap();
    let service = TestService::with_apps(StoreKind::Memory, [("default", records_settings(&server, &[KEY]))]).await;
    let foreign = TestService::with_apps(
        StoreKind::Memory,
        [("default", records_settings(&server, &["of another application"]))],
    )
    .await;

    assert!(service.opens_nothing(bare).await && foreign.opens_nothing(&old).await);
    service.import(&old).await;
    assert_eq!(foreign.rejections("flask_session").await, [("BAD_SIGNATURE".to_owned(), 1)].into());
}

#[tokio::test]
async fn after_a_revocation_no_record_is_imported_because_its_age_is_unknown() {
    let server = RedisServer::start();
    let [imported, late] = legacy_sessions(&server, false);
    let by_subject = service_on(StoreKind::Memory, &server).await;
    let (id, token) = by_subject.import(&imported).await;
    assert_eq!(by_subject.revoke_subject("anna", &id).await, 0);
    assert!(by_subject.opens_nothing(&late).await && by_subject.is_live(&token).await);
    assert_eq!(by_subject.import(&imported).await, (id, token));

    let by_app = service_on(StoreKind::Redis, &server).await;
    by_app.revoke_app("").await;
    by_app.clock.advance(DAY);
    assert!(by_app.opens_nothing(&imported).await && by_app.opens_nothing(&late).await);
}

#[tokio::test]
async fn apps_with_the_same_legacy_redis_share_its_connections() {
    let server = RedisServer::start();
    let names: Vec<String> = (0..100).map(|number| format!("app{number}")).collect();
    let apps = names.iter().map(|name| records_settings(&server, &[]).build(name).unwrap());
    let service = TestService::new(StoreKind::Memory).await;
    service.inner.replace_apps(&apps.clone().collect());
    service.inner.replace_apps(&apps.collect());

    for name in &names {
        let open =
            OpenSessionRequest { app: name.clone(), ..open_cookie("session=8b0c1a2e-0000-4000-8000-000000000000") };
        service.open(open).await;
    }

    let clients = server.cli(&["info", "clients"]);
    let connected = clients.lines().find_map(|line| line.strip_prefix("connected_clients:")).unwrap();
    assert!(connected.trim().parse::<u32>().unwrap() <= 5, "{connected} connections");
}
