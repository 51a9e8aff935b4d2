//! The import of Flask's signed cookies: once, with all entries, and only by a valid signature.

use cloakroom::app::{self, CookieSettings, FlaskCookieSettings, LimitSettings};
use cloakroom::grpc::wire::{Changes, OpenSessionRequest, Outcome, RequestContext, open_session_request};
use cloakroom::token::Key;
use cloakroom::types::{Clock as _, Time};

use super::*;
use crate::support::calls::{ChangesExt as _, save, save_cookie, set_cookies};
use crate::support::sessions::{MINUTE, SECOND, millis};

#[apply(on_every_store)]
async fn the_first_request_imports_everything_in_the_cookie(store: StoreKind) {
    let service = service(store).await;
    let values =
        [("_user_id", r#""anna""#), ("cart", r#"{" t":[1,2.5]}"#), ("_flashes", r#"[{" t":["message","Hi"]}]"#)];
    let old = signed(&values, Some(true), service.clock.now());

    let (opened, session) = service.open_value(&old).await;

    assert_eq!((session.subject.as_str(), session.permanent, session.new), ("anna", Some(true), false));
    assert_eq!(millis(&session.create_time), service.clock.now().millis());
    assert_eq!(session.authenticate_time, None, "the time of the login is unknown");
    let [cookie] = set_cookies(&opened.read_headers)[..] else { panic!("one cookie is set") };
    assert!(cookie.starts_with(&format!("session={};", session.token)) && cookie.contains("Expires"), "{cookie}");
    let mut values = values;
    values.sort_unstable();
    assert_eq!(entries(session.clone()), pairs(&values));
    assert_eq!(entries(service.session(&session.token).await), pairs(&values));
    assert_eq!(service.ids_of("anna").await, [session.id]);
}

#[apply(on_every_store)]
async fn a_second_request_with_the_legacy_cookie_finds_the_same_session(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("a", "1")]);
    let (id, token) = service.import(&old).await;
    service.update(&token, Changes::default().set("b", "2")).await;

    let (again, same_token) = service.import(&old).await;

    assert_eq!((&again, &same_token), (&id, &token));
    assert_eq!(entries(service.open_value(&old).await.1), pairs(&[("a", "1"), ("b", "2")]));
    let migration = service.migration("flask_cookie").await;
    assert_eq!((migration.imported, migration.found), (1, 2));
    assert_eq!(millis(&migration.last_import_time), service.clock.now().millis());
    assert_eq!(service.stats("").await.created, 1);
}

#[apply(on_every_store)]
async fn a_legacy_cookie_opens_the_same_session_after_the_service_changes_its_keys(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("a", "1")]);
    let (id, token) = service.import(&old).await;

    let mut rotated = settings();
    rotated.keys = vec![Key::generate().into()];
    let other = service.with_settings(&rotated).await;

    let (again, new_token) = other.import(&old).await;
    assert_eq!(again, id);
    assert_ne!(new_token, token);
}

#[apply(on_every_store)]
async fn another_spelling_of_a_cookie_is_the_same_session_or_none(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("a", "1")]);
    let (id, _) = service.import(&old).await;

    for other in [format!("{old}="), format!("{old}!"), old.replace('.', ".!"), format!("{}A", &old[..old.len() - 1])] {
        let (_, session) = service.open_value(&other).await;
        assert!(session.new || session.id == id, "{other}");
    }
    assert_eq!(service.migration("flask_cookie").await.imported, 1);
}

