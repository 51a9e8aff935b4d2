//! Open: any cookie yields a session, and an unknown one never yields an id that the browser chose.

use std::time::Duration;

use cloakroom::app::{self, CookieSettings};
use cloakroom::grpc::wire::{
    Changes, OpenSessionRequest, Outcome, RequestContext, RotateSessionRequest, SaveSessionRequest, Session,
    open_session_request,
};
use cloakroom::store::{Handle, Redis, RedisSettings};
use cloakroom::token::{AcceptedText, Key, KeyRing, SplitToken, sign_token, verify_token};
use cloakroom::types::AppName;
use tonic::Code;

use crate::support::calls::{
    ChangesExt as _, json_entries, open_cookie, reason, refused, save, save_cookie, save_unmodified, set_cookies,
    varies,
};
use crate::support::policy::{open_in, save_in};
use crate::support::redis::RedisServer;
use crate::support::sessions::rotate_cookie;
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
async fn an_invalid_cookie_opens_an_empty_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let cookies = [
        "",
        "x",
        "v1.",
        "v1...",
        "v1.OxP0MMqm.AAAA.AAAA",
        "t1.",
        ticket.as_str(),
        "../../etc/passwd",
        "\"\"",
        "é",
        "\0",
        "eyJhIjoxfQ.ZVPxAA.kLN1Gx0L6rY_ztgI9I8kkga4vjo",
    ];

    for cookie in cookies {
        let opened = service.open_cookie(cookie).await;

        assert_empty(opened.session.as_ref().unwrap());
        assert!(set_cookies(&opened.read_headers).is_empty() && varies(&opened.read_headers), "{cookie:?}");
        assert!(opened.untouched_headers.is_empty(), "{cookie:?}");
    }
}

#[apply(on_every_store)]
async fn the_id_of_an_unknown_session_is_never_adopted(store: StoreKind) {
    let (service, ring) = service_with_ring(store).await;
    let split_token = SplitToken::random();
    let well_signed = sign_token(&ring, &default_app(), split_token);

    let session = service.open_cookie(&well_signed).await.session.unwrap();
    let saved = service.save(save(&session.token, Changes::default().set("a", "1"))).await;

    assert_empty(&session);
    assert_ne!(session.id, split_token.id(&default_app()).to_string());
    assert_eq!(saved.session.unwrap().id, session.id);
    assert_empty(&service.open_cookie(&well_signed).await.session.unwrap());
}

#[apply(on_every_store)]
async fn a_request_without_a_cookie_opens_a_new_session_each_time(store: StoreKind) {
    let service = TestService::new(store).await;

    let (one, other) = (service.open_new().await, service.open_new().await);

    assert_empty(&one);
    assert_empty(&other);
    assert_ne!(one.id, other.id);
    assert!(one.id.len() == 32 && one.id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(one.etag, "0");
    assert!(one.create_time.is_none() && one.expire_time.is_some());
}

#[apply(on_every_store)]
async fn an_expired_cookie_opens_an_empty_session_of_another_id(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let id = service.open_cookie(&token).await.session.unwrap().id;

    service.advance(31 * DAY);

    let session = service.open_cookie(&token).await.session.unwrap();
    assert_empty(&session);
    assert_ne!(session.id, id);
}

#[apply(on_every_store)]
async fn a_ticket_does_not_open_its_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    service.save(save(&ticket, Changes::default().set("a", "1"))).await;

    let by_cookie = service.open_cookie(&ticket).await.session.unwrap();
    let by_token = service.open(open_token_request(&ticket)).await.session.unwrap();

    assert_empty(&by_cookie);
    assert_empty(&by_token);
}

#[apply(on_every_store)]
async fn a_token_opens_without_a_cookie_header(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let session = service.open(open_token_request(&token)).await.session.unwrap();

    assert_eq!(session.token, token);
    assert_eq!(json_entries(session)["a"], "1");
    for broken in ["", "x", "v1.a.b.c"] {
        assert_empty(&service.open(open_token_request(broken)).await.session.unwrap());
    }
}

#[apply(on_every_store)]
async fn a_token_of_one_app_opens_nothing_in_another(store: StoreKind) {
    let (one, same_key) = (app_settings(), app_settings());
    let same_key = app::Settings { keys: one.keys.clone(), ..same_key };
    let service =
        TestService::with_apps(store, [("default", one), ("same-key", same_key), ("own-key", app_settings())]).await;
    let token = service.stored(&[("a", "1")]).await;

    for other in ["same-key", "own-key"] {
        let session = service.open(open_in(other, open_cookie(&format!("session={token}")))).await.session.unwrap();
        let saved = refused(service.try_save(save_in(other, save(&token, Changes::default().set("a", "2")))).await);

        assert_empty(&session);
        assert_eq!(reason(&saved), (Code::InvalidArgument, "TOKEN_INVALID".to_owned()));
    }
    assert_eq!(service.entries(&token).await["a"], "1");
}

