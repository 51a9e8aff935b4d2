//! Whether a Redis can be relied on: its version, its rights, its mode, its role, and that it never evicts a session.
//!
//! A look from outside is not enough: a user without a right, or a Redis without room, answers each PING.

pub(super) mod fsync;
pub(super) mod layout;
mod place;
pub(super) mod replicas;
pub(super) mod server_info;

use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use redis::{Cmd, ServerError, ServerErrorKind, Value};
use tokio::time::{Instant, sleep};

use self::layout::LayoutEvidence;
use self::server_info::{Eviction, ServerAnswer, ServerClock, ServerInfo};
use super::Redis;
use super::answer::{field, parse_one, server_error};
use super::failure::{Cause, Failure};
use super::partitions::Slot;
use super::router::{AnyServer, Router};
use super::scripts::Script;
use super::sequence::{ScriptCall, Sequence};
use crate::store::Error;
use crate::types::Time;

/// When Redis was last found to be reliable. `None`: never, or it was not at the last look.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct LastInspection(Mutex<Option<Instant>>);

/// A server, and a key that never exists there, in the key space of the store.
struct Probed {
    server: AnyServer,
    key: Vec<u8>,
    slot: Slot,
}

impl Redis {
    /// Checks that Redis takes writes now, and at intervals that it can be relied on.
    ///
    /// In a cluster a node that does not answer has only some partitions, and those of all others need the service. So it
    /// fails if most nodes do not answer, or if one of them cannot be relied on.
    pub(in crate::store::redis) async fn check_health(&self) -> Result<(), Error> {
        let last = *self.last_inspection.0.lock();
        let result = match self.check_writes().await {
            Ok(_) if last.is_some_and(|last| last.elapsed() < INSPECTION_INTERVAL) => return Ok(()),
            Ok(probed) => self.inspect(&probed).await,
            Err(error) => Err(error),
        };
        *self.last_inspection.0.lock() = result.is_ok().then(Instant::now);
        result
    }

    /// Reads the clock of Redis; in a cluster of each primary that answers. Empty if this user may not.
    pub(in crate::store) async fn read_clocks(&self) -> Result<Vec<ServerClock>, Error> {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let clock = |(server, info): (AnyServer, Result<Option<String>, Error>)| {
            let micros: u64 = field(&info.ok()??, "server_time_usec")?.parse().ok()?;
            Some(ServerClock { node: server.node(), time: Time::from_millis(micros / 1000) })
        };
        Ok(self.info_of_each(&info).await?.into_iter().filter_map(clock).collect())
    }

    /// Reads what Redis says about itself; in a cluster each primary.
    pub(in crate::store) async fn read_info(&self) -> Result<Vec<ServerAnswer>, Error> {
        let answers = self.info_of_each(&redis::cmd("INFO")).await?;
        let answer = |(server, info): (AnyServer, Result<Option<String>, Error>)| ServerAnswer {
            node: server.node(),
            info: info.map(|info| info.as_deref().map(ServerInfo::parse)),
        };
        Ok(answers.into_iter().map(answer).collect())
    }

    /// Sends INFO to each server at once. `None`: this user may not ask.
    async fn info_of_each(&self, info: &Cmd) -> Result<Vec<(AnyServer, Result<Option<String>, Error>)>, Error> {
        let servers = self.router.servers().await?;
        let ask = async |server| {
            let answer = self.router.query_if_allowed(&server, info.clone()).await;
            (server, answer)
        };
        Ok(join_all(servers.into_iter().map(ask)).await)
    }

