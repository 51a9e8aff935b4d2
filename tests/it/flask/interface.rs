//! Flask's session interface: each member, and responses that were recorded from Flask.
//!
//! Deliberate differences are listed with reasons in `docs/flask-differences.md`.

use std::time::Duration;

use cloakroom::app::{self, CookieSettings, SameSiteSetting};
use cloakroom::grpc::wire::{Changes, Header, Outcome, SaveSessionRequest, save_session_request::Credential};
use cloakroom::types::Time;
use tonic::Code;

use crate::support::calls::{
    ChangesExt as _, open_cookie, reason, refused, save, save_cookie, save_unmodified, set_cookies, varies,
};
use crate::support::policy::{open_in, save_in};
use crate::support::{StoreKind, TestService, app_settings};

/// The cookie of a browser before a request.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    /// The cookie of the session `{"a": 1}`.
    Entry,
    /// The cookie of a permanent session, a day old.
    Permanent,
    /// A cookie that does not verify.
    Forged,
}

/// The use that a request makes of its session.
#[derive(Clone)]
enum Use {
    Nothing,
    Read,
    Write(Changes),
}

/// The effect of a response on the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Nothing,
    Vary,
    Set,
    /// Sets the cookie with this expiry.
    SetUntil(&'static str),
    Delete,
}

#[apply(on_every_store)]
async fn responses_equal_those_of_flask(store: StoreKind) {
    let write = |changes: Changes| Use::Write(changes);
    let new = Changes::default;
    let february = Effect::SetUntil("Wed, 01 Feb 2040 00:00:00 GMT");
    let refreshed = Effect::SetUntil("Thu, 02 Feb 2040 00:00:00 GMT");
    let matrix = [
        (Before::Nothing, Use::Nothing, Effect::Nothing),
        (Before::Entry, Use::Nothing, Effect::Nothing),
        (Before::Forged, Use::Nothing, Effect::Nothing),
        (Before::Permanent, Use::Nothing, refreshed),
        (Before::Nothing, Use::Read, Effect::Vary),
        (Before::Entry, Use::Read, Effect::Vary),
        (Before::Forged, Use::Read, Effect::Vary),
        (Before::Permanent, Use::Read, refreshed),
        // session["a"] = 1, without a cookie and with an invalid one.
        (Before::Nothing, write(new().set("a", "1")), Effect::Set),
        (Before::Forged, write(new().set("a", "1")), Effect::Set),
        // The same value again, and session.update({}). Flask sends the cookie, because it holds the data. Here the
        // browser has this cookie already, and a late response would replace that of a login in the meantime.
        (Before::Entry, write(new().set("a", "1")), Effect::Vary),
        (Before::Entry, write(new()), Effect::Vary),
        (Before::Nothing, write(new()), Effect::Delete),
        (Before::Permanent, write(new().set("a", "1")), refreshed),
        // session.permanent = True, = False. Flask sends a cookie that holds nothing but this. Here nothing is stored, or
        // each request of a bot would leave a session in an application that sets it before every request.
        (Before::Nothing, write(new().permanent(true)), Effect::Vary),
        (Before::Nothing, write(new().permanent(false)), Effect::Vary),
        (Before::Nothing, write(new().set("_permanent", "true")), Effect::Vary),
        (Before::Nothing, write(new().set("_permanent", "false")), Effect::Vary),
        (Before::Nothing, write(new().set("a", "1").permanent(true)), february),
        (Before::Permanent, write(new().permanent(false)), Effect::Set),
        // session.clear(), and pop() of the last key
        (Before::Nothing, write(new().clear()), Effect::Delete),
        (Before::Forged, write(new().clear()), Effect::Delete),
        (Before::Entry, write(new().clear()), Effect::Delete),
        (Before::Permanent, write(new().clear()), Effect::Delete),
        (Before::Entry, write(new().unset("a")), Effect::Delete),
        (Before::Permanent, write(new().unset("a").unset("_permanent")), Effect::Delete),
        (Before::Entry, write(new().clear().set("b", "2")), Effect::Set),
    ];

    let flask = TestService::with_apps(store, [("default", flask_settings())]).await;
    for (row, (before, used, effect)) in matrix.into_iter().enumerate() {
        flask.clock.set(new_year());
        assert_response(&flask, before, used, effect, row).await;
    }
}

