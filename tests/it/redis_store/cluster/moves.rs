//! A slot that is moved by SETSLOT and MIGRATE, while its sessions are opened and saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::session::{Changes, EndReason, Rotation};
use cloakroom::store::{Applied, Redis, RedisSettings, Sample as _, SessionKey, Store as _, Write};
use cloakroom::token::SessionId;
use tokio::task::{JoinHandle, JoinSet, block_in_place};

use super::CALM;
use super::circles::most_questions;
use crate::conformance::fixtures::{
    START, app, apply, by_token, commit, create, load, privilege, record, rotate, save, set,
};
use crate::redis_store::until;
use crate::support::cluster::Cluster;
use crate::support::environment::number;

/// A session in the partition whose slot is moved.
fn key(n: u64) -> SessionKey {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    SessionKey { app: app("default"), id: SessionId::from_bytes(id) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_moved_fails_no_open_and_no_plain_save() {
    let cluster = Cluster::start(3, 0, CALM);
    let store =
        Arc::new(Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).unwrap());
    let sessions = sessions();
    for n in 0..sessions {
        create(&*store, key(n), &record()).await;
    }

    let (stop, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let (store, stop, calls) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&calls));
        tasks.spawn(async move {
            let mut n = task;
            while !stop.load(Ordering::Relaxed) {
                let key = key(n % sessions);
                load(&*store, &key).await.expect("the session is there, wherever its slot is");
                let changes: Changes = set("n", &n.to_string());
                let saved = apply(&*store, &key, &by_token(1, START), &save(changes)).await;
                assert!(matches!(saved, Applied::Done(_)), "{saved:?}");
                calls.fetch_add(1, Ordering::Relaxed);
                n += 8;
            }
        });
    }
    // Create, login and logout need keys that may be at the other node. They wait.
    let creator = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut n = sessions;
            while !stop.load(Ordering::Relaxed) {
                create(&*store, key(n), &record()).await;
                n += 1;
            }
            n
        })
    };

    // Partition 0 of 1,024 has its tag, and so its slot.
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    let nodes = [0, 1, 0].map(|number| &cluster.nodes[number]);
    for [from, to] in [[nodes[0], nodes[1]], [nodes[1], nodes[2]]] {
        let before = calls.load(Ordering::Relaxed);
        block_in_place(|| cluster.move_slot(slot.trim(), from, to));
        until("calls after the move", async || calls.load(Ordering::Relaxed) > before + 20).await;
    }
    stop.store(true, Ordering::Relaxed);

    tasks.join_all().await;
    let end = creator.await.unwrap();
    assert!(end > sessions, "no session was created");
    for n in 0..end {
        load(&*store, &key(n)).await.expect("it has moved along");
    }
}

/// Callers that use sessions of the slot until they are stopped. Each call has to succeed.
struct Callers {
    stop: Arc<AtomicBool>,
    /// How many calls need one key, and how many sessions were created, rotated and ended.
    plain: Arc<AtomicU64>,
    lives: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Duration>>,
}

