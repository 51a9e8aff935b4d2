//! Lost answers: a browser that goes on with its old cookie can log in at its next try, and no login is undone.

use cloakroom::app;
use cloakroom::grpc::wire::{Changes, Outcome, RotationCause, SaveSessionRequest};
use cloakroom::token::Key;

use crate::support::browser::Browser;
use crate::support::calls::{ChangesExt as _, json_entries, open_cookie, save_cookie, set_cookies};
use crate::support::frontend::{after_open, header, log_in, request};
use crate::support::race::{Round, race_for};
use crate::support::sessions::{MILLI, MINUTE, SECOND, SaveExt as _, destroy_cookie, gone};
use crate::support::{StoreKind, TestService, app_settings};

#[apply(on_every_store)]
async fn after_a_lost_answer_the_next_login_works(store: StoreKind) {
    let service = TestService::new(store).await;
    let lost: [fn(Changes) -> Changes; 4] = [
        |changes| changes.subject("anna"),
        |changes| changes.clear().set("b", "2"),
        |changes| changes.clear(),
        |changes| changes.subject("anna").authenticated(),
    ];
    for change in lost {
        for wait in [0, 1, 29, 30, 601] {
            let mut browser = Browser::with(&service.stored(&[("a", "1"), ("csrf", "\"old\"")]).await);
            request(&service, &browser, change(Changes::default())).await;

            service.advance(wait * SECOND);

            log_in(&service, &mut browser, "anna").await;
        }
    }
}

#[apply(on_every_store)]
async fn after_a_lost_rotation_or_logout_the_next_login_works(store: StoreKind) {
    let service = TestService::new(store).await;

    for wait in [0, 1, 601] {
        let mut rotated = Browser::with(&service.stored(&[("a", "1")]).await);
        service.rotate(rotated.token().unwrap(), RotationCause::Privilege, "").await;
        let mut logged_out = Browser::with(&service.stored(&[("a", "1")]).await);
        service.destroy(logged_out.token().unwrap()).await;
        let mut renewed = Browser::with(&service.stored(&[("a", "1")]).await);
        service.rotate(renewed.token().unwrap(), RotationCause::Renewal, "").await;

        service.advance(wait * SECOND);

        for browser in [&mut rotated, &mut logged_out, &mut renewed] {
            log_in(&service, browser, "anna").await;
        }
    }
}

#[apply(on_every_store)]
async fn many_logins_in_a_row_can_lose_their_answers(store: StoreKind) {
    let service = TestService::new(store).await;
    let mut browser = Browser::with(&service.stored(&[("a", "1")]).await);
    request(&service, &browser, Changes::default().subject("anna")).await;

    for _ in 0..20 {
        let lost = &mut browser.clone();
        log_in(&service, lost, "anna").await;
    }

    log_in(&service, &mut browser, "anna").await;
}

#[tokio::test]
async fn however_many_logins_lost_their_answers_the_next_one_works() {
    let service = TestService::new(StoreKind::Memory).await;
    let mut browser = Browser::with(&service.stored(&[("a", "1")]).await);
    let login = || Changes::default().subject("anna").set("in", "true");

    for _ in 0..260 {
        let saved = service.save(save_cookie(&header(&browser), login())).await;
        assert_eq!(set_cookies(&saved.headers).len(), 1);
    }

    log_in(&service, &mut browser, "anna").await;
}

#[apply(on_every_store)]
async fn no_automatic_write_sets_a_cookie_right_after_many_logins_and_logouts(store: StoreKind) {
    let service = TestService::new(store).await;
    let browser = Browser::with(&service.stored(&[("a", "1")]).await);
    request(&service, &browser, Changes::default().subject("anna")).await;
    service.advance(MINUTE);

    for _ in 0..12 {
        let login = Changes::default().subject("anna").set("in", "true");
        service.save(save_cookie(&header(&browser), login)).await;
        let (form, early) = request(&service, &browser, Changes::default().set("b", "1")).await;
        service.destroy(&service.open(open_cookie(&header(&browser))).await.session.unwrap().token).await;
        let (next, late) = request(&service, &browser, Changes::default().set("b", "1")).await;

        assert!(set_cookies(&early.headers).is_empty() && set_cookies(&late.headers).is_empty());
        assert!(form.new && next.new && form.id != next.id);
    }
}

