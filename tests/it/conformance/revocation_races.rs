//! Races of revocations with logins, creations and saves, on two replicas of the service with one store.
//!
//! After both calls every session that belonged to the subject or the app before has ended. A session that became the
//! subject's meanwhile may live; then it is listed, and the next revocation ends it.

use std::sync::Arc;

use cloakroom::app::{self, Apps, OnSessionLimit};
use cloakroom::service::{Credential, OpenRequest, Outcome, SaveRequest, Saved, Service, WithEntries};
use cloakroom::session::{Changes, EndReason, Subject, SubjectChange, Version};
use cloakroom::store::{Cursor, IntoHandle};
use cloakroom::token::{Key, SessionId};
use cloakroom::types::{AppName, ManualClock};

use super::concurrency::{ROUNDS_IN_SERIES, at_once, run_rounds};
use super::fixtures::*;
use crate::support::environment::race_rounds;

/// A process that serves one app. Its calls take an `Arc`, because each runs as a task of its own.
struct Replica {
    service: Service,
    app: String,
}

/// Two replicas on one store, and a subject that no other round uses.
struct Round {
    left: Arc<Replica>,
    right: Arc<Replica>,
    clock: Arc<ManualClock>,
    subject: Subject,
}

/// A session that was saved in this round.
struct SavedSession {
    id: SessionId,
    token: String,
}

/// Runs a race in many rounds, for an app with these settings.
async fn race_in_rounds<S: IntoHandle, F>(store: Arc<S>, settings: app::Settings, race: impl Fn(Round) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let set_up = |n| std::future::ready(Round::start(&store, AppName::DEFAULT, &settings, n));
    run_rounds(set_up, race).await;
}

fn settings() -> app::Settings {
    app::Settings { keys: vec![Key::generate().into()], ..app::Settings::default() }
}

impl Replica {
    async fn ticket(self: Arc<Self>) -> String {
        self.service
            .open(OpenRequest { app: &self.app, ..OpenRequest::default() })
            .await
            .expect("the store answers")
            .session
            .token
    }

    async fn save(self: Arc<Self>, token: String, changes: Changes) -> Saved {
        let (app, credential) = (self.service.app(&self.app).unwrap(), Credential::Token(&token));
        let save = SaveRequest { credential, changes: Some(changes), ..SaveRequest::default() };
        self.service.save(&app, save).await.expect("the store answers")
    }

    async fn revoke(self: Arc<Self>, id: SessionId) -> Outcome {
        self.service.revoke_session(&self.app, id).await.expect("the store answers")
    }

    async fn revoke_subject(self: Arc<Self>, subject: Subject) -> u32 {
        self.service.revoke_subject(&self.app, &subject, None).await.expect("the store answers")
    }

    async fn revoke_app(self: Arc<Self>) {
        self.service.revoke_app(&self.app).await.expect("the store answers");
    }

    async fn list(self: Arc<Self>, subject: Subject) -> Vec<SessionId> {
        let page = self.service.list_subject(&self.app, &subject, &Cursor::default(), WithEntries::No).await;
        page.expect("the store answers").sessions.into_iter().map(|session| session.id).collect()
    }

    async fn is_alive(&self, token: &str) -> bool {
        let open = OpenRequest { app: &self.app, credential: Credential::Token(token), ..OpenRequest::default() };
        self.service.open(open).await.expect("the store answers").session.version != Version::NEW
    }
}

impl Round {
    fn start<S: IntoHandle>(store: &Arc<S>, app: &str, settings: &app::Settings, n: u32) -> Self {
        let apps: Apps = [settings.clone().build(app).expect("the settings are valid")].into_iter().collect();
        let clock = Arc::new(ManualClock::new(START));
        let service = || Service::new(apps.clone(), Arc::clone(store).into_handle(), Arc::clone(&clock) as _);
        let replica = || Arc::new(Replica { service: service(), app: app.to_owned() });
        let (left, right, subject) = (replica(), replica(), subject(&format!("subject{n}")));
        Self { left, right, clock, subject }
    }

    async fn new_anonymous(&self) -> SavedSession {
        self.create(set("b", "1")).await
    }

    async fn new_logged_in(&self) -> SavedSession {
        self.create(self.login()).await
    }

