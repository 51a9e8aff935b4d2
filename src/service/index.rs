//! Keeps the index of each subject's sessions complete.
//!
//! A session is added before it becomes the subject's, and removed after it has ended. An entry may therefore name a
//! session that has ended or has become another subject's, but no live session is ever missing. A listing removes the
//! dead entries that it meets. So does each login, a few at a time: the index of a subject that is never listed does
//! not grow without end.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::liveness::{Liveness, liveness};
use super::{Error, Service};
use crate::app::App;
use crate::session::{Authority, Done, EndReason, Entries, Precondition, Record, Subject};
use crate::store::{self, Applied, Cursor, IndexEntry, IndexPage, SessionKey, Snapshot, SubjectRef, Write};
use crate::telemetry::CallContext;
use crate::token::SessionId;
use crate::types::Time;

/// A live session of a subject.
#[derive(Clone, Debug)]
pub(super) struct SubjectSession {
    pub(super) id: SessionId,
    pub(super) record: Record,
}

/// Whether a listing answers the entries of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithEntries {
    No,
    Yes,
}

/// The session that an entry of the index names.
enum IndexLookup {
    Live(Box<Record>),
    /// The session is not the subject's yet, but the entry is so new that its login may still be running.
    Pending,
    /// The session is not the subject's, and the login of this entry is over.
    Dead,
}

impl Service {
    /// Adds a session that is about to become the subject's. Removes dead entries from a sample of a long index.
    pub(super) async fn add_to_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        let sample = self.store.add_to_index(subject_ref, entry).await?;
        if sample.is_empty() {
            return Ok(());
        }
        let resolve = |other| self.resolve_entry(subject_ref, other, WithEntries::No, entry.add_time);
        // In a box, because few logins need so large a future. A session of the sample may be at a server that is down,
        // which is no reason to refuse a login: the next one gets another sample.
        let resolved = timeout(CLEANUP_TIMEOUT, Box::pin(join_all(sample.into_iter().map(resolve)))).await;
        for error in resolved.unwrap_or_default().into_iter().filter_map(Result::err) {
            debug!(error = &error as &dyn std::error::Error, "an entry of a long index was not looked at");
        }
        Ok(())
    }

    /// Writes to the store. Audits and counts an end, and removes the ended session from its subject's index.
    pub(super) async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        if !self.audit_log.is_on() {
            let result = self.store.apply(session_key, precondition, write).await;
            if let Some(done) = done(&result) {
                self.note_end(session_key, done, result.is_ok()).await;
            }
            return Ok(result?);
        }
        let (service, session_key, precondition, write) =
            (self.clone(), session_key.clone(), precondition.clone(), write.clone());
        let apply = async move {
            let result = service.store.apply(&session_key, &precondition, &write).await;
            if let Some(done) = done(&result) {
                service.audit(&session_key, precondition.now, &write, done);
                service.note_end(&session_key, done, result.is_ok()).await;
            }
            Ok(result?)
        };
        self.audit_log.run_to_end(CallContext::inherit(apply)).await
    }

    /// Counts the end that a write has made, if it has, and removes the ended session from its subject's index.
    ///
    /// One that is not acknowledged stays in the index: after a failover it may live again.
    async fn note_end(&self, session_key: &SessionKey, done: &Done, is_acknowledged: bool) {
        let Some(end) = done.head.end else { return };
        self.stats.count_ended(&session_key.app, end.reason);
        debug!(app = %session_key.app, session.id = %session_key.id, end.reason = end.reason.as_str(), "a session ended");
        if let Some(subject) = done.subject_before.clone().filter(|_| is_acknowledged) {
            let subject_ref = SubjectRef { app: session_key.app.clone(), subject };
            let removing = self.store.remove_session_from_index(&subject_ref, session_key.id);
            let removed = timeout(CLEANUP_TIMEOUT, removing).await;
            if let Err(error) = removed.unwrap_or_else(|elapsed| Err(store::Error::unavailable(elapsed))) {
                // The next listing removes the dead entry.
                warn!(error = &error as &dyn std::error::Error, session.id = %session_key.id, "could not remove a session from the index");
            }
        }
    }

    /// Returns a page of the subject's live sessions, in no order and without their entries, and where the next one begins.
    /// Removes dead index entries.
    pub(super) async fn subject_sessions(
        &self,
        subject_ref: &SubjectRef,
        from: &Cursor,
        now: Time,
    ) -> Result<(Vec<SubjectSession>, Option<Cursor>), Error> {
        let IndexPage { entries, next } = self.store.list_index(subject_ref, from).await?;
        Ok((self.resolve_entries(subject_ref, entries, WithEntries::No, now).await?, next))
    }

    /// Loads the sessions that index entries name, those that are live and the subject's. Removes dead index entries.
    pub(super) async fn resolve_entries(
        &self,
        subject_ref: &SubjectRef,
        entries: Vec<IndexEntry>,
        with_entries: WithEntries,
        now: Time,
    ) -> Result<Vec<SubjectSession>, Error> {
        let sessions = run_concurrently(entries, |entry| {
            let (service, subject_ref) = (self.clone(), subject_ref.clone());
            async move { service.resolve_entry(&subject_ref, entry, with_entries, now).await }
        });
        let (sessions, resolved) = sessions.await;
        resolved?;
        Ok(sessions.into_iter().flatten().collect())
    }

    /// Loads the session that an entry names, if it is live and the subject's. Removes a dead entry.
    ///
    /// Nobody can open a session whose bytes are damaged, so it is not live. The log of the store names it.
    async fn resolve_entry(
        &self,
        subject_ref: &SubjectRef,
        entry: IndexEntry,
        with_entries: WithEntries,
        now: Time,
    ) -> Result<Option<SubjectSession>, Error> {
        let snapshot = match self.store.load(&SessionKey { app: subject_ref.app.clone(), id: entry.id }).await {
            Err(store::Error::Corrupt) => return Ok(None),
            loaded => loaded?,
        };
        match look_up(&entry, snapshot, &subject_ref.subject, now) {
            IndexLookup::Pending => Ok(None),
            IndexLookup::Live(mut record) => {
                if with_entries == WithEntries::No {
                    record.entries = Entries::default();
                }
                Ok(Some(SubjectSession { id: entry.id, record: *record }))
            }
            IndexLookup::Dead => {
                if let Err(error) = self.store.remove_from_index(subject_ref, &entry).await {
                    // The next listing tries again.
                    warn!(error = &error as &dyn std::error::Error, session.id = %entry.id, "the index was not healed");
                }
                Ok(None)
            }
        }
    }

    /// Ends those of the sessions that are still the subject's. Returns how many, and the error of the first one that could
    /// not be ended.
    pub(super) async fn end_subject_sessions(
        &self,
        subject_ref: &SubjectRef,
        ids: Vec<SessionId>,
        reason: EndReason,
        now: Time,
    ) -> (u32, Result<(), Error>) {
        let ends = run_concurrently(ids, |id| {
            let (service, session_key) = (self.clone(), SessionKey { app: subject_ref.app.clone(), id });
            let precondition = Precondition::unconditional(Authority::Subject(subject_ref.subject.clone()), now);
            async move {
                let applied = service.apply(&session_key, &precondition, &Write::End(reason)).await?;
                Ok(u32::from(matches!(applied, Applied::Done(_))))
            }
        });
        let (ended, all) = ends.await;
        (ended.into_iter().sum(), all)
    }
}