#[apply(on_every_store)]
async fn a_forged_expired_or_foreign_cookie_opens_nothing(store: StoreKind) {
    let service = service(store).await;
    let now = service.clock.now();
    let good = signed(&[("a", "1")], None, now);
    let foreign = Signer::new(&["of another application"], DEFAULT_SALT.as_bytes(), Digest::Sha1).unwrap();
    let other_salt = Signer::new(&[KEY], b"another salt", Digest::Sha1).unwrap();
    let other_digest = Signer::new(&[KEY], DEFAULT_SALT.as_bytes(), Digest::Sha256).unwrap();
    let sign = |signer: &Signer| signer.sign(&Entries::pack([("a", b"1".as_slice())]), None, now).unwrap();
    let signature = good.rfind('.').unwrap();
    let nothing = [
        format!("x{good}"),
        format!("{}.{}", &good[..signature], "A".repeat(27)),
        sign(&foreign),
        sign(&other_salt),
        sign(&other_digest),
        signed(&[("a", "1")], None, now.before(LIFETIME + SECOND)),
        signed(&[("a", "1")], None, now + SECOND),
        "a.b.c".to_owned(),
        signed(&[], None, now),
    ];

    for old in &nothing {
        assert!(service.opens_nothing(old).await, "{old}");
    }

    assert!(
        !service.opens_nothing(&signed(&[("a", "1")], None, now.before(LIFETIME))).await,
        "it is valid in its last second"
    );
    let counted = [("BAD_SIGNATURE", 5), ("EXPIRED", 1), ("FROM_THE_FUTURE", 1), ("MALFORMED", 1)];
    assert_eq!(service.rejections("flask_cookie").await, counted.map(|(why, n)| (why.to_owned(), n)).into());
    assert_eq!(service.migration("flask_cookie").await.imported, 1);
}

#[apply(on_every_store)]
async fn a_token_credential_is_never_a_legacy_cookie(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("a", "1")]);

    let credential = Some(open_session_request::Credential::Token(old.clone()));
    let opened = service.open(OpenSessionRequest { credential, ..Default::default() }).await;
    let refused = service.refusal(save(&old, Changes::default().set("b", "1"))).await;

    assert!(opened.session.unwrap().new);
    assert_eq!(refused.1, "TOKEN_INVALID");
    assert_eq!(service.migration("flask_cookie").await.imported, 0);
}

#[apply(on_every_store)]
async fn no_migration_source_is_tried_when_a_token_verifies(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("a", "1")]);
    let token = service.stored(&[("b", "2")]).await;

    let (_, session) = service.open_value(&format!("{old}; session={token}")).await;
    service.destroy(&token).await;
    let (_, after) = service.open_value(&format!("{old}; session={token}")).await;

    assert_eq!(entries(session), pairs(&[("b", "2")]));
    assert!(after.new, "the token of an ended session still verifies");
    assert_eq!(service.migration("flask_cookie").await.imported, 0);
}

#[apply(on_every_store)]
async fn a_logout_ends_a_legacy_session_beside_the_token_too(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("user", "1")]);
    let token = service.stored(&[("b", "2")]).await;

    let destroyed = service.destroy_header(&format!("session={old}; session={token}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    assert!(!service.is_live(&token).await);
    assert!(service.opens_nothing(&old).await, "the browser has logged out");
}

#[apply(on_every_store)]
async fn a_logout_ends_another_legacy_session_beside_the_token_of_an_imported_one(store: StoreKind) {
    let service = service(store).await;
    let (imported, other) = (service.sign_now(&[("user", "1")]), service.sign_now(&[("user", "2")]));
    let (_, token) = service.import(&imported).await;

    let destroyed = service.destroy_header(&format!("session={other}; session={token}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    assert!(!service.is_live(&token).await);
    assert!(service.opens_nothing(&other).await, "the browser has logged out");
}

#[apply(on_every_store)]
async fn a_logout_of_an_imported_session_refuses_no_credential(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("user", "1")]);
    let (_, token) = service.import(&old).await;

    let destroyed = service.destroy_header(&format!("session={old}; session={token}")).await;

    assert_eq!(destroyed.outcome(), Outcome::Deleted);
    assert_eq!(service.rejections("flask_cookie").await, BTreeMap::new());
    assert!(service.opens_nothing(&old).await);
}

#[apply(on_every_store)]
async fn a_value_in_the_form_of_a_token_is_no_legacy_cookie(store: StoreKind) {
    let service = service(store).await;
    for value in ["v1.AAAA.BBBB", "t1.AAAA.BBBB", "v1.x"] {
        assert!(service.opens_nothing(value).await);
    }
    assert_eq!(service.rejections("flask_cookie").await, BTreeMap::new());
}

#[apply(on_every_store)]
async fn two_legacy_sessions_in_one_header_are_ambiguous(store: StoreKind) {
    let service = service(store).await;
    let [one, other] = [service.sign_now(&[("a", "1")]), service.sign_now(&[("a", "2")])];
    let header = format!("session={one}; session={other}");

    let opened = service.open(open_cookie(&header)).await.session.unwrap();
    let saved = service.refusal(save_cookie(&header, Changes::default().set("b", "1"))).await;

    assert_eq!(opened.null_session.unwrap().reason, "COOKIES_AMBIGUOUS");
    assert_eq!(saved.1, "COOKIES_AMBIGUOUS");
    let (_, twice) = service.open_value(&format!("{one}; session={one}")).await;
    assert!(!twice.new, "the same cookie twice is one session");
}

#[apply(on_every_store)]
async fn at_most_eight_cookies_are_checked(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("a", "1")]);
    let junk = "session=a.b.c; ".repeat(8);

    assert!(service.open(open_cookie(&format!("{junk}session={old}"))).await.session.unwrap().new);
    let seven = &junk["session=a.b.c; ".len()..];
    assert!(!service.open(open_cookie(&format!("{seven}session={old}"))).await.session.unwrap().new);
}

