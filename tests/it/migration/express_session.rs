//! The import of express-session's sessions from the Redis of connect-redis, which is only read.

use cloakroom::app::ExpressSessionSettings;
use cloakroom::grpc::wire::{Changes, Outcome};

use super::*;
use crate::express::{REFUSED, Vector, vectors};
use crate::support::calls::{ChangesExt as _, open_cookie};
use crate::support::redis::RedisServer;
use crate::support::sessions::{HOUR, MINUTE, SECOND, millis};

/// An app that imports records from this Redis.
fn express_settings(server: &RedisServer, key_prefix: &str) -> app::Settings {
    let keys = vectors().meta.secrets.into_iter().map(Into::into).collect();
    let mut settings = settings();
    settings.migrate.flask_cookie = FlaskCookieSettings::default();
    settings.migrate.subject_path = "passport.user".to_owned();
    settings.migrate.express_session = ExpressSessionSettings {
        url: Some(server.url().into()),
        keys,
        key_prefix: key_prefix.to_owned(),
        ..Default::default()
    };
    app::Settings { subject_key: String::new(), ..settings }
}

/// A service at the time at which the vectors were written.
async fn service_on(store: StoreKind, server: &RedisServer) -> TestService {
    let service = TestService::with_apps(store, [("default", express_settings(server, "sess:"))]).await;
    service.clock.set(Time::from_seconds(vectors().meta.now));
    service
}

/// Stores a record as connect-redis does. Returns the vector.
fn store_record(server: &RedisServer, name: &str) -> Vector {
    let vector = vectors().sessions.into_iter().find(|vector| vector.name == name).unwrap();
    server.cli(&["set", &vector.key, &vector.value]);
    if let Some(seconds) = vector.seconds {
        server.cli(&["expire", &vector.key, &seconds.to_string()]);
    }
    vector
}

impl TestService {
    /// Opens by a cookie of express-session.
    async fn open_express(&self, vector: &Vector) -> (OpenSessionResponse, Session) {
        let mut opened = self.open(open_cookie(&format!("a=b; connect.sid={}", vector.cookie))).await;
        let session = opened.session.take().unwrap();
        (opened, session)
    }

    async fn express_opens_nothing(&self, vector: &Vector) -> bool {
        let (opened, session) = self.open_express(vector).await;
        session.new && session.entries.is_empty() && set_cookies(&opened.read_headers).is_empty()
    }
}

