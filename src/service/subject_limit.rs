//! Limits the sessions of one subject: evicts the oldest, or refuses the login.
//!
//! Eviction lists the sessions after the login, so the last of many logins sees all of them. Each of them ends only
//! sessions that have enough newer ones, so none ends the newest. Refusal lists them before the login, and lets one
//! login of a subject at a time through in this process.
//!
//! A login of a subject with no more index entries than the limit asks the store for no session. If there are so many
//! that the index has several pages, no more pages are read than show that there are too many, and the oldest of those
//! end.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::credential::CredentialKind;
use super::index::{SubjectSession, run_concurrently, subject_ref};
use super::write::PreparedWrite;
use super::{AppCall, Error, Service};
use crate::app::{OnSessionLimit, SubjectLimit};
use crate::session::{Authority, Denial, EndReason, Precondition, Subject, judge};
use crate::store::{Applied, Cursor, SessionKey, Snapshot, SubjectRef, Write};
use crate::types::Time;

/// Locks that let one login of a subject at a time through. Several subjects share a lock.
#[derive(Debug)]
pub(super) struct SubjectLocks {
    locks: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl SubjectLocks {
    pub(super) fn new() -> Self {
        Self { locks: (0..SUBJECT_LOCKS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// Waits for the subject's lock, at most [`MAX_LOCK_WAIT`].
    async fn lock(&self, subject_ref: &SubjectRef) -> Result<MutexGuard<'_, ()>, Error> {
        let index = usize::try_from(self.hasher.hash_one(subject_ref) % SUBJECT_LOCKS).expect("there are few locks");
        tokio::time::timeout(MAX_LOCK_WAIT, self.locks[index].lock()).await.map_err(|_| Error::Busy)
    }
}

impl Service {
    /// Refuses a login of the subject that is one too many, if the app refuses. The lock must be held until the login is
    /// written.
    pub(super) async fn enforce_session_limit(
        &self,
        call: &AppCall<'_>,
        prepared: &PreparedWrite<'_>,
        subject: &Subject,
    ) -> Result<Option<MutexGuard<'_, ()>>, Error> {
        let refuses = |limit: &SubjectLimit| limit.on_session_limit == OnSessionLimit::Refuse;
        let Some(limit) = call.app.subject_limit.filter(refuses) else { return Ok(None) };
        let subject_ref = subject_ref(call.app, subject);
        let lock = self.subject_locks.lock(&subject_ref).await?;
        let others = max_sessions(limit) - 1;
        let fits = !self.store.has_more_entries(&subject_ref, others).await?
            || self.sessions_beyond(&subject_ref, others, call.now).await?.is_empty();
        if fits || !self.would_add(call, prepared, subject).await? {
            return Ok(Some(lock));
        }
        Err(Error::TooManySessions { max: limit.max_sessions })
    }

    /// Whether the save would be written but for the limit, and give the subject one more session.
    ///
    /// Repeats, ends and etags are judged before the limit.
    async fn would_add(
        &self,
        call: &AppCall<'_>,
        prepared: &PreparedWrite<'_>,
        subject: &Subject,
    ) -> Result<bool, Error> {
        let Some(Snapshot { record, generation }) =
            self.store.load(&call.session_key(prepared.credential.token)).await?
        else {
            return Ok(prepared.credential.kind == CredentialKind::Ticket && prepared.may_create());
        };
        if record.head.subject.as_ref() == Some(subject) {
            return Ok(false);
        }
        let precondition = prepared.precondition(call, prepared.credential.token);
        Ok(match judge(&record.head, generation, &precondition) {
            Ok(()) | Err(Denial::Grace(_)) => true,
            // After GONE, the save of a cookie is made again with another session, and comes here again.
            Err(Denial::Gone(_) | Denial::Replay(_) | Denial::EtagMismatch | Denial::RequestIdReused) => false,
        })
    }

    /// Ends the sessions beyond the limit after a login, those that authenticated longest ago, if the app evicts.
    pub(super) async fn evict(&self, call: &AppCall<'_>, subject: &Subject) -> Result<(), Error> {
        let Some(limit) = call.app.subject_limit.filter(|limit| limit.on_session_limit == OnSessionLimit::Evict) else {
            return Ok(());
        };
        let (subject_ref, max) = (subject_ref(call.app, subject), max_sessions(limit));
        if !self.store.has_more_entries(&subject_ref, max).await? {
            return Ok(());
        }
        // The lock only saves work: the second of two logins finds little left to end. So a wait in vain does no harm.
        let _lock = self.subject_locks.lock(&subject_ref).await.ok();
        for round in 1..=MAX_EVICTION_ROUNDS {
            let sessions = self.sessions_beyond(&subject_ref, max, call.now).await?;
            let on_conflict = if round < MAX_EVICTION_ROUNDS { OnConflict::Retry } else { OnConflict::Force };
            if !self.evict_sessions(&subject_ref, sessions, on_conflict, call.now).await? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the subject's sessions beyond so many, those that authenticated longest ago.
    async fn sessions_beyond(
        &self,
        subject_ref: &SubjectRef,
        count: usize,
        now: Time,
    ) -> Result<Vec<SubjectSession>, Error> {
        let (mut seen, mut from) = (HashMap::new(), Cursor::default());
        loop {
            let (sessions, next) = self.subject_sessions(subject_ref, &from, now).await?;
            seen.extend(sessions.into_iter().map(|session| (session.id, session)));
            match next {
                Some(next) if seen.len() <= count => from = next,
                _ => break,
            }
        }
        let mut sessions = seen.into_values().collect::<Vec<_>>();
        sessions.sort_unstable_by_key(eviction_order);
        sessions.truncate(sessions.len().saturating_sub(count));
        Ok(sessions)
    }

    /// Ends these sessions. Returns whether it spared one that was saved since, and may be one of the newest now.
    async fn evict_sessions(
        &self,
        subject_ref: &SubjectRef,
        sessions: Vec<SubjectSession>,
        on_conflict: OnConflict,
        now: Time,
    ) -> Result<bool, Error> {
        let spared = run_concurrently(sessions, |SubjectSession { id, record }| {
            let (service, session_key) = (self.clone(), SessionKey { app: subject_ref.app.clone(), id });
            let etag = Some(record.head.version).filter(|_| on_conflict == OnConflict::Retry);
            let authority = Authority::Subject(subject_ref.subject.clone());
            let precondition = Precondition { authority, etag, fingerprint: None, now };
            async move {
                let applied = service.apply(&session_key, &precondition, &Write::End(EndReason::Evicted)).await?;
                Ok(applied == Applied::Denied(Denial::EtagMismatch))
            }
        });
        let (spared, all) = spared.await;
        all?;
        Ok(spared.contains(&true))
    }
}

/// The action on a session that was saved since it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnConflict {
    /// List the sessions again.
    Retry,
    /// End it all the same.
    Force,
}

/// Orders sessions: the smallest is evicted first.
fn eviction_order(session: &SubjectSession) -> impl Ord + use<> {
    let head = &session.record.head;
    (head.authenticate_time, head.create_time, session.id)
}

fn max_sessions(limit: SubjectLimit) -> usize {
    usize::try_from(limit.max_sessions.get()).unwrap_or(usize::MAX)
}

const SUBJECT_LOCKS: u64 = 256;

/// Shorter than the timeout of a call, so that the client of a call that waits in vain learns the reason.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(3);

/// How often sessions are listed again because some are saved at the same moment.
const MAX_EVICTION_ROUNDS: usize = 32;
