//! Outrunning: revocations that meet logins, creations and saves, on two replicas of the service with one store.
//!
//! After both answers no session lives that the revocation should have covered: none that was the subject's, or the
//! app's, before. What became the subject's meanwhile may live; then it is listed, and the next revocation ends it.

use std::sync::Arc;

use cloakroom::app::{self, Apps, OnSessionLimit};
use cloakroom::service::{Credential, OpenRequest, Outcome, SaveRequest, Saved, Service, WithEntries};
use cloakroom::session::{Changes, EndReason, Subject, SubjectChange, Version};
use cloakroom::store::Store;
use cloakroom::token::{Key, SessionId};
use cloakroom::types::{AppName, ManualClock};

use super::given::*;
use super::meeting::{meet, rounds};

/// One process, for one app. Its calls take a share of it, for they run as tasks of their own.
struct Replica<S: Store> {
    service: Service<S>,
    app: String,
}

/// One round: two replicas on one store, and a subject that no other round knows.
struct Round<S: Store> {
    left: Arc<Replica<S>>,
    right: Arc<Replica<S>>,
    clock: Arc<ManualClock>,
    subject: Subject,
}

/// A session that a round began.
struct Begun {
    id: SessionId,
    token: String,
}

/// Runs a race many times, for an app with these settings.
async fn many<S: Store, F>(store: Arc<S>, settings: app::Settings, race: impl Fn(Round<S>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    many_of(store, |_| AppName::DEFAULT.to_owned(), settings, race).await;
}

/// Runs a race many times, each time for the app that `name` says.
async fn many_of<S: Store, F>(
    store: Arc<S>,
    name: impl Fn(u32) -> String,
    settings: app::Settings,
    race: impl Fn(Round<S>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let given = |n| {
        let name = name(n);
        let apps: Apps = [settings.build(&name).expect("the settings fit")].into_iter().collect();
        let clock = Arc::new(ManualClock::new(START));
        let service = || Service::new(apps.clone(), Arc::clone(&store), Arc::clone(&clock) as _);
        let replica = || Arc::new(Replica { service: service(), app: name.clone() });
        let (left, right, subject) = (replica(), replica(), subject(&format!("subject{n}")));
        std::future::ready(Round { left, right, clock, subject })
    };
    rounds(given, race).await;
}

fn settings() -> app::Settings {
    app::Settings { keys: vec![Key::generate().into()], ..app::Settings::default() }
}

impl<S: Store> Replica<S> {
    async fn ticket(self: Arc<Self>) -> String {
        self.service
            .open(OpenRequest { app: &self.app, ..OpenRequest::default() })
            .await
            .expect("the store answers")
            .session
            .token
    }

    async fn save(self: Arc<Self>, token: String, changes: Changes) -> Saved {
        let (app, credential) = (&*self.app, Credential::Token(&token));
        let save = SaveRequest { app, credential, changes: Some(changes), ..SaveRequest::default() };
        self.service.save(save).await.expect("the store answers")
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
        let listed = self.service.list_subject(&self.app, &subject, WithEntries::No).await.expect("the store answers");
        listed.into_iter().map(|session| session.id).collect()
    }

    async fn lives(&self, token: &str) -> bool {
        let open = OpenRequest { app: &self.app, credential: Credential::Token(token), ..OpenRequest::default() };
        self.service.open(open).await.expect("the store answers").session.version != Version::NEW
    }
}

impl<S: Store> Round<S> {
    /// A session of nobody's.
    async fn anonymous(&self) -> Begun {
        self.begin(set("b", "1")).await
    }

    /// A session of the subject's.
    async fn logged_in(&self) -> Begun {
        self.begin(self.login()).await
    }

    async fn begin(&self, changes: Changes) -> Begun {
        begun(self.left.clone().save(self.left.clone().ticket().await, changes).await)
    }

    fn login(&self) -> Changes {
        Changes { subject: SubjectChange::Set(self.subject.clone()), ..set("a", "1") }
    }

    /// Whether a token opens its session, on both replicas.
    async fn lives(&self, token: &str) -> bool {
        let [left, right] = [self.left.lives(token).await, self.right.lives(token).await];
        assert_eq!(left, right, "the replicas do not agree");
        left
    }

    async fn listed(&self) -> Vec<SessionId> {
        self.left.clone().list(self.subject.clone()).await
    }

    /// The session alone may live; if so it is listed, and the next revocation ends it.
    async fn is_covered(&self, session: &Begun) {
        let lives = self.lives(&session.token).await;
        assert_eq!(self.listed().await, if lives { vec![session.id] } else { Vec::new() });
        assert_eq!(self.right.clone().revoke_subject(self.subject.clone()).await, u32::from(lives));
        assert!(!self.lives(&session.token).await && self.listed().await.is_empty());
    }
}

fn begun(saved: Saved) -> Begun {
    let session = saved.session.expect("it is stored");
    Begun { id: session.id.expect("it has an id"), token: session.token }
}

#[apply(every_store)]
async fn a_login_is_ended_by_the_revocation_that_it_meets_or_by_the_next(store: Arc<impl Store>) {
    many(store, settings(), |round| async move {
        let [before, anonymous] = [round.logged_in().await, round.anonymous().await];

        let login = round.left.clone().save(anonymous.token, round.login());
        let (login, _) = meet(login, round.right.clone().revoke_subject(round.subject.clone())).await;

        assert_eq!(login.outcome, Outcome::Updated);
        assert!(!round.lives(&before.token).await, "it was the subject's before");
        round.is_covered(&begun(login)).await;
    })
    .await;
}

#[apply(every_store)]
async fn a_creation_is_ended_by_the_revocation_that_it_meets_or_by_the_next(store: Arc<impl Store>) {
    many(store, settings(), |round| async move {
        let (before, ticket) = (round.logged_in().await, round.left.clone().ticket().await);

        let creation = round.left.clone().save(ticket, round.login());
        let (created, _) = meet(creation, round.right.clone().revoke_subject(round.subject.clone())).await;

        assert_eq!(created.outcome, Outcome::Created);
        assert!(!round.lives(&before.token).await, "it was the subject's before");
        round.is_covered(&begun(created)).await;
    })
    .await;
}

#[apply(every_store)]
async fn a_save_undoes_no_revocation_of_its_subject(store: Arc<impl Store>) {
    many(store, settings(), |round| async move {
        let session = round.logged_in().await;

        // Half of them log the subject in once more.
        let again = session.id.as_bytes()[0].is_multiple_of(2);
        let save = round.left.clone().save(session.token.clone(), if again { round.login() } else { set("b", "1") });
        let (saved, revoked) = meet(save, round.right.clone().revoke_subject(round.subject.clone())).await;

        assert_eq!(revoked, 1);
        assert!(
            matches!(saved.outcome, Outcome::Updated | Outcome::Gone(Some(EndReason::Revoked))),
            "{:?}",
            saved.outcome
        );
        assert!(!round.lives(&session.token).await && round.listed().await.is_empty());
    })
    .await;
}

#[apply(every_store)]
async fn a_session_that_loses_its_subject_is_ended_by_its_id_all_the_same(store: Arc<impl Store>) {
    many(store, settings(), |round| async move {
        let session = round.logged_in().await;

        let leaving = Changes { subject: SubjectChange::Remove, ..set("b", "1") };
        let left = round.left.clone().save(session.token.clone(), leaving);
        let (left, revoked) = meet(left, round.right.clone().revoke(session.id)).await;

        assert_eq!(revoked, Outcome::Deleted(EndReason::Revoked));
        let next_token = left.session.map(|session| session.token).unwrap_or_default();
        assert!(!round.lives(&session.token).await && !round.lives(&next_token).await);
        assert!(round.listed().await.is_empty());
    })
    .await;
}

#[apply(every_store)]
async fn a_session_that_changes_hands_is_ended_for_the_first_or_lives_for_the_next(store: Arc<impl Store>) {
    many(store, settings(), |round| async move {
        let (session, first) = (round.logged_in().await, round.subject.clone());
        let next = Round { subject: subject(&format!("next of {}", first.as_str())), ..round };

        let handing_over = next.left.clone().save(session.token.clone(), next.login());
        let (handed_over, revoked) = meet(handing_over, next.right.clone().revoke_subject(first)).await;

        assert!(!next.lives(&session.token).await);
        if handed_over.outcome == Outcome::Updated {
            assert_eq!(revoked, 0);
            next.is_covered(&begun(handed_over)).await;
        } else {
            assert_eq!((handed_over.outcome, revoked), (Outcome::Gone(Some(EndReason::Revoked)), 1));
            assert!(next.listed().await.is_empty());
        }
    })
    .await;
}

#[apply(every_store)]
async fn what_an_app_had_before_its_revocation_is_dead_whatever_met_it(store: Arc<impl Store>) {
    many_of(
        store,
        |n| format!("app-{n}"),
        settings(),
        |round| async move {
            let [session, anonymous] = [round.logged_in().await, round.anonymous().await];

            let login = round.left.clone().save(anonymous.token.clone(), round.login());
            let (login, ()) = meet(login, round.right.clone().revoke_app()).await;

            assert!(
                matches!(login.outcome, Outcome::Updated | Outcome::Gone(Some(EndReason::Revoked))),
                "{:?}",
                login.outcome
            );
            let next_token = login.session.map(|session| session.token).unwrap_or_default();
            for token in [session.token, anonymous.token, next_token] {
                assert!(!round.lives(&token).await);
            }
            assert!(round.listed().await.is_empty());
        },
    )
    .await;
}

#[apply(every_store)]
async fn a_listing_that_heals_loses_no_login(store: Arc<impl Store>) {
    many(store, settings(), |round| async move {
        let session = round.logged_in().await;
        let away = Changes { subject: SubjectChange::Remove, ..set("b", "1") };
        let token = begun(round.left.clone().save(session.token, away).await).token;
        round.clock.advance(6 * MINUTE);

        // Its first entry has been dead for long, and now it comes back.
        let back = round.left.clone().save(token, round.login());
        let (back, _) = meet(back, round.right.clone().list(round.subject.clone())).await;

        let back = begun(back);
        assert_eq!(round.listed().await, [back.id]);
        round.is_covered(&back).await;
    })
    .await;
}

#[apply(every_store)]
async fn two_logins_of_a_full_subject_leave_as_many_as_may_be(store: Arc<impl Store>) {
    let settings = app::Settings { max_sessions_per_subject: 2, on_session_limit: OnSessionLimit::Evict, ..settings() };
    many(store, settings, |round| async move {
        let before = [round.logged_in().await, round.logged_in().await];
        round.clock.advance(MS);
        let [one, other] = [round.left.clone().ticket().await, round.left.clone().ticket().await];

        let one = round.left.clone().save(one, round.login());
        let (one, other) = meet(one, round.right.clone().save(other, round.login())).await;

        let (mut new, mut listed) = ([begun(one).id, begun(other).id], round.listed().await);
        new.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, new);
        for session in before {
            assert!(!round.lives(&session.token).await);
        }
    })
    .await;
}
