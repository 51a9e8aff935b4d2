//! The audit log: which sessions ended, why, when and by whom, as lines of JSON in one file a day.
//!
//! One thread writes, behind a bounded queue. A disk that is full or slow loses lines, which are counted, and delays no
//! call. A line has public ids and subjects. No token, no key and no entry ever gets here.

mod file_blocks;
mod folder;
mod search;
mod session_end;
mod settings;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

pub use folder::{OpenError, ReadError, check_readable, check_room};
pub use search::{SearchResult, Wanted};
pub use session_end::SessionEnd;
pub use settings::Settings;
pub use writer::{AuditCounts, AuditGuard};

use self::folder::Folder;
use self::writer::AuditQueue;
use crate::types::{AppName, Clock};

/// The audit log of this process, or none. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Option<Arc<OpenLog>>);

#[derive(Debug)]
struct OpenLog {
    folder: Folder,
    queue: AuditQueue,
    /// A permit for each search that reads the files. Other searches wait.
    search_permits: Arc<Semaphore>,
    /// A permit for each write that goes on without its caller.
    write_permits: Arc<Semaphore>,
}

impl AuditLog {
    /// Opens the log that the settings name, and starts its thread. Without a folder there is no log.
    ///
    /// The log ends when the guard is dropped.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<(Self, Option<AuditGuard>), OpenError> {
        let Some(path) = settings.folder() else { return Ok((Self::default(), None)) };
        let folder = Folder::open(path, clock.now())?;
        let (queue, guard) = writer::start(folder.clone(), settings.keep_days, clock).map_err(OpenError::Thread)?;
        let [search_permits, write_permits] =
            [MAX_SEARCHES, MAX_WRITES].map(|permits| Arc::new(Semaphore::new(permits)));
        Ok((Self(Some(Arc::new(OpenLog { folder, queue, search_permits, write_permits }))), Some(guard)))
    }

    /// Whether there is a log.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Runs a write that may end sessions to its end, even if its caller goes away meanwhile, so that the log has what it
    /// has ended. Waits while very many of them run.
    pub async fn run_to_end<T: Send + 'static>(&self, write: impl Future<Output = T> + Send + 'static) -> T {
        let Some(log) = &self.0 else { return write.await };
        let permit = Arc::clone(&log.write_permits).acquire_owned().await;
        let task = tokio::spawn(async move {
            let _permit = permit;
            write.await
        });
        task.await.expect("a write neither panics nor is cancelled")
    }

    /// Adds an end, if there is a log. Never waits: if the queue is full, the end is lost and counted.
    pub fn add(&self, end: impl FnOnce() -> SessionEnd) {
        if let Some(log) = &self.0 {
            log.queue.push(end());
        }
    }

    /// Returns the numbers of ends that were written and lost. `None`: there is no log.
    pub fn counts(&self) -> Option<AuditCounts> {
        self.0.as_ref().map(|log| log.queue.counts())
    }

    /// Searches the files of the log, the newest first. `None`: there is no log.
    ///
    /// Stops after two seconds and after the newest [`SearchResult::MAX_ENDS`] ends. Waits while four others run.
    pub async fn search(&self, app: AppName, wanted: Wanted) -> Result<Option<SearchResult>, ReadError> {
        let Some(log) = &self.0 else { return Ok(None) };
        let permit = Arc::clone(&log.search_permits).acquire_owned().await;
        let folder = log.folder.clone();
        let found = spawn_blocking(move || {
            // Until its end, even if nobody waits for it any more.
            let _permit = permit;
            search::search(&folder, &app, &wanted, SEARCH_TIME)
        });
        found.await.expect("a search neither panics nor is cancelled").map(Some)
    }
}

/// More would not make a store faster that is slow.
const MAX_WRITES: usize = 1024;

/// Searches read a disk that the store may need as well, and each has a thread.
const MAX_SEARCHES: usize = 4;

/// Less than half of the time that a call may take by default: the caller gets what was found, also if it had to wait
/// for other searches.
const SEARCH_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Subject;
    use crate::types::SystemClock;

    #[tokio::test]
    async fn a_search_does_not_wait_while_three_others_run() {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings { folder: Some(home.path().to_owned()), ..Default::default() };
        let (log, _guard) = AuditLog::open(&settings, Arc::new(SystemClock)).unwrap();
        let permits = &log.0.as_ref().unwrap().search_permits;
        let _others = permits.acquire_many(3).await.unwrap();

        let wanted = Wanted::Subject(Subject::parse("ann").unwrap());
        let found = log.search(AppName::parse("shop").unwrap(), wanted).await.unwrap();

        assert_eq!(found, Some(SearchResult::default()));
    }
}
