//! The most sessions of one subject: who goes, or who stays out.
//!
//! Eviction looks after the login, so the last of many sees them all; every one of them ends only what has enough
//! newer ones, so the newest are never touched. Refusal looks before, one login of a subject at a time in this process.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::asked::Asked;
use super::claim::{Claim, ClaimKind};
use super::index::{Living, owner};
use super::{Call, Error, Service, WithEntries};
use crate::app::{SubjectLimit, WhenFull};
use crate::session::{By, EndReason, Guard, Subject, Verdict, Version, judge};
use crate::store::{Applied, Kept, Owner, Place, Store, Write};

/// Locks that let the logins of one subject in one by one. Several subjects share a lock.
#[derive(Debug)]
pub(super) struct Queues {
    locks: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Queues {
    pub(super) fn new() -> Self {
        Self { locks: (0..QUEUES).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    async fn pass(&self, owner: &Owner) -> Result<MutexGuard<'_, ()>, Error> {
        let number = usize::try_from(self.hasher.hash_one(owner) % QUEUES).expect("there are few queues");
        tokio::time::timeout(LONGEST_WAIT, self.locks[number].lock()).await.map_err(|_| Error::Busy)
    }
}

impl<S: Store> Service<S> {
    /// Refuses a login that is one too many, if the app refuses. What it answers has to be kept until it is written.
    pub(super) async fn admit(
        &self,
        call: &Call<'_>,
        claim: &Claim,
        asked: &Asked,
    ) -> Result<Option<MutexGuard<'_, ()>>, Error> {
        let (Some(limit), Some(subject)) = (call.app.subject_limit, asked.subject()) else { return Ok(None) };
        if limit.when_full == WhenFull::Evict {
            return Ok(None);
        }
        let owner = owner(call.app, subject);
        let turn = self.queues.pass(&owner).await?;
        let living = self.living(&owner, WithEntries::No, call.now).await?;
        let place = call.place(claim.bearer);
        let has_room = living.len() < most(limit) || living.iter().any(|living| living.id == place.id);
        if has_room || !self.would_write(call, claim, asked, &place).await? {
            return Ok(Some(turn));
        }
        Err(Error::TooManySessions { max: limit.max_sessions })
    }

    /// Whether nothing that is judged before limits stands in the way of a save.
    async fn would_write(&self, call: &Call<'_>, claim: &Claim, asked: &Asked, at: &Place) -> Result<bool, Error> {
        let terms = asked.terms;
        let begins = terms.etag.is_none_or(|etag| etag == Version::NEW);
        let Some(Kept { record, generation }) = self.store.load(at).await? else {
            return Ok(claim.kind != ClaimKind::Token && begins);
        };
        let by = By::Proof(claim.bearer.proof(&call.app.name));
        let guard = Guard { by, etag: terms.etag, fingerprint: terms.fingerprint, now: call.now };
        Ok(match judge(&record.head, generation, &guard) {
            Verdict::Go | Verdict::Grace(_) => true,
            Verdict::Gone(None) => claim.kind == ClaimKind::Cookie && begins,
            Verdict::Gone(Some(_)) | Verdict::Replay(_) | Verdict::Stale | Verdict::MarkReused => false,
        })
    }

    /// Ends what a login has made too many, the sessions that authenticated longest ago, if the app evicts.
    pub(super) async fn evict(&self, call: &Call<'_>, subject: &Subject) -> Result<(), Error> {
        let Some(limit) = call.app.subject_limit.filter(|limit| limit.when_full == WhenFull::Evict) else {
            return Ok(());
        };
        // One by one the second finds little left of what the first has ended. Without the lock it is only slower.
        let owner = owner(call.app, subject);
        let _turn = self.queues.pass(&owner).await.ok();
        for attempt in 1..=ATTEMPTS {
            let mut living = self.living(&owner, WithEntries::No, call.now).await?;
            let excess = living.len().saturating_sub(most(limit));
            living.sort_unstable_by_key(age);
            living.truncate(excess);
            let patience = if attempt < ATTEMPTS { Patience::Some } else { Patience::None };
            if !self.evict_these(call, subject, &living, patience).await? {
                break;
            }
        }
        Ok(())
    }

    /// Ends these sessions. Answers whether one was spared, for a save since may have made it one of the newest.
    async fn evict_these(
        &self,
        call: &Call<'_>,
        of: &Subject,
        living: &[Living],
        patience: Patience,
    ) -> Result<bool, Error> {
        let mut stale = false;
        for Living { id, record } in living {
            let place = Place { app: call.app.name.clone(), id: *id };
            let etag = Some(record.head.version).filter(|_| patience == Patience::Some);
            let guard = Guard { by: By::Subject(of.clone()), etag, fingerprint: None, now: call.now };
            let applied = self.apply(&place, &guard, &Write::End(EndReason::Evicted)).await?;
            stale |= applied == Applied::Judged(Verdict::Stale);
        }
        Ok(stale)
    }
}

/// What to do with a session that is saved again and again while it is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// Look again.
    Some,
    /// End it all the same.
    None,
}

/// What is smallest for the session that goes first.
fn age(living: &Living) -> impl Ord + use<> {
    let head = &living.record.head;
    (head.authenticate_time, head.create_time, living.id)
}

fn most(limit: SubjectLimit) -> usize {
    usize::try_from(limit.max_sessions.get()).unwrap_or(usize::MAX)
}

const QUEUES: u64 = 256;

/// Shorter than a call may take, so that whoever waits in vain is told so.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// How often sessions that are saved at the same moment are looked at again.
const ATTEMPTS: usize = 32;