#[apply(on_every_store)]
async fn of_several_cookies_the_live_one_is_opened(store: StoreKind) {
    let (service, ring) = service_with_ring(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let unknown = sign_token(&ring, &default_app(), SplitToken::random());
    let ended = service.stored(&[("b", "2")]).await;
    service.destroy(&ended).await;

    for others in [vec!["x"], vec!["x", &unknown], vec![&ended, "", &unknown], vec!["x"; 7]] {
        let pairs: Vec<String> = others.iter().map(|other| format!("session={other}")).collect();
        for header in
            [format!("{}; session={token}", pairs.join("; ")), format!("session={token}; {}", pairs.join("; "))]
        {
            let opened = service.open(open_cookie(&header)).await;

            assert!(set_cookies(&opened.read_headers).is_empty());
            assert_eq!(json_entries(opened.session.unwrap())["a"], "1", "{header}");
        }
    }
}

#[apply(on_every_store)]
async fn the_ninth_cookie_of_a_name_is_ignored(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;

    let eighth = service.open(open_cookie(&format!("{}session={token}", "session=x; ".repeat(7)))).await;
    let ninth = service.open(open_cookie(&format!("{}session={token}", "session=x; ".repeat(8)))).await;

    assert_eq!(json_entries(eighth.session.unwrap())["a"], "1");
    assert_empty(&ninth.session.unwrap());
}

#[apply(on_every_store)]
async fn two_live_sessions_in_one_header_open_a_null_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let (mine, planted) = (service.stored(&[("a", "1")]).await, service.stored(&[("a", "2")]).await);
    let header = format!("session={planted}; session=x; session={mine}");

    let opened = service.open(open_cookie(&header)).await;
    let saved = refused(service.try_save(save_cookie(&header, Changes::default().set("a", "3"))).await);

    let session = opened.session.unwrap();
    assert_eq!(session.null_session.unwrap().reason, "COOKIES_AMBIGUOUS");
    assert!(session.token.is_empty() && session.id.is_empty() && session.entries.is_empty() && !session.new);
    assert!(set_cookies(&opened.read_headers).is_empty() && varies(&opened.read_headers));
    assert!(opened.untouched_headers.is_empty());
    assert_eq!(reason(&saved), (Code::InvalidArgument, "COOKIES_AMBIGUOUS".to_owned()));
    assert_eq!((service.entries(&mine).await["a"].as_str(), service.entries(&planted).await["a"].as_str()), ("1", "2"));
}

#[apply(on_every_store)]
async fn the_same_token_twice_in_a_header_is_opened(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let header = format!("session={token}; session={token}");

    let opened = service.open(open_cookie(&header)).await;
    let saved = service.save(save_cookie(&header, Changes::default().set("a", "2"))).await;

    assert_eq!(json_entries(opened.session.unwrap())["a"], "1");
    assert_eq!(saved.outcome(), Outcome::Updated);
}

#[apply(on_every_store)]
async fn a_request_may_name_its_cookie(store: StoreKind) {
    let service = TestService::new(store).await;
    let ticket = service.open_new().await.token;
    let named = |name: &str| name.to_owned();

    let mut creating = save(&ticket, Changes::default().set("a", "1"));
    creating.cookie_name = named("tenant-7");
    let saved = service.save(creating).await;
    let token = saved.session.unwrap().token;
    let header = format!("session=x; tenant-7={token}");
    let opened = service.open(OpenSessionRequest { cookie_name: named("tenant-7"), ..open_cookie(&header) }).await;

    assert_eq!(set_cookies(&saved.headers), [format!("tenant-7={token}; HttpOnly; Path=/; SameSite=Lax")]);
    assert_eq!(json_entries(opened.session.unwrap())["a"], "1");
    assert_empty(&service.open(open_cookie(&header)).await.session.unwrap());
}