/// Checks one row in every way that a client can choose: by the headers of the open, by a save with the token of the
/// open, and by a save without an open.
async fn assert_response(service: &TestService, before: Before, used: Use, effect: Effect, row: usize) {
    let cookie = cookie(service, before).await;
    let opened = service.open(open_cookie(&cookie)).await;
    let token = opened.session.as_ref().unwrap().token.clone();
    let accessed = !matches!(used, Use::Nothing);
    let changes = match &used {
        Use::Nothing => None,
        Use::Read => None,
        Use::Write(changes) => Some(changes.clone()),
    };
    let by = |credential| SaveSessionRequest {
        credential: Some(credential),
        changes: changes.clone(),
        accessed,
        ..Default::default()
    };
    match used {
        Use::Nothing => assert_eq!(cookie_effect(&opened.untouched_headers), effect, "row {row}, untouched"),
        Use::Read => assert_eq!(cookie_effect(&opened.read_headers), effect, "row {row}, read"),
        Use::Write(_) => {}
    }
    let saved = service.save(by(Credential::Token(token))).await;
    assert_eq!(cookie_effect(&saved.headers), effect, "row {row}, saved by token");

    // Without a valid cookie this save creates another session; with one it is comparable only if nothing was written.
    if !matches!((before, &changes), (Before::Entry | Before::Permanent, Some(_))) {
        let saved = service.save(by(Credential::CookieHeader(cookie))).await;
        assert_eq!(cookie_effect(&saved.headers), effect, "row {row}, saved by cookie");
    }
}

async fn cookie(service: &TestService, before: Before) -> String {
    let token = match before {
        Before::Nothing => return String::new(),
        Before::Forged => return "session=eyJhIjoxfQ.ZVPxAA.kLN1Gx0L6rY_ztgI9I8kkga4vjo".to_owned(),
        Before::Entry => service.stored(&[("a", "1")]).await,
        Before::Permanent => {
            let token = service.stored(&[("a", "1"), ("_permanent", "true")]).await;
            service.advance(Duration::from_secs(86_400));
            token
        }
    };
    format!("session={token}")
}

/// Returns the effect of headers on a cookie `session` with Flask's default attributes; panics at any other cookie.
fn cookie_effect(headers: &[Header]) -> Effect {
    let (cookies, vary) = (set_cookies(headers), varies(headers));
    assert_eq!(headers.len(), cookies.len() + usize::from(vary));
    let Some(cookie) = cookies.first() else { return if vary { Effect::Vary } else { Effect::Nothing } };
    assert!(vary && cookies.len() == 1, "a cookie without Vary, or two");
    if *cookie == "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/" {
        return Effect::Delete;
    }
    let rest = cookie.strip_prefix("session=v1.").expect("the cookie is a token");
    match rest.split_once("; ").expect("the cookie has attributes").1 {
        "HttpOnly; Path=/" => Effect::Set,
        "Expires=Wed, 01 Feb 2040 00:00:00 GMT; HttpOnly; Path=/" => Effect::SetUntil("Wed, 01 Feb 2040 00:00:00 GMT"),
        "Expires=Thu, 02 Feb 2040 00:00:00 GMT; HttpOnly; Path=/" => Effect::SetUntil("Thu, 02 Feb 2040 00:00:00 GMT"),
        other => panic!("strange attributes: {other}"),
    }
}

#[apply(on_every_store)]
async fn without_refresh_each_request_a_permanent_cookie_is_not_sent_again(store: StoreKind) {
    let settings = app::Settings { refresh_each_request: false, ..flask_settings() };
    let service = service_at_new_year(store, settings).await;
    let cookie = cookie(&service, Before::Permanent).await;

    let opened = service.open(open_cookie(&cookie)).await;
    let read = service.save(SaveSessionRequest { changes: None, ..save_cookie(&cookie, Changes::default()) }).await;
    let written = service.save(save_cookie(&cookie, Changes::default().set("b", "2"))).await;

    assert_eq!(cookie_effect(&opened.untouched_headers), Effect::Nothing);
    assert_eq!(cookie_effect(&opened.read_headers), Effect::Vary);
    assert_eq!(cookie_effect(&read.headers), Effect::Vary);
    assert_eq!(cookie_effect(&written.headers), Effect::SetUntil("Thu, 02 Feb 2040 00:00:00 GMT"));
}

