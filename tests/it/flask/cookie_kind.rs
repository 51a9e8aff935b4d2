//! Apps of kind `cookie`: cookies that were recorded from Flask, and calls that need a store.

use std::time::Duration;

use cloakroom::app::{self, CookieSettings, FlaskSettings, KindSetting, SameSiteSetting};
use cloakroom::flask::{Digest, Signer};
use cloakroom::grpc::wire::changes::Lifetime;
use cloakroom::grpc::wire::{
    AppKind, Changes, DestroySessionRequest, GetSessionRequest, GetStatsRequest, Header, ListSessionsRequest,
    OpenSessionRequest, Outcome, RevokeAppRequest, RevokeSessionRequest, RevokeSubjectRequest, RotateSessionRequest,
    SaveSessionRequest, WatchEventsRequest, WatchSessionRequest, destroy_session_request, open_session_request,
    rotate_session_request, watch_session_request,
};
use cloakroom::session::Entries;
use cloakroom::types::Time;
use tonic::{Code, Status};

use crate::support::calls::{
    ChangesExt as _, json_entries, open_cookie, reason, refused, save, save_cookie, save_unmodified, set_cookies,
    varies,
};
use crate::support::{StoreKind, TestService, app_settings};

const SET_A: &str = "session=eyJhIjoxfQ.ZVPxAA.kLN1Gx0L6rY_ztgI9I8kkga4vjo; HttpOnly; Path=/";
const SET_PERMANENT: &str = "session=eyJfcGVybWFuZW50Ijp0cnVlfQ.ZVPxAA.UVomNr3le-HuOx65E6i_HCBrkUw; \
    Expires=Fri, 15 Dec 2023 22:13:20 GMT; HttpOnly; Path=/";
const SET_NOT_PERMANENT: &str =
    "session=eyJfcGVybWFuZW50IjpmYWxzZX0.ZVPxAA.Jkw3OMF6-SyeQIcse0pU87MlHEA; HttpOnly; Path=/";
const DELETE: &str = "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/";
const FORGED: &str = "session=eyJhIjoxfQ.ZVPxAA.aLN1Gx0L6rY_ztgI9I8kkga4vjo";
/// The cookie of `{"a": 1}`.
const A: &str = "session=eyJhIjoxfQ.ZVPxAA.kLN1Gx0L6rY_ztgI9I8kkga4vjo";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LIFETIME: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Settings with Flask's defaults and a SECRET_KEY.
fn settings() -> app::Settings {
    app::Settings {
        kind: KindSetting::Cookie,
        keys: vec!["secret-key".to_owned().into()],
        cookie: CookieSettings { samesite: SameSiteSetting::Absent, ..Default::default() },
        ..Default::default()
    }
}

async fn service_with(settings: app::Settings) -> TestService {
    let service = TestService::with_apps(StoreKind::Memory, [("default", settings), ("stored", app_settings())]).await;
    service.clock.set(signing_time());
    service
}

async fn service() -> TestService {
    service_with(settings()).await
}

/// The time when the cookies above were signed.
fn signing_time() -> Time {
    Time::from_millis(1_700_000_000_000)
}

fn signer() -> Signer {
    Signer::new(&["secret-key"], b"cookie-session", Digest::Sha1).unwrap()
}

/// Signs a cookie as Flask does.
fn signed(entries: &[(&str, &str)], permanent: Option<bool>, time: Time) -> String {
    let entries = Entries::pack(entries.iter().map(|(name, json)| (*name, json.as_bytes())));
    signer().sign(&entries, permanent, time).unwrap()
}

/// Returns the Set-Cookie of the headers, if there is one, and whether they have `Vary: Cookie`.
fn cookie_and_vary(headers: &[Header]) -> (Option<&str>, bool) {
    let cookies = set_cookies(headers);
    assert!(cookies.len() <= 1 && headers.len() == cookies.len() + usize::from(varies(headers)));
    (cookies.first().copied(), varies(headers))
}