#[apply(on_every_store)]
async fn a_cookie_name_against_the_rules_of_the_app_is_refused(store: StoreKind) {
    let secure = CookieSettings { secure: true, domain: "example.com".to_owned(), ..Default::default() };
    let secure = app::Settings { cookie: secure, ..app_settings() };
    let service = TestService::with_apps(store, [("default", app_settings()), ("secure", secure)]).await;
    let open =
        |app: &str, name: &str| open_in(app, OpenSessionRequest { cookie_name: name.to_owned(), ..Default::default() });

    for (app, name) in
        [("", "a b"), ("", "a;b"), ("", "é"), ("", "__Host-s"), ("", "__secure-s"), ("secure", "__Host-s")]
    {
        let status = refused(service.try_open(open(app, name)).await);

        assert_eq!(reason(&status), (Code::InvalidArgument, "COOKIE_NAME_INVALID".to_owned()), "{name}");
        assert!(status.message().starts_with("cookie_name: name: "), "{}", status.message());
    }
    assert_empty(&service.open(open("secure", "__Secure-s")).await.session.unwrap());
}

#[apply(on_every_store)]
async fn an_open_moves_the_access_time(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let before = service.open_cookie(&token).await.session.unwrap();

    service.advance(20 * DAY);
    let used = service.open_cookie(&token).await.session.unwrap();
    service.advance(20 * DAY);
    let again = service.open_cookie(&token).await.session.unwrap();

    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    assert_eq!(seconds(used.access_time) - seconds(before.access_time), 20 * 86_400);
    assert_eq!(seconds(used.expire_time) - seconds(used.access_time), 31 * 86_400);
    assert_eq!((used.etag, used.create_time), (before.etag, before.create_time));
    assert_eq!(json_entries(again)["a"], "1");
}

