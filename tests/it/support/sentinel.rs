//! A primary with a replica, and three Sentinels that replace it when it is down.

use std::time::Duration;

use cloakroom::store::{RedisMode, RedisSettings, SentinelSettings};

use super::ports::free_port;
use super::redis::RedisServer;

/// A primary, its replicas, and their Sentinels, on loopback.
pub(crate) struct SentinelService {
    /// The first one is the primary.
    pub(crate) servers: Vec<Server>,
    pub(crate) sentinels: Vec<Server>,
}

/// A Redis or a Sentinel on a port.
pub(crate) struct Server {
    pub(crate) redis: RedisServer,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a Redis on a free port.
    pub(crate) fn redis(arguments: &str) -> Self {
        let port = free_port();
        Self {
            redis: RedisServer::start_with(&format!("--port {port} --repl-diskless-sync-delay 0 {arguments}")),
            port,
        }
    }

    /// Starts a Sentinel on a free port that watches the server at this one.
    pub(crate) fn sentinel(watched: u16, quorum: usize, more: &str) -> Self {
        let port = free_port();
        let config = format!(
            "port {port}\nsentinel monitor {SERVICE} 127.0.0.1 {watched} {quorum}\n\
             sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 6000\n{more}"
        );
        Self { redis: RedisServer::start_sentinel(&config), port }
    }

    /// Whether it says that it is a primary.
    pub(crate) fn is_primary(&self) -> bool {
        self.redis.cli(&["role"]).starts_with("master")
    }
}

impl SentinelService {
    /// Starts all, with one replica.
    pub(crate) async fn start() -> Self {
        Self::start_with(1).await
    }

    /// Starts all, and returns when each Sentinel knows the others and the replicas have caught up.
    pub(crate) async fn start_with(replicas: usize) -> Self {
        let servers = primary_and_replicas(replicas, "").await;
        let sentinels: Vec<Server> = (0..3).map(|_| Server::sentinel(servers[0].port, 2, "")).collect();
        let knows = format!("slaves={replicas},sentinels=3");
        for sentinel in &sentinels {
            let ready = || sentinel.redis.cli(&["sentinel", "ckquorum", SERVICE]).starts_with("OK 3 usable");
            until(async || ready() && sentinel.redis.cli(&["info", "sentinel"]).contains(&knows)).await;
        }
        Self { servers, sentinels }
    }

    /// Whether a Sentinel says that this is the primary.
    pub(crate) fn names(&self, server: &Server) -> bool {
        let named = |sentinel: &Server| sentinel.redis.cli(&["sentinel", "get-master-addr-by-name", SERVICE]);
        self.sentinels.iter().any(|sentinel| named(sentinel).lines().nth(1) == Some(server.port.to_string().as_str()))
    }

    /// Returns settings that find the primary by the Sentinels.
    pub(crate) fn settings(&self) -> RedisSettings {
        settings(&self.sentinels)
    }
}

/// Starts a primary with these arguments, and replicas, and returns when they have caught up.
pub(crate) async fn primary_and_replicas(replicas: usize, arguments: &str) -> Vec<Server> {
    let primary = Server::redis(arguments);
    let replica = |_| Server::redis(&format!("--replicaof 127.0.0.1 {}", primary.port));
    let replicas: Vec<Server> = (0..replicas).map(replica).collect();
    await_replicas(&primary.redis, replicas.len()).await;
    std::iter::once(primary).chain(replicas).collect()
}

/// Waits until so many replicas have confirmed what a primary has written.
///
/// One that is `online` gets nothing yet: the primary waits for its first confirmation, for up to a second.
pub(crate) async fn await_replicas(primary: &RedisServer, count: usize) {
    let replication = || primary.cli(&["info", "replication"]);
    until(async || replication().matches("state=online").count() == count).await;
    primary.cli(&["publish", "replicas", ""]);
    let written = numbers_after("master_repl_offset:", &replication())[0];
    let has_confirmed = |offset: &&u64| **offset >= written;
    until(async || numbers_after("state=online,offset=", &replication()).iter().filter(has_confirmed).count() == count)
        .await;
}

/// Returns the numbers that stand behind this text.
fn numbers_after(before: &str, text: &str) -> Vec<u64> {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    text.split(before).skip(1).map(|rest| number(rest).expect("a number is there")).collect()
}

/// Returns settings that find the primary by these Sentinels.
pub(crate) fn settings(sentinels: &[Server]) -> RedisSettings {
    let urls = sentinels.iter().map(|sentinel| format!("redis://127.0.0.1:{}", sentinel.port)).collect();
    let sentinel = SentinelSettings { urls, service_name: SERVICE.to_owned(), ..Default::default() };
    RedisSettings { mode: RedisMode::Sentinel, sentinel, ..Default::default() }
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "the Sentinels are not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) const SERVICE: &str = "sessions";
