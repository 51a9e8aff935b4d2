//! How many acknowledged saves each fault loses, by what acknowledges them.
//!
//! `docs/operations.md` has a table of such counts. `make losses` prints them.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{Acknowledge, RedisSettings};
use futures_util::future::join_all;
use tokio::time::sleep;

use super::acknowledge::{destroy, service_on};
use super::failovers::rounds;
use super::sentinel::{Writers, until_saved};
use super::until;
use crate::support::TestService;
use crate::support::calls::open_cookie;
use crate::support::mounted_disk::MountedDisk;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::sentinel::{Server, await_replicas};

/// What happens to the primary. Afterwards its replica takes its place, except after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT after the promotion.
    Hang,
    /// Nothing goes to the replica any more, while the service goes on writing to the primary.
    Partition,
    /// SIGKILL, and a start with what is on the disk. The kernel does not crash, so nothing is lost that was written
    /// and not synced.
    Restart,
    /// The server and its disk stop at once, and start with what is on the disk: nothing that was not synced, but for
    /// what the kernel has written on its own. Needs a [`MountedDisk`].
    PowerLoss,
}

/// A primary behind a proxy, its replica behind another one, and writers.
struct Scene {
    service: Arc<TestService>,
    primary: RedisServer,
    disk: Option<MountedDisk>,
    replica: Server,
    replication: Proxy,
    to_primary: Proxy,
    writers: Writers,
}

impl Scene {
    /// Starts all. The settings say what acknowledges writes.
    async fn begin(arguments: &str, settings: RedisSettings, disk: Option<MountedDisk>) -> Self {
        let arguments = format!("--repl-diskless-sync-delay 0 {arguments}");
        let primary = match &disk {
            Some(disk) => RedisServer::start_on(&disk.path(), &arguments),
            None => RedisServer::start_with(&arguments),
        };
        let replication = Proxy::start(primary.socket()).await;
        let replica = Server::redis(&format!("--replicaof 127.0.0.1 {}", replication.port()));
        await_replicas(&primary, 1).await;
        let to_primary = Proxy::start(primary.socket()).await;
        let service = Arc::new(service_on(RedisSettings { url: to_primary.url(), ..settings }).await);
        let writers = Writers::start(&service, WRITERS as usize).await;
        writers.all_succeed().await;
        if let Some(disk) = &disk {
            // The sessions themselves are there for long.
            disk.sync();
            writers.all_succeed().await;
        }
        Self { service, primary, disk, replica, replication, to_primary, writers }
    }

    /// Lets it happen. Returns how many saves were acknowledged, and how many of them are lost.
    async fn suffer(mut self, fault: Fault) -> (u64, u64) {
        match fault {
            Fault::Kill | Fault::Restart => self.primary.signal("-KILL"),
            Fault::Hang => self.primary.signal("-STOP"),
            Fault::PowerLoss => {
                self.primary.signal("-STOP");
                disk_of(self.disk.as_ref()).cut_power();
                self.primary.signal("-KILL");
            }
            Fault::Partition => {
                self.replication.forget();
                sleep(Duration::from_secs(4)).await;
            }
        }
        let written = self.writers.stop().await;
        if matches!(fault, Fault::Restart | Fault::PowerLoss) {
            self.primary.stop();
            if fault == Fault::PowerLoss {
                disk_of(self.disk.as_ref()).start_again();
            }
            self.primary.start_again();
            return written.count_lost().await;
        }
        promote(&self.replica, &self.to_primary);
        if fault == Fault::Hang {
            self.primary.signal("-CONT");
        }
        self.to_primary.close();
        written.count_lost().await
    }

    /// Stores so many sessions, which the replica has as well. Returns their tokens.
    async fn stored(&self, count: usize) -> Vec<String> {
        let mut tokens = Vec::new();
        for _ in 0..count {
            tokens.push(until_saved(&self.service).await);
        }
        await_replicas(&self.primary, 1).await;
        tokens
    }

    /// Ends sessions by one call each. Returns which calls were acknowledged.
    async fn end(&self, tokens: &[String]) -> Vec<bool> {
        let end = async |token: &String| self.service.try_destroy(destroy(token)).await.is_ok();
        join_all(tokens.iter().map(end)).await
    }

    /// Ends sessions by as many calls as it takes.
    async fn end_all(&self, tokens: &[String]) {
        for token in tokens {
            until("an ending", async || self.service.try_destroy(destroy(token)).await.is_ok()).await;
        }
    }

