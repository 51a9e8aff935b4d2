//! Connections that are killed while counters are incremented and opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use cloakroom::grpc::wire::OpenSessionResponse;
use cloakroom::store::RedisSettings;
use tokio::task::JoinSet;

use super::faults::at;
use super::{CALM, service_on};
use crate::redis_store::counters::{Counters, Progress, check};
use crate::redis_store::until;
use crate::support::TestService;
use crate::support::calls::{json_entries, open_cookie};
use crate::support::cluster::Cluster;
use crate::support::environment::number;

/// Opens the sessions of counters, each by a task of its own, until it is stopped.
struct Readers {
    stop: Arc<AtomicBool>,
    answers: Vec<Arc<Answers>>,
    tasks: JoinSet<()>,
}

/// What one of them was answered.
struct Answers {
    counter: Arc<Progress>,
    right: AtomicI64,
    /// The session was missing, or older than an increment that was acknowledged before the open began.
    wrong: AtomicI64,
    failed: AtomicI64,
}

impl Readers {
    async fn start(service: &TestService, counters: &Counters) -> Self {
        let (stop, mut answers, mut tasks) = (Arc::<AtomicBool>::default(), Vec::new(), JoinSet::new());
        for counter in counters.progress() {
            let counter = Arc::clone(counter);
            let state = Arc::new(Answers {
                counter,
                right: AtomicI64::new(0),
                wrong: AtomicI64::new(0),
                failed: AtomicI64::new(0),
            });
            answers.push(Arc::clone(&state));
            let (mut client, stop) = (service.another_client().await, Arc::clone(&stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let acknowledged = state.counter.acknowledged();
                    let request = open_cookie(&format!("session={}", state.counter.token));
                    let count = match client.open_session(request).await {
                        Ok(opened) => match is_right(opened.into_inner(), acknowledged) {
                            true => &state.right,
                            false => &state.wrong,
                        },
                        Err(_) => &state.failed,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, answers, tasks }
    }

    /// Waits until each of these has been answered by a call that began after now.
    async fn until_answered(&self, is_meant: impl Fn(u16) -> bool) {
        let meant: Vec<_> = self.answers.iter().filter(|it| is_meant(it.counter.partition)).collect();
        let all = |it: &Answers| [&it.right, &it.wrong].map(|count| count.load(Ordering::Relaxed)).iter().sum::<i64>();
        let before: Vec<_> = meant.iter().map(|it| all(it)).collect();
        // The first may have been under way.
        until("opens", async || meant.iter().zip(&before).all(|(it, before)| all(it) > before + 1)).await;
    }

    /// How many opens were answered wrongly, and how many failed.
    fn wrong_and_failed(&self) -> [i64; 2] {
        let sum = |count: fn(&Answers) -> &AtomicI64| {
            self.answers.iter().map(|it| count(it).load(Ordering::Relaxed)).sum::<i64>()
        };
        [sum(|it| &it.wrong), sum(|it| &it.failed)]
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

fn is_right(opened: OpenSessionResponse, acknowledged: i64) -> bool {
    let Some(session) = opened.session else { return false };
    !session.new && json_entries(session).get("n").is_some_and(|n| n.parse::<i64>().unwrap() >= acknowledged)
}

/// How many increments have failed so far: of counters that may be at this primary, and of the others.
fn failed(counters: &Counters, primary: u16) -> [i64; 2] {
    let sum = |is_meant: bool| {
        let meant = counters.progress().iter().filter(|it| at(primary, it.partition) == is_meant);
        meant.map(|it| it.failed()).sum::<i64>()
    };
    [sum(true), sum(false)]
}

/// A read that is cut off is sent again, so no open fails at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_connection_fails_at_most_the_writes_under_way_on_it_and_no_open() {
    let cluster = Cluster::start(3, 0, CALM);
    let service = service_on(RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).await;
    let counters = Counters::start(&service, WRITERS).await;
    let readers = Readers::start(&service, &counters).await;
    counters.until_incremented(|_| true).await;
    readers.until_answered(|_| true).await;

    let (mut all_failed, mut all_under_way) = (0, 0);
    for kill in 0..number("CLOAKROOM_TEST_CLIENT_KILLS").unwrap_or(KILLS) {
        let (node, before) = (kill % 3, failed(&counters, kill % 3));
        // Each of them has one call under way at most. The next one may go by a connection that is not closed yet, which is
        // rare: all kills together fail no more than one call of each.
        let under_way = counters.progress().iter().filter(|it| at(node, it.partition)).count();
        let under_way = i64::try_from(under_way).unwrap();
        let killed = cluster.nodes[usize::from(node)].redis.cli(&["client", "kill", "type", "normal"]);
        assert_ne!(killed, "0\n", "kill {kill} has closed no connection");
        counters.until_incremented(|partition| at(node, partition)).await;
        readers.until_answered(|partition| at(node, partition)).await;

        let [there, elsewhere] = failed(&counters, node);
        let (there, elsewhere) = (there - before[0], elsewhere - before[1]);
        assert!(there <= 2 * under_way, "{there} writes failed by kill {kill}, of {under_way} under way");
        (all_failed, all_under_way) = (all_failed + there, all_under_way + under_way);
        assert_eq!(elsewhere, 0, "writes to other nodes failed by kill {kill}");
        assert_eq!(readers.wrong_and_failed(), [0, 0], "opens by kill {kill}");
    }

    println!("{all_failed} writes failed, of {all_under_way} under way");
    assert!(all_failed <= all_under_way, "{all_failed} writes failed by all kills, of {all_under_way} under way");
    readers.stop().await;
    assert_eq!(check(&service, &counters.stop().await, 0).await, 0);
}

const WRITERS: usize = 32;
/// How often the clients of a node are killed; `CLOAKROOM_TEST_CLIENT_KILLS` sets it.
const KILLS: u16 = 40;
