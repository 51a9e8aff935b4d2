//! Flask-Session's sessions come in from its Redis, which is only read.

use cloakroom::grpc::wire::{Changes, Outcome};
use serde_json::json;
use tonic::Code;

use super::real::{before, records};
use super::*;
use crate::support::calls::{ChangesExt as _, open_cookie, reason, save_cookie};
use crate::support::redis::RedisServer;
use crate::support::sessions::{MINUTE, SECOND};

/// Cookies of sessions that Flask-Session keeps there, each with an entry `n`.
fn kept<const N: usize>(server: &RedisServer, signer: bool) -> [String; N] {
    let sessions = (0..N).map(|n| json!({"n": n, "_user_id": "anna"})).collect::<Vec<_>>();
    let asked = json!({"kind": "msgpack", "signer": signer, "socket": server.socket(), "sessions": sessions});
    before(&asked).try_into().unwrap()
}

async fn service_on(on: On, server: &RedisServer) -> TestService {
    TestService::with_apps(on, [("default", records(server, &[]))]).await
}

#[tokio::test]
async fn a_record_comes_in_once_and_is_left_as_it_is() {
    let server = RedisServer::start();
    let [old] = kept(&server, false);
    let key = format!("session:{old}");
    let [value, ttl] = [["get", key.as_str()], ["pexpiretime", &key]].map(|command| server.cli(&command));
    let service = service_on(On::Embedded, &server).await;

    let (id, token) = service.moves_in(&old).await;
    service.update(&token, Changes::default().set("n", "5")).await;
    let again = service.moves_in(&old).await;

    assert_eq!(again, (id, token));
    assert_eq!(entries(service.opens(&old).await.1), pairs(&[("_user_id", "\"anna\""), ("n", "5")]));
    assert_eq!([["get", key.as_str()], ["pexpiretime", &key]].map(|command| server.cli(&command)), [value, ttl]);
    assert_eq!(service.door("flask_session").await.imported, 1);
}

#[tokio::test]
async fn who_logs_out_stays_out_though_the_record_is_still_there() {
    let server = RedisServer::start();
    let [old, never] = kept(&server, false);
    let service = service_on(On::Redis, &server).await;
    let (_, token) = service.moves_in(&old).await;

    service.destroy(&token).await;
    let destroyed = service.destroy_header(&format!("session={never}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    for after in [SECOND, 20 * MINUTE, 30 * DAY, 29 * DAY] {
        service.advance(after);
        assert!(service.is_nothing(&old).await && service.is_nothing(&never).await);
    }
}

#[tokio::test]
async fn an_outage_of_the_old_redis_is_told_and_harms_nobody_else() {
    let mut server = RedisServer::start();
    let [old, came_in] = kept(&server, false);
    let service = service_on(On::Memory, &server).await;
    let found = service.moves_in(&came_in).await;
    let token = service.stored(&[("a", "1")]).await;

    server.stop();

    let opened = service.try_open(open_cookie(&format!("session={old}"))).await.err().unwrap();
    let saved = service.try_save(save_cookie(&format!("session={old}"), Changes::default().set("a", "1"))).await;
    assert_eq!(reason(&opened), (Code::Unavailable, "STORE_UNAVAILABLE".to_owned()));
    assert_eq!(saved.err().unwrap().code(), Code::Unavailable);
    assert!(service.is_live(&token).await);
    assert_eq!(service.moves_in(&came_in).await, found);
}

#[tokio::test]
async fn what_is_no_session_of_flask_session_s_is_nothing() {
    let server = RedisServer::start();
    let service = service_on(On::Memory, &server).await;
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
        assert!(service.is_nothing(&sid(letter)).await, "{letter}");
    }
    assert!(service.is_nothing("short").await);
    assert!(service.is_nothing(&format!("{}.signature", sid("j"))).await);

    let counted = [("MALFORMED", 4), ("PICKLE", 1), ("TOO_LARGE", 1), ("UNKNOWN", 1)];
    assert_eq!(service.refused("flask_session").await, counted.map(|(why, n)| (why.to_owned(), n)).into());
}

#[tokio::test]
async fn with_a_signer_only_what_it_signed_comes_in() {
    let server = RedisServer::start();
    let [old] = kept(&server, true);
    let bare = old.split('.').next().unwrap();
    let service = TestService::with_apps(On::Memory, [("default", records(&server, &[KEY]))]).await;
    let foreign =
        TestService::with_apps(On::Memory, [("default", records(&server, &["of another application"]))]).await;

    assert!(service.is_nothing(bare).await && foreign.is_nothing(&old).await);
    service.moves_in(&old).await;
    assert_eq!(foreign.refused("flask_session").await, [("BAD_SIGNATURE".to_owned(), 1)].into());
}

#[tokio::test]
async fn after_a_revocation_no_record_comes_in_for_nobody_knows_how_old_it_is() {
    let server = RedisServer::start();
    let [came_in, late] = kept(&server, false);
    let by_subject = service_on(On::Memory, &server).await;
    let (id, token) = by_subject.moves_in(&came_in).await;
    assert_eq!(by_subject.revoke_subject("anna", &id).await, 0);
    assert!(by_subject.is_nothing(&late).await && by_subject.is_live(&token).await);
    assert_eq!(by_subject.moves_in(&came_in).await, (id, token));

    let by_app = service_on(On::Redis, &server).await;
    by_app.revoke_app("").await;
    by_app.clock.advance(DAY);
    assert!(by_app.is_nothing(&came_in).await && by_app.is_nothing(&late).await);
}