#[apply(on_every_store)]
async fn every_call_accepts_a_legacy_cookie(store: StoreKind) {
    let service = service(store).await;
    let [saved, unmodified, rotated, watched] = [1, 2, 3, 4].map(|n| service.sign_now(&[("n", &n.to_string())]));

    let answer = service.save(save_cookie(&format!("session={saved}"), Changes::default().set("b", "1"))).await;
    assert_eq!((answer.outcome(), set_cookies(&answer.headers).len()), (Outcome::Updated, 1));
    assert_eq!(entries(service.open_value(&saved).await.1), pairs(&[("b", "1"), ("n", "1")]));

    let mut request = save_cookie(&format!("session={unmodified}"), Changes::default());
    request.changes = None;
    let answer = service.save(request).await;
    assert_eq!((answer.outcome(), set_cookies(&answer.headers).len()), (Outcome::Unchanged, 1));

    let header = format!("session={rotated}");
    let answer = service.client.clone().rotate_session(rotate_header(&header)).await.unwrap().into_inner();
    assert_eq!((answer.outcome(), set_cookies(&answer.headers).len()), (Outcome::Updated, 1));
    assert!(service.is_live(&answer.session.unwrap().token).await);

    let credential =
        Some(cloakroom::grpc::wire::watch_session_request::Credential::CookieHeader(format!("session={watched}")));
    let request = cloakroom::grpc::wire::WatchSessionRequest { credential, ..Default::default() };
    let mut watch = service.client.clone().watch_session(request).await.unwrap().into_inner();
    let state = watch.message().await.unwrap().unwrap().state();
    assert_eq!(state, cloakroom::grpc::wire::WatchState::Alive);
    assert_eq!(service.migration("flask_cookie").await.imported, 4);
}

#[apply(on_every_store)]
async fn a_login_ends_the_legacy_cookie(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("csrf", "\"x\"")]);
    let (id, token) = service.import(&old).await;

    let logged_in = service.log_in(&token, "anna").await;

    let (opened, session) = service.open_value(&old).await;
    assert!(session.new && session.id != id && set_cookies(&opened.read_headers).is_empty());
    let saved = service.save(save_cookie(&format!("session={old}"), Changes::default().set("b", "1"))).await;
    assert_eq!((saved.outcome(), set_cookies(&saved.headers).len()), (Outcome::Created, 0));
    assert_ne!(saved.session.unwrap().id, id);
    assert!(service.is_live(&logged_in).await);
}

#[apply(on_every_store)]
async fn a_browser_that_lost_the_new_token_gets_a_new_session_later(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("csrf", "\"x\"")]);
    let (id, token) = service.import(&old).await;
    let logged_in = service.log_in(&token, "anna").await;

    service.advance(10 * MINUTE);

    let saved = service.save(save_cookie(&format!("session={old}"), Changes::default().set("b", "1"))).await;
    assert_eq!(saved.outcome(), Outcome::Created);
    assert_ne!(saved.session.unwrap().id, id);
    assert!(service.is_live(&logged_in).await);
}

#[apply(on_every_store)]
async fn a_legacy_cookie_has_grace_after_a_renewal(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("a", "1")]);
    let (id, token) = service.import(&old).await;
    let renew = cloakroom::grpc::wire::RotationCause::Renewal;
    let renewed = service.rotate(&token, renew, "").await.session.unwrap().token;

    let in_grace = service.import(&old).await;
    service.advance(30 * SECOND);
    let after = service.opens_nothing(&old).await;

    assert_eq!(in_grace, (id, renewed.clone()));
    assert!(!after || service.is_live(&renewed).await);
    assert!(service.open_value(&old).await.1.new);
}

