//! Reading files on another thread, which may hang together with a disk or a network file system.

use std::time::Duration;

use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::error;

/// Reads files in a limited time, one thread at a time.
#[derive(Debug)]
pub(super) struct FileReader {
    max_wait: Duration,
    /// The last read that took too long. It cannot be stopped.
    hanging: Option<AbortHandle>,
}

impl FileReader {
    /// Each read may take so long.
    pub(super) const fn new(max_wait: Duration) -> Self {
        Self { max_wait, hanging: None }
    }

    /// Runs a read. `None`: it takes too long, or an earlier one still does; the log says so once.
    pub(super) async fn run<T: Send + 'static>(&mut self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // Else each try would leave one more thread behind.
        if self.hanging.as_ref().is_some_and(|earlier| !earlier.is_finished()) {
            return None;
        }
        let mut reading = spawn_blocking(read);
        let Ok(done) = timeout(self.max_wait, &mut reading).await else {
            let seconds = self.max_wait.as_secs();
            error!(seconds, "the files of the configuration cannot be read in time; their file system may hang");
            self.hanging = Some(reading.abort_handle());
            return None;
        };
        Some(done.expect("reading files neither panics nor is cancelled"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_read_that_hangs_is_given_up_and_no_other_is_begun_until_it_has_ended() {
        let (end, ended) = mpsc::channel::<()>();
        let mut reads = FileReader::new(Duration::from_millis(1));

        let hanging = reads.run(move || ended.recv().is_err()).await;
        let meanwhile = reads.run(|| ()).await;
        drop(end);

        assert_eq!((hanging, meanwhile), (None, None));
        reads.max_wait = Duration::from_secs(60);
        while reads.run(|| ()).await.is_none() {
            tokio::task::yield_now().await;
        }
    }
}
