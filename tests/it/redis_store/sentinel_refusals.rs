//! A primary that refuses writes, in the mode `sentinel`: the Sentinels are asked anew, and calls go where they say.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use cloakroom::store::{Created, Redis, RedisSettings, SessionKey, Store as _};
use cloakroom::types::with_causes;
use futures_util::future::join_all;

use super::until;
use crate::conformance::fixtures::{create, record, session_key};
use crate::support::proxy::Proxy;
use crate::support::sentinel::{SERVICE, Server, settings};

/// Why a primary refuses.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// Its replica is gone, and it has to have one.
    NoReplicas,
    /// It was made a replica.
    ReadOnly,
    /// The same, and it has to say nothing while it has no connection to its primary.
    MasterDown,
}

impl Refusal {
    const ALL: [Self; 3] = [Self::NoReplicas, Self::ReadOnly, Self::MasterDown];

    const fn code(self) -> &'static str {
        match self {
            Self::NoReplicas => "NOREPLICAS",
            Self::ReadOnly => "READONLY",
            Self::MasterDown => "MASTERDOWN",
        }
    }

    /// Lets a server refuse from now on.
    fn begin(self, server: &Server) {
        let lone_primary: &[&[&str]] = &[&["config", "set", "min-replicas-to-write", "1"]];
        // A port without a Redis.
        let replica: &[&str] = &["replicaof", "127.0.0.1", "1"];
        let commands = match self {
            Self::NoReplicas => lone_primary,
            Self::ReadOnly => &[replica],
            Self::MasterDown => &[&["config", "set", "replica-serve-stale-data", "no"], replica],
        };
        commands.iter().for_each(|command| assert_eq!(server.redis.cli(command), "OK\n"));
    }
}

/// Two servers, the first of which three Sentinels name at first, and a store.
struct SentinelSetup {
    before: Server,
    after: Server,
    sentinels: [Server; 3],
    /// Requests of the store to the first Sentinel go through it.
    proxy: Proxy,
    store: Redis,
}

impl SentinelSetup {
    /// Starts all, and creates session 0.
    async fn start() -> Self {
        let (before, after) = (Server::redis(""), Server::redis(""));
        // So many agree never, so that they do not replace it by themselves.
        let sentinels = [0; 3].map(|_| Server::sentinel(before.port, NO_QUORUM, ""));
        let proxy = Proxy::start(sentinels[0].redis.socket()).await;
        let mut settings = RedisSettings { timeout: Duration::from_secs(60), ..settings(&sentinels) };
        settings.sentinel.urls[0] = proxy.url();
        let store = Redis::new(&settings).unwrap();
        create(&store, session_key(0), &record()).await;
        Self { before, after, sentinels, proxy, store }
    }

    /// Waits until the connection is older than one that is kept whatever its server answers.
    async fn grow_older(&self) {
        let asked = self.proxy.accepted();
        // Each connection asks once a second.
        until("two requests", async || self.proxy.accepted() >= asked + 2).await;
    }

    /// Lets the majority of the Sentinels name the other server.
    fn name_the_other(&self) {
        let port = self.after.port.to_string();
        let name = |sentinel: &Server| {
            let monitor = ["sentinel", "monitor", SERVICE, "127.0.0.1", &port, &NO_QUORUM.to_string()];
            assert_eq!(sentinel.redis.cli(&["sentinel", "remove", SERVICE]), "OK\n");
            assert_eq!(sentinel.redis.cli(&monitor), "OK\n");
        };
        thread::scope(|scope| self.sentinels[..2].iter().for_each(|sentinel| drop(scope.spawn(|| name(sentinel)))));
    }

    /// Whether the first server has answered a call with this code.
    fn has_refused(&self, refusal: Refusal) -> bool {
        self.before.redis.cli(&["info", "errorstats"]).contains(&format!("errorstat_{}:", refusal.code()))
    }
}

fn has(server: &Server, session_key: &SessionKey) -> bool {
    server.redis.keys().iter().any(|key| key.ends_with(&format!(":{}", session_key.id)))
}

/// The ids of the store's connections to a server.
fn connections(server: &Server) -> BTreeSet<String> {
    let clients = server.redis.cli(&["client", "list", "type", "normal"]);
    let id = |client: &str| client.split(' ').next().map(str::to_owned);
    let is_another = |client: &&str| client.contains("cmd=client") || client.contains(" name=sentinel-");
    clients.lines().filter(|client| !is_another(client)).filter_map(id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_a_former_primary_refuses_is_done_by_the_one_that_the_sentinels_name() {
    for refusal in Refusal::ALL {
        // The check of each second may be faster than the write.
        until("a refusal", async || {
            let setup = SentinelSetup::start().await;
            setup.grow_older().await;
            thread::scope(|scope| {
                scope.spawn(|| refusal.begin(&setup.before));
                setup.name_the_other();
            });

            let created = setup.store.create(&session_key(1), &record()).await;

            assert!(matches!(created, Ok(Created::Stored)), "{refusal:?}: {created:?}");
            assert!(has(&setup.after, &session_key(1)) && !has(&setup.before, &session_key(1)), "{refusal:?}");
            setup.has_refused(refusal)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_the_primary_refuses_fail_until_the_sentinels_name_another_one() {
    join_all(Refusal::ALL.map(|refusal| async move {
        let setup = SentinelSetup::start().await;
        setup.grow_older().await;
        let connected = connections(&setup.before);
        assert!(!connected.is_empty());

        refusal.begin(&setup.before);
        let refused = with_causes(&setup.store.create(&session_key(1), &record()).await.unwrap_err());
        assert!(refused.contains(refusal.code()) || refused.contains("it is no primary"), "{refusal:?}: {refused}");
        let connected_now = connections(&setup.before);
        assert!(connected_now.is_disjoint(&connected), "{refusal:?}: {connected_now:?}, before {connected:?}");

        setup.name_the_other();
        let create = async || matches!(setup.store.create(&session_key(2), &record()).await, Ok(Created::Stored));
        until("a session", create).await;
        assert!(has(&setup.after, &session_key(2)) && !has(&setup.before, &session_key(2)), "{refusal:?}");
        setup.store.load(&session_key(2)).await.unwrap().expect("it is read from where it is");
    }))
    .await;
}

/// More than there are Sentinels.
const NO_QUORUM: usize = 4;
