//! Flask's signed cookies come in once, whole, and by nothing but their signature.

use cloakroom::app::{self, CookieSettings, FlaskCookieSettings, LimitSettings};
use cloakroom::grpc::wire::{Changes, EndReason, OpenSessionRequest, Outcome, RequestContext, open_session_request};
use cloakroom::token::Key;
use cloakroom::types::{Clock as _, Time};

use super::*;
use crate::on_every_store;
use crate::support::calls::{ChangesExt as _, save, save_cookie, set_cookies};
use crate::support::sessions::{MINUTE, SECOND, gone, millis};

#[apply(on_every_store)]
async fn the_first_request_imports_all_that_the_cookie_holds(on: On) {
    let house = house(on).await;
    let held = [("_user_id", r#""anna""#), ("cart", r#"{" t":[1,2.5]}"#), ("_flashes", r#"[{" t":["message","Hi"]}]"#)];
    let old = signed(&held, Some(true), house.clock.now());

    let (opened, session) = house.opens(&old).await;

    assert_eq!((session.subject.as_str(), session.permanent, session.new), ("anna", Some(true), false));
    assert_eq!(millis(&session.create_time), house.clock.now().millis());
    assert_eq!(session.authenticate_time, None, "nobody knows when anna logged in");
    let [cookie] = set_cookies(&opened.read_headers)[..] else { panic!("one cookie is set") };
    assert!(cookie.starts_with(&format!("session={};", session.token)) && cookie.contains("Expires"), "{cookie}");
    let mut held = held;
    held.sort_unstable();
    assert_eq!(entries(session.clone()), pairs(&held));
    assert_eq!(entries(house.session(&session.token).await), pairs(&held));
    assert_eq!(house.ids_of("anna").await, [session.id]);
}

#[apply(on_every_store)]
async fn a_second_request_with_the_old_cookie_finds_the_same_session(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (id, token) = house.moves_in(&old).await;
    house.update(&token, Changes::default().set("b", "2")).await;

    let (again, same_token) = house.moves_in(&old).await;

    assert_eq!((&again, &same_token), (&id, &token));
    assert_eq!(entries(house.opens(&old).await.1), pairs(&[("a", "1"), ("b", "2")]));
    let door = house.door("flask_cookie").await;
    assert_eq!((door.imported, door.found), (1, 2));
    assert_eq!(millis(&door.last_import_time), house.clock.now().millis());
    assert_eq!(house.stats("").await.created, 1);
}

#[apply(on_every_store)]
async fn new_keys_of_the_service_change_nothing_of_where_an_old_cookie_leads(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (id, token) = house.moves_in(&old).await;

    let mut rotated = settings();
    rotated.keys = vec![Key::generate().into()];
    let other = house.with_settings(&rotated).await;

    let (again, new_token) = other.moves_in(&old).await;
    assert_eq!(again, id);
    assert_ne!(new_token, token);
}

#[apply(on_every_store)]
async fn each_spelling_of_a_cookie_is_the_same_or_nothing(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (id, _) = house.moves_in(&old).await;

    for other in [format!("{old}="), format!("{old}!"), old.replace('.', ".!"), format!("{}A", &old[..old.len() - 1])] {
        let (_, session) = house.opens(&other).await;
        assert!(session.new || session.id == id, "{other}");
    }
    assert_eq!(house.door("flask_cookie").await.imported, 1);
}

#[apply(on_every_store)]
async fn what_is_forged_expired_or_foreign_is_nothing(on: On) {
    let house = house(on).await;
    let now = house.clock.now();
    let good = signed(&[("a", "1")], None, now);
    let foreign = Signer::new(&["of another application"], DEFAULT_SALT.as_bytes(), Digest::Sha1).unwrap();
    let other_salt = Signer::new(&[KEY], b"another salt", Digest::Sha1).unwrap();
    let other_digest = Signer::new(&[KEY], DEFAULT_SALT.as_bytes(), Digest::Sha256).unwrap();
    let seal = |signer: &Signer| signer.sign(&Entries::pack([("a", b"1".as_slice())]), None, now).unwrap();
    let signature = good.rfind('.').unwrap();
    let nothing = [
        format!("x{good}"),
        format!("{}.{}", &good[..signature], "A".repeat(27)),
        seal(&foreign),
        seal(&other_salt),
        seal(&other_digest),
        signed(&[("a", "1")], None, now.before(LIFETIME + SECOND)),
        signed(&[("a", "1")], None, now + SECOND),
        "a.b.c".to_owned(),
        signed(&[], None, now),
    ];

    for old in &nothing {
        assert!(house.is_nothing(old).await, "{old}");
    }

    assert!(!house.is_nothing(&signed(&[("a", "1")], None, now.before(LIFETIME))).await, "the last second counts");
    let counted = [("BAD_SIGNATURE", 5), ("EXPIRED", 1), ("FROM_THE_FUTURE", 1), ("MALFORMED", 1)];
    assert_eq!(house.refused("flask_cookie").await, counted.map(|(why, n)| (why.to_owned(), n)).into());
    assert_eq!(house.door("flask_cookie").await.imported, 1);
}

#[apply(on_every_store)]
async fn a_token_by_itself_is_never_an_old_cookie(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);

    let credential = Some(open_session_request::Credential::Token(old.clone()));
    let opened = house.open(OpenSessionRequest { credential, ..Default::default() }).await;
    let refused = house.refusal(save(&old, Changes::default().set("b", "1"))).await;

    assert!(opened.session.unwrap().new);
    assert_eq!(refused.1, "TOKEN_INVALID");
    assert_eq!(house.door("flask_cookie").await.imported, 0);
}

#[apply(on_every_store)]
async fn where_a_token_verifies_no_door_is_tried(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let token = house.stored(&[("b", "2")]).await;

    let (_, session) = house.opens(&format!("{old}; session={token}")).await;
    house.destroy(&token).await;
    let (_, after) = house.opens(&format!("{old}; session={token}")).await;

    assert_eq!(entries(session), pairs(&[("b", "2")]));
    assert!(after.new, "a dead token is still a token");
    assert_eq!(house.door("flask_cookie").await.imported, 0);
}

#[apply(on_every_store)]
async fn what_is_shaped_like_a_token_is_none_of_a_door_s(on: On) {
    let house = house(on).await;
    for value in ["v1.AAAA.BBBB", "t1.AAAA.BBBB", "v1.x"] {
        assert!(house.is_nothing(value).await);
    }
    assert_eq!(house.refused("flask_cookie").await, BTreeMap::new());
}

#[apply(on_every_store)]
async fn two_old_sessions_in_one_header_are_a_planted_cookie(on: On) {
    let house = house(on).await;
    let [one, other] = [house.old(&[("a", "1")]), house.old(&[("a", "2")])];
    let header = format!("session={one}; session={other}");

    let opened = house.open(open_cookie(&header)).await.session.unwrap();
    let saved = house.refusal(save_cookie(&header, Changes::default().set("b", "1"))).await;

    assert_eq!(opened.null_session.unwrap().reason, "COOKIES_AMBIGUOUS");
    assert_eq!(saved.1, "COOKIES_AMBIGUOUS");
    let (_, twice) = house.opens(&format!("{one}; session={one}")).await;
    assert!(!twice.new, "the same one twice is one");
}

#[apply(on_every_store)]
async fn at_most_eight_cookies_are_looked_at(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let junk = "session=a.b.c; ".repeat(8);

    assert!(house.open(open_cookie(&format!("{junk}session={old}"))).await.session.unwrap().new);
    let seven = &junk["session=a.b.c; ".len()..];
    assert!(!house.open(open_cookie(&format!("{seven}session={old}"))).await.session.unwrap().new);
}

#[apply(on_every_store)]
async fn every_verb_takes_an_old_cookie(on: On) {
    let house = house(on).await;
    let [saved, unmodified, rotated, watched] = [1, 2, 3, 4].map(|n| house.old(&[("n", &n.to_string())]));

    let answer = house.save(save_cookie(&format!("session={saved}"), Changes::default().set("b", "1"))).await;
    assert_eq!((answer.outcome(), set_cookies(&answer.headers).len()), (Outcome::Updated, 1));
    assert_eq!(entries(house.opens(&saved).await.1), pairs(&[("b", "1"), ("n", "1")]));

    let mut request = save_cookie(&format!("session={unmodified}"), Changes::default());
    request.changes = None;
    let answer = house.save(request).await;
    assert_eq!((answer.outcome(), set_cookies(&answer.headers).len()), (Outcome::Unchanged, 1));

    let header = format!("session={rotated}");
    let answer = house.client.clone().rotate_session(rotate_header(&header)).await.unwrap().into_inner();
    assert_eq!((answer.outcome(), set_cookies(&answer.headers).len()), (Outcome::Updated, 1));
    assert!(house.lives(&answer.session.unwrap().token).await);

    let credential =
        Some(cloakroom::grpc::wire::watch_session_request::Credential::CookieHeader(format!("session={watched}")));
    let request = cloakroom::grpc::wire::WatchSessionRequest { credential, ..Default::default() };
    let mut watch = house.client.clone().watch_session(request).await.unwrap().into_inner();
    let state = watch.message().await.unwrap().unwrap().state();
    assert_eq!(state, cloakroom::grpc::wire::WatchState::Alive);
    assert_eq!(house.door("flask_cookie").await.imported, 4);
}

#[apply(on_every_store)]
async fn after_a_login_the_old_cookie_is_worth_nothing(on: On) {
    let house = house(on).await;
    let old = house.old(&[("csrf", "\"x\"")]);
    let (id, token) = house.moves_in(&old).await;

    let logged_in = house.log_in(&token, "anna").await;

    let (opened, session) = house.opens(&old).await;
    assert!(session.new && session.id != id && set_cookies(&opened.read_headers).is_empty());
    let saved = house.save(save_cookie(&format!("session={old}"), Changes::default().set("b", "1"))).await;
    assert_eq!(gone(&saved), EndReason::Superseded);
    assert!(house.lives(&logged_in).await);
}

#[apply(on_every_store)]
async fn a_browser_that_lost_the_new_token_can_begin_anew_later(on: On) {
    let house = house(on).await;
    let old = house.old(&[("csrf", "\"x\"")]);
    let (id, token) = house.moves_in(&old).await;
    let logged_in = house.log_in(&token, "anna").await;

    house.advance(10 * MINUTE);

    let saved = house.save(save_cookie(&format!("session={old}"), Changes::default().set("b", "1"))).await;
    assert_eq!(saved.outcome(), Outcome::Created);
    assert_ne!(saved.session.unwrap().id, id);
    assert!(house.lives(&logged_in).await);
}

#[apply(on_every_store)]
async fn an_old_cookie_is_a_replaced_token_after_a_renewal(on: On) {
    let house = house(on).await;
    let old = house.old(&[("a", "1")]);
    let (id, token) = house.moves_in(&old).await;
    let renew = cloakroom::grpc::wire::RotationCause::Renewal;
    let renewed = house.rotate(&token, renew, "").await.session.unwrap().token;

    let in_grace = house.moves_in(&old).await;
    house.advance(30 * SECOND);
    let after = house.is_nothing(&old).await;

    assert_eq!(in_grace, (id, renewed.clone()));
    assert!(!after || house.lives(&renewed).await);
    assert!(house.opens(&old).await.1.new);
}

#[apply(on_every_store)]
async fn limits_wait_for_the_next_growth(on: On) {
    let limits = LimitSettings { max_entries: 2, max_session_bytes: 1024 };
    let house = House::with_apps(on, [("default", app::Settings { limits, ..settings() })]).await;
    let name = "n".repeat(300);
    let old = house.old(&[("a", "1"), ("b", "2"), ("c", "3"), ("", "4"), (&name, "5")]);

    let (_, token) = house.moves_in(&old).await;

    let held = [("", "4"), ("a", "1"), ("b", "2"), ("c", "3"), (name.as_str(), "5")];
    assert_eq!(entries(house.session(&token).await), pairs(&held));
    assert_eq!(house.refusal(save(&token, Changes::default().set("d", "1"))).await.1, "TOO_MANY_ENTRIES");
    house.update(&token, Changes::default().set("a", "2").unset("b")).await;
}

#[apply(on_every_store)]
async fn what_json_cannot_hold_is_tagged(on: On) {
    let house = house(on).await;
    let signer = Signer::new(&[KEY], DEFAULT_SALT.as_bytes(), Digest::Sha1).unwrap();
    let held = Entries::pack([("a", b"[NaN,-Infinity]".as_slice()), ("b", br#"{" f":1}"#), ("c", br#""\ud800""#)]);
    let old = signer.sign(&held, None, house.clock.now()).unwrap();

    let (_, session) = house.opens(&old).await;

    let expected =
        [("a", r#"[{" f":"NaN"},{" f":"-Infinity"}]"#), ("b", r#"{" di":{" f__":1}}"#), ("c", r#""\ud800""#)];
    assert_eq!(entries(session), pairs(&expected));
}

#[apply(on_every_store)]
async fn a_door_can_have_a_cookie_of_its_own(on: On) {
    let keys = vec![KEY.to_owned().into()];
    let door = FlaskCookieSettings { keys, cookie_name: "flask".to_owned(), ..Default::default() };
    let cookie = CookieSettings { name: "sid".to_owned(), ..Default::default() };
    let house = House::with_apps(on, [("default", app::Settings { cookie, ..accepting(door) })]).await;
    let old = house.old(&[("a", "1")]);

    let elsewhere = house.open(open_cookie(&format!("sid={old}"))).await.session.unwrap();
    let opened = house.open(open_cookie(&format!("flask={old}"))).await;
    let session = opened.session.unwrap();
    let both = format!("flask={old}; sid={}", session.token);
    let second = house.open(open_cookie(&both)).await;
    let destroyed = house.destroy_header(&both).await;

    assert!(elsewhere.new);
    assert!(set_cookies(&opened.read_headers)[0].starts_with("sid="));
    assert_eq!((second.session.unwrap().id, second.untouched_headers.len()), (session.id, 0));
    let deleted = set_cookies(&destroyed.headers);
    assert!(deleted[0].starts_with("sid=;") && deleted[1].starts_with("flask=;"), "{deleted:?}");
    assert!(house.open(open_cookie(&format!("flask={old}"))).await.session.unwrap().new);
}

#[apply(on_every_store)]
async fn the_doors_shut_by_themselves(on: On) {
    let house = house(on).await;
    let until = Time::from_millis(millis(&house.door("flask_cookie").await.until));
    let [one, other] =
        [signed(&[("a", "1")], None, until.before(MINUTE)), signed(&[("a", "2")], None, until.before(MINUTE))];

    house.clock.set(until.before(SECOND));
    let (_, token) = house.moves_in(&one).await;
    house.clock.set(until);

    assert!(house.is_nothing(&one).await && house.is_nothing(&other).await);
    assert!(house.lives(&token).await);
}

#[apply(on_every_store)]
async fn the_device_that_moved_in_is_known(on: On) {
    let house = house(on).await;
    let old = house.old(&[("_user_id", "7")]);
    let context = Some(RequestContext { user_agent: "Browser/1.0".to_owned(), ..Default::default() });

    house.open(OpenSessionRequest { context, ..open_cookie(&format!("session={old}")) }).await;

    assert_eq!(house.list_of("7").await[0].context.as_ref().unwrap().user_agent, "Browser/1.0");
}