#[tokio::test]
async fn a_request_that_changes_the_session_gets_the_cookie_that_flask_sends() {
    let new = Changes::default;
    let matrix = [
        ("", new().set("a", "1"), Some(SET_A), Outcome::Created),
        (FORGED, new().set("a", "1"), Some(SET_A), Outcome::Created),
        // The same value again, and session.update({}).
        (A, new().set("a", "1"), Some(SET_A), Outcome::Updated),
        (A, new(), Some(SET_A), Outcome::Updated),
        ("", new().permanent(true), Some(SET_PERMANENT), Outcome::Created),
        ("", new().set("_permanent", "true"), Some(SET_PERMANENT), Outcome::Created),
        ("", new().permanent(false), Some(SET_NOT_PERMANENT), Outcome::Created),
        (A, new().clear().permanent(false), Some(SET_NOT_PERMANENT), Outcome::Updated),
        // clear() with and without a cookie, pop() of the last key, and modified = True while empty.
        ("", new().clear(), Some(DELETE), Outcome::Deleted),
        (A, new().clear(), Some(DELETE), Outcome::Deleted),
        (A, new().unset("a"), Some(DELETE), Outcome::Deleted),
        ("", new(), Some(DELETE), Outcome::Deleted),
    ];
    let service = service().await;

    for (row, (cookie, changes, set_cookie, outcome)) in matrix.into_iter().enumerate() {
        let token = service.open(open_cookie(cookie)).await.session.unwrap().token;
        let by_token = service.save(save(&token, changes.clone())).await;
        let by_cookie = service.save(save_cookie(cookie, changes)).await;

        for saved in [by_token, by_cookie] {
            assert_eq!(cookie_and_vary(&saved.headers), (set_cookie, true), "row {row}");
            assert_eq!(saved.outcome(), outcome, "row {row}");
        }
    }
}