    /// Writes nothing to each server, and returns those that would have taken it.
    ///
    /// Does not wait long for a minority that does not answer.
    async fn check_writes(&self) -> Result<Vec<Probed>, Error> {
        let probed = self.probed().await?;
        let count = probed.len();
        let mut writing: FuturesUnordered<_> = probed.into_iter().map(|probed| self.check_write(probed)).collect();
        let mut timer = pin!(sleep(MINORITY_TIMEOUT));
        let (mut working, mut failure, mut waits_for_all) = (Vec::new(), None, true);
        while waits_for_all || 2 * working.len() <= count {
            tokio::select! {
                written = writing.next() => match written {
                    Some(Ok(probed)) => working.push(probed),
                    Some(Err(error)) if is_of_every_node(&error) => return Err(error),
                    Some(Err(error)) => failure = Some(error),
                    None => break,
                },
                () = &mut timer, if waits_for_all => waits_for_all = false,
            }
        }
        match failure {
            Some(failure) if 2 * working.len() <= count => Err(failure),
            _ => Ok(working),
        }
    }

    async fn check_write(&self, probed: Probed) -> Result<Probed, Error> {
        match self.router.query::<Value>(probed.write()).await {
            // The connection of this task says nothing of those of the workers.
            Ok(_) => self.router.check_connections(&probed.server).map(|()| probed).map_err(Error::from),
            // What kind of Redis it is may explain the refusal better.
            Err(error @ Error::Refused(_)) => self.check_kind(&probed.server).await.and(Err(error)),
            // A node of a cluster says such things to a service that takes it for a single server.
            Err(Error::Unavailable(cause)) if answered_code(&*cause).is_some() => {
                self.check_kind(&probed.server).await.and(Err(Error::Unavailable(cause)))
            }
            Err(error) => Err(error),
        }
    }

    async fn inspect(&self, probed: &[Probed]) -> Result<(), Error> {
        for probed in probed {
            let info = self.check_kind(&probed.server).await?;
            self.check_asking(probed).await?;
            self.router.check_waiters(&probed.server).await?;
            self.watch_fsync(&probed.server, info.as_deref().unwrap_or_default()).await;
        }
        // A Redis that has the script already would not show that the user may not load it.
        let probes: Vec<Sequence<'_>> = probed.iter().map(|probed| probed.probe(&self.scripts.probe)).collect();
        for (Probed { server, .. }, result) in probed.iter().zip(self.router.all(&probes).await) {
            let problems: Vec<String> = parse_one(result?)?;
            if !problems.is_empty() {
                let problem = format!("this user lacks commands that the service needs: {}", problems.join(", "));
                return Err(self.router.unsuitable(server, problem));
            }
        }
        // The one node that has the marker may be down, and then the marker was right before, or sessions show it.
        let marker = self.marker_slot();
        let is_there = probed.iter().any(|probed| self.router.has(&probed.server, marker));
        if is_there || self.layout_evidence() == LayoutEvidence::None { self.check_layout().await } else { Ok(()) }
    }

    /// Checks that the user may ask a node of a cluster for keys of a slot that is being moved.
    async fn check_asking(&self, probed: &Probed) -> Result<(), Error> {
        let AnyServer::Node(_) = probed.server else { return Ok(()) };
        // With a command behind it, which it counts for. It would otherwise count for another task's.
        let answers = self.router.read_on(&probed.server, &probed.write().asking(0)).await?;
        let lacks = |error: &ServerError| error.kind() == Some(ServerErrorKind::NoPerm);
        match answers.first().and_then(server_error).filter(|error| lacks(error)) {
            Some(error) => {
                let text = error.details().unwrap_or_default();
                Err(self.router.unsuitable(&probed.server, format!("{} {text}", error.code())))
            }
            None => Ok(()),
        }
    }

    /// Checks version, mode, role, append-only file and eviction of a server. Returns what it answers to INFO.
    async fn check_kind(&self, server: &AnyServer) -> Result<Option<String>, Error> {
        // Without names of sections: a Redis that is too old takes one at most.
        let info: Option<String> = self.router.query_if_allowed(server, redis::cmd("INFO")).await?;
        self.watch_replicas(server, info.as_deref().unwrap_or_default());
        if let Some(problem) = self.problem(info.as_deref()) {
            return Err(self.router.unsuitable(server, problem));
        }
        Ok(info)
    }