#[apply(on_every_store)]
async fn an_open_reissues_a_token_of_an_older_key(store: StoreKind) {
    let (service, rings) = service_with_two_keys(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let (id, old) = (service.open_cookie(&token).await.session.unwrap().id, rings.under_old_key(&token));

    let opened = service.open_cookie(&old).await;

    let expected = [format!("session={token}; HttpOnly; Path=/; SameSite=Lax")];
    assert_ne!(old, token);
    assert_eq!(set_cookies(&opened.read_headers), expected);
    assert_eq!(set_cookies(&opened.untouched_headers), expected);
    assert!(varies(&opened.read_headers) && varies(&opened.untouched_headers));
    let session = opened.session.unwrap();
    assert_eq!((&session.id, &session.token), (&id, &token));
    assert_eq!(json_entries(session)["a"], "1");
}

#[apply(on_every_store)]
async fn a_save_reissues_a_token_of_an_older_key(store: StoreKind) {
    let (service, rings) = service_with_two_keys(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let old = rings.under_old_key(&token);
    let expected = [format!("session={token}; HttpOnly; Path=/; SameSite=Lax")];

    let cookie = format!("session={old}");
    let mut unmodified = save_cookie(&cookie, Changes::default());
    unmodified.changes = None;
    let answers = [
        service.save(save_unmodified(&old)).await,
        service.save(unmodified).await,
        service.save(save(&old, Changes::default().set("a", "2"))).await,
        service.save(save_cookie(&cookie, Changes::default().set("a", "3"))).await,
    ];

    for (n, saved) in answers.into_iter().enumerate() {
        assert_eq!(set_cookies(&saved.headers), expected, "answer {n}");
        assert!(varies(&saved.headers));
        assert_eq!(saved.session.unwrap().token, token);
    }
}

#[apply(on_every_store)]
async fn a_token_of_the_signing_key_is_not_reissued(store: StoreKind) {
    let (service, rings) = service_with_two_keys(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let both = format!("session={}; session={token}", rings.under_old_key(&token));

    let alone = service.open_cookie(&token).await;
    let beside_an_older = service.open(open_cookie(&both)).await;

    assert!(set_cookies(&alone.read_headers).is_empty() && alone.untouched_headers.is_empty());
    assert!(set_cookies(&beside_an_older.read_headers).is_empty());
    assert_eq!(beside_an_older.session.unwrap().token, token);
}

#[apply(on_every_store)]
async fn a_token_of_a_removed_key_opens_an_empty_session(store: StoreKind) {
    let (service, ring) = service_with_ring(store).await;
    let token = service.stored(&[("a", "1")]).await;
    let removed = KeyRing::parse(&[Key::generate()]).unwrap();
    let split_token = verify_token(&ring, &default_app(), &token, AcceptedText::Token).unwrap().token;
    let old = sign_token(&removed, &default_app(), split_token);

    let session = service.open_cookie(&old).await.session.unwrap();
    let saved = refused(service.try_save(save(&old, Changes::default().set("a", "2"))).await);
    let created = service.save(save_cookie(&format!("session={old}"), Changes::default().set("a", "2"))).await;

    assert_empty(&session);
    assert_ne!(session.id, split_token.id(&default_app()).to_string());
    assert_eq!(reason(&saved), (Code::InvalidArgument, "TOKEN_INVALID".to_owned()));
    assert_eq!(created.outcome(), Outcome::Created);
    assert_eq!(service.entries(&token).await["a"], "1");
}

#[apply(on_every_store)]
async fn a_ticket_of_an_older_key_creates_a_session(store: StoreKind) {
    let (service, rings) = service_with_two_keys(store).await;
    let ticket = rings.ticket_under_old_key(service.clock.as_ref());

    let saved = service.save(save(&ticket, Changes::default().set("a", "1"))).await;

    assert_eq!(saved.outcome(), Outcome::Created);
    let token = saved.session.unwrap().token;
    assert!(token.starts_with(&format!("v1.{}.", rings.both.signing().id())));
    assert_eq!(service.entries(&token).await["a"], "1");
}

#[apply(on_every_store)]
async fn a_context_is_cut_between_characters_and_never_refused(store: StoreKind) {
    let service = TestService::new(store).await;
    let context = |text: &str| {
        let text = format!("{text}{}", "é".repeat(100_000));
        Some(RequestContext { user_agent: text.clone(), remote_address: text })
    };
    let ticket =
        service.open(OpenSessionRequest { context: context("x"), ..Default::default() }).await.session.unwrap();

    let saving = save(&ticket.token, Changes::default().set("a", "1"));
    let saved = service.save(SaveSessionRequest { context: context("x"), ..saving }).await.session.unwrap();
    let after_save = service.try_info(&saved.id, false).await.unwrap().context.unwrap();
    let rotating = RotateSessionRequest { context: context(""), ..rotate_cookie(&format!("session={}", saved.token)) };
    service.try_rotate(rotating).await.unwrap();
    let after_rotate = service.try_info(&saved.id, false).await.unwrap().context.unwrap();

    assert_eq!(after_save.user_agent, format!("x{}", "é".repeat(127)));
    assert_eq!(after_save.remote_address, format!("x{}", "é".repeat(31)));
    assert_eq!(after_rotate.user_agent, "é".repeat(128));
    assert_eq!(after_rotate.remote_address, "é".repeat(32));
}

#[tokio::test]
async fn opens_without_a_valid_cookie_store_nothing() {
    let redis = RedisServer::start();
    let settings = RedisSettings { url: redis.url(), ..Default::default() };
    let store = Handle::from(Redis::new(&settings).unwrap());
    let service = TestService::on_store(store, [("default", app_settings())], Default::default()).await;

    for _ in 0..100 {
        service.open_new().await;
        service.open_cookie("forged").await;
    }

    assert_eq!(redis.keys(), [""; 0]);
}

fn assert_empty(session: &Session) {
    assert!(session.new && session.entries.is_empty() && session.null_session.is_none());
    assert!(session.token.starts_with("t1.") && session.subject.is_empty() && session.permanent.is_none());
}

fn open_token_request(token: &str) -> OpenSessionRequest {
    let credential = Some(open_session_request::Credential::Token(token.to_owned()));
    OpenSessionRequest { credential, ..Default::default() }
}

/// Starts a service whose app has one key; returns that key too.
async fn service_with_ring(store: StoreKind) -> (TestService, KeyRing) {
    let key = Key::generate();
    let ring = KeyRing::parse(&[&key]).unwrap();
    let settings = app::Settings { keys: vec![key.into()], ..Default::default() };
    (TestService::with_apps(store, [("default", settings)]).await, ring)
}

/// The keys of an app with a new signing key and an old key that still verifies.
struct Rings {
    both: KeyRing,
    old: KeyRing,
}

impl Rings {
    /// Signs the same split token with the old key.
    fn under_old_key(&self, token: &str) -> String {
        let verified = verify_token(&self.both, &default_app(), token, AcceptedText::Token).unwrap();
        sign_token(&self.old, &default_app(), verified.token)
    }

    fn ticket_under_old_key(&self, clock: &dyn cloakroom::types::Clock) -> String {
        cloakroom::token::sign_ticket(&self.old, &default_app(), SplitToken::random(), clock.now())
    }
}

async fn service_with_two_keys(store: StoreKind) -> (TestService, Rings) {
    let (new, old) = (Key::generate(), Key::generate());
    let rings = Rings { both: KeyRing::parse(&[&new, &old]).unwrap(), old: KeyRing::parse(&[&old]).unwrap() };
    let settings = app::Settings { keys: vec![new.into(), old.into()], ..Default::default() };
    (TestService::with_apps(store, [("default", settings)]).await, rings)
}

fn default_app() -> AppName {
    AppName::parse(AppName::DEFAULT).unwrap()
}

const DAY: Duration = Duration::from_secs(86_400);