#[tokio::test]
async fn a_request_that_changes_nothing_gets_the_cookie_only_if_its_expiry_moves() {
    let service = service().await;
    let refreshing = format!("session={}", signed(&[], Some(true), signing_time()));
    service.advance(DAY);
    let refreshed = format!(
        "session={}; Expires=Sat, 16 Dec 2023 22:13:20 GMT; HttpOnly; Path=/",
        signed(&[], Some(true), signing_time() + DAY)
    );

    for (cookie, set_cookie) in [("", None), (A, None), (FORGED, None), (refreshing.as_str(), Some(refreshed.as_str()))]
    {
        let opened = service.open(open_cookie(cookie)).await;
        let unchanged =
            service.save(SaveSessionRequest { changes: None, ..save_cookie(cookie, Changes::default()) }).await;

        assert_eq!(cookie_and_vary(&opened.untouched_headers), (set_cookie, set_cookie.is_some()), "{cookie}");
        assert_eq!(cookie_and_vary(&opened.read_headers), (set_cookie, true), "{cookie}");
        assert_eq!(
            (unchanged.outcome(), cookie_and_vary(&unchanged.headers)),
            (Outcome::Unchanged, (set_cookie, true)),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn without_refresh_each_request_a_permanent_cookie_is_not_sent_again() {
    let service = service_with(app::Settings { refresh_each_request: false, ..settings() }).await;
    let cookie = format!("session={}", signed(&[], Some(true), signing_time()));

    let opened = service.open(open_cookie(&cookie)).await;

    assert_eq!(cookie_and_vary(&opened.untouched_headers), (None, false));
    assert_eq!(cookie_and_vary(&opened.read_headers), (None, true));
}

#[tokio::test]
async fn a_deletion_repeats_every_attribute() {
    let cookie = CookieSettings {
        domain: "example.com".to_owned(),
        path: "/p".to_owned(),
        secure: true,
        samesite: SameSiteSetting::Lax,
        partitioned: true,
        ..Default::default()
    };
    let service = service_with(app::Settings { cookie, ..settings() }).await;

    let saved = service.save(save_cookie(A, Changes::default().clear())).await;
    let destroyed = service.destroy(A.trim_start_matches("session=")).await;

    let expected = "session=; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Secure; HttpOnly; \
        Path=/p; SameSite=Lax; Partitioned";
    assert_eq!(cookie_and_vary(&saved.headers), (Some(expected), true));
    assert_eq!((destroyed.outcome(), cookie_and_vary(&destroyed.headers)), (Outcome::Deleted, (Some(expected), true)));
}

#[tokio::test]
async fn entries_are_answered_as_flask_wrote_them() {
    let service = service().await;
    let written = [("f", "1e+16"), ("inf", "NaN"), ("s", "\"\\ud800\""), ("t", "{\" t\":[1,{\" b\":\"/w==\"}]}")];
    let token = signed(&written, Some(false), signing_time());

    let session = service.open_cookie(&token).await.session.unwrap();

    assert!(!session.new && session.null_session.is_none());
    assert_eq!((session.token.as_str(), session.permanent), (token.as_str(), Some(false)));
    assert_eq!([&session.id, &session.etag, &session.subject], ["", "", ""]);
    assert_eq!((session.create_time, session.expire_time.unwrap().seconds), (None, 1_700_000_000 + 31 * 86_400));
    let entries = json_entries(session);
    assert_eq!(entries.iter().map(|(name, json)| (name.as_str(), json.as_str())).collect::<Vec<_>>(), written);
}

#[tokio::test]
async fn values_are_saved_as_python_writes_them() {
    let service = service().await;
    let changes = Changes::default()
        .set("é", " { \"b\" : 1E2, \"a\" : \"\u{e9}\" } ")
        .set("n", "-Infinity")
        .set_raw("raw", b"\xff\x00\xfe")
        .increment("count", 3);

    let saved = service.save(save_cookie("", changes)).await;

    assert_eq!(saved.counters["count"], 3);
    let entries = service.entries(&saved.session.unwrap().token).await;
    assert_eq!(entries["é"], r#"{"a":"\u00e9","b":100.0}"#);
    assert_eq!((entries["n"].as_str(), entries["raw"].as_str()), ("-Infinity", r#"{" b":"/wD+"}"#));
    assert_eq!(entries["count"], "3");
}

#[tokio::test]
async fn a_value_that_flask_cannot_load_is_refused_by_name() {
    let service = service().await;
    let digits = "9".repeat(4301);
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));

    for json in ["nan", "{\" u\":\"x\"}", "{\" t\":1}", "01", "\"\n\"", digits.as_str(), deep.as_str()] {
        let status = refused(service.try_save(save_cookie("", Changes::default().set("k", json))).await);

        assert_eq!(reason(&status), (Code::InvalidArgument, "VALUE_INVALID".to_owned()), "{json}");
        assert!(status.message().contains("changes.set[\"k\"]"), "{}", status.message());
    }
}

#[tokio::test]
async fn a_cookie_is_valid_for_its_lifetime_and_its_token_15_minutes_longer() {
    let service = service().await;
    let token = A.trim_start_matches("session=");
    let write = || Changes::default().set("b", "2");

    service.advance(LIFETIME);
    let at_last = service.open_cookie(token).await.session.unwrap();
    service.advance(Duration::from_secs(1));
    let expired = service.open_cookie(token).await.session.unwrap();
    let by_cookie = service.save(save_cookie(A, write())).await;
    service.advance(Duration::from_secs(15 * 60 - 1));
    let by_token = service.save(save(token, write())).await;
    service.advance(Duration::from_secs(1));
    let too_late = refused(service.try_save(save(token, write())).await);

    assert!(!at_last.new && expired.new && expired.entries.is_empty());
    assert_eq!((by_cookie.outcome(), by_token.outcome()), (Outcome::Created, Outcome::Updated));
    assert_eq!(reason(&too_late), (Code::InvalidArgument, "TOKEN_INVALID".to_owned()));
    assert!(too_late.message().contains("too long ago"), "{}", too_late.message());
}

#[tokio::test]
async fn an_invalid_cookie_opens_a_new_session_and_is_counted_by_reason() {
    let service = service().await;
    let future = signed(&[("a", "1")], None, signing_time() + DAY);
    let old = signed(&[("a", "1")], None, Time::from_millis(0));
    let cookies = [FORGED, "session=nothing", &format!("session={future}"), &format!("session={old}"), "session="];

    for cookie in cookies {
        let opened = service.open(open_cookie(cookie)).await;

        let session = opened.session.unwrap();
        assert!(session.new && session.entries.is_empty() && session.null_session.is_none(), "{cookie}");
        assert_eq!(session.token, signed(&[], None, signing_time()), "{cookie}");
        assert_eq!(cookie_and_vary(&opened.read_headers), (None, true), "{cookie}");
    }

    let stats = service.inner.stats("").unwrap();
    let each_once = ["MALFORMED", "BAD_SIGNATURE", "EXPIRED", "FROM_THE_FUTURE"].map(|why| (why, 1));
    assert_eq!(stats.rejected, [&each_once[..], &[("PAYLOAD", 0), ("TOO_LARGE", 0)]].concat());
}

#[tokio::test]
async fn the_first_valid_cookie_is_opened() {
    let service = service().await;
    let other = signed(&[("a", "2")], None, signing_time());

    let opened = service.open(open_cookie(&format!("{FORGED}; {A}; session={other}"))).await;

    assert_eq!(json_entries(opened.session.unwrap())["a"], "1");
}

#[tokio::test]
async fn keys_salt_and_digest_are_settings_of_the_app() {
    let old = signed(&[("a", "1")], None, signing_time());
    let keys = ["text:base64:x", "base64:/wD+", "secret-key"].map(|key| key.to_owned().into());
    let rotated = service_with(app::Settings { keys: keys.to_vec(), ..settings() }).await;
    let flask = FlaskSettings { salt: "other".to_owned(), digest: Digest::Sha256 };
    let other = service_with(app::Settings { flask, ..settings() }).await;

    let opened = rotated.open_cookie(&old).await.session.unwrap();
    let saved = rotated.save(save(&old, Changes::default())).await.session.unwrap().token;
    let foreign = other.open_cookie(&old).await.session.unwrap();
    let own = other.save(save_cookie("", Changes::default().set("a", "1"))).await.session.unwrap().token;

    assert!(!opened.new && foreign.new);
    let opens = |signer: Signer, text: &str| signer.verify(text, Duration::ZERO, signing_time()).is_ok();
    assert!(opens(Signer::new(&["base64:x"], b"cookie-session", Digest::Sha1).unwrap(), &saved), "the first key signs");
    assert!(opens(Signer::new(&["secret-key"], b"other", Digest::Sha256).unwrap(), &own));
}

#[tokio::test]
async fn a_key_can_be_bytes() {
    let keys = vec!["base64:/wD+".to_owned().into()];
    let service = service_with(app::Settings { keys, ..settings() }).await;

    let token = service.open_new().await.token;

    let signer = Signer::new(&[b"\xff\x00\xfe"], b"cookie-session", Digest::Sha1).unwrap();
    assert!(signer.verify(&token, Duration::ZERO, signing_time()).is_ok());
}

#[tokio::test]
async fn a_cookie_too_large_for_browsers_is_refused_with_advice() {
    let service = service().await;
    // Text that does not compress.
    let noise: String = (0_u32..4000).map(|n| format!("{:04x}", n.wrapping_mul(2_654_435_761) >> 16)).collect();

    let status =
        refused(service.try_save(save_cookie(A, Changes::default().set("noise", &format!("\"{noise}\"")))).await);

    assert_eq!(reason(&status), (Code::FailedPrecondition, "SESSION_TOO_LARGE".to_owned()));
    assert!(status.message().contains("kind = \"stored\""), "{}", status.message());
}

#[tokio::test]
async fn the_limits_of_the_app_apply() {
    let limits = app::LimitSettings { max_entries: 2, ..Default::default() };
    let service = service_with(app::Settings { limits, ..settings() }).await;

    let status = refused(service.try_save(save_cookie(A, Changes::default().set("b", "2").set("c", "3"))).await);

    assert_eq!(reason(&status), (Code::FailedPrecondition, "TOO_MANY_ENTRIES".to_owned()));
}

#[tokio::test]
async fn a_repeated_save_has_the_same_effect() {
    let service = service().await;
    let request = SaveSessionRequest {
        request_id: "0123456789abcdef".to_owned(),
        ..save(A.trim_start_matches("session="), Changes::default().increment("a", 1))
    };

    let (once, twice) = (service.save(request.clone()).await, service.save(request).await);

    assert!(once == twice);
    assert_eq!(once.counters["a"], 2);
}

#[tokio::test]
async fn a_token_of_one_kind_is_invalid_in_the_other() {
    let service = service().await;
    let stored = service.try_open(OpenSessionRequest { app: "stored".to_owned(), ..Default::default() }).await.unwrap();
    let ticket = stored.session.unwrap().token;
    let signed = A.trim_start_matches("session=");

    let here = refused(service.try_save(save(&ticket, Changes::default().set("a", "1"))).await);
    let there = SaveSessionRequest { app: "stored".to_owned(), ..save(signed, Changes::default().set("a", "1")) };
    let there = refused(service.try_save(there).await);
    let opened = service.open(OpenSessionRequest { app: "stored".to_owned(), ..open_cookie(A) }).await.session.unwrap();

    for status in [here, there] {
        assert_eq!(reason(&status), (Code::InvalidArgument, "TOKEN_INVALID".to_owned()));
    }
    assert!(opened.new && opened.entries.is_empty());
}

#[tokio::test]
async fn calls_that_need_a_store_are_refused() {
    let service = service().await;
    let token = A.trim_start_matches("session=");
    let new = Changes::default;
    let by = |changes| save(token, changes);
    let saves = [
        SaveSessionRequest { rotate: true, ..save_unmodified(token) },
        SaveSessionRequest { keep_empty: true, ..by(new()) },
        SaveSessionRequest { etag: "1".to_owned(), ..by(new()) },
        by(new().subject("ada")),
        by(new().authenticated()),
        by(Changes { lifetime: Some(Lifetime::DefaultLifetime(true)), ..new() }),
    ];
    for request in saves {
        assert_not_in_cookie_kind(service.try_save(request).await);
    }
    let age = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let credential = Some(open_session_request::Credential::Token(token.to_owned()));
    let open = OpenSessionRequest { max_authenticate_age: age, credential, ..Default::default() };
    assert_not_in_cookie_kind(service.try_open(open).await);

    let (mut sessions, mut admin, token) = (service.client.clone(), service.admin.clone(), token.to_owned());
    let credential = Some(rotate_session_request::Credential::Token(token.clone()));
    let rotate = RotateSessionRequest { credential, ..Default::default() };
    assert_not_in_cookie_kind(sessions.rotate_session(rotate).await);
    let credential = Some(watch_session_request::Credential::Token(token));
    let watch = WatchSessionRequest { credential, ..Default::default() };
    assert_not_in_cookie_kind(sessions.watch_session(watch).await);

    let id = "0".repeat(32);
    assert_not_in_cookie_kind(admin.list_sessions(ListSessionsRequest::default()).await);
    let subject = "ada".to_owned();
    let list = ListSessionsRequest { subject: subject.clone(), ..Default::default() };
    assert_not_in_cookie_kind(admin.list_sessions(list).await);
    assert_not_in_cookie_kind(admin.get_session(GetSessionRequest { id: id.clone(), ..Default::default() }).await);
    assert_not_in_cookie_kind(admin.revoke_session(RevokeSessionRequest { id, ..Default::default() }).await);
    let revoke = RevokeSubjectRequest { subject, ..Default::default() };
    assert_not_in_cookie_kind(admin.revoke_subject(revoke).await);
    assert_not_in_cookie_kind(admin.revoke_app(RevokeAppRequest::default()).await);
    assert_not_in_cookie_kind(admin.watch_events(WatchEventsRequest::default()).await);
    assert!(admin.get_stats(GetStatsRequest::default()).await.is_ok());
}

fn assert_not_in_cookie_kind<T>(result: Result<T, Status>) {
    let status = result.err().expect("the call is refused");
    assert_eq!(reason(&status), (Code::FailedPrecondition, "NOT_IN_COOKIE_KIND".to_owned()), "{}", status.message());
    assert!(status.message().contains("kind = \"stored\""), "{}", status.message());
}

#[tokio::test]
async fn a_logout_deletes_the_cookie_but_a_copy_stays_valid() {
    let service = service().await;
    let token = A.trim_start_matches("session=");
    let by_header = |header: &str| DestroySessionRequest {
        credential: Some(destroy_session_request::Credential::CookieHeader(header.to_owned())),
        ..Default::default()
    };

    let destroyed = service.destroy(token).await;
    let by_cookie = service.client.clone().destroy_session(by_header(A)).await.unwrap().into_inner();
    let with_forged = service.client.clone().destroy_session(by_header(FORGED)).await.unwrap().into_inner();

    let outcomes = [destroyed.outcome(), by_cookie.outcome(), with_forged.outcome()];
    assert_eq!(outcomes, [Outcome::Deleted, Outcome::Deleted, Outcome::Gone]);
    for headers in [&destroyed.headers, &by_cookie.headers, &with_forged.headers] {
        assert_eq!(cookie_and_vary(headers), (Some(DELETE), true));
    }
    assert!(!service.open_cookie(token).await.session.unwrap().new);
}

#[tokio::test]
async fn the_policy_has_the_kind() {
    let service = service().await;

    let (policy, stored) = (service.policy("").await, service.policy("stored").await);

    assert_eq!((policy.kind(), stored.kind()), (AppKind::Cookie, AppKind::Stored));
    assert!(policy.null_session.is_none() && policy.subject_key.is_empty());
    assert_eq!(policy.absolute_timeout, policy.idle_timeout);
}

#[tokio::test]
async fn an_app_without_a_key_has_only_null_sessions() {
    let service = service_with(app::Settings { keys: Vec::new(), ..settings() }).await;

    let session = service.open(open_cookie(A)).await.session.unwrap();
    let saved = refused(service.try_save(save_cookie(A, Changes::default().set("a", "1"))).await);

    assert_eq!(session.null_session.unwrap().reason, "NO_KEY");
    assert_eq!(reason(&saved), (Code::FailedPrecondition, "NULL_SESSION".to_owned()));
    assert_eq!(service.policy("").await.null_session.unwrap().reason, "NO_KEY");
}
