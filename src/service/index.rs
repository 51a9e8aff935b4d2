//! The order in which a subject's index is kept: entered before the session is the subject's, left after it has ended.
//!
//! So an entry may name the dead, and what has become another's, but the living are never missed. What a listing
//! meets it heals; so does a login, a few entries each time, that nobody's index grows for want of listings.

use std::time::Duration;

use tokio::task::JoinSet;
use tracing::warn;

use super::{Error, Service, WithEntries};
use crate::app::App;
use crate::session::{Authority, Denial, EndReason, Entries, Precondition, Record, Subject, judge};
use crate::store::{Applied, IndexEntry, SessionKey, Snapshot, SubjectRef, Write};
use crate::token::SessionId;
use crate::types::Time;

/// A session of a subject that was found alive.
#[derive(Clone, Debug)]
pub(super) struct SubjectSession {
    pub(super) id: SessionId,
    pub(super) record: Record,
}

/// What an entry of the index turns out to name.
enum IndexLookup {
    Live(Box<Record>),
    /// It may be the subject's in a moment: somebody entered it just now.
    Pending,
    /// It is not the subject's, and will not be by this entry.
    Dead,
}

impl Service {
    /// Enters a session that is about to become the subject's. What it gets to see of a long index it heals.
    pub(super) async fn enter(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        for other in self.store.add_to_index(subject_ref, entry).await? {
            self.follow(subject_ref, other, WithEntries::No, entry.entered).await?;
        }
        Ok(())
    }

    /// Writes; counts an end, and takes what has ended out of its subject's index.
    pub(super) async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        let applied = self.store.apply(session_key, precondition, write).await?;
        let Applied::Done(done) = &applied else { return Ok(applied) };
        let Some(end) = done.head.end else { return Ok(applied) };
        self.stats.ended(&session_key.app, end.reason);
        if let Some(subject) = done.subject_before.clone() {
            let subject_ref = SubjectRef { app: session_key.app.clone(), subject };
            if let Err(error) = self.store.remove_session_from_index(&subject_ref, session_key.id).await {
                // It names the dead until the next listing.
                warn!(error = &error as &dyn std::error::Error, session.id = %session_key.id, "the index was not tidied");
            }
        }
        Ok(applied)
    }

    /// The subject's live sessions, in no order. Entries that name nothing of the subject's any more are taken out.
    pub(super) async fn subject_sessions(
        &self,
        subject_ref: &SubjectRef,
        with: WithEntries,
        now: Time,
    ) -> Result<Vec<SubjectSession>, Error> {
        let mut entries = self.store.list_index(subject_ref).await?.into_iter();
        let (mut checks, mut subject_sessions) = (JoinSet::new(), Vec::new());
        loop {
            while checks.len() < AT_ONCE
                && let Some(entry) = entries.next()
            {
                let (service, subject_ref) = (self.clone(), subject_ref.clone());
                checks.spawn(async move { service.follow(&subject_ref, entry, with, now).await });
            }
            let Some(found) = checks.join_next().await else { return Ok(subject_sessions) };
            subject_sessions.extend(found.expect("a look neither panics nor is stopped")?);
        }
    }

    /// What an entry names, if it lives and is the owner's.
    async fn follow(
        &self,
        subject_ref: &SubjectRef,
        entry: IndexEntry,
        with: WithEntries,
        now: Time,
    ) -> Result<Option<SubjectSession>, Error> {
        let snapshot = self.store.load(&SessionKey { app: subject_ref.app.clone(), id: entry.id }).await?;
        match lookup(&entry, snapshot, &subject_ref.subject, now) {
            IndexLookup::Pending => Ok(None),
            IndexLookup::Live(record) if with == WithEntries::Yes => {
                Ok(Some(SubjectSession { id: entry.id, record: *record }))
            }
            IndexLookup::Live(record) => {
                let record = Record { head: record.head, entries: Entries::default() };
                Ok(Some(SubjectSession { id: entry.id, record }))
            }
            IndexLookup::Dead => {
                if let Err(error) = self.store.remove_from_index(subject_ref, &entry).await {
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
        subject_ref: &SubjectRef,
        ids: Vec<SessionId>,
        (reason, now): (EndReason, Time),
    ) -> Result<u32, Error> {
        let mut ids = ids.into_iter();
        let (mut ends, mut ended) = (JoinSet::new(), 0);
        loop {
            while ends.len() < AT_ONCE
                && let Some(id) = ids.next()
            {
                let (service, session_key) = (self.clone(), SessionKey { app: subject_ref.app.clone(), id });
                let precondition = Precondition {
                    authority: Authority::Subject(subject_ref.subject.clone()),
                    etag: None,
                    fingerprint: None,
                    now,
                };
                ends.spawn(async move { service.apply(&session_key, &precondition, &Write::End(reason)).await });
            }
            let Some(applied) = ends.join_next().await else { return Ok(ended) };
            let applied = applied.expect("an end neither panics nor is stopped")?;
            ended += u32::from(matches!(applied, Applied::Done(_)));
        }
    }
}

/// One subject of an app.
pub(super) fn subject_ref(app: &App, subject: &Subject) -> SubjectRef {
    SubjectRef { app: app.name.clone(), subject: subject.clone() }
}

/// Whether a session lives at `now`.
pub(super) fn lives(snapshot: &Snapshot, now: Time) -> bool {
    ended(snapshot, now).is_none()
}

/// Why a session has ended by `now`; `None` while it lives. The reason is `None` if it is no longer known.
pub(super) fn ended(snapshot: &Snapshot, now: Time) -> Option<Option<EndReason>> {
    let precondition = Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now };
    match judge(&snapshot.record.head, snapshot.generation, &precondition) {
        Err(Denial::Gone(reason)) => Some(reason),
        // An administrator without conditions is denied for no other reason.
        Ok(()) | Err(_) => None,
    }
}

fn lookup(entry: &IndexEntry, snapshot: Option<Snapshot>, subject: &Subject, now: Time) -> IndexLookup {
    let settled = if now.since(entry.entered) > UNDER_WAY { IndexLookup::Dead } else { IndexLookup::Pending };
    let Some(snapshot) = snapshot else { return settled };
    match ended(&snapshot, now) {
        None if snapshot.record.head.subject.as_ref() == Some(subject) => IndexLookup::Live(Box::new(snapshot.record)),
        // Another replica's clock may be behind, and with it the session may still be used.
        Some(Some(EndReason::Idle | EndReason::Absolute)) => IndexLookup::Pending,
        Some(Some(_)) => IndexLookup::Dead,
        None | Some(None) => settled,
    }
}

/// How long a login that has entered its session may take to make it the subject's. Longer than any call.
const UNDER_WAY: Duration = Duration::from_secs(5 * 60);

/// Enough to hide a store's latency, and little beside what frontends ask of it.
const AT_ONCE: usize = 32;