    async fn create(&self, changes: Changes) -> SavedSession {
        session_of(self.left.clone().save(self.left.clone().ticket().await, changes).await)
    }

    fn login(&self) -> Changes {
        Changes { subject: SubjectChange::Set(self.subject.clone()), ..set("a", "1") }
    }

    /// Whether a token opens its session; both replicas must agree.
    async fn is_alive(&self, token: &str) -> bool {
        let [left, right] = [self.left.is_alive(token).await, self.right.is_alive(token).await];
        assert_eq!(left, right, "the replicas do not agree");
        left
    }

    async fn list(&self) -> Vec<SessionId> {
        self.left.clone().list(self.subject.clone()).await
    }

    /// Checks that the subject has at most this session, and that the next revocation ends it.
    async fn assert_next_revocation_ends(&self, session: &SavedSession) {
        let alive = self.is_alive(&session.token).await;
        assert_eq!(self.list().await, if alive { vec![session.id] } else { Vec::new() });
        assert_eq!(self.right.clone().revoke_subject(self.subject.clone()).await, u32::from(alive));
        assert!(!self.is_alive(&session.token).await && self.list().await.is_empty());
    }
}

fn session_of(saved: Saved) -> SavedSession {
    let session = saved.session.expect("it is stored");
    SavedSession { id: session.id.expect("it has an id"), token: session.token }
}

#[apply(every_store_and_move)]
async fn a_login_during_a_revocation_is_ended_by_it_or_by_the_next(store: Arc<impl IntoHandle>) {
    race_in_rounds(store, settings(), |round| async move {
        let [before, anonymous] = [round.new_logged_in().await, round.new_anonymous().await];

        let login = round.left.clone().save(anonymous.token, round.login());
        let (login, _) = at_once(login, round.right.clone().revoke_subject(round.subject.clone())).await;

        assert_eq!(login.outcome, Outcome::Updated);
        assert!(!round.is_alive(&before.token).await, "it belonged to the subject before");
        round.assert_next_revocation_ends(&session_of(login)).await;
    })
    .await;
}

#[apply(every_store_and_move)]
async fn a_creation_during_a_revocation_is_ended_by_it_or_by_the_next(store: Arc<impl IntoHandle>) {
    race_in_rounds(store, settings(), |round| async move {
        let (before, ticket) = (round.new_logged_in().await, round.left.clone().ticket().await);

        let creation = round.left.clone().save(ticket, round.login());
        let (created, _) = at_once(creation, round.right.clone().revoke_subject(round.subject.clone())).await;

        assert_eq!(created.outcome, Outcome::Created);
        assert!(!round.is_alive(&before.token).await, "it belonged to the subject before");
        round.assert_next_revocation_ends(&session_of(created)).await;
    })
    .await;
}

#[apply(every_store_and_move)]
async fn a_save_undoes_no_revocation_of_its_subject(store: Arc<impl IntoHandle>) {
    race_in_rounds(store, settings(), |round| async move {
        let session = round.new_logged_in().await;

        // Half of the rounds log the subject in again.
        let again = session.id.as_bytes()[0].is_multiple_of(2);
        let save = round.left.clone().save(session.token.clone(), if again { round.login() } else { set("b", "1") });
        let (saved, revoked) = at_once(save, round.right.clone().revoke_subject(round.subject.clone())).await;

        assert_eq!(revoked, 1);
        assert!(
            matches!(saved.outcome, Outcome::Updated | Outcome::Gone(Some(EndReason::Revoked))),
            "{:?}",
            saved.outcome
        );
        assert!(!round.is_alive(&session.token).await && round.list().await.is_empty());
    })
    .await;
}

#[apply(every_store_and_move)]
async fn a_revocation_by_id_ends_a_session_that_loses_its_subject(store: Arc<impl IntoHandle>) {
    race_in_rounds(store, settings(), |round| async move {
        let session = round.new_logged_in().await;

        let logout = Changes { subject: SubjectChange::Remove, ..set("b", "1") };
        let left = round.left.clone().save(session.token.clone(), logout);
        let (left, revoked) = at_once(left, round.right.clone().revoke(session.id)).await;

        assert_eq!(revoked, Outcome::Deleted(EndReason::Revoked));
        let next_token = left.session.map(|session| session.token).unwrap_or_default();
        assert!(!round.is_alive(&session.token).await && !round.is_alive(&next_token).await);
        assert!(round.list().await.is_empty());
    })
    .await;
}