#[apply(on_every_store)]
async fn a_client_that_never_takes_a_cookie_can_always_log_in(store: StoreKind) {
    let service = TestService::new(store).await;
    let stale = Browser::with(&service.stored(&[("a", "1")]).await);

    for _ in 0..20 {
        let login = service.save(save_cookie(&header(&stale), Changes::default().subject("anna").set("a", "1"))).await;
        let mut browser = stale.clone();
        browser.receive(&login.headers);
        assert_eq!(service.session(browser.token().unwrap()).await.subject, "anna");
        service.advance(SECOND);
    }
}

#[apply(on_every_store)]
async fn a_double_click_on_a_login_costs_at_most_one_answer(store: StoreKind) {
    let service = TestService::new(store).await;
    let mut browser = Browser::with(&service.stored(&[("csrf", "\"x\"")]).await);
    let opened =
        [service.open(open_cookie(&header(&browser))).await, service.open(open_cookie(&header(&browser))).await];
    let [first, second] =
        opened.map(|opened| after_open(&opened, Changes::default().subject("anna").set("in", "true")));

    // The browser drops the first answer, because the second click replaced its request.
    service.save(first).await;
    let second = service.save(second).await;
    browser.receive(&second.headers);

    gone(&second);
    log_in(&service, &mut browser, "anna").await;
}

#[apply(on_every_store)]
async fn the_planter_of_a_superseded_cookie_gets_nothing_of_the_next_login(store: StoreKind) {
    let service = TestService::new(store).await;
    let planted = service.stored(&[("a", "1")]).await;
    service.rotate(&planted, RotationCause::Privilege, "").await;
    for wait in [0, 30] {
        service.advance(wait * SECOND);
        let mut victim = Browser::with(&planted);

        // Without a form before it, and with one, whose session exists by then.
        let direct =
            service.save(save_cookie(&header(&victim), Changes::default().subject("anna").set("a", "1"))).await;
        let seen = service.session(&planted).await;
        assert_eq!((seen.subject.as_str(), seen.entries.len()), ("", 0));
        assert_eq!(set_cookies(&direct.headers).len(), 1);
        log_in(&service, &mut victim, "anna").await;

        let seen = service.session(&planted).await;
        assert_eq!((seen.subject.as_str(), seen.entries.len()), ("", 0));
        assert_ne!(seen.id, service.session(victim.token().unwrap()).await.id);
    }
}

#[apply(on_every_store)]
async fn a_recovery_session_sets_its_own_cookie_after_30_seconds(store: StoreKind) {
    let service = TestService::new(store).await;
    let mut browser = Browser::with(&service.stored(&[("a", "1")]).await);
    request(&service, &browser, Changes::default().subject("anna")).await;
    let change = |n: &str| Changes::default().set(n, "1");

    service.advance(30 * SECOND - MILLI);
    let (early, created) = request(&service, &browser, change("b")).await;
    let read = service.open(open_cookie(&header(&browser))).await;
    assert!(set_cookies(&created.headers).is_empty() && created.session.unwrap().token.is_empty());
    assert!(set_cookies(&read.read_headers).is_empty() && set_cookies(&read.untouched_headers).is_empty());

    service.advance(MILLI);
    let read = service.open(open_cookie(&header(&browser))).await;
    let (later, updated) = request(&service, &browser, change("c")).await;
    assert!(read.cookie_outdated && set_cookies(&read.read_headers) == set_cookies(&read.untouched_headers));
    assert_eq!(set_cookies(&updated.headers), set_cookies(&read.read_headers));
    browser.receive(&updated.headers);
    assert_eq!((&early.id, early.new), (&later.id, true));
    assert_eq!(service.entries(browser.token().unwrap()).await.len(), 2);
}

#[apply(on_every_store)]
async fn nothing_but_a_rotation_in_a_young_recovery_session_sets_a_cookie(store: StoreKind) {
    let service = TestService::new(store).await;
    let browser = Browser::with(&service.stored(&[("a", "1")]).await);
    request(&service, &browser, Changes::default().subject("anna")).await;
    let quiet = [
        Changes::default().unset("x"),
        Changes::default().set("b", "1"),
        Changes::default().set("b", "2").permanent(true),
        Changes::default().permanent(false),
        Changes::default(),
        Changes::default().unset("b").permanent(true),
        Changes { unset: vec!["b".to_owned(), "_permanent".to_owned()], ..Changes::default() },
    ];

    for changes in quiet {
        let by_header = service.save(save_cookie(&header(&browser), changes.clone())).await;
        let (_, by_token) = request(&service, &browser, changes.clone()).await;
        let unmodified = service.save(SaveSessionRequest { changes: None, ..save_cookie(&header(&browser), changes) });
        for saved in [by_header, by_token, unmodified.await] {
            assert_eq!(set_cookies(&saved.headers), [""; 0]);
            assert_ne!(saved.outcome(), Outcome::Gone);
        }
    }
    let session = service.open(open_cookie(&header(&browser))).await.session.unwrap();
    let renewed = service.rotate(&session.token, RotationCause::Renewal, "").await;
    assert_eq!((renewed.outcome(), renewed.headers.len()), (Outcome::Unchanged, 0));

    for rotate in [Changes::default().set("b", "1").clear(), Changes::default().set("b", "1").subject("bert")] {
        let login = service.save(save_cookie(&header(&browser), rotate)).await;
        assert_eq!(set_cookies(&login.headers).len(), 1);
    }
}

