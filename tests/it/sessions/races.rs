//! Races of two requests: every answer is true, and nothing is lost or revived.

use std::sync::Arc;

use cloakroom::app::{self, LimitSettings};
use cloakroom::grpc::wire::{Changes, EndReason, Outcome, RotationCause, SaveSessionRequest, SaveSessionResponse};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::support::calls::{ChangesExt as _, reason, save};
use crate::support::race::{Round, race};
use crate::support::sessions::{HOUR, SaveExt as _, gone};
use crate::support::{StoreKind, TestService, app_settings};

fn set(token: &str, name: &str) -> SaveSessionRequest {
    save(token, Changes::default().set(name, "1"))
}

fn token(saved: &SaveSessionResponse) -> &str {
    &saved.session.as_ref().unwrap().token
}

/// Checks that exactly one call succeeded; returns its answer, and code and reason of the other.
fn one_success<T>(results: [Result<T, Status>; 2]) -> (T, (Code, String)) {
    match results {
        [Ok(done), Err(status)] | [Err(status), Ok(done)] => (done, reason(&status)),
        [Ok(_), Ok(_)] => panic!("both succeeded"),
        [Err(one), Err(other)] => panic!("both failed: {one}, {other}"),
    }
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_save_survives_or_undoes_a_logout(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;

        let (saved, destroyed) = tokio::join!(left.save(set(&token, "b")), right.destroy(&token));

        let saved = saved.unwrap();
        assert_eq!(destroyed.outcome(), Outcome::Deleted);
        if saved.outcome() != Outcome::Updated {
            assert_eq!(gone(&saved), EndReason::Destroyed);
        }
        assert!(!service.is_live(&token).await);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saves_of_different_entries_all_survive(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;
        let changes = |name| Changes::default().set(name, "1").increment("n", 1);

        let (one, other) = tokio::join!(left.save(save(&token, changes("b"))), right.save(save(&token, changes("c"))));

        let mut counters = [one.unwrap().counters["n"], other.unwrap().counters["n"]];
        counters.sort_unstable();
        assert_eq!(counters, [1, 2]);
        assert_eq!(service.entries(&token).await.into_keys().collect::<Vec<_>>(), ["a", "b", "c", "n"]);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_privilege_rotations_one_succeeds(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;

        let cause = RotationCause::Privilege;
        let (one, other) = tokio::join!(left.rotate(&token, cause), right.rotate(&token, cause));

        let (done, gone) = if one.outcome() == Outcome::Updated { (one, other) } else { (other, one) };
        assert_eq!((gone.outcome(), gone.end_reason()), (Outcome::Gone, EndReason::Superseded));
        assert!(gone.session.is_none() && gone.headers.is_empty());
        assert!(service.is_live(&done.session.unwrap().token).await && !service.is_live(&token).await);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_logins_one_succeeds_completely(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let planted = service.stored(&[("a", "1")]).await;
        let login = |subject: &str| save(&planted, Changes::default().subject(subject).set(subject, "1"));

        let (alice, bob) = tokio::join!(left.save(login("alice")), right.save(login("bob")));

        let (alice, bob) = (alice.unwrap(), bob.unwrap());
        let (done, late) = if alice.outcome() == Outcome::Updated { (alice, bob) } else { (bob, alice) };
        assert_eq!(gone(&late), EndReason::Superseded);
        let session = service.session(token(&done)).await;
        assert!(session.entries.contains_key(&session.subject) && session.entries.len() == 2);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_saves_with_one_ticket_create_one_session(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let ticket = service.open_new().await.token;

        let (one, other) = tokio::join!(left.save(set(&ticket, "a")), right.save(set(&ticket, "b")));

        let (one, other) = (one.unwrap(), other.unwrap());
        let mut outcomes = [one.outcome(), other.outcome()];
        outcomes.sort_unstable();
        assert_eq!(outcomes, [Outcome::Created, Outcome::Updated]);
        assert_eq!(token(&one), token(&other));
        assert_eq!(service.entries(token(&one)).await.len(), 2);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_and_a_creation_agree_on_the_result(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let ticket = service.open_new().await.token;

        let (created, destroyed) = tokio::join!(left.save(set(&ticket, "a")), right.destroy(&ticket));

        let created = created.unwrap();
        assert_eq!(created.outcome(), Outcome::Created);
        let ended = destroyed.outcome() == Outcome::Deleted;
        assert_eq!(service.is_live(token(&created)).await, !ended);
        if ended {
            assert_eq!(gone(&service.save(set(&ticket, "b")).await), EndReason::Destroyed);
        }
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_during_a_privilege_rotation_is_applied_or_gone(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;

        let (rotated, saved) =
            tokio::join!(left.rotate(&token, RotationCause::Privilege), right.save(set(&token, "b")));

        let (next, saved) = (rotated.session.unwrap().token, saved.unwrap());
        let entries = service.entries(&next).await;
        assert_eq!(saved.outcome() == Outcome::Updated, entries.contains_key("b"));
        if saved.outcome() != Outcome::Updated {
            assert_eq!(gone(&saved), EndReason::Superseded);
        }
        assert!(!service.is_live(&token).await);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_during_a_renewal_is_always_applied(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let old = service.stored(&[("a", "1")]).await;

        let (rotated, saved) = tokio::join!(left.rotate(&old, RotationCause::Renewal), right.save(set(&old, "b")));

        let (next, saved) = (rotated.session.unwrap().token, saved.unwrap());
        assert_eq!(saved.outcome(), Outcome::Updated);
        assert!([&old, &next].contains(&&token(&saved).to_owned()));
        assert_eq!(service.entries(&next).await.len(), 2);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_renewals_get_the_same_next_token(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let old = service.stored(&[("a", "1")]).await;

        let cause = RotationCause::Renewal;
        let (one, two, three, opened) = tokio::join!(
            left.rotate(&old, cause),
            right.rotate(&old, cause),
            left.rotate(&old, cause),
            service.session(&old)
        );

        let tokens = [one, two, three].map(|rotated| rotated.session.unwrap().token);
        assert!(tokens[0] == tokens[1] && tokens[1] == tokens[2]);
        assert!([&old, &tokens[0]].contains(&&opened.token));
        assert_eq!(service.session(&old).await.token, tokens[0]);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_repeats_of_one_request_are_one_save(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let old = service.stored(&[("a", "1")]).await;
        let login = || save(&old, Changes::default().subject("alice").increment("n", 1)).request_id("one request id");

        let (one, two, three) = tokio::join!(left.save(login()), right.save(login()), left.save(login()));

        let all = [one, two, three].map(Result::unwrap);
        assert_eq!(all.each_ref().map(|saved| (saved.outcome(), saved.counters["n"])), [(Outcome::Updated, 1); 3]);
        assert!(token(&all[0]) == token(&all[1]) && token(&all[1]) == token(&all[2]));
        assert_eq!(service.entries(token(&all[0])).await["n"], "1");
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_repeats_of_one_request_are_one_creation(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let ticket = service.open_new().await.token;
        let request = || save(&ticket, Changes::default().increment("n", 1)).request_id("one request id");

        let (one, other) = tokio::join!(left.save(request()), right.save(request()));

        let both = [one, other].map(Result::unwrap);
        assert_eq!(both.each_ref().map(|saved| (saved.outcome(), saved.counters["n"])), [(Outcome::Created, 1); 2]);
        assert_eq!(token(&both[0]), token(&both[1]));
        assert_eq!(service.entries(token(&both[0])).await["n"], "1");
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_saves_with_one_etag_one_is_applied(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;
        let request = |name| set(&token, name).etag("1");

        let (one, other) = tokio::join!(left.save(request("b")), right.save(request("c")));

        let (done, refusal) = one_success([one, other]);
        assert_eq!(refusal, (Code::Aborted, "ETAG_MISMATCH".to_owned()));
        assert_eq!(service.session(&token).await.etag, done.session.unwrap().etag);
        assert_eq!(service.entries(&token).await.len(), 2);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_concurrent_saves_cannot_exceed_the_limits(store: StoreKind) {
    let limits = LimitSettings { max_entries: 2, ..Default::default() };
    race(store, app::Settings { limits, ..app_settings() }, |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;

        let (one, other) = tokio::join!(left.save(set(&token, "b")), right.save(set(&token, "c")));

        let (_, refusal) = one_success([one, other]);
        assert_eq!(refusal, (Code::FailedPrecondition, "TOO_MANY_ENTRIES".to_owned()));
        assert_eq!(service.entries(&token).await.len(), 2);
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emptying_during_a_save_is_as_if_one_came_first(store: StoreKind) {
    race(store, app_settings(), |Round { service, left, right, .. }| async move {
        let token = service.stored(&[("a", "1")]).await;

        let unset = save(&token, Changes::default().unset("a"));
        let (emptied, saved) = tokio::join!(left.save(unset), right.save(set(&token, "b")));

        let (emptied, saved) = (emptied.unwrap(), saved.unwrap());
        if emptied.outcome() == Outcome::Deleted {
            assert_eq!(gone(&saved), EndReason::Emptied);
            assert!(!service.is_live(&token).await);
        } else {
            assert_eq!([emptied.outcome(), saved.outcome()], [Outcome::Updated; 2]);
            assert_eq!(service.entries(&token).await.into_keys().collect::<Vec<_>>(), ["b"]);
        }
    })
    .await;
}

#[apply(on_every_store)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_touch_revives_nothing(store: StoreKind) {
    let service = Arc::new(TestService::with_lifetimes(store, HOUR, 10 * HOUR).await);
    let mut tokens = Vec::new();
    for _ in 0..250 {
        tokens.push(service.stored(&[("a", "1")]).await);
    }
    service.advance(HOUR / 20);

    let race = |(service, token): (Arc<TestService>, String)| async move {
        let (_, destroyed) = tokio::join!(service.open_cookie(&token), service.destroy(&token));
        assert_eq!(destroyed.outcome(), Outcome::Deleted);
        assert!(!service.is_live(&token).await);
        assert_eq!(gone(&service.save(set(&token, "b")).await), EndReason::Destroyed);
    };

    let races: JoinSet<()> = tokens.into_iter().map(|token| race((Arc::clone(&service), token))).collect();
    races.join_all().await;
}