#[apply(on_every_store)]
async fn a_deletion_repeats_every_attribute(store: StoreKind) {
    let service = TestService::with_apps(store, [("default", every_option())]).await;
    let ticket = service.open_new().await.token;
    let set = service.save(save(&ticket, Changes::default().set("a", "1"))).await;
    let token = set.session.unwrap().token;

    let emptied = service.save(save(&token, Changes::default().unset("a"))).await;

    let attributes = "Secure; HttpOnly; Path=/p; SameSite=Lax; Partitioned";
    assert_eq!(set_cookies(&set.headers), [format!("session={token}; Domain=example.com; {attributes}")]);
    assert_eq!(
        set_cookies(&emptied.headers),
        [format!("session=; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; {attributes}")]
    );
    assert_eq!(set_cookies(&service.destroy(&token).await.headers), set_cookies(&emptied.headers));
}

#[apply(on_every_store)]
async fn a_session_with_only_permanent_false_stays_stored(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1"), ("_permanent", "false")]).await;

    let saved = service.save(save(&token, Changes::default().unset("a"))).await;

    assert_eq!(saved.outcome(), Outcome::Updated);
    let session = service.open_cookie(&saved.session.unwrap().token).await.session.unwrap();
    assert!(!session.new);
    assert_eq!(session.permanent, Some(false));
    assert!(session.entries.is_empty(), "`_permanent` is not an entry");
}

#[tokio::test]
async fn should_set_cookie_if_modified_or_permanent_and_refreshed() {
    let lazy = app::Settings { refresh_each_request: false, ..app_settings() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("lazy", lazy)]).await;

    let table =
        [(false, false, false, false), (true, false, true, true), (false, true, true, false), (true, true, true, true)];

    for (modified, permanent, eager, lazy) in table {
        assert_eq!(service.should_set_cookie("default", modified, permanent).await, eager);
        assert_eq!(service.should_set_cookie("", modified, permanent).await, eager);
        assert_eq!(service.should_set_cookie("lazy", modified, permanent).await, lazy);
    }
}

#[tokio::test]
async fn the_expiration_time_is_set_for_a_permanent_session() {
    let week = app::Settings { idle_timeout: Duration::from_secs(7 * 86_400), ..app_settings() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("week", week)]).await;
    service.clock.set(new_year());

    let (default, week) = (service.expiration_time("", true).await, service.expiration_time("week", true).await);

    assert_eq!(default.unwrap().seconds, 2_208_988_800 + 31 * 86_400);
    assert_eq!(week.unwrap().seconds, 2_208_988_800 + 7 * 86_400);
    assert!(service.expiration_time("", false).await.is_none());
}

#[tokio::test]
async fn the_policy_has_the_cookie_settings() {
    let service =
        TestService::with_apps(StoreKind::Memory, [("default", flask_settings()), ("every", every_option())]).await;

    let (plain, every) = (service.policy("").await, service.policy("every").await);

    assert_eq!(
        (plain.app.as_str(), plain.cookie_name.as_str(), plain.cookie_path.as_str()),
        ("default", "session", "/")
    );
    assert_eq!((plain.cookie_domain.as_str(), plain.cookie_samesite.as_str()), ("", ""));
    assert!(plain.cookie_httponly && !plain.cookie_secure && !plain.cookie_partitioned && plain.refresh_each_request);
    assert_eq!((every.cookie_domain.as_str(), every.cookie_path.as_str()), ("example.com", "/p"));
    assert_eq!(every.cookie_samesite, "Lax");
    assert!(every.cookie_httponly && every.cookie_secure && every.cookie_partitioned);
    assert!(!plain.pickle_based && !every.pickle_based);
    assert!(plain.null_session.is_none() && every.null_session.is_none());
}

