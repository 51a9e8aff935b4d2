//! How many acknowledged saves each fault loses, by what acknowledges them.
//!
//! `docs/operations.md` has a table of such counts. `cargo test --test it -- redis_store::loss --nocapture
//! --include-ignored` prints them.

use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{Acknowledge, RedisSettings};
use tokio::time::sleep;

use super::acknowledge::service_on;
use super::failovers::rounds;
use super::sentinel::Writers;
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
}

/// A primary behind a proxy, its replica behind another one, and writers.
struct Scene {
    primary: RedisServer,
    replica: Server,
    replication: Proxy,
    to_primary: Proxy,
    writers: Writers,
}

impl Scene {
    async fn begin(arguments: &str, acknowledge: Acknowledge) -> Self {
        let primary = RedisServer::start_with(&format!("--repl-diskless-sync-delay 0 {arguments}"));
        let replication = Proxy::start(primary.socket()).await;
        let replica = Server::redis(&format!("--replicaof 127.0.0.1 {}", replication.port()));
        await_replicas(&primary, 1).await;
        let to_primary = Proxy::start(primary.socket()).await;
        let settings = RedisSettings { url: to_primary.url(), acknowledge, ..Default::default() };
        let writers = Writers::start(&Arc::new(service_on(settings).await), 64).await;
        writers.all_succeed().await;
        Self { primary, replica, replication, to_primary, writers }
    }

    /// Lets it happen. Returns how many saves were acknowledged, and how many of them are lost.
    async fn suffer(mut self, fault: Fault) -> (u64, u64) {
        match fault {
            Fault::Kill | Fault::Restart => self.primary.signal("-KILL"),
            Fault::Hang => self.primary.signal("-STOP"),
            Fault::Partition => {
                self.replication.forget();
                sleep(Duration::from_secs(4)).await;
            }
        }
        let written = self.writers.stop().await;
        if fault == Fault::Restart {
            self.primary.stop();
            self.primary.start_again();
            return written.count_lost().await;
        }
        assert_eq!(self.replica.redis.cli(&["replicaof", "no", "one"]), "OK\n");
        self.to_primary.lead_to(self.replica.redis.socket());
        if fault == Fault::Hang {
            self.primary.signal("-CONT");
        }
        self.to_primary.close();
        written.count_lost().await
    }
}

#[expect(clippy::print_stdout, reason = "the documentation has a table of these counts")]
async fn count(arguments: &str, acknowledge: Acknowledge, fault: Fault) -> (u64, u64) {
    let (mut all, mut lost) = (0, 0);
    for _ in 0..rounds() {
        let (acknowledged, gone) = Scene::begin(arguments, acknowledge).await.suffer(fault).await;
        all += acknowledged;
        lost += gone;
    }
    println!("{acknowledge} {arguments:?} {fault:?}: {lost} of {all} acknowledged saves are lost");
    (all, lost)
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

/// What these lose is chance, so nothing is expected.
#[tokio::test]
#[ignore = "it counts for docs/operations.md"]
async fn what_the_primary_alone_has_acknowledged_may_be_lost_by_other_faults() {
    for fault in [Fault::Kill, Fault::Hang] {
        count("", Acknowledge::Primary, fault).await;
    }
    count(BOUNDED, Acknowledge::Primary, Fault::Partition).await;
}

#[tokio::test]
async fn what_is_in_the_file_survives_a_restart() {
    for arguments in ["--appendonly yes --appendfsync everysec", "--appendonly yes --appendfsync always"] {
        let (all, lost) = count(arguments, Acknowledge::Primary, Fault::Restart).await;
        assert!(all > 0 && lost == 0, "{arguments}: {lost} of {all}");
    }
}

/// On a Redis that has no WAITAOF there is nothing to count.
#[tokio::test]
async fn what_is_on_the_disk_of_the_primary_is_not_on_its_replica() {
    if !RedisServer::start().cli(&["command", "info", "waitaof"]).contains("waitaof") {
        return;
    }
    let arguments = "--appendonly yes --appendfsync everysec";
    let (all, lost) = count(arguments, Acknowledge::Fsync, Fault::Restart).await;
    assert!(all > 0 && lost == 0, "{lost} of {all}");
    let (_, lost) = count(arguments, Acknowledge::Fsync, Fault::Partition).await;
    assert!(lost > 0, "the replica got nothing for four seconds");
}

/// The primary takes no more writes when its replica has been silent for about two seconds.
const BOUNDED: &str = "--min-replicas-to-write 1 --min-replicas-max-lag 1";
