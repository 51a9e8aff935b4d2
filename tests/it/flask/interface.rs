//! Flask's session interface, member by member, and the responses that Flask was seen to give.
//!
//! Where Cloakroom differs on purpose, `docs/flask-differences.md` says how and why.

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

/// What a browser has before a request.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// No cookie.
    Nothing,
    /// The cookie of the session `{"a": 1}`.
    Entry,
    /// The cookie of a permanent session, a day old.
    Permanent,
    /// A cookie that does not verify.
    Forged,
}

/// What a request does with its session.
#[derive(Clone)]
enum Did {
    Nothing,
    Read,
    Write(Changes),
}

/// What the response says about the cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Vary,
    Set,
    /// Set, with this expiry.
    SetUntil(&'static str),
    Delete,
}

#[apply(on_every_store)]
async fn responses_are_those_that_flask_gives(store: StoreKind) {
    let write = |changes: Changes| Did::Write(changes);
    let new = Changes::default;
    let february = Says::SetUntil("Wed, 01 Feb 2040 00:00:00 GMT");
    let refreshed = Says::SetUntil("Thu, 02 Feb 2040 00:00:00 GMT");
    let matrix = [
        (Before::Nothing, Did::Nothing, Says::Nothing),
        (Before::Entry, Did::Nothing, Says::Nothing),
        (Before::Forged, Did::Nothing, Says::Nothing),
        (Before::Permanent, Did::Nothing, refreshed),
        (Before::Nothing, Did::Read, Says::Vary),
        (Before::Entry, Did::Read, Says::Vary),
        (Before::Forged, Did::Read, Says::Vary),
        (Before::Permanent, Did::Read, refreshed),
        // session["a"] = 1, anew, and over a cookie that is none.
        (Before::Nothing, write(new().set("a", "1")), Says::Set),
        (Before::Forged, write(new().set("a", "1")), Says::Set),
        // The same value again, and session.update({}). Flask sends the cookie, which holds the data; here the browser
        // has this very cookie, and a late answer would put it over the one of a login meanwhile.
        (Before::Entry, write(new().set("a", "1")), Says::Vary),
        (Before::Entry, write(new()), Says::Vary),
        (Before::Nothing, write(new()), Says::Delete),
        (Before::Permanent, write(new().set("a", "1")), refreshed),
        // session.permanent = True, = False
        (Before::Nothing, write(new().permanent(true)), february),
        (Before::Nothing, write(new().permanent(false)), Says::Set),
        (Before::Nothing, write(new().set("_permanent", "true")), february),
        (Before::Nothing, write(new().set("_permanent", "false")), Says::Set),
        (Before::Permanent, write(new().permanent(false)), Says::Set),
        // session.clear(), and the last key popped
        (Before::Nothing, write(new().clear()), Says::Delete),
        (Before::Forged, write(new().clear()), Says::Delete),
        (Before::Entry, write(new().clear()), Says::Delete),
        (Before::Permanent, write(new().clear()), Says::Delete),
        (Before::Entry, write(new().unset("a")), Says::Delete),
        (Before::Permanent, write(new().unset("a").unset("_permanent")), Says::Delete),
        (Before::Entry, write(new().clear().set("b", "2")), Says::Set),
    ];

    let flask = TestService::with_apps(store, [("default", flask_settings())]).await;
    for (row, (before, did, says)) in matrix.into_iter().enumerate() {
        flask.clock.set(new_year());
        assert_response(&flask, before, did, says, row).await;
    }
}

