//! Whether as many replicas are connected as have to acknowledge writes.
//!
//! If not, nothing that waits for them is acknowledged, but sessions open as ever. So health stays SERVING: another
//! replica of the service could do no better, and an open that is turned away helps nobody.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};

use super::Redis;
use super::acknowledge::Acknowledge;
use super::router::{AnyServer, Router};
use crate::store::Error;

/// Whether replicas were missing at the last look.
#[derive(Debug, Default)]
pub(super) struct ReplicaWatch {
    are_missing: AtomicBool,
}

impl Redis {
    /// Checks that as many replicas are connected as have to acknowledge writes.
    pub(in crate::store) async fn check_replicas(&self) -> Result<(), Error> {
        let needs_none = self.missing_replicas("").is_none();
        if needs_none {
            // Then this user need not have the right to ask.
            return Ok(());
        }
        let mut info = redis::cmd("INFO");
        info.arg("replication");
        let Router::Single(_) = self.router else { return Ok(()) };
        let info: String = self.router.query_on(&AnyServer::Single, info).await?;
        self.missing_replicas(&info).map_or(Ok(()), |problem| Err(self.router.unsuitable(&AnyServer::Single, problem)))
    }

    /// Logs that replicas are missing, and that they are back.
    pub(super) fn watch_replicas(&self, info: &str) {
        let problem = self.missing_replicas(info);
        if self.replica_watch.are_missing.swap(problem.is_some(), Ordering::Relaxed) == problem.is_some() {
            return;
        }
        match problem {
            Some(problem) => warn!("{problem}"),
            None => info!("as many replicas of Redis are connected as have to acknowledge writes"),
        }
    }

    /// Returns what is missing, by the answer to `INFO replication`.
    fn missing_replicas(&self, info: &str) -> Option<String> {
        let Router::Single(connections) = &self.router else { return None };
        let needed = connections.acknowledges().into_iter().filter_map(|acknowledge| match acknowledge {
            Acknowledge::Replicas(count) => Some(usize::from(count)),
            Acknowledge::Primary | Acknowledge::Fsync => None,
        });
        let needed = needed.max()?;
        let online = info.lines().filter(|line| line.starts_with("slave") && line.contains(",state=online")).count();
        (online < needed).then(|| {
            format!(
                "{online} of the {needed} replicas of Redis that have to acknowledge writes are connected: without \
                 them, calls that write end UNAVAILABLE"
            )
        })
    }
}
