//! Makes an export: reads a store page by page, and makes a block of each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::item::{Counts, ExportedApp, Item};
use super::reader::{block, first_line};
use super::{AppRevocationState, RevocationPage, SubjectRevocation};
use crate::session::{Authority, EndReason, Precondition, Record, end};
use crate::store::{Cursor, Error, Handle, Page, Snapshot};
use crate::types::{AppName, Clock, Time};

/// An export of a store, which may be in use. It has every write that was answered before it began.
#[derive(Debug)]
pub struct Export {
    store: Handle,
    clock: Arc<dyn Clock>,
    /// Those that are left.
    apps: VecDeque<AppName>,
    step: Step,
    /// The items of the next block.
    items: Vec<u8>,
    counts: Counts,
    /// The number of the next block.
    block: u64,
}

/// What comes next.
#[derive(Debug)]
enum Step {
    FirstLine,
    NextApp,
    Sessions { app: ExportedApp, revocation: AppRevocationState, cursor: Cursor },
    Revocations(Cursor),
    End,
    Nothing,
}

/// Why an export did not finish. What was made of it until then is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] Error),
    #[error("all sessions of the app {0} were revoked during the export, so it is of no use; export again")]
    RevokedMeanwhile(AppName),
}

impl Export {
    /// Begins an export of these apps.
    pub fn new(store: Handle, clock: Arc<dyn Clock>, apps: impl IntoIterator<Item = AppName>) -> Self {
        let apps = apps.into_iter().collect();
        Self { store, clock, apps, step: Step::FirstLine, items: Vec::new(), counts: Counts::default(), block: 0 }
    }

    /// How many sessions were exported so far.
    pub const fn sessions(&self) -> u64 {
        self.counts.sessions
    }

    /// Makes the next bytes of the file, a quarter of a MiB and a page at most; `None` after the last ones.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        if matches!(self.step, Step::FirstLine) {
            self.step = Step::NextApp;
            self.push(&Item::Program(env!("CARGO_PKG_VERSION").to_owned()));
            return Ok(Some(first_line()));
        }
        while self.items.len() < BLOCK && !matches!(self.step, Step::Nothing) {
            self.advance().await?;
        }
        if self.items.is_empty() {
            return Ok(None);
        }
        let bytes = block(self.block, &self.items);
        self.items.clear();
        self.block += 1;
        Ok(Some(bytes))
    }

    async fn advance(&mut self) -> Result<(), ExportError> {
        self.step = match std::mem::replace(&mut self.step, Step::Nothing) {
            Step::FirstLine | Step::NextApp => match self.apps.pop_front() {
                Some(app) => self.begin_app(app).await?,
                None => Step::Revocations(Cursor::default()),
            },
            Step::Sessions { app, revocation, cursor } => self.export_page(app, revocation, &cursor).await?,
            Step::Revocations(cursor) => {
                let RevocationPage { revocations, next } = self.store.list_revocations(&cursor).await?;
                self.push_revocations(revocations);
                next.map_or(Step::End, Step::Revocations)
            }
            Step::End => {
                self.push(&Item::End(self.counts));
                Step::Nothing
            }
            Step::Nothing => Step::Nothing,
        };
        Ok(())
    }

    async fn begin_app(&mut self, name: AppName) -> Result<Step, Error> {
        let revocation = self.store.load_app_revocation(&name).await?;
        let now = self.clock.now();
        let unknown = (revocation.count > 0).then(|| now.before(Duration::from_millis(1)));
        let revoke_time = revocation.time.or(unknown);
        // A replica whose clock is ahead may have revoked them: the export is later all the same.
        let export_time = revoke_time.map_or(now, |time| now.max(time + Duration::from_millis(1)));
        let app = ExportedApp { name, export_time, revoke_time };
        self.push(&Item::App(app.clone()));
        Ok(Step::Sessions { app, revocation, cursor: Cursor::default() })
    }

    async fn export_page(
        &mut self,
        app: ExportedApp,
        revocation: AppRevocationState,
        cursor: &Cursor,
    ) -> Result<Step, ExportError> {
        let Page { sessions, next } = self.store.scan(&app.name, cursor, PAGE).await?;
        let now = self.clock.now();
        for (id, snapshot) in sessions {
            if let Some(record) = exported_record(snapshot, app.revoke_time.unwrap_or(now), now) {
                self.push(&Item::Session { id, record: Box::new(record) });
            }
        }
        if let Some(cursor) = next {
            return Ok(Step::Sessions { app, revocation, cursor });
        }
        if self.store.load_app_revocation(&app.name).await? != revocation {
            // The sessions of the first pages would be alive.
            return Err(ExportError::RevokedMeanwhile(app.name));
        }
        Ok(Step::NextApp)
    }

    fn push_revocations(&mut self, revocations: Vec<SubjectRevocation>) {
        let now = self.clock.now();
        for revocation in revocations.into_iter().filter(|revocation| revocation.revocation.until > now) {
            self.push(&Item::Revocation(revocation));
        }
    }

    fn push(&mut self, item: &Item) {
        self.counts.add(item);
        item.encode(&mut self.items);
    }
}

/// The record as it is exported: a tombstone if its app was revoked. `None`: it is due for deletion.
fn exported_record(snapshot: Snapshot, revoke_time: Time, now: Time) -> Option<Record> {
    let Snapshot { record, generation } = snapshot;
    let is_revoked = record.head.end.is_none() && record.head.generation < generation;
    let record = if is_revoked {
        let precondition =
            Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now: revoke_time };
        end(&record, EndReason::Revoked, &precondition)
    } else {
        record
    };
    (now < record.head.purge_time()).then_some(record)
}

/// About how many sessions are read at once, so that other calls do not wait.
const PAGE: usize = 100;

/// The size of a block, which grows by at most a page.
const BLOCK: usize = 256 * 1024;