    /// Stops the writers, and lets the replica take the place of the primary, for all. Returns which sessions live.
    async fn fail_over(self, tokens: &[String]) -> Vec<bool> {
        promote(&self.replica, &self.to_primary);
        self.to_primary.close();
        self.writers.stop().await;
        let mut live = Vec::new();
        for token in tokens {
            let open = async || self.service.try_open(open_cookie(&format!("session={token}"))).await;
            until("an open", async || open().await.is_ok()).await;
            live.push(self.service.is_live(token).await);
        }
        live
    }
}

/// Lets a replica take the place of its primary, for new connections.
fn promote(replica: &Server, to_primary: &Proxy) {
    assert_eq!(replica.redis.cli(&["replicaof", "no", "one"]), "OK\n");
    to_primary.lead_to(replica.redis.socket());
}

fn disk_of(disk: Option<&MountedDisk>) -> &MountedDisk {
    disk.expect("this fault needs a disk")
}

/// Returns how many saves were acknowledged in all rounds, and how many of them are lost. Zeros if no disk can be mounted.
#[expect(clippy::print_stdout, reason = "the documentation has a table of these counts")]
async fn count(arguments: &str, acknowledge: Acknowledge, fault: Fault) -> (u64, u64) {
    let (mut all, mut lost) = (0, 0);
    for _ in 0..rounds() {
        let disk = if fault == Fault::PowerLoss {
            let Some(disk) = MountedDisk::mount() else { return (0, 0) };
            Some(disk)
        } else {
            None
        };
        let settings = RedisSettings { acknowledge, ..Default::default() };
        let (acknowledged, gone) = Scene::begin(arguments, settings, disk).await.suffer(fault).await;
        all += acknowledged;
        lost += gone;
    }
    println!("{acknowledge} {arguments:?} {fault:?}: {lost} of {all} acknowledged saves are lost");
    (all, lost)
}

fn has_waitaof() -> bool {
    RedisServer::start().cli(&["command", "info", "waitaof"]).contains("waitaof")
}

#[tokio::test]
async fn what_a_replica_has_acknowledged_survives_every_fault_of_the_primary() {
    for fault in [Fault::Kill, Fault::Hang, Fault::Partition] {
        let (all, lost) = count("", Acknowledge::Replicas(1), fault).await;
        assert!(all > 0 && lost == 0, "{fault:?}: {lost} of {all}");
    }
}

#[tokio::test]
async fn what_the_primary_alone_has_acknowledged_is_lost_by_a_partition() {
    let (_, lost) = count("", Acknowledge::Primary, Fault::Partition).await;
    assert!(lost > 0, "the replica got nothing for four seconds");
}

#[tokio::test]
async fn an_ending_that_a_replica_has_acknowledged_survives_a_partition_although_saves_need_no_replica() {
    let strict = RedisSettings { acknowledge_endings: Some(Acknowledge::Replicas(1)), ..Default::default() };
    let scene = Scene::begin("", strict, None).await;
    let tokens = scene.stored(2 * ENDINGS).await;
    let (before, after) = tokens.split_at(ENDINGS);

    scene.end_all(before).await;
    scene.replication.forget();
    // Saves go on, and are lost.
    scene.writers.all_succeed().await;
    let acknowledged = scene.end(after).await;

    assert_eq!(acknowledged, [false; ENDINGS], "no replica has these");
    assert_eq!(scene.fail_over(&tokens).await, [[false; ENDINGS], [true; ENDINGS]].concat());
}

#[tokio::test]
async fn an_ending_that_the_primary_alone_has_acknowledged_is_undone_by_a_partition() {
    let scene = Scene::begin("", RedisSettings::default(), None).await;
    let tokens = scene.stored(ENDINGS).await;

    scene.replication.forget();
    scene.end_all(&tokens).await;

    assert_eq!(scene.fail_over(&tokens).await, [true; ENDINGS]);
}