#[apply(every_store_and_move)]
async fn a_session_that_changes_subjects_is_ended_for_the_first_or_alive_for_the_next(store: Arc<impl IntoHandle>) {
    race_in_rounds(store, settings(), |round| async move {
        let (session, first) = (round.new_logged_in().await, round.subject.clone());
        let next = Round { subject: subject(&format!("next of {}", first.as_str())), ..round };

        let login = next.left.clone().save(session.token.clone(), next.login());
        let (login, revoked) = at_once(login, next.right.clone().revoke_subject(first)).await;

        assert!(!next.is_alive(&session.token).await);
        if login.outcome == Outcome::Updated {
            assert_eq!(revoked, 0);
            next.assert_next_revocation_ends(&session_of(login)).await;
        } else {
            assert_eq!((login.outcome, revoked), (Outcome::Gone(Some(EndReason::Revoked)), 1));
            assert!(next.list().await.is_empty());
        }
    })
    .await;
}

#[apply(stores_of_few_partitions)]
async fn the_revocation_of_an_app_ends_sessions_that_are_logged_in_meanwhile(store: Arc<impl IntoHandle>) {
    let settings = settings();
    let set_up = |n| std::future::ready(Round::start(&store, &format!("app-{n}"), &settings, n));
    run_rounds(set_up, log_in_while_the_app_is_revoked).await;
}

#[apply(stores_of_many_partitions)]
async fn the_revocation_of_many_partitions_ends_sessions_that_are_logged_in_meanwhile(store: Arc<impl IntoHandle>) {
    let settings = settings();
    for n in 0..race_rounds(ROUNDS_IN_SERIES) {
        log_in_while_the_app_is_revoked(Round::start(&store, AppName::DEFAULT, &settings, n)).await;
    }
}

async fn log_in_while_the_app_is_revoked(round: Round) {
    let [session, anonymous] = [round.new_logged_in().await, round.new_anonymous().await];

    let login = round.left.clone().save(anonymous.token.clone(), round.login());
    let (login, ()) = at_once(login, round.right.clone().revoke_app()).await;

    assert!(matches!(login.outcome, Outcome::Updated | Outcome::Gone(Some(EndReason::Revoked))), "{:?}", login.outcome);
    let next_token = login.session.map(|session| session.token).unwrap_or_default();
    for token in [session.token, anonymous.token, next_token] {
        assert!(!round.is_alive(&token).await);
    }
    assert!(round.list().await.is_empty());
}

#[apply(every_store_and_move)]
async fn a_listing_that_repairs_the_index_loses_no_login(store: Arc<impl IntoHandle>) {
    race_in_rounds(store, settings(), |round| async move {
        let session = round.new_logged_in().await;
        let logout = Changes { subject: SubjectChange::Remove, ..set("b", "1") };
        let token = session_of(round.left.clone().save(session.token, logout).await).token;
        round.clock.advance(6 * MINUTE);

        // The first index entry is stale, and this login makes it valid again.
        let login = round.left.clone().save(token, round.login());
        let (login, _) = at_once(login, round.right.clone().list(round.subject.clone())).await;

        let session = session_of(login);
        assert_eq!(round.list().await, [session.id]);
        round.assert_next_revocation_ends(&session).await;
    })
    .await;
}

#[apply(every_store_and_move)]
async fn two_logins_at_once_keep_the_session_limit(store: Arc<impl IntoHandle>) {
    let settings = app::Settings { max_sessions_per_subject: 2, on_session_limit: OnSessionLimit::Evict, ..settings() };
    race_in_rounds(store, settings, |round| async move {
        let before = [round.new_logged_in().await, round.new_logged_in().await];
        round.clock.advance(MS);
        let [one, other] = [round.left.clone().ticket().await, round.left.clone().ticket().await];

        let one = round.left.clone().save(one, round.login());
        let (one, other) = at_once(one, round.right.clone().save(other, round.login())).await;

        let (mut new, mut listed) = ([session_of(one).id, session_of(other).id], round.list().await);
        new.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, new);
        for session in before {
            assert!(!round.is_alive(&session.token).await);
        }
    })
    .await;
}