/// Plays one row in every way that a client may: by the headers of the open, by a save with the token that the
/// open gave, and by a save without an open.
async fn assert_response(service: &TestService, before: Before, did: Did, says: Says, row: usize) {
    let cookie = cookie(service, before).await;
    let opened = service.open(open_cookie(&cookie)).await;
    let token = opened.session.as_ref().unwrap().token.clone();
    let accessed = !matches!(did, Did::Nothing);
    let changes = match &did {
        Did::Nothing => None,
        Did::Read => None,
        Did::Write(changes) => Some(changes.clone()),
    };
    let by = |credential| SaveSessionRequest {
        credential: Some(credential),
        changes: changes.clone(),
        accessed,
        ..Default::default()
    };
    match did {
        Did::Nothing => assert_eq!(said(&opened.untouched_headers), says, "row {row}, untouched"),
        Did::Read => assert_eq!(said(&opened.read_headers), says, "row {row}, read"),
        Did::Write(_) => {}
    }
    let saved = service.save(by(Credential::Token(token))).await;
    assert_eq!(said(&saved.headers), says, "row {row}, saved by token");

    // A forged cookie and none at all begin once more; the others stand as they are if nothing was written.
    if !matches!((before, &changes), (Before::Entry | Before::Permanent, Some(_))) {
        let saved = service.save(by(Credential::CookieHeader(cookie))).await;
        assert_eq!(said(&saved.headers), says, "row {row}, saved by cookie");
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

/// What headers say about a cookie `session` with Flask's default attributes; a panic if it is anything else.
fn said(headers: &[Header]) -> Says {
    let (cookies, vary) = (set_cookies(headers), varies(headers));
    assert_eq!(headers.len(), cookies.len() + usize::from(vary));
    let Some(cookie) = cookies.first() else { return if vary { Says::Vary } else { Says::Nothing } };
    assert!(vary && cookies.len() == 1, "a cookie without Vary, or two");
    if *cookie == "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/" {
        return Says::Delete;
    }
    let rest = cookie.strip_prefix("session=v1.").expect("the cookie is a token");
    match rest.split_once("; ").expect("the cookie has attributes").1 {
        "HttpOnly; Path=/" => Says::Set,
        "Expires=Wed, 01 Feb 2040 00:00:00 GMT; HttpOnly; Path=/" => Says::SetUntil("Wed, 01 Feb 2040 00:00:00 GMT"),
        "Expires=Thu, 02 Feb 2040 00:00:00 GMT; HttpOnly; Path=/" => Says::SetUntil("Thu, 02 Feb 2040 00:00:00 GMT"),
        other => panic!("strange attributes: {other}"),
    }
}

#[apply(on_every_store)]
async fn a_permanent_cookie_stays_as_it_is_without_refresh_each_request(store: StoreKind) {
    let settings = app::Settings { refresh_each_request: false, ..flask_settings() };
    let service = service_at_new_year(store, settings).await;
    let cookie = cookie(&service, Before::Permanent).await;

    let opened = service.open(open_cookie(&cookie)).await;
    let read = service.save(SaveSessionRequest { changes: None, ..save_cookie(&cookie, Changes::default()) }).await;
    let written = service.save(save_cookie(&cookie, Changes::default().set("b", "2"))).await;

    assert_eq!(said(&opened.untouched_headers), Says::Nothing);
    assert_eq!(said(&opened.read_headers), Says::Vary);
    assert_eq!(said(&read.headers), Says::Vary);
    assert_eq!(said(&written.headers), Says::SetUntil("Thu, 02 Feb 2040 00:00:00 GMT"));
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
async fn a_session_that_holds_only_false_for_permanent_is_kept(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;

    let saved = service.save(save(&ticket, Changes::default().permanent(false))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    let session = service.open_cookie(&saved.session.unwrap().token).await.session.unwrap();
    assert!(!session.new);
    assert_eq!(session.permanent, Some(false));
    assert!(session.entries.is_empty(), "`_permanent` is no entry");
}

#[tokio::test]
async fn should_set_cookie_is_modified_or_permanent_and_refreshed() {
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
async fn a_cookie_that_is_sent_now_expires_after_the_lifetime_if_it_is_permanent() {
    let week = app::Settings { idle_timeout: Duration::from_secs(7 * 86_400), ..app_settings() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("week", week)]).await;
    service.clock.set(new_year());

    let (default, week) = (service.expiration_time("", true).await, service.expiration_time("week", true).await);

    assert_eq!(default.unwrap().seconds, 2_208_988_800 + 31 * 86_400);
    assert_eq!(week.unwrap().seconds, 2_208_988_800 + 7 * 86_400);
    assert!(service.expiration_time("", false).await.is_none());
}

#[tokio::test]
async fn the_policy_answers_flasks_cookie_getters() {
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
async fn the_policy_answers_lifetimes_and_limits() {
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
    let spans = [policy.idle_timeout, policy.absolute_timeout, policy.rotation_grace];
    assert_eq!(spans.map(|span| span.unwrap().seconds), [600, 3600, 5]);
    assert_eq!((policy.max_entries, policy.max_session_bytes), (7, 2048));
    assert_eq!(policy.subject_key, "_user_id");
}

#[tokio::test]
async fn an_app_without_a_key_has_null_sessions_that_say_what_to_do() {
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
async fn an_app_with_a_key_has_a_null_session_that_stands_for_nothing() {
    let service = TestService::new(StoreKind::Memory).await;

    let session = service.null_session("").await;

    assert_eq!(session.null_session.unwrap().reason, "NONE");
    assert!(session.id.is_empty() && session.token.is_empty() && !session.new);
}

/// A service in the first second of 2040: dates are known, and Redis does not think them past.
async fn service_at_new_year(store: StoreKind, settings: app::Settings) -> TestService {
    let service = TestService::with_apps(store, [("default", settings)]).await;
    service.clock.set(new_year());
    service
}

fn new_year() -> Time {
    Time::from_millis(2_208_988_800_000)
}

/// An app with Flask's own defaults.
fn flask_settings() -> app::Settings {
    let cookie = CookieSettings { samesite: SameSiteSetting::Absent, ..Default::default() };
    app::Settings { cookie, ..app_settings() }
}

/// An app whose cookie has every attribute there is.
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