#[apply(on_every_store)]
async fn a_repeated_login_in_a_recovery_session_gets_its_cookie_again(store: StoreKind) {
    let service = TestService::new(store).await;
    let browser = Browser::with(&service.stored(&[("a", "1")]).await);
    request(&service, &browser, Changes::default().subject("anna")).await;
    let opened = service.open(open_cookie(&header(&browser))).await;
    let by_token = after_open(&opened, Changes::default().subject("anna").set("n", "1")).request_id("one login");

    let answers = [service.save(by_token.clone()).await, service.save(by_token).await];

    assert_eq!(answers.each_ref().map(|saved| saved.outcome()), [Outcome::Created; 2]);
    assert_eq!(set_cookies(&answers[0].headers), set_cookies(&answers[1].headers));
    assert_eq!(set_cookies(&answers[0].headers).len(), 1);
}

#[apply(on_every_store)]
async fn a_logout_by_a_superseded_cookie_ends_what_it_leads_to(store: StoreKind) {
    let service = TestService::new(store).await;
    let browser = Browser::with(&service.stored(&[("a", "1")]).await);
    request(&service, &browser, Changes::default().subject("anna")).await;
    service.advance(11 * MINUTE);
    let (before, _) = request(&service, &browser, Changes::default().set("b", "1")).await;

    let destroyed = service.try_destroy(destroy_cookie(&header(&browser))).await.unwrap();

    assert_eq!((destroyed.outcome(), set_cookies(&destroyed.headers).len()), (Outcome::Deleted, 1));
    let after = service.session(browser.token().unwrap()).await;
    assert!(after.new && after.entries.is_empty() && after.id != before.id);
}

#[apply(on_every_store)]
async fn a_logout_shortly_after_a_lost_login_ends_the_recovery_session_as_well(store: StoreKind) {
    let service = TestService::new(store).await;
    let browser = Browser::with(&service.stored(&[("a", "1")]).await);
    request(&service, &browser, Changes::default().subject("anna")).await;
    service.advance(5 * SECOND);
    request(&service, &browser, Changes::default().set("b", "1")).await;
    assert_eq!(service.entries(browser.token().unwrap()).await["b"], "1");

    service.try_destroy(destroy_cookie(&header(&browser))).await.unwrap();

    let after = service.session(browser.token().unwrap()).await;
    assert!(after.new && after.entries.is_empty());
}

#[apply(on_every_store)]
async fn a_login_that_is_repeated_by_a_superseded_cookie_is_one_login(store: StoreKind) {
    for has_form in [true, false] {
        let service = TestService::new(store).await;
        let browser = Browser::with(&service.stored(&[("a", "1")]).await);
        request(&service, &browser, Changes::default().subject("anna")).await;
        if has_form {
            request(&service, &browser, Changes::default().set("csrf", "1")).await;
        }
        let login = || save_cookie(&header(&browser), Changes::default().subject("bert").set("n", "1"));

        let [first, repeated] =
            [service.save(login().request_id("one")).await, service.save(login().request_id("one")).await];

        assert_eq!(set_cookies(&first.headers).len(), 1);
        assert_eq!(set_cookies(&repeated.headers), set_cookies(&first.headers));
        assert_eq!(repeated.session.unwrap().id, first.session.unwrap().id);
        let another = service.save(login().request_id("another")).await;
        assert_ne!(set_cookies(&another.headers), set_cookies(&first.headers));
    }
}

#[apply(on_every_store)]
async fn of_two_superseded_cookies_a_save_goes_to_the_session_that_an_open_finds(store: StoreKind) {
    let service = TestService::new(store).await;
    let [first, second] = [service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await];
    for token in [&first, &second] {
        service.log_in(token, "anna").await;
    }
    let both = format!("session={first}; session={second}");
    let second = Browser::with(&second);
    let (_, shown) = request(&service, &second, Changes::default().set("csrf", "1")).await;

    let saved = service.save(save_cookie(&both, Changes::default().set("b", "1"))).await;

    assert_eq!(saved.session.unwrap().id, shown.session.unwrap().id);
    let opened = service.open(open_cookie(&both)).await;
    let names: Vec<String> = json_entries(opened.session.unwrap()).into_keys().collect();
    assert_eq!(names, ["b", "csrf"]);
}