    /// Returns each server that has a partition, with a key there.
    async fn probed(&self) -> Result<Vec<Probed>, Error> {
        let router = &self.router;
        if let Router::Single(_) = router {
            let key = format!("{}:health", self.prefix).into_bytes();
            return Ok(vec![Probed { server: AnyServer::Single, key, slot: Slot(0) }]);
        }
        let probe = |server: AnyServer| {
            let partition = self.partitions.all().find(|it| router.has(&server, self.partitions.slot(*it)))?;
            let key = self.absent_key(self.partitions.tag(partition));
            Some(Probed { server, key, slot: self.partitions.slot(partition) })
        };
        Ok(router.servers().await?.into_iter().filter_map(probe).collect())
    }

    /// Returns what is wrong with a Redis that answers this to INFO; `None` to it if the user may not ask.
    fn problem(&self, info: Option<&str>) -> Option<String> {
        let Some(info) = info else {
            let problem = "this user may not run INFO, so nobody knows whether Redis evicts sessions; \
                           grant +info, or set allow_eviction = true in [store.redis]";
            return (!self.allow_eviction).then(|| problem.to_owned());
        };
        let server = ServerInfo::parse(info);
        if server.is_too_old() {
            let ServerInfo { product, version, .. } = server;
            return Some(format!(
                "this is {product} {version}, which lacks commands of Redis 7.0; use Redis 7.0 or newer, or Valkey"
            ));
        }
        let is_cluster = matches!(self.router, Router::Cluster(_));
        if !is_cluster && field(info, "cluster_enabled") == Some("1") {
            return Some("this is a node of a Redis Cluster; set mode = \"cluster\" in [store.redis]".to_owned());
        }
        if is_cluster && field(info, "cluster_enabled") == Some("0") {
            return Some("it is no node of a Redis Cluster; set cluster-enabled yes in its configuration".to_owned());
        }
        // In a cluster a failover may be under way, and the slots say who is the primary.
        if !is_cluster && field(info, "role") == Some("slave") {
            return Some("this is a replica, which takes no writes; the url has to lead to the primary".to_owned());
        }
        if let Some(problem) = self.missing_file(info) {
            return Some(problem);
        }
        match server.eviction {
            _ if self.allow_eviction => None,
            Eviction::Never => None,
            Eviction::By(policy) => Some(format!(
                "Redis would evict sessions when it is full, live ones and revocations too: maxmemory-policy is \
                 {policy}; set it to noeviction, or allow_eviction = true in [store.redis]"
            )),
            Eviction::Unknown => Some(
                "Redis does not say whether it evicts sessions; set allow_eviction = true in [store.redis] if it \
                 does not, or if that is tolerable"
                    .to_owned(),
            ),
        }
    }
}

impl Probed {
    /// Writes nothing, for the key does not exist. Redis refuses it as it would refuse any other write.
    fn write(&self) -> Sequence<'static> {
        let mut write = redis::cmd("SET");
        write.arg(&self.key).arg("").arg("XX");
        Sequence::write(self.slot, write)
    }

    /// Calls the script that finds out what this user may not do.
    fn probe<'s>(&self, probe: &'s Script) -> Sequence<'s> {
        ScriptCall::new(probe, self.slot, &[&self.key]).into()
    }
}

/// Whether a fault is one of the configuration, of which one node is enough to say that the service cannot work.
///
/// A node that has no room or no replica refuses its own writes, and the others go on.
pub(in crate::store::redis) fn is_of_every_node(error: &Error) -> bool {
    let Error::Refused(cause) = error else { return false };
    answered_code(&**cause).is_none_or(|code| code == "NOPERM")
}

/// Returns the code of an error that Redis itself has answered.
fn answered_code<'c>(cause: &'c (dyn StdError + Send + Sync + 'static)) -> Option<&'c str> {
    match &cause.downcast_ref::<Failure>()?.cause {
        Cause::Answered { code, .. } => Some(code),
        _ => None,
    }
}

/// How often Redis is looked at more closely than by each ping.
const INSPECTION_INTERVAL: Duration = Duration::from_millis(750);

/// How long a node is waited for if most of the others have answered.
const MINORITY_TIMEOUT: Duration = Duration::from_millis(250);
