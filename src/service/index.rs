//! The order in which a subject's index is kept: entered before the session is the subject's, left after it has ended.
//!
//! So an entry may name the dead, and what has become another's, but the living are never missed. What a listing
//! meets it heals; so does a login, a few entries each time, that nobody's index grows for want of listings.

use std::time::Duration;

use tokio::task::JoinSet;
use tracing::warn;

use super::{Error, Service, WithEntries};
use crate::app::App;
use crate::clock::Time;
use crate::session::{By, EndReason, Entries, Guard, Record, Subject, Verdict, judge};
use crate::store::{Applied, Entry, Kept, Owner, Place, Store, Write};
use crate::token::Id;

/// A session of a subject that was found alive.
#[derive(Clone, Debug)]
pub(super) struct Living {
    pub(super) id: Id,
    pub(super) record: Record,
}

/// What an entry of the index turns out to name.
enum Named {
    Living(Box<Record>),
    /// It may be the subject's in a moment: somebody entered it just now.
    Pending,
    /// It is not the subject's, and will not be by this entry.
    Dead,
}

impl<S: Store> Service<S> {
    /// Enters a session that is about to become the subject's. What it gets to see of a long index it heals.
    pub(super) async fn enter(&self, owner: &Owner, entry: &Entry) -> Result<(), Error> {
        for other in self.store.enter(owner, entry).await? {
            self.follow(owner, other, WithEntries::No, entry.entered).await?;
        }
        Ok(())
    }

    /// Writes; counts an end, and takes what has ended out of its subject's index.
    pub(super) async fn apply(&self, place: &Place, guard: &Guard, write: &Write) -> Result<Applied, Error> {
        let applied = self.store.apply(place, guard, write).await?;
        let Applied::Done(done) = &applied else { return Ok(applied) };
        let Some(end) = done.head.end else { return Ok(applied) };
        self.stats.ended(&place.app, end.reason);
        if let Some(subject) = done.subject_before.clone() {
            let owner = Owner { app: place.app.clone(), subject };
            if let Err(error) = self.store.forget(&owner, place.id).await {
                // It names the dead until the next listing.
                warn!(error = &error as &dyn std::error::Error, session.id = %place.id, "the index was not tidied");
            }
        }
        Ok(applied)
    }

    /// The subject's live sessions, in no order. Entries that name nothing of the subject's any more are taken out.
    pub(super) async fn living(&self, owner: &Owner, with: WithEntries, now: Time) -> Result<Vec<Living>, Error> {
        let mut entries = self.store.entries(owner).await?.into_iter();
        let (mut looks, mut living) = (JoinSet::new(), Vec::new());
        loop {
            while looks.len() < AT_ONCE
                && let Some(entry) = entries.next()
            {
                let (service, owner) = (self.clone(), owner.clone());
                looks.spawn(async move { service.follow(&owner, entry, with, now).await });
            }
            let Some(found) = looks.join_next().await else { return Ok(living) };
            living.extend(found.expect("a look neither panics nor is stopped")?);
        }
    }

    /// What an entry names, if it lives and is the owner's.
    async fn follow(&self, owner: &Owner, entry: Entry, with: WithEntries, now: Time) -> Result<Option<Living>, Error> {
        let kept = self.store.load(&Place { app: owner.app.clone(), id: entry.id }).await?;
        match named(&entry, kept, &owner.subject, now) {
            Named::Pending => Ok(None),
            Named::Living(record) if with == WithEntries::Yes => Ok(Some(Living { id: entry.id, record: *record })),
            Named::Living(record) => {
                let record = Record { head: record.head, entries: Entries::default() };
                Ok(Some(Living { id: entry.id, record }))
            }
            Named::Dead => {
                if let Err(error) = self.store.leave(owner, &entry).await {
                    // The next listing meets it again.
                    warn!(error = &error as &dyn std::error::Error, session.id = %entry.id, "the index was not healed");
                }
                Ok(None)
            }
        }
    }

    /// Ends sessions as the subject's, those that are still the subject's alone. Answers how many.
    pub(super) async fn end_of(
        &self,
        owner: &Owner,
        ids: Vec<Id>,
        (reason, now): (EndReason, Time),
    ) -> Result<u32, Error> {
        let mut ids = ids.into_iter();
        let (mut ends, mut ended) = (JoinSet::new(), 0);
        loop {
            while ends.len() < AT_ONCE
                && let Some(id) = ids.next()
            {
                let (service, place) = (self.clone(), Place { app: owner.app.clone(), id });
                let guard = Guard { by: By::Subject(owner.subject.clone()), etag: None, fingerprint: None, now };
                ends.spawn(async move { service.apply(&place, &guard, &Write::End(reason)).await });
            }
            let Some(applied) = ends.join_next().await else { return Ok(ended) };
            let applied = applied.expect("an end neither panics nor is stopped")?;
            ended += u32::from(matches!(applied, Applied::Done(_)));
        }
    }
}

/// One subject of an app.
pub(super) fn owner(app: &App, subject: &Subject) -> Owner {
    Owner { app: app.name.clone(), subject: subject.clone() }
}

/// What the judge says to an administrator at `now`.
pub(super) fn judge_as_admin(kept: &Kept, now: Time) -> Verdict {
    let guard = Guard { by: By::Admin, etag: None, fingerprint: None, now };
    judge(&kept.record.head, kept.generation, &guard)
}

fn named(entry: &Entry, kept: Option<Kept>, subject: &Subject, now: Time) -> Named {
    let settled = if now.since(entry.entered) > UNDER_WAY { Named::Dead } else { Named::Pending };
    let Some(kept) = kept else { return settled };
    match judge_as_admin(&kept, now) {
        Verdict::Go if kept.record.head.subject.as_ref() == Some(subject) => Named::Living(Box::new(kept.record)),
        // Another replica's clock may be behind, and with it the session may yet be used.
        Verdict::Gone(Some(EndReason::Idle | EndReason::Absolute)) => Named::Pending,
        Verdict::Gone(Some(_)) => Named::Dead,
        _ => settled,
    }
}

/// How long a login that has entered its session may take to make it the subject's. Longer than any call.
const UNDER_WAY: Duration = Duration::from_secs(5 * 60);

/// Enough to hide a store's latency, and little beside what frontends ask of it.
const AT_ONCE: usize = 32;
