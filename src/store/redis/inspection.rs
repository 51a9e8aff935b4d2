//! Whether a Redis can be relied on: its rights, its mode, its role, and that it never evicts a session.
//!
//! What can be seen from outside is not enough: a user without a right, or a Redis without room, answers each PING.

use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use tokio::time::Instant;

use super::Redis;
use crate::store::Error;
use crate::types::Time;

/// When Redis was last found to be reliable. `None`: never, or it was not at the last look.
#[derive(Debug, Default)]
pub(super) struct LastInspection(Mutex<Option<Instant>>);

impl Redis {
    /// Checks that Redis takes writes now, and at intervals that it can be relied on.
    pub(super) async fn check_health(&self) -> Result<(), Error> {
        // Writes nothing, for the key does not exist. Redis refuses it as it would refuse any other write.
        let mut write = redis::cmd("SET");
        write.arg(self.health_key()).arg("").arg("XX");
        let last = *self.last_inspection.0.lock();
        let result = match self.connections.write::<Value>(&write).await {
            Ok(_) if last.is_some_and(|last| last.elapsed() < INSPECTION_INTERVAL) => return Ok(()),
            Ok(_) => self.inspect().await,
            // What kind of Redis it is may explain the refusal better.
            Err(error @ Error::Refused(_)) => self.check_kind().await.and(Err(error)),
            Err(error) => Err(error),
        };
        *self.last_inspection.0.lock() = result.is_ok().then(Instant::now);
        result
    }

    /// Reads the time of Redis' clock. `None` if this user may not.
    pub(in crate::store) async fn read_clock(&self) -> Result<Option<Time>, Error> {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let info: Option<String> = self.connections.query_if_allowed(&info).await?;
        let micros = info.as_deref().and_then(|info| field(info, "server_time_usec")?.parse::<u64>().ok());
        Ok(micros.map(|micros| Time::from_millis(micros / 1000)))
    }

    async fn inspect(&self) -> Result<(), Error> {
        self.check_kind().await?;
        self.connections.check_waiters().await?;
        // A Redis that has the script already would not show that the user may not load it.
        let probe = &self.scripts.probe;
        self.connections.load(probe).await?;
        let problems: Vec<String> = self.connections.invoke(&probe.key(self.health_key())).await?;
        if problems.is_empty() {
            return Ok(());
        }
        let problem = format!("this user lacks commands that the service needs: {}", problems.join(", "));
        Err(self.connections.unsuitable(problem))
    }

    /// Checks mode, role and eviction.
    async fn check_kind(&self) -> Result<(), Error> {
        let mut info = redis::cmd("INFO");
        info.arg("replication").arg("memory").arg("cluster");
        let info: Option<String> = self.connections.query_if_allowed(&info).await?;
        self.watch_replicas(info.as_deref().unwrap_or_default());
        self.problem(info.as_deref()).map_or(Ok(()), |problem| Err(self.connections.unsuitable(problem)))
    }

    /// Returns what is wrong with a Redis that answers this to INFO; `None` to it if the user may not ask.
    fn problem(&self, info: Option<&str>) -> Option<String> {
        let Some(info) = info else {
            let problem = "this user may not run INFO, so nobody knows whether Redis evicts sessions; \
                           grant +info, or set allow_eviction = true in [store.redis]";
            return (!self.allow_eviction).then(|| problem.to_owned());
        };
        if field(info, "cluster_enabled") == Some("1") {
            return Some("this is a Redis Cluster, which is not supported yet; use a single primary".to_owned());
        }
        if field(info, "role") == Some("slave") {
            return Some("this is a replica, which takes no writes; the url has to lead to the primary".to_owned());
        }
        let (maxmemory, policy) = (field(info, "maxmemory"), field(info, "maxmemory_policy"));
        match (maxmemory, policy) {
            _ if self.allow_eviction => None,
            (Some("0"), _) | (_, Some("noeviction")) => None,
            (Some(_), Some(policy)) => Some(format!(
                "Redis would evict sessions when it is full, live ones and revocations too: maxmemory-policy is \
                 {policy}; set it to noeviction, or allow_eviction = true in [store.redis]"
            )),
            _ => Some(
                "Redis does not say whether it evicts sessions; set allow_eviction = true in [store.redis] if it \
                 does not, or if that is tolerable"
                    .to_owned(),
            ),
        }
    }

    /// A key that never exists, in the key space of the store.
    fn health_key(&self) -> String {
        format!("{}:health", self.prefix)
    }
}

/// Returns the value of a field in the answer to INFO.
pub(super) fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

/// How often Redis is looked at more closely than by each ping.
const INSPECTION_INTERVAL: Duration = Duration::from_millis(750);