/// Returns the result of a write, also if it is not acknowledged. `None`: it has done nothing, or that is unknown.
fn done(result: &Result<Applied, store::Error>) -> Option<&Done> {
    match result {
        Ok(Applied::Done(done)) => Some(done),
        Err(store::Error::NotAcknowledged { applied, .. }) => match applied.as_deref()? {
            Applied::Done(done) => Some(done),
            _ => None,
        },
        _ => None,
    }
}

/// Runs a task for each item as a part of this call, at most [`MAX_CONCURRENT_TASKS`] at once. Returns the results of those
/// that succeeded, and the error of the first one that did not, or that says more than the first one.
///
/// A session that is damaged, or whose server is down, is no reason to leave the others: it ends after as many failures as
/// there are tasks at once, without those that say nothing of other sessions.
pub(super) async fn run_concurrently<I, T, F>(items: Vec<I>, task: impl Fn(I) -> F) -> (Vec<T>, Result<(), Error>)
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut items = items.into_iter();
    let (mut tasks, mut results, mut all, mut failures) = (JoinSet::new(), Vec::new(), Ok(()), 0);
    loop {
        while tasks.len() < MAX_CONCURRENT_TASKS
            && failures < MAX_CONCURRENT_TASKS
            && let Some(item) = items.next()
        {
            tasks.spawn(CallContext::inherit(task(item)));
        }
        let Some(result) = tasks.join_next().await else { return (results, all) };
        match result.expect("a task neither panics nor is aborted") {
            Ok(result) => results.push(result),
            Err(error) => {
                // That of one session says nothing of the others, so another one says more.
                let is_of_one = |error: &Error| matches!(error, Error::Store(error) if error.is_of_one_session());
                failures += usize::from(!is_of_one(&error));
                if all.as_ref().err().is_none_or(is_of_one) {
                    all = Err(error);
                }
            }
        }
    }
}

/// One subject of an app.
pub(super) fn subject_ref(app: &App, subject: &Subject) -> SubjectRef {
    SubjectRef { app: app.name.clone(), subject: subject.clone() }
}

fn look_up(entry: &IndexEntry, snapshot: Option<Snapshot>, subject: &Subject, now: Time) -> IndexLookup {
    let dead_or_pending =
        if now.since(entry.add_time) > LONGEST_LOGIN { IndexLookup::Dead } else { IndexLookup::Pending };
    let Some(snapshot) = snapshot else { return dead_or_pending };
    match liveness(&snapshot, now) {
        Liveness::Live if snapshot.record.head.subject.as_ref() == Some(subject) => {
            IndexLookup::Live(Box::new(snapshot.record))
        }
        // The clock of another replica may be behind, and by that clock the session may still be used.
        Liveness::Ended(EndReason::Idle | EndReason::Absolute) => IndexLookup::Pending,
        Liveness::Ended(_) => IndexLookup::Dead,
        Liveness::Live | Liveness::Forgotten => dead_or_pending,
    }
}

/// How long a login that has added its index entry may take to make the session the subject's. Longer than any call.
const LONGEST_LOGIN: Duration = Duration::from_secs(5 * 60);

/// How long a call waits for the removal of dead entries, which its answer does not depend on.
const CLEANUP_TIMEOUT: Duration = Duration::from_millis(250);

/// Enough to hide the latency of a store, and little beside the calls of frontends.
const MAX_CONCURRENT_TASKS: usize = 32;