impl Callers {
    /// Starts them. The sessions below this number exist, and none above.
    fn start(shared: &Arc<Redis>, sessions: u64) -> Self {
        let mut callers =
            Self { stop: Arc::default(), plain: Arc::default(), lives: Arc::default(), tasks: Vec::new() };
        for number in 0..TASKS {
            let (store, stop, plain) = (Arc::clone(shared), Arc::clone(&callers.stop), Arc::clone(&callers.plain));
            callers.tasks.push(tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                for n in (number..).step_by(TASKS).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let key = key(n as u64 % sessions);
                    time(&mut longest, load(&*store, &key)).await.expect("the session is there, wherever its slot is");
                    let save = save(set("n", &n.to_string()));
                    time(&mut longest, commit(&*store, &key, &by_token(1, START), &save)).await;
                    plain.fetch_add(1, Ordering::Relaxed);
                }
                longest
            }));
            let (store, stop, lives) = (Arc::clone(shared), Arc::clone(&callers.stop), Arc::clone(&callers.lives));
            callers.tasks.push(tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                for n in (number..).step_by(TASKS).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let key = key(sessions + n as u64);
                    let rotation = rotate(Rotation::Always(privilege(1, 2, START)));
                    time(&mut longest, create(&*store, key.clone(), &record())).await;
                    time(&mut longest, commit(&*store, &key, &by_token(1, START), &rotation)).await;
                    let end = Write::End(EndReason::Destroyed);
                    time(&mut longest, commit(&*store, &key, &by_token(2, START), &end)).await;
                    lives.fetch_add(1, Ordering::Relaxed);
                }
                longest
            }));
        }
        callers
    }

    /// Waits until so many more of these are done, or a call has failed, which [`Self::stop()`] tells.
    async fn more(&self, count: &AtomicU64, more: u64) {
        let before = count.load(Ordering::Relaxed);
        let is_over =
            || count.load(Ordering::Relaxed) >= before + more || self.tasks.iter().any(JoinHandle::is_finished);
        until("calls", async || is_over()).await;
    }

    /// Stops them. Returns the longest time that a call has taken.
    async fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut longest = Duration::ZERO;
        for task in self.tasks {
            longest = task.await.expect("each call has succeeded").max(longest);
        }
        longest
    }
}

