//! Writes what an export has into a store.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::transfer::{
    Decision, ExportedApp, FileError, ImportApp, ImportMode, ImportedSession, Item, Reader, SubjectRevocation,
    imported_record, index_entry,
};
use super::{Error, Handle, SessionKey, SubjectRef};
use crate::session::Record;
use crate::token::SessionId;
use crate::types::{AppName, Clock, Time};

/// An import of an export into a store, which may be in use.
#[derive(Debug)]
pub struct Import {
    store: Handle,
    clock: Arc<dyn Clock>,
    mode: ImportMode,
    apps: BTreeMap<AppName, ImportApp>,
    /// The app of the sessions that come next.
    app: Option<ExportedApp>,
    export_time: Option<Time>,
    summary: ImportSummary,
}

/// The results of an import for the sessions of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Live sessions that were written.
    pub live: u64,
    /// Ended sessions that were written, so that they stay ended.
    pub ended: u64,
    /// Those of which the store has the same, a newer copy, or the end.
    pub kept: u64,
    /// Those that ended so long ago that nothing has to be known of them.
    pub expired: u64,
    /// Those whose app was revoked in the store after the export.
    pub revoked: u64,
    /// Those of apps that were not to be imported, by app.
    pub left_out: BTreeMap<AppName, u64>,
    /// The revocations of subjects and of apps, which concern legacy sessions.
    pub revocations: u64,
}

impl ImportSummary {
    /// How many sessions of the file are done.
    pub fn sessions(&self) -> u64 {
        let Self { live, ended, kept, expired, revoked, left_out, .. } = self;
        live + ended + kept + expired + revoked + left_out.values().sum::<u64>()
    }
}

/// Why an import did not finish. What it has written until then is right, and it may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Store(#[from] Error),
}

impl Import {
    /// Begins an import of the sessions of these apps.
    pub fn new(store: Handle, clock: Arc<dyn Clock>, apps: BTreeMap<AppName, ImportApp>, mode: ImportMode) -> Self {
        Self { store, clock, mode, apps, app: None, export_time: None, summary: ImportSummary::default() }
    }

    /// Returns the results so far.
    pub const fn summary(&self) -> &ImportSummary {
        &self.summary
    }

    /// Returns when the export of the apps began that have come so far. `None`: none of them is imported.
    pub const fn export_time(&self) -> Option<Time> {
        self.export_time
    }

    /// Imports some of the items that the reader has next. Returns whether there are more.
    pub async fn advance<R: BufRead>(&mut self, reader: &mut Reader<R>) -> Result<bool, ImportError> {
        let mut writes = JoinSet::new();
        while writes.len() < CONCURRENT_WRITES {
            let Some(item) = reader.next()? else {
                self.finish(writes).await?;
                return Ok(false);
            };
            match item {
                Item::Program(_) | Item::End(_) => {}
                Item::App(app) => self.begin_app(app).await?,
                Item::Session { id, record } => self.begin_session(id, *record, &mut writes),
                Item::Revocation(revocation) => self.import_revocation(&revocation).await?,
            }
        }
        self.finish(writes).await?;
        Ok(true)
    }

    async fn begin_app(&mut self, app: ExportedApp) -> Result<(), Error> {
        if let Some(time) = app.revoke_time
            && self.apps.contains_key(&app.name)
        {
            if self.mode == ImportMode::Write {
                self.store.restore_app_revocation(&app.name, time).await?;
            }
            self.summary.revocations += 1;
        }
        if self.apps.contains_key(&app.name) {
            self.export_time = Some(self.export_time.map_or(app.export_time, |earliest| earliest.min(app.export_time)));
        }
        self.app = Some(app);
        Ok(())
    }

    async fn import_revocation(&mut self, revocation: &SubjectRevocation) -> Result<(), Error> {
        let is_wanted = revocation.app.as_ref().is_none_or(|app| self.apps.contains_key(app));
        if is_wanted && revocation.revocation.until > self.clock.now() {
            if self.mode == ImportMode::Write {
                let apps: Vec<AppName> = self.apps.keys().cloned().collect();
                self.store.restore_revocation(revocation, &apps).await?;
            }
            self.summary.revocations += 1;
        }
        Ok(())
    }

    /// Begins to write a session, unless it is not to be written.
    fn begin_session(&mut self, id: SessionId, record: Record, writes: &mut JoinSet<Result<RestoreResult, Error>>) {
        let Some(ExportedApp { name, export_time, .. }) = &self.app else { return };
        let Some(app) = self.apps.get(name) else {
            *self.summary.left_out.entry(name.clone()).or_default() += 1;
            return;
        };
        let now = self.clock.now();
        if now >= record.head.purge_time() {
            self.summary.expired += 1;
            return;
        }
        let has_ended = record.head.end.is_some();
        let subject = record.head.subject.clone().filter(|_| !has_ended);
        let entry = index_entry(id, &record, app, now);
        let index_entry = subject.map(|subject| (SubjectRef { app: name.clone(), subject }, entry));
        let session_key = SessionKey { app: name.clone(), id };
        let (record, export_time) = (imported_record(record), *export_time);
        let imported = ImportedSession { session_key, record, export_time, index_entry };
        let (store, mode) = (self.store.clone(), self.mode);
        writes.spawn(async move { Ok(RestoreResult { decision: store.restore(&imported, mode).await?, has_ended }) });
    }

    async fn finish(&mut self, mut writes: JoinSet<Result<RestoreResult, Error>>) -> Result<(), Error> {
        while let Some(written) = writes.join_next().await {
            let count = match written.expect("a write neither panics nor is aborted")? {
                RestoreResult { decision: Decision::Write, has_ended: false } => &mut self.summary.live,
                RestoreResult { decision: Decision::Write, has_ended: true } => &mut self.summary.ended,
                RestoreResult { decision: Decision::Keep, .. } => &mut self.summary.kept,
                RestoreResult { decision: Decision::Revoked, .. } => &mut self.summary.revoked,
            };
            *count += 1;
        }
        Ok(())
    }
}

/// The result for one session.
struct RestoreResult {
    decision: Decision,
    has_ended: bool,
}

/// Enough to hide the latency of a store, and little beside the calls of frontends.
const CONCURRENT_WRITES: usize = 64;
