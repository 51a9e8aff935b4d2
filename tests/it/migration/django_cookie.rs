//! The import of Django's signed cookies: once, with all entries, and only by a valid signature.
//!
//! What holds for the cookies of every framework is in `races`, `revocation` and `session_end`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::app::{CookieSettings, LimitSettings};
use cloakroom::django::COOKIE_SALT;
use cloakroom::grpc::wire::{Changes, Outcome};
use cloakroom::token::Key;
use serde_json::Value;

use super::*;
use crate::support::calls::{ChangesExt as _, save, save_cookie};
use crate::support::sessions::{MINUTE, SECOND, millis};

/// An app that imports Django's cookies, with these settings of the source.
fn django_settings(django_cookie: DjangoCookieSettings) -> app::Settings {
    let mut settings = CookieSource::Django.settings();
    settings.subject_key = "_auth_user_id".to_owned();
    settings.migrate.django_cookie =
        DjangoCookieSettings { keys: vec![KEY.to_owned().into()], lifetime: LIFETIME, ..django_cookie };
    settings
}

async fn django_service(store: StoreKind) -> TestService {
    TestService::with_apps(store, [("default", django_settings(DjangoCookieSettings::default()))]).await
}

/// A cookie that Django signs now, with these entries.
fn sign(service: &TestService, entries: &[(&str, &str)]) -> String {
    CookieSource::Django.sign(service, entries)
}