#[apply(on_every_store)]
async fn a_superseded_cookie_beside_that_of_its_recovery_session_opens_that_session(store: StoreKind) {
    let service = TestService::new(store).await;
    let old = service.stored(&[("a", "1")]).await;
    let mut browser = Browser::with(&old);
    request(&service, &browser, Changes::default().subject("anna")).await;
    service.advance(30 * SECOND);
    let (_, created) = request(&service, &browser, Changes::default().set("b", "1")).await;
    browser.receive(&created.headers);
    let own = browser.token().unwrap().to_owned();

    for header in [format!("session={old}; session={own}"), format!("session={own}; session={old}")] {
        let opened = service.open(open_cookie(&header)).await;
        assert_eq!(opened.session.unwrap().token, own);
    }
}

#[apply(on_every_store)]
async fn a_response_has_one_complete_list_of_headers(store: StoreKind) {
    let keys = vec![Key::generate(), Key::generate()];
    let settings =
        |keys: Vec<String>| app::Settings { keys: keys.into_iter().map(Into::into).collect(), ..app_settings() };
    let before = TestService::with_apps(store, [("default", settings(vec![keys[1].clone()]))]).await;
    let after = before.with_settings(&settings(keys)).await;
    let old = before.stored(&[("a", "1"), ("_permanent", "true")]).await;
    let browser = Browser::with(&old);
    let changes: [fn(Changes) -> Changes; 4] = [
        |changes| changes.set("a", "1"),
        |changes| changes.permanent(false),
        |changes| changes.set("a", "1"),
        |changes| changes.subject("anna"),
    ];

    for change in changes {
        let opened = after.open(open_cookie(&header(&browser))).await;
        assert!(opened.cookie_outdated);
        assert_eq!(set_cookies(&opened.read_headers).len(), 1);
        let request = after_open(&opened, change(Changes::default()));
        let unmodified = after.save(SaveSessionRequest { changes: None, ..request.clone() }).await;
        assert_eq!(set_cookies(&unmodified.headers).len(), 1);
        let saved = after.save(request).await;
        let [cookie] = set_cookies(&saved.headers)[..] else { panic!("one cookie is set") };
        assert!(cookie.starts_with(&format!("session={};", saved.session.unwrap().token)));
    }
}

#[apply(on_every_store)]
async fn a_clear_a_login_and_a_logout_are_ways_out_of_two_live_cookies(store: StoreKind) {
    let settings = app::Settings { subject_key: "user".to_owned(), ..app_settings() };
    let ways: [Changes; 6] = [
        Changes::default().clear(),
        Changes::default().clear().set("b", "2"),
        Changes::default().subject("anna").set("b", "2"),
        Changes::default().set("user", "\"anna\""),
        Changes::default().unset("user"),
        Changes::default().subject(""),
    ];
    let service = TestService::with_apps(store, [("default", settings)]).await;
    for changes in ways {
        let [one, other] = [service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await];
        let both = format!("session={one}; session={other}");
        let has_content = !changes.set.is_empty();

        let saved = service.save(save_cookie(&both, changes.clone())).await;

        assert!(!service.is_live(&one).await && !service.is_live(&other).await);
        assert_eq!(set_cookies(&saved.headers).len(), 1);
        let expected = if has_content { Outcome::Created } else { Outcome::Deleted };
        assert_eq!(saved.outcome(), expected);
        let mut browser = Browser::default();
        browser.receive(&saved.headers);
        let all = format!("session={one}; session={other}; {}", header(&browser));
        let opened = service.open(open_cookie(&all)).await.session.unwrap();
        assert!(opened.null_session.is_none() && opened.new != has_content);
    }
}

#[apply(on_every_store)]
async fn a_refused_way_out_ends_neither_of_two_live_cookies(store: StoreKind) {
    let service = TestService::new(store).await;
    let [one, other] = [service.stored(&[("a", "1")]).await, service.stored(&[("a", "1")]).await];
    let both = format!("session={one}; session={other}");

    let invalid = save_cookie(&both, Changes::default().clear().set("", "1"));
    assert_eq!(service.refusal(invalid).await.1, "ENTRY_NAME_INVALID");
    assert_eq!(service.refusal(save_cookie(&both, Changes::default().set("b", "1"))).await.1, "COOKIES_AMBIGUOUS");

    for refused in [
        save_cookie(&both, Changes::default().clear().authenticated()),
        save_cookie(&both, Changes::default().clear().set("a", &format!("\"{}\"", "x".repeat(100_000)))),
        SaveSessionRequest { etag: "7".to_owned(), ..save_cookie(&both, Changes::default().subject("anna")) },
    ] {
        let (_, reason) = service.refusal(refused).await;
        assert!(["SUBJECT_MISSING", "SESSION_TOO_LARGE", "ETAG_MISMATCH"].contains(&&*reason), "{reason}");
    }

    assert!(service.is_live(&one).await && service.is_live(&other).await);
}

