//! Makes an export: reads a store page by page, and makes a block of each.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::transfer::{
    AppRevocationState, Counts, ExportPage, ExportedApp, Item, RevocationPage, block, exported_record, first_line,
    imported_revocations,
};
use super::{Cursor, Error, Handle, SessionKey};
use crate::types::{AppName, Clock};

/// An export of a store, which may be in use. It has every write that was answered before it began.
///
/// Nothing of the store is held between two steps, so it may take as long as the reader of the file needs.
#[derive(Debug)]
pub struct Export {
    store: Handle,
    clock: Arc<dyn Clock>,
    /// Those that are left.
    apps: VecDeque<AppName>,
    /// The revocations of those that were begun, as they were then.
    revocations: Vec<(AppName, AppRevocationState)>,
    step: ExportStep,
    /// How many sessions are read at once.
    page_size: usize,
    /// The items of the next block.
    items: Vec<u8>,
    counts: Counts,
    /// The number of the next block.
    block: u64,
}

/// The next step.
#[derive(Debug)]
enum ExportStep {
    FirstLine,
    NextApp,
    Sessions { app: ExportedApp, cursor: Cursor },
    Revocations(Cursor),
    End,
    Nothing,
}

/// The result of one step of an export.
#[derive(Debug, Default)]
pub struct ExportPart {
    /// The next bytes of the file: none, or a whole block of a quarter of a MiB and a page at most.
    pub bytes: Vec<u8>,
    /// The sessions that this step left out, because the bytes in the store are not a session.
    pub corrupt_sessions: Vec<SessionKey>,
    /// How many revocations of subjects this step could not read. The file has them as revocations of now.
    pub corrupt_revocations: usize,
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
        Self {
            store,
            clock,
            apps: apps.into_iter().collect(),
            revocations: Vec::new(),
            step: ExportStep::FirstLine,
            page_size: MIN_PAGE,
            items: Vec::new(),
            counts: Counts::default(),
            block: 0,
        }
    }

    /// How many sessions were exported so far.
    pub const fn sessions(&self) -> u64 {
        self.counts.sessions
    }

    /// Makes one step, which reads a page of the store at most; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<ExportPart>, ExportError> {
        let mut part = ExportPart::default();
        match mem::replace(&mut self.step, ExportStep::Nothing) {
            ExportStep::FirstLine => {
                self.step = ExportStep::NextApp;
                self.push(&Item::Program(env!("CARGO_PKG_VERSION").to_owned()));
                part.bytes = first_line();
                return Ok(Some(part));
            }
            ExportStep::NextApp => {
                self.step = match self.apps.pop_front() {
                    Some(app) => self.begin_app(app).await?,
                    None => ExportStep::Revocations(Cursor::default()),
                }
            }
            ExportStep::Sessions { app, cursor } => self.step = self.export_page(app, &cursor, &mut part).await?,
            ExportStep::Revocations(cursor) => {
                let page = self.store.list_revocations(&cursor).await?;
                part.corrupt_revocations = page.corrupt.len();
                self.step = self.push_revocations(page).map_or(ExportStep::End, ExportStep::Revocations);
            }
            ExportStep::End => {
                for (app, revocation) in &self.revocations {
                    self.check_revocation(app, revocation).await?;
                }
                self.push(&Item::End(self.counts));
            }
            ExportStep::Nothing => return Ok(None),
        }
        if self.items.len() >= BLOCK || matches!(self.step, ExportStep::Nothing) {
            part.bytes = block(self.block, &self.items);
            self.items.clear();
            self.block += 1;
        }
        Ok(Some(part))
    }

    async fn begin_app(&mut self, name: AppName) -> Result<ExportStep, Error> {
        let revocation = self.store.load_app_revocation(&name).await?;
        let now = self.clock.now();
        let unknown = (revocation.count > 0).then(|| now.before(Duration::from_millis(1)));
        let revoke_time = revocation.time.or(unknown);
        // A replica whose clock is ahead may have revoked them: the export is later all the same.
        let export_time = revoke_time.map_or(now, |time| now.max(time + Duration::from_millis(1)));
        self.revocations.push((name.clone(), revocation));
        let app = ExportedApp { name, export_time, revoke_time };
        self.push(&Item::App(app.clone()));
        Ok(ExportStep::Sessions { app, cursor: Cursor::default() })
    }

    async fn export_page(
        &mut self,
        app: ExportedApp,
        cursor: &Cursor,
        part: &mut ExportPart,
    ) -> Result<ExportStep, ExportError> {
        let ExportPage { sessions, next } = self.store.export_page(&app.name, cursor, self.page_size).await?;
        let (now, count, before) = (self.clock.now(), sessions.len(), self.items.len());
        for (id, snapshot) in sessions {
            let Some(snapshot) = snapshot else {
                part.corrupt_sessions.push(SessionKey { app: app.name.clone(), id });
                continue;
            };
            if let Some(record) = exported_record(snapshot, app.revoke_time.unwrap_or(now), now) {
                self.push(&Item::Session { id, record: Box::new(record) });
            }
        }
        let average = ((self.items.len() - before) / count.max(1)).max(1);
        self.page_size = (BLOCK / average).clamp(MIN_PAGE, MAX_PAGE);
        if let Some(cursor) = next {
            return Ok(ExportStep::Sessions { app, cursor });
        }
        if let Some((app, revocation)) = self.revocations.last() {
            // Here too, so that an export that is of no use does not go on.
            self.check_revocation(app, revocation).await?;
        }
        Ok(ExportStep::NextApp)
    }

    /// Fails if all sessions of the app were revoked since its export began: those that were read before would be alive.
    async fn check_revocation(&self, app: &AppName, revocation: &AppRevocationState) -> Result<(), ExportError> {
        if self.store.load_app_revocation(app).await? == *revocation {
            Ok(())
        } else {
            Err(ExportError::RevokedMeanwhile(app.clone()))
        }
    }

    /// Pushes the revocations that still matter, and returns where the next page begins.
    fn push_revocations(&mut self, page: RevocationPage) -> Option<Cursor> {
        let next = page.next.clone();
        for revocation in imported_revocations(page, self.clock.now()) {
            self.push(&Item::Revocation(revocation));
        }
        next
    }

    fn push(&mut self, item: &Item) {
        self.counts.add(item);
        item.encode(&mut self.items);
    }
}

/// The fewest sessions that are read at once. They may be as large as a MiB each.
const MIN_PAGE: usize = 10;

/// The most sessions that are read at once, so that other calls do not wait.
const MAX_PAGE: usize = 100;

/// The size of a block, which grows by at most a page.
const BLOCK: usize = 256 * 1024;