#[apply(on_every_store)]
async fn the_first_request_imports_everything_in_the_cookie(store: StoreKind) {
    let service = django_service(store).await;
    let values = [
        ("_auth_user_id", r#""17""#),
        ("_auth_user_hash", r#""c0ffee""#),
        ("_messages", r#""[[\"__json_message\",0,25,\"Gr\\u00fc\\u00dfe\",\"\"]]""#),
        ("cart", "[1,2.50,{\"z\":1e+16,\"a\":null}]"),
    ];
    let old = sign(&service, &values);

    let (opened, session) = service.open_value(&old).await;

    assert_eq!((session.subject.as_str(), session.permanent, session.new), ("17", Some(true), false));
    assert_eq!(millis(&session.create_time), service.clock.now().millis());
    assert_eq!(session.authenticate_time, None, "the time of the login is unknown");
    let [cookie] = set_cookies(&opened.read_headers)[..] else { panic!("one cookie is set") };
    assert!(cookie.starts_with(&format!("session={};", session.token)) && cookie.contains("Expires"), "{cookie}");
    let mut values = values;
    values.sort_unstable();
    assert_eq!(entries(session.clone()), pairs(&values), "the text of each value stays as it is");
    assert_eq!(entries(service.session(&session.token).await), pairs(&values));
    assert_eq!(service.ids_of("17").await, [session.id]);
}

#[apply(on_every_store)]
async fn a_second_request_with_the_legacy_cookie_finds_the_same_session(store: StoreKind) {
    let service = django_service(store).await;
    let old = sign(&service, &[("a", "1")]);
    let (id, token) = service.import(&old).await;
    service.update(&token, Changes::default().set("b", "2")).await;

    let again = service.import(&old).await;
    let mut rotated = django_settings(DjangoCookieSettings::default());
    rotated.keys = vec![Key::generate().into()];
    let by_another_key = service.with_settings(&rotated).await.import(&old).await;

    assert_eq!(again, (id.clone(), token.clone()));
    assert!(by_another_key.0 == id && by_another_key.1 != token);
    assert_eq!(entries(service.open_value(&old).await.1), pairs(&[("a", "1"), ("b", "2")]));
    let migration = service.migration("django_cookie").await;
    assert_eq!((migration.imported, migration.found), (1, 2));
}

/// Not on Redis, which does not know that it is 2023.
#[tokio::test]
async fn the_cookies_of_a_real_django_are_imported() {
    let vectors: Value = serde_json::from_str(include_str!("../django/vectors.json")).unwrap();
    let mut settings = django_settings(DjangoCookieSettings::default());
    let keys = vectors["meta"]["secret_keys"].as_array().unwrap();
    settings.migrate.django_cookie.keys = keys.iter().map(|key| key.as_str().unwrap().to_owned().into()).collect();
    let service = TestService::with_apps(StoreKind::Embedded, [("default", settings)]).await;
    service.clock.set(Time::from_seconds(1_700_000_060));

    for name in ["login", "of_a_fallback_key", "compressed", "unicode", "scalars", "tuple", "lone_surrogate"] {
        let vector = vectors["cookies"].as_array().unwrap().iter().find(|vector| vector["name"] == name).unwrap();
        let (_, session) = service.open_value(vector["cookie"].as_str().unwrap()).await;

        let loaded: BTreeMap<String, String> = serde_json::from_value(vector["loaded"].clone()).unwrap();
        assert_eq!(session.subject, if name == "login" { "1" } else { "" });
        assert_eq!(entries(session), loaded.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[apply(on_every_store)]
async fn a_forged_expired_or_foreign_cookie_opens_nothing(store: StoreKind) {
    let service = django_service(store).await;
    let now = Time::from_seconds(service.clock.now().seconds());
    service.clock.set(now);
    let good = sign(&service, &[("a", "1")]);
    let payload = |bytes: &[u8]| django::sign(KEY, COOKIE_SALT, &URL_SAFE_NO_PAD.encode(bytes), now);
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(128), "]".repeat(128));
    let nothing = [
        format!("x{good}"),
        format!("{}:{}", &good[..good.rfind(':').unwrap()], "A".repeat(43)),
        django::cookie("of another application", r#"{"a":1}"#, now),
        django::row(KEY, r#"{"a":1}"#, now),
        django::cookie(KEY, r#"{"a":1}"#, now.before(LIFETIME + SECOND)),
        django::cookie(KEY, r#"{"a":1}"#, now + 61 * SECOND),
        django::cookie(KEY, "{}", now),
        "a:b:c".to_owned(),
        format!("{good}="),
        payload(br#"["a"]"#),
        payload(br#"{"a":NaN}"#),
        payload(deep.as_bytes()),
        payload(b"\x80\x05\x95\x0b\0\0\0\0\0\0\0}\x94."),
    ];

    for old in &nothing {
        assert!(service.opens_nothing(old).await, "{old}");
    }

    assert!(!service.opens_nothing(&django::cookie(KEY, r#"{"a":1}"#, now.before(LIFETIME))).await);
    let counted = [("BAD_SIGNATURE", 4), ("EXPIRED", 1), ("FROM_THE_FUTURE", 1), ("MALFORMED", 5), ("PICKLE", 1)];
    assert_eq!(service.rejections("django_cookie").await, counted.map(|(why, n)| (why.to_owned(), n)).into());
    assert_eq!(service.migration("django_cookie").await.imported, 1);
}

#[apply(on_every_store)]
async fn a_session_has_the_expiry_that_the_application_has_set(store: StoreKind) {
    let service = django_service(store).await;
    let now = service.clock.now();
    let table = [
        ("300".to_owned(), 300 * SECOND, true),
        (isoformat(now + 2 * MINUTE), 2 * MINUTE, true),
        ("0".to_owned(), 31 * DAY, false),
        ("null".to_owned(), 31 * DAY, true),
        ("31536000".to_owned(), 31 * DAY, true),
    ];

    for (expiry, left, permanent) in table {
        let old = sign(&service, &[("_session_expiry", &expiry)]);
        let (opened, session) = service.open_value(&old).await;

        assert_eq!(session.permanent, Some(permanent), "{expiry}");
        assert_eq!(millis(&session.expire_time), (now + left).millis(), "{expiry}");
        assert_eq!(set_cookies(&opened.read_headers)[0].contains("Expires"), permanent, "{expiry}");
        assert_eq!(entries(session), pairs(&[("_session_expiry", &expiry)]), "the entry stays");
    }
}

#[apply(on_every_store)]
async fn a_session_that_its_expiry_has_ended_is_not_imported(store: StoreKind) {
    let service = django_service(store).await;
    let now = service.clock.now();
    let [by_time, by_age, used] = [
        sign(&service, &[("_session_expiry", &isoformat(now + MINUTE)), ("n", "1")]),
        sign(&service, &[("_session_expiry", "60"), ("n", "2")]),
        sign(&service, &[("_session_expiry", "60"), ("n", "3")]),
    ];
    let over = sign(&service, &[("_session_expiry", "-10")]);
    let (_, token) = service.import(&used).await;
    assert!(service.opens_nothing(&over).await);

    service.advance(59 * SECOND);
    assert!(service.is_live(&token).await);
    service.advance(2 * SECOND);

    assert!(service.opens_nothing(&by_time).await && service.opens_nothing(&by_age).await);
    assert!(service.is_live(&token).await, "it was used within its time");
    assert!(service.opens_nothing(&used).await, "but its legacy cookie is too old");
    service.advance(61 * SECOND);
    assert!(!service.is_live(&token).await);
    assert_eq!(service.rejections("django_cookie").await, [("EXPIRED".to_owned(), 4)].into());
}

#[apply(on_every_store)]
async fn sessions_can_end_with_the_browser_by_a_setting(store: StoreKind) {
    let settings = django_settings(DjangoCookieSettings { expire_at_browser_close: true, ..Default::default() });
    let service = TestService::with_apps(store, [("default", settings)]).await;

    let (opened, session) = service.open_value(&sign(&service, &[("a", "1")])).await;
    let (_, with_expiry) = service.open_value(&sign(&service, &[("_session_expiry", "600")])).await;

    assert_eq!((session.permanent, with_expiry.permanent), (Some(false), Some(true)));
    assert!(!set_cookies(&opened.read_headers)[0].contains("Expires"));
}

#[apply(on_every_store)]
async fn a_clock_that_is_a_little_ahead_is_no_reason_to_refuse(store: StoreKind) {
    let service = django_service(store).await;
    let ahead =
        |n: u32| django::cookie(KEY, &format!(r#"{{"_auth_user_id":"7","n":{n}}}"#), service.clock.now() + MINUTE);
    let [imported, at_once, late] = [1, 2, 3].map(ahead);
    let (_, token) = service.import(&imported).await;
    service.advance(SECOND);

    assert_eq!(service.revoke_subject("7", "").await, 1);

    assert!(service.opens_nothing(&imported).await && !service.is_live(&token).await);
    assert!(service.opens_nothing(&at_once).await, "an import during the revocation does not survive it");
    service.advance(SECOND);
    // It says that it was signed after the revocation, and nothing says otherwise.
    service.import(&late).await;
}

#[apply(on_every_store)]
async fn a_login_ends_the_legacy_cookie(store: StoreKind) {
    let service = django_service(store).await;
    let old = sign(&service, &[("_csrftoken", "\"x\"")]);
    let (id, token) = service.import(&old).await;

    let logged_in = service.save(save(&token, Changes::default().set("_auth_user_id", "\"7\""))).await;

    let (opened, session) = service.open_value(&old).await;
    assert!(session.new && session.id != id && set_cookies(&opened.read_headers).is_empty());
    let saved = service.save(save_cookie(&format!("session={old}"), Changes::default().set("b", "1"))).await;
    assert_eq!((saved.outcome(), set_cookies(&saved.headers).len()), (Outcome::Created, 0));
    assert!(service.is_live(&logged_in.session.unwrap().token).await);
}

#[apply(on_every_store)]
async fn limits_apply_to_the_first_save_that_adds_to_an_import(store: StoreKind) {
    let limits = LimitSettings { max_entries: 2, max_session_bytes: 1024 };
    let settings = app::Settings { limits, ..django_settings(DjangoCookieSettings::default()) };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    let name = "n".repeat(300);

    let (_, token) = service.import(&sign(&service, &[("a", "1"), ("b", "2"), ("", "4"), (&name, "5")])).await;

    assert_eq!(entries(service.session(&token).await), pairs(&[("", "4"), ("a", "1"), ("b", "2"), (&name, "5")]));
    assert_eq!(service.refusal(save(&token, Changes::default().set("d", "1"))).await.1, "TOO_MANY_ENTRIES");
}

#[apply(on_every_store)]
async fn a_migration_source_can_have_its_own_cookie(store: StoreKind) {
    let source = DjangoCookieSettings { cookie_name: "sessionid".to_owned(), ..Default::default() };
    let cookie = CookieSettings { name: "sid".to_owned(), ..Default::default() };
    let settings = app::Settings { cookie, ..django_settings(source) };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    let old = sign(&service, &[("a", "1")]);

    let elsewhere = service.open(open_cookie(&format!("sid={old}"))).await.session.unwrap();
    let session = service.open(open_cookie(&format!("csrftoken=x; sessionid={old}"))).await.session.unwrap();
    let destroyed = service.destroy_header(&format!("sessionid={old}; sid={}", session.token)).await;

    assert!(elsewhere.new && !session.new);
    let deleted = set_cookies(&destroyed.headers);
    assert!(deleted[0].starts_with("sid=;") && deleted[1].starts_with("sessionid=;"), "{deleted:?}");
    assert_eq!(service.policy("default").await.legacy_cookie_names, ["sessionid"]);
    assert!(service.open(open_cookie(&format!("sessionid={old}"))).await.session.unwrap().new);
}

#[tokio::test]
async fn the_policy_names_no_cookie_of_a_source_that_has_the_apps_own_name() {
    let source = DjangoCookieSettings { cookie_name: "session".to_owned(), ..Default::default() };
    let settings = [("default", django_settings(source)), ("other", app_settings())];

    let service = TestService::with_apps(StoreKind::Memory, settings).await;

    assert!(service.policy("default").await.legacy_cookie_names.is_empty());
    assert!(service.policy("other").await.legacy_cookie_names.is_empty(), "it moves from nowhere");
}

#[apply(on_every_store)]
async fn an_app_can_move_from_flask_and_from_django_at_once(store: StoreKind) {
    let mut both = django_settings(DjangoCookieSettings::default());
    both.migrate.flask_cookie.keys = vec![KEY.to_owned().into()];
    let service = TestService::with_apps(store, [("default", both)]).await;
    let [of_flask, of_django] = [service.sign_now(&[("a", "1")]), sign(&service, &[("a", "1")])];

    let ids = [service.import(&of_flask).await.0, service.import(&of_django).await.0];
    assert!(
        service.opens_nothing(&format!("x{of_flask}")).await && service.opens_nothing(&format!("x{of_django}")).await
    );

    assert_ne!(ids[0], ids[1]);
    for source in ["flask_cookie", "django_cookie"] {
        assert_eq!(service.migration(source).await.imported, 1, "{source}");
        assert_eq!(service.rejections(source).await, [("BAD_SIGNATURE".to_owned(), 1)].into(), "{source}");
    }
}

/// A time as JSON text, as Python's `isoformat` writes it.
fn isoformat(time: Time) -> String {
    format!("\"{}\"", cloakroom::types::timestamp::text(time).replace('Z', "+00:00"))
}