#[tokio::test]
async fn the_records_of_the_real_packages_are_imported_or_refused() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server).await;
    let other = TestService::with_apps(StoreKind::Memory, [("default", express_settings(&server, "shop:"))]).await;
    for vector in vectors().sessions {
        let vector = store_record(&server, &vector.name);
        let service = if vector.name == "other_prefix" { &other } else { &service };

        let (opened, session) = service.open_express(&vector).await;

        let Some(loaded) = vector.loaded.filter(|_| vector.name != REFUSED) else {
            assert!(session.new, "{}", vector.name);
            continue;
        };
        assert_eq!(set_cookies(&opened.untouched_headers).len(), 1, "{}", vector.name);
        assert_eq!(session.subject, if loaded.contains_key("passport") { "anna" } else { "" }, "{}", vector.name);
        assert_eq!(entries(session), loaded.into_iter().collect::<Vec<_>>(), "{}", vector.name);
    }

    let refused = service.rejections("express_session").await;
    assert_eq!(refused, [("BAD_SIGNATURE".to_owned(), 1), ("MALFORMED".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_record_of_express_session_is_imported_once_and_not_changed() {
    let server = RedisServer::start();
    let old = store_record(&server, "max_age");
    let read = || [["get", old.key.as_str()], ["pexpiretime", &old.key]].map(|command| server.cli(&command));
    let before = read();
    let service = service_on(StoreKind::Embedded, &server).await;

    let (_, first) = service.open_express(&old).await;
    service.update(&first.token, Changes::default().set("n", "5")).await;
    let (_, again) = service.open_express(&old).await;

    assert_eq!((&again.id, &again.token), (&first.id, &first.token));
    assert_eq!(entries(again), pairs(&[("n", "5"), ("passport", r#"{"user":"anna"}"#)]));
    assert_eq!(read(), before);
    let stats = service.migration("express_session").await;
    assert_eq!((stats.imported, stats.found), (1, 1));
}

#[tokio::test]
async fn the_max_age_of_a_cookie_becomes_the_idle_timeout() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server).await;
    let now = service.clock.now();
    for (name, permanent, idle_timeout) in
        [("with_the_browser", false, app_settings().idle_timeout), ("max_age", true, DAY), ("expires", true, 2 * DAY)]
    {
        let (_, session) = service.open_express(&store_record(&server, name)).await;

        assert_eq!(session.permanent, Some(permanent), "{name}");
        assert_eq!(millis(&session.expire_time), (now + idle_timeout).millis(), "{name}");
    }
}

#[tokio::test]
async fn a_record_that_redis_does_not_expire_ends_when_its_cookie_does() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server).await;
    let old = store_record(&server, "without_expiry_in_redis");
    let expiring = store_record(&server, "max_age");
    service.advance(DAY + SECOND);

    assert!(service.express_opens_nothing(&old).await);

    assert_eq!(service.rejections("express_session").await, [("EXPIRED".to_owned(), 1)].into());
    // A use has moved the end of this one, which connect-redis writes to Redis only.
    assert!(!service.express_opens_nothing(&expiring).await);
}

#[apply(on_every_store)]
async fn a_logout_ends_a_session_of_express_session(store: StoreKind) {
    let server = RedisServer::start();
    let [old, never] = ["max_age", "with_the_browser"].map(|name| store_record(&server, name));
    for record in [&old, &never] {
        server.cli(&["persist", &record.key]);
    }
    let service = service_on(store, &server).await;
    let (_, session) = service.open_express(&old).await;

    service.destroy(&session.token).await;
    let destroyed = service.destroy_header(&format!("connect.sid={}", never.cookie)).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    for after in [SECOND, 20 * MINUTE, 30 * DAY] {
        service.advance(after);
        service.store.sweep(service.clock.now()).await.unwrap();
        assert!(service.express_opens_nothing(&old).await && service.express_opens_nothing(&never).await);
    }
}

#[tokio::test]
async fn a_user_of_express_session_can_be_revoked_before_and_after_the_import() {
    let server = RedisServer::start();
    let [imported, late] = ["max_age", "with_the_browser"].map(|name| store_record(&server, name));
    let service = service_on(StoreKind::Redis, &server).await;
    let (_, session) = service.open_express(&imported).await;

    assert_eq!(service.revoke_subject("anna", "").await, 1);

    assert!(!service.is_live(&session.token).await);
    service.advance(HOUR);
    assert!(service.express_opens_nothing(&imported).await && service.express_opens_nothing(&late).await);
}

#[tokio::test]
async fn an_unsigned_id_or_one_that_is_not_stored_opens_nothing() {
    let server = RedisServer::start();
    let service = service_on(StoreKind::Memory, &server).await;
    let stored = store_record(&server, "max_age");
    let id = stored.key.strip_prefix("sess:").unwrap().to_owned();
    let missing = vectors().sessions.into_iter().find(|vector| vector.name == "with_the_browser").unwrap();
    let unsigned = |cookie: String| Vector { cookie, ..vectors().sessions.remove(0) };

    assert!(service.express_opens_nothing(&missing).await);
    // Not shaped as a cookie of express-session; nothing is counted.
    assert!(service.express_opens_nothing(&unsigned(id.clone())).await);
    assert!(service.express_opens_nothing(&unsigned(format!("s%3A{id}"))).await);

    let refused = service.rejections("express_session").await;
    assert_eq!(refused, [("MALFORMED".to_owned(), 1), ("UNKNOWN".to_owned(), 1)].into());
}