#[apply(on_every_store)]
async fn limits_apply_to_the_first_save_that_adds_to_an_import(store: StoreKind) {
    let limits = LimitSettings { max_entries: 2, max_session_bytes: 1024 };
    let service = TestService::with_apps(store, [("default", app::Settings { limits, ..settings() })]).await;
    let name = "n".repeat(300);
    let old = service.sign_now(&[("a", "1"), ("b", "2"), ("c", "3"), ("", "4"), (&name, "5")]);

    let (_, token) = service.import(&old).await;

    let values = [("", "4"), ("a", "1"), ("b", "2"), ("c", "3"), (name.as_str(), "5")];
    assert_eq!(entries(service.session(&token).await), pairs(&values));
    assert_eq!(service.refusal(save(&token, Changes::default().set("d", "1"))).await.1, "TOO_MANY_ENTRIES");
    service.update(&token, Changes::default().set("a", "2").unset("b")).await;
}

#[apply(on_every_store)]
async fn values_that_json_cannot_hold_are_tagged(store: StoreKind) {
    let service = service(store).await;
    let signer = Signer::new(&[KEY], DEFAULT_SALT.as_bytes(), Digest::Sha1).unwrap();
    let values = Entries::pack([("a", b"[NaN,-Infinity]".as_slice()), ("b", br#"{" f":1}"#), ("c", br#""\ud800""#)]);
    let old = signer.sign(&values, None, service.clock.now()).unwrap();

    let (_, session) = service.open_value(&old).await;

    let expected =
        [("a", r#"[{" f":"NaN"},{" f":"-Infinity"}]"#), ("b", r#"{" di":{" f__":1}}"#), ("c", r#""\ud800""#)];
    assert_eq!(entries(session), pairs(&expected));
}

#[apply(on_every_store)]
async fn a_migration_source_can_have_its_own_cookie(store: StoreKind) {
    let keys = vec![KEY.to_owned().into()];
    let source = FlaskCookieSettings { keys, cookie_name: "flask".to_owned(), ..Default::default() };
    let cookie = CookieSettings { name: "sid".to_owned(), ..Default::default() };
    let service = TestService::with_apps(store, [("default", app::Settings { cookie, ..settings_with(source) })]).await;
    let old = service.sign_now(&[("a", "1")]);

    let elsewhere = service.open(open_cookie(&format!("sid={old}"))).await.session.unwrap();
    let opened = service.open(open_cookie(&format!("flask={old}"))).await;
    let session = opened.session.unwrap();
    let both = format!("flask={old}; sid={}", session.token);
    let second = service.open(open_cookie(&both)).await;
    let destroyed = service.destroy_header(&both).await;

    assert!(elsewhere.new);
    assert!(set_cookies(&opened.read_headers)[0].starts_with("sid="));
    assert_eq!((second.session.unwrap().id, second.untouched_headers.len()), (session.id, 0));
    let deleted = set_cookies(&destroyed.headers);
    assert!(deleted[0].starts_with("sid=;") && deleted[1].starts_with("flask=;"), "{deleted:?}");
    assert!(service.open(open_cookie(&format!("flask={old}"))).await.session.unwrap().new);
}

#[apply(on_every_store)]
async fn migration_ends_at_its_deadline(store: StoreKind) {
    let service = service(store).await;
    let until = Time::from_millis(millis(&service.migration("flask_cookie").await.until));
    let [one, other] =
        [signed(&[("a", "1")], None, until.before(MINUTE)), signed(&[("a", "2")], None, until.before(MINUTE))];

    service.clock.set(until.before(SECOND));
    let (_, token) = service.import(&one).await;
    service.clock.set(until);

    assert!(service.opens_nothing(&one).await && service.opens_nothing(&other).await);
    assert!(service.is_live(&token).await);
}

#[apply(on_every_store)]
async fn an_import_stores_the_context_of_its_request(store: StoreKind) {
    let service = service(store).await;
    let old = service.sign_now(&[("_user_id", "7")]);
    let context = Some(RequestContext { user_agent: "Browser/1.0".to_owned(), ..Default::default() });

    service.open(OpenSessionRequest { context, ..open_cookie(&format!("session={old}")) }).await;

    assert_eq!(service.list_of("7").await[0].context.as_ref().unwrap().user_agent, "Browser/1.0");
}