#[tokio::test]
async fn a_primary_that_needs_a_replica_to_write_does_and_acknowledges_nothing_once_that_has_been_silent() {
    let scene = Scene::begin(BOUNDED, RedisSettings::default(), None).await;
    let tokens = scene.stored(ENDINGS).await;
    let refused = || {
        let stats = scene.primary.cli(&["info", "errorstats"]);
        let count = stats.lines().find_map(|line| line.strip_prefix("errorstat_NOREPLICAS:count="));
        count.map_or(0, |count| count.trim().parse::<u64>().unwrap())
    };

    scene.replication.forget();
    // A replica that was late for a moment may have brought about some before. From now on it is silent.
    scene.primary.cli(&["config", "resetstat"]);
    until("a refusal", async || refused() > 0).await;
    // What was acknowledged before that may be told to the writers only now.
    let (refused_before, acknowledged_before) = (refused(), scene.writers.acknowledged());
    until("more refusals", async || refused() > refused_before + 10 * WRITERS).await;
    let acknowledged = scene.writers.acknowledged() - acknowledged_before;
    let endings = scene.end(&tokens).await;

    assert!(acknowledged <= WRITERS, "{acknowledged} saves were acknowledged after the first refusal");
    assert_eq!(endings, [false; ENDINGS]);
    assert_eq!(scene.fail_over(&tokens).await, [true; ENDINGS], "what was refused was not done");
}

#[tokio::test]
async fn a_primary_that_needs_a_replica_to_write_loses_nothing_that_a_replica_has_acknowledged() {
    let (all, lost) = count(BOUNDED, Acknowledge::Replicas(1), Fault::Partition).await;
    assert!(all > 0 && lost == 0, "{lost} of {all}");
}

/// What these lose is chance, or shown by another test, so nothing is expected.
#[tokio::test]
#[ignore = "it counts for docs/operations.md"]
async fn what_each_setting_may_lose_by_each_fault() {
    for fault in [Fault::Kill, Fault::Hang] {
        count("", Acknowledge::Primary, fault).await;
    }
    for fault in [Fault::Kill, Fault::Hang, Fault::Partition] {
        count(BOUNDED, Acknowledge::Primary, fault).await;
    }
    let bounded = format!("{BOUNDED} {EVERY_SECOND}");
    for fault in [Fault::Restart, Fault::PowerLoss] {
        count(EVERY_SECOND, Acknowledge::Primary, fault).await;
        count(&bounded, Acknowledge::Primary, fault).await;
        count(EVERY_SECOND, Acknowledge::Replicas(1), fault).await;
    }
    if has_waitaof() {
        for fault in [Fault::Kill, Fault::Hang, Fault::PowerLoss] {
            count(EVERY_SECOND, Acknowledge::Fsync, fault).await;
        }
        for fault in [Fault::Kill, Fault::Hang, Fault::Partition, Fault::Restart, Fault::PowerLoss] {
            count(ALWAYS, Acknowledge::Fsync, fault).await;
        }
    }
}

#[tokio::test]
async fn what_is_in_the_file_survives_a_restart() {
    for arguments in [EVERY_SECOND, ALWAYS] {
        let (all, lost) = count(arguments, Acknowledge::Primary, Fault::Restart).await;
        assert!(all > 0 && lost == 0, "{arguments}: {lost} of {all}");
    }
}

#[tokio::test]
async fn only_what_is_synced_survives_a_power_loss() {
    let (_, lost) = count(ALWAYS, Acknowledge::Primary, Fault::PowerLoss).await;
    assert_eq!(lost, 0, "each write was synced before it was acknowledged");

    let (all, lost) = count("--appendonly yes --appendfsync no", Acknowledge::Primary, Fault::PowerLoss).await;
    assert!(lost > 0 || all == 0, "nothing was synced for the last saves");
}

/// On a Redis that has no WAITAOF there is nothing to count.
#[tokio::test]
async fn what_is_on_the_disk_of_the_primary_is_not_on_its_replica() {
    if !has_waitaof() {
        return;
    }
    let (all, lost) = count(EVERY_SECOND, Acknowledge::Fsync, Fault::Restart).await;
    assert!(all > 0 && lost == 0, "{lost} of {all}");
    let (_, lost) = count(EVERY_SECOND, Acknowledge::Fsync, Fault::Partition).await;
    assert!(lost > 0, "the replica got nothing for four seconds");
}

const WRITERS: u64 = 64;

/// How many sessions are ended at once.
const ENDINGS: usize = 16;

const EVERY_SECOND: &str = "--appendonly yes --appendfsync everysec";
const ALWAYS: &str = "--appendonly yes --appendfsync always";

/// The primary takes no more writes when its replica has been silent for about two seconds.
const BOUNDED: &str = "--min-replicas-to-write 1 --min-replicas-max-lag 1";