#[tokio::test]
async fn the_policy_has_lifetimes_and_limits() {
    let seconds = Duration::from_secs;
    let mut settings = app::Settings { subject_key: "_user_id".to_owned(), ..app_settings() };
    (settings.idle_timeout, settings.absolute_timeout, settings.rotation_grace) =
        (seconds(600), seconds(3600), seconds(5));
    (settings.limits.max_entries, settings.limits.max_session_bytes) = (7, 2048);
    let service = TestService::with_apps(StoreKind::Memory, [("default", settings)]).await;

    let policy = service.policy("default").await;

    assert_eq!(policy.kind, i32::from(cloakroom::grpc::wire::AppKind::Stored));
    let anonymous = [policy.anonymous_idle_timeout, policy.anonymous_absolute_timeout];
    assert_eq!(anonymous, [policy.idle_timeout, policy.absolute_timeout]);
    let durations = [policy.idle_timeout, policy.absolute_timeout, policy.rotation_grace];
    assert_eq!(durations.map(|duration| duration.unwrap().seconds), [600, 3600, 5]);
    assert_eq!((policy.max_entries, policy.max_session_bytes), (7, 2048));
    assert_eq!(policy.subject_key, "_user_id");
}

#[tokio::test]
async fn an_app_without_a_key_has_null_sessions_with_advice() {
    let service =
        TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("bare", app::Settings::default())])
            .await;

    let opened = service.open(open_in("bare", open_cookie("session=x"))).await;
    let made = service.null_session("bare").await;
    let policy = service.policy("bare").await.null_session.unwrap();

    let session = opened.session.unwrap();
    let null = session.null_session.unwrap();
    assert_eq!(null.reason, "NO_KEY");
    assert!(null.message.contains("cloakroom keygen") && null.message.contains("keys"), "{}", null.message);
    assert!(session.id.is_empty() && session.token.is_empty() && session.entries.is_empty() && !session.new);
    assert!(opened.read_headers.is_empty() && opened.untouched_headers.is_empty());
    assert!(made.null_session.unwrap() == null && policy == null);
}

#[tokio::test]
async fn an_app_without_a_key_saves_nothing() {
    let service =
        TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("bare", app::Settings::default())])
            .await;
    let token = service.stored(&[("a", "1")]).await;
    let changes = || Changes::default().set("a", "2");

    let refusals = [
        refused(service.try_save(save_in("bare", save(&token, changes()))).await),
        refused(service.try_save(save_in("bare", save_cookie("", changes()))).await),
        refused(service.try_save(save_in("bare", save_unmodified(&token))).await),
    ];

    for status in refusals {
        assert_eq!(reason(&status), (Code::FailedPrecondition, "NULL_SESSION".to_owned()));
        assert!(status.message().contains("cloakroom keygen"));
    }
}

#[tokio::test]
async fn an_app_with_a_key_can_make_a_null_session() {
    let service = TestService::new(StoreKind::Memory).await;

    let session = service.null_session("").await;

    assert_eq!(session.null_session.unwrap().reason, "NONE");
    assert!(session.id.is_empty() && session.token.is_empty() && !session.new);
}

/// Starts a service in the first second of 2040, so that dates are known and not in the past of Redis.
async fn service_at_new_year(store: StoreKind, settings: app::Settings) -> TestService {
    let service = TestService::with_apps(store, [("default", settings)]).await;
    service.clock.set(new_year());
    service
}

fn new_year() -> Time {
    Time::from_millis(2_208_988_800_000)
}

/// Settings with Flask's defaults.
fn flask_settings() -> app::Settings {
    let cookie = CookieSettings { samesite: SameSiteSetting::Absent, ..Default::default() };
    app::Settings { cookie, ..app_settings() }
}

/// Settings of a cookie with every attribute.
fn every_option() -> app::Settings {
    let cookie = CookieSettings {
        domain: "example.com".to_owned(),
        path: "/p".to_owned(),
        secure: true,
        samesite: SameSiteSetting::Lax,
        partitioned: true,
        ..Default::default()
    };
    app::Settings { cookie, ..app_settings() }
}
