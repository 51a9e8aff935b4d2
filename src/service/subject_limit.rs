//! The most sessions of one subject: who goes, or who stays out.
//!
//! Eviction looks after the login, so the last of many sees them all; every one of them ends only what has enough
//! newer ones, so the newest are never touched. Refusal looks before, one login of a subject at a time in this process.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::credential::{CredentialKind, ResolvedCredential};
use super::index::{SubjectSession, subject_ref};
use super::prepared_save::PreparedSave;
use super::{AppCall, Error, Service, WithEntries};
use crate::app::{OnSessionLimit, SubjectLimit};
use crate::session::{Authority, Denial, EndReason, Precondition, Subject, judge};
use crate::store::{Applied, SessionKey, Snapshot, SubjectRef, Write};

/// Locks that let the logins of one subject in one by one. Several subjects share a lock.
#[derive(Debug)]
pub(super) struct SubjectLocks {
    locks: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl SubjectLocks {
    pub(super) fn new() -> Self {
        Self { locks: (0..SUBJECT_LOCKS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    async fn pass(&self, subject_ref: &SubjectRef) -> Result<MutexGuard<'_, ()>, Error> {
        let id = usize::try_from(self.hasher.hash_one(subject_ref) % SUBJECT_LOCKS).expect("there are few queues");
        tokio::time::timeout(LONGEST_WAIT, self.locks[id].lock()).await.map_err(|_| Error::Busy)
    }
}

impl Service {
    /// Refuses a login that is one too many, if the app refuses. What it answers has to be kept until it is written.
    pub(super) async fn admit(
        &self,
        call: &AppCall<'_>,
        claim: &ResolvedCredential,
        prepared: &PreparedSave,
    ) -> Result<Option<MutexGuard<'_, ()>>, Error> {
        let (Some(limit), Some(subject)) = (call.app.subject_limit, prepared.subject()) else { return Ok(None) };
        if limit.on_session_limit == OnSessionLimit::Evict {
            return Ok(None);
        }
        let subject_ref = subject_ref(call.app, subject);
        let permit = self.subject_locks.pass(&subject_ref).await?;
        let subject_sessions = self.subject_sessions(&subject_ref, WithEntries::No, call.now).await?;
        let session_key = call.session_key(claim.token);
        let has_room = subject_sessions.len() < most(limit)
            || subject_sessions.iter().any(|subject_sessions| subject_sessions.id == session_key.id);
        if has_room || !self.would_write(claim, prepared, &session_key).await? {
            return Ok(Some(permit));
        }
        Err(Error::TooManySessions { max: limit.max_sessions })
    }

    /// Whether the save would be written but for the limit: repeats, ends and etags are judged before it.
    async fn would_write(
        &self,
        claim: &ResolvedCredential,
        prepared: &PreparedSave,
        at: &SessionKey,
    ) -> Result<bool, Error> {
        let Some(Snapshot { record, generation }) = self.store.load(at).await? else {
            return Ok(claim.kind != CredentialKind::Token && prepared.may_create());
        };
        Ok(match judge(&record.head, generation, &prepared.write.precondition) {
            Ok(()) | Err(Denial::Grace(_)) => true,
            Err(Denial::Gone(None)) => claim.kind == CredentialKind::Cookie && prepared.may_create(),
            Err(Denial::Gone(Some(_)) | Denial::Replay(_) | Denial::EtagMismatch | Denial::RequestIdReused) => false,
        })
    }

    /// Ends what a login has made too many, the sessions that authenticated longest ago, if the app evicts.
    pub(super) async fn evict(&self, call: &AppCall<'_>, subject: &Subject) -> Result<(), Error> {
        let Some(limit) = call.app.subject_limit.filter(|limit| limit.on_session_limit == OnSessionLimit::Evict) else {
            return Ok(());
        };
        // One by one the second finds little left of what the first has ended. Without the lock it is only slower.
        let subject_ref = subject_ref(call.app, subject);
        let _turn = self.subject_locks.pass(&subject_ref).await.ok();
        for attempt in 1..=ATTEMPTS {
            let mut subject_sessions = self.subject_sessions(&subject_ref, WithEntries::No, call.now).await?;
            let excess = subject_sessions.len().saturating_sub(most(limit));
            subject_sessions.sort_unstable_by_key(age);
            subject_sessions.truncate(excess);
            let patience = if attempt < ATTEMPTS { OnConflict::Retry } else { OnConflict::Force };
            if !self.evict_these(call, subject, &subject_sessions, patience).await? {
                break;
            }
        }
        Ok(())
    }

    /// Ends these sessions. Answers whether one was spared, for a save since may have made it one of the newest.
    async fn evict_these(
        &self,
        call: &AppCall<'_>,
        of: &Subject,
        subject_sessions: &[SubjectSession],
        patience: OnConflict,
    ) -> Result<bool, Error> {
        let mut stale = false;
        for SubjectSession { id, record } in subject_sessions {
            let session_key = SessionKey { app: call.app.name.clone(), id: *id };
            let etag = Some(record.head.version).filter(|_| patience == OnConflict::Retry);
            let precondition =
                Precondition { authority: Authority::Subject(of.clone()), etag, fingerprint: None, now: call.now };
            let applied = self.apply(&session_key, &precondition, &Write::End(EndReason::Evicted)).await?;
            stale |= applied == Applied::Denied(Denial::EtagMismatch);
        }
        Ok(stale)
    }
}

/// What to do with a session that is saved again and again while it is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnConflict {
    /// Look again.
    Retry,
    /// End it all the same.
    Force,
}

/// What is smallest for the session that goes first.
fn age(subject_sessions: &SubjectSession) -> impl Ord + use<> {
    let head = &subject_sessions.record.head;
    (head.authenticate_time, head.create_time, subject_sessions.id)
}

fn most(limit: SubjectLimit) -> usize {
    usize::try_from(limit.max_sessions.get()).unwrap_or(usize::MAX)
}

const SUBJECT_LOCKS: u64 = 256;

/// Shorter than a call may take, so that whoever waits in vain is told so.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// How often sessions that are saved at the same moment are looked at again.
const ATTEMPTS: usize = 32;