/// Awaits a call, and notes its time if it is the longest.
async fn time<T>(longest: &mut Duration, call: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let result = call.await;
    *longest = begin.elapsed().max(*longest);
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_or_waits_longer_than_the_move_of_its_slot() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Arc::new(Redis::new(&RedisSettings { timeout: CALM, ..cluster.settings() }).unwrap());
    let sessions = sessions();
    for n in 0..sessions {
        create(&*store, key(n), &record()).await;
    }
    let callers = Callers::start(&store, sessions);
    callers.more(&callers.lives, 2).await;
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    let [from, to] = [&cluster.nodes[0], &cluster.nodes[1]];

    let begin = Instant::now();
    block_in_place(|| {
        cluster.begin_move(slot.trim(), from, to);
        let keys = from.redis.cli(&["cluster", "getkeysinslot", slot.trim(), &(sessions / 2).to_string()]);
        keys.lines().collect::<Vec<_>>().chunks(100).for_each(|keys| cluster.move_keys(from, to, keys));
    });
    // Some sessions are at each node now, and what needs several keys waits.
    callers.more(&callers.plain, 100).await;
    until("a call that waits", async || [from, to].iter().any(|node| node.refusals("TRYAGAIN") > 0)).await;
    block_in_place(|| cluster.finish_move(slot.trim(), from, to));
    let took = begin.elapsed();
    callers.more(&callers.lives, 2 * TASKS as u64).await;

    let longest = callers.stop().await;
    assert!(longest < took + slack(), "a call took {longest:?}, and the move {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_for_a_move_ask_for_the_slots_at_most_every_50_ms() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Arc::new(Redis::new(&RedisSettings { timeout: CALM, ..cluster.settings() }).unwrap());
    create(&*store, key(0), &record()).await;
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    let [from, to] = [&cluster.nodes[0], &cluster.nodes[1]];
    cluster.nodes.iter().for_each(|node| node.run(&["config", "resetstat"]));
    let begin = Instant::now();

    cluster.begin_move(slot.trim(), from, to);
    let mut waiting = JoinSet::new();
    for n in 1..=64 {
        let store = Arc::clone(&store);
        // Its feed is where it was, and it may be at the other node itself.
        waiting.spawn(async move { create(&*store, key(n), &record()).await });
    }
    until("refusals", async || from.refusals("TRYAGAIN") >= 2000).await;

    let asked = cluster.nodes.iter().map(|node| node.redis.calls("cluster|slots")).collect::<Vec<_>>();
    let most = most_questions(begin.elapsed());
    assert!(asked.iter().sum::<u64>() > 0, "nobody was asked");
    assert!(asked.iter().all(|asked| u128::from(*asked) <= most), "{asked:?} requests, at most {most}");
    block_in_place(|| cluster.finish_move(slot.trim(), from, to));
    waiting.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_revoked_while_its_slot_is_moved_stays_so() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).unwrap();
    for n in 0..2 {
        create(&store, key(n), &record()).await;
    }
    store.revoke_app(&app("default"), START).await.unwrap();
    create(&store, key(2), &record()).await;

    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    let record_key = format!("cloakroom:{{460}}:default:{}", key(1).id);
    cluster.begin_move(slot.trim(), &cluster.nodes[0], &cluster.nodes[1]);
    cluster.move_keys(&cluster.nodes[0], &cluster.nodes[1], &[&record_key]);

    for n in [0, 1] {
        let saved = apply(&store, &key(n), &by_token(1, START), &save(set("n", "1"))).await;
        assert!(matches!(saved, Applied::Denied(_)), "{saved:?}");
    }
    let saved = apply(&store, &key(2), &by_token(1, START), &save(set("n", "1"))).await;
    assert!(matches!(saved, Applied::Done(_)), "{saved:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heads_of_two_apps_are_read_while_their_slot_is_moved() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(3), ..cluster.settings() }).unwrap();
    let keys = ["default", "blog"].map(|name| SessionKey { app: app(name), ..key(0) });
    for key in &keys {
        create(&store, key.clone(), &record()).await;
    }

    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    cluster.begin_move(slot.trim(), &cluster.nodes[0], &cluster.nodes[1]);

    let heads = store.sample_heads(&keys).await.expect("each key is read by itself");
    assert!(heads.iter().all(Option::is_some), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_many_sessions_that_have_moved_before_their_slot_is_not_slowed_down() {
    let cluster = Cluster::start(3, 0, CALM);
    let writer = Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() }).unwrap();
    let keys = (0..150).map(key).collect::<Vec<_>>();
    for key in &keys {
        create(&writer, key.clone(), &record()).await;
    }
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    cluster.begin_move(slot.trim(), &cluster.nodes[0], &cluster.nodes[1]);
    let names = keys.iter().map(|key| format!("cloakroom:{{460}}:default:{}", key.id)).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    block_in_place(|| cluster.move_keys(&cluster.nodes[0], &cluster.nodes[1], &names));
    // Each session takes two round trips. With a pause of 50 ms after each of them all together would take 15 s.
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(5), ..cluster.settings() }).unwrap();

    let heads = store.sample_heads(&keys).await.expect("each redirection has led to a session");

    assert!(heads.iter().all(Option::is_some), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_of_an_app_follows_a_slot_that_has_moved_while_another_node_hangs() {
    let cluster = Cluster::start(3, 0, CALM);
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(5), ..cluster.settings() }).unwrap();
    create(&store, key(0), &record()).await;
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    block_in_place(|| cluster.move_slot(slot.trim(), &cluster.nodes[0], &cluster.nodes[1]));
    cluster.nodes[2].redis.signal("-STOP");

    store.revoke_app(&app("default"), START).await.expect_err("a node hangs");

    let saved = apply(&store, &key(0), &by_token(1, START), &save(set("n", "1"))).await;
    assert!(matches!(saved, Applied::Denied(_)), "{saved:?}");
}

/// How many sessions there are in the slot that is moved.
fn sessions() -> u64 {
    number("CLOAKROOM_TEST_MOVED_SESSIONS").unwrap_or(3000)
}

/// How many callers there are of each kind.
const TASKS: usize = 4;

/// How much longer than the move a call may take. A busy machine gets far more, which is still far less than a call takes
/// that waits for its deadline.
fn slack() -> Duration {
    let is_soak = number::<u64>("CLOAKROOM_TEST_MOVED_SESSIONS").is_some();
    Duration::from_secs(if is_soak { 2 } else { 20 })
}