/// A page that saves at each request must not replace the cookie of a login, whichever response arrives last.
#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_automatic_write_replaces_the_cookie_of_a_login(store: StoreKind) {
    race_for(2000, store, app_settings(), |Round { service, left, right, .. }| async move {
        let mut browser = Browser::with(&service.stored(&[("csrf", "\"x\"")]).await);
        let cookie = header(&browser);
        let automatic = || Changes::default().set("seen", "1").permanent(true);
        let login = || Changes::default().subject("anna").set("in", "true");
        let opened = service.open(open_cookie(&cookie)).await;

        let open_and_save = async {
            let opened = service.open(open_cookie(&cookie)).await;
            right.save(after_open(&opened, automatic())).await.unwrap()
        };
        let (login, by_header, by_token, opened_late) = tokio::join!(
            left.save(save_cookie(&cookie, login())),
            right.save(save_cookie(&cookie, automatic())),
            right.save(after_open(&opened, automatic())),
            open_and_save,
        );

        // The login arrives first, and the automatic answers after it. Those made before it may set the old token.
        browser.receive(&login.unwrap().headers);
        let token = browser.token().unwrap().to_owned();
        for saved in [by_header.unwrap(), by_token.unwrap(), opened_late] {
            if !set_cookies(&saved.headers).is_empty() {
                assert_eq!(saved.outcome(), Outcome::Updated, "only a write before the login sets a cookie");
                assert_eq!(Some(saved.session.unwrap().token.as_str()), cookie.strip_prefix("session="));
            }
        }
        assert_eq!(service.session(&token).await.subject, "anna");
        let late = service.open(open_cookie(&cookie)).await;
        assert!(set_cookies(&late.read_headers).is_empty());
    })
    .await;
}

/// Two logins in one recovery session: each that is answered with a cookie logs its browser in.
#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_logins_after_a_lost_answer_one_works(store: StoreKind) {
    race_for(2000, store, app_settings(), |Round { service, left, right, number }| async move {
        let stale = Browser::with(&service.stored(&[("a", "1")]).await);
        service.rotate(stale.token().unwrap(), RotationCause::Privilege, "").await;
        // In every other round, a form has stored the recovery session.
        if number % 2 == 0 {
            request(&service, &stale, Changes::default().set("csrf", "\"x\"")).await;
        }
        let opened = service.open(open_cookie(&header(&stale))).await;
        let login = |subject: &str| Changes::default().subject(subject).set("in", "true");

        let (one, two, three) = tokio::join!(
            left.save(after_open(&opened, login("anna"))),
            right.save(after_open(&opened, login("bert"))),
            right.save(save_cookie(&header(&stale), login("carl"))),
        );

        let answers = [(one, "anna"), (two, "bert"), (three, "carl")];
        let answers = answers.map(|(answer, subject)| (answer.unwrap(), subject));
        let mut logged_in = 0;
        for (saved, subject) in answers {
            let mut browser = Browser::default();
            browser.receive(&saved.headers);
            let Some(token) = browser.token() else {
                gone(&saved);
                continue;
            };
            logged_in += 1;
            assert_eq!(service.session(token).await.subject, subject);
        }
        assert!(logged_in >= 1);
        assert_eq!(service.session(stale.token().unwrap()).await.subject, "");
    })
    .await;
}

#[apply(on_every_store)]
async fn a_logout_by_the_token_of_a_recovery_session_leaves_the_cookie_of_the_login(store: StoreKind) {
    let service = TestService::new(store).await;
    for has_form in [false, true] {
        let browser = Browser::with(&service.stored(&[("a", "1")]).await);
        request(&service, &browser, Changes::default().subject("anna")).await;
        if has_form {
            request(&service, &browser, Changes::default().set("csrf", "1")).await;
        }
        let recovery = service.open(open_cookie(&header(&browser))).await.session.unwrap().token;

        let destroyed = service.destroy(&recovery).await;

        assert_eq!(set_cookies(&destroyed.headers), [""; 0]);
    }
}
