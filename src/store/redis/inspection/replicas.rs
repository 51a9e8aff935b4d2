//! Whether as many replicas are connected as have to acknowledge writes.
//!
//! If not, nothing that waits for them is acknowledged, but sessions open as ever. So health stays SERVING: another
//! replica of the service could do no better, and an open that is turned away helps nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::store::Error;
use crate::store::redis::Redis;
use crate::store::redis::acknowledge::Acknowledge;
use crate::store::redis::router::AnyServer;

/// The servers that lacked replicas at the last look.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct ReplicaWatch {
    lacking: Mutex<BTreeSet<Arc<str>>>,
}

impl Redis {
    /// Checks that as many replicas are connected as have to acknowledge writes; in a cluster those of each primary.
    pub(in crate::store) async fn check_replicas(&self) -> Result<(), Error> {
        if self.needed_replicas() == 0 {
            // Then this user need not have the right to ask.
            return Ok(());
        }
        for server in self.router.servers().await? {
            let mut info = redis::cmd("INFO");
            info.arg("replication");
            let info: String = self.router.query_on(&server, info).await?;
            if let Some(problem) = self.missing_replicas(&info) {
                return Err(self.router.unsuitable(&server, problem));
            }
        }
        Ok(())
    }

    /// Logs that replicas of a server are missing, and that they are back.
    pub(in crate::store::redis) fn watch_replicas(&self, server: &AnyServer, info: &str) {
        if info.contains("\nrole:slave") {
            // It was a primary a moment ago.
            return;
        }
        let (address, problem) = (self.router.address(server), self.missing_replicas(info));
        let mut lacking = self.replica_watch.lacking.lock();
        match problem {
            Some(problem) => {
                if lacking.insert(Arc::clone(&address)) {
                    warn!(%address, "{problem}");
                }
            }
            None => {
                if lacking.remove(&address) {
                    info!(%address, "as many replicas of Redis are connected as have to acknowledge writes");
                }
            }
        }
    }

    /// How many replicas the strictest setting needs.
    fn needed_replicas(&self) -> usize {
        let needed = self.router.acknowledges().map(|acknowledge| match acknowledge {
            Acknowledge::Replicas(count) => usize::from(count),
            Acknowledge::Primary | Acknowledge::Fsync => 0,
        });
        needed.into_iter().max().unwrap_or_default()
    }

    /// Returns what is missing, by the answer to `INFO replication`.
    fn missing_replicas(&self, info: &str) -> Option<String> {
        let needed = self.needed_replicas();
        let online = info.lines().filter(|line| line.starts_with("slave") && line.contains(",state=online")).count();
        (online < needed).then(|| {
            format!(
                "{online} of the {needed} replicas of Redis that have to acknowledge writes are connected: without \
                 them, calls that write end UNAVAILABLE"
            )
        })
    }
}
