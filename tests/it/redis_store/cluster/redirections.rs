//! The router against scripted nodes: no redirection and no failure of a node reads as a missing session, and nothing is
//! done twice.
//!
//! Each run has other seeds. `CLOAKROOM_TEST_SEED` repeats the case of one that failed: the choices are the same then, but
//! not the order in which calls that run at once come to the nodes. `CLOAKROOM_TEST_CLUSTERS` sets the number of cases.

use std::collections::BTreeSet;
use std::ops::Range;
use std::thread::panicking;
use std::time::Duration;

use cloakroom::session::EndReason;
use cloakroom::store::{
    Applied, ClusterSettings, Created, Error, ExportSource as _, Feed as _, FeedRead, PartitionCount, Redis, RedisMode,
    RedisSettings, SessionKey, Store as _, Write,
};
use cloakroom::types::{random, with_causes};
use futures_util::future::{join, join_all, join4};

use super::scripted::{CASES, Choices, Faults, GENERATION, NODES, ScriptedCluster, WhileHung, WhileStopped};
use crate::conformance::fixtures::{MS, START, app, by_token, record, save, session_key, set, touch};
use crate::redis_store::until;
use crate::support::environment::number;

/// A scripted cluster, and a store on it.
struct Case {
    choices: Choices,
    faults: Faults,
    partitions: PartitionCount,
    cluster: ScriptedCluster,
    store: Redis,
    /// The arguments of all writes, on how many keys each had to be run, and whether it was acknowledged.
    writes: Vec<(String, usize, bool)>,
    lives: Vec<Life>,
}

/// A session that is created and ended by one call each.
#[derive(Debug)]
struct Life {
    key: SessionKey,
    created: Call,
    ended: Call,
}

/// What came of a call that may be made once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    NotMade,
    Done,
    /// A node has said so.
    NotDone,
    /// It failed.
    Unknown,
}

impl Case {
    async fn start(seed: u64) -> Self {
        let mut choices = Choices::new(seed);
        let faults = Faults::choose(&mut choices, seed);
        let partitions = if choices.chance(30) { PartitionCount::P1024 } else { PartitionCount::P64 };
        let ids: Vec<String> = SESSIONS.map(|n| session_key(n).id.to_string()).collect();
        let cluster = ScriptedCluster::start(Choices::new(choices.next()), faults, partitions.into(), &ids).await;
        let nodes = cluster.ports[1..].iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let settings = RedisSettings {
            mode: RedisMode::Cluster,
            url: format!("redis://127.0.0.1:{}", cluster.ports[0]),
            cluster: ClusterSettings { nodes },
            partitions: Some(partitions),
            timeout: if faults.hangs { Duration::from_millis(300) } else { Duration::from_secs(60) },
            ..Default::default()
        };
        let store = Redis::new(&settings).unwrap();
        Self { choices, faults, partitions, cluster, store, writes: Vec::new(), lives: Vec::new() }
    }

    async fn run(mut self, rounds: u64) -> BTreeSet<&'static str> {
        for round in 0..rounds {
            self.break_or_mend(round).await;
            self.call_at_once(round).await;
            if round % 5 == 0 {
                self.call_all_partitions(round).await;
            }
        }
        self.end_faults().await;
        self.check_lives().await;
        for (argument, keys, is_acknowledged) in &self.writes {
            let runs = self.cluster.runs(argument);
            assert!(runs.iter().all(|runs| *runs == 1), "{argument} was done more than once: {runs:?}");
            assert!(runs.len() <= *keys && (runs.len() == *keys || !is_acknowledged), "{argument}: {}", runs.len());
        }
        self.cluster.seen()
    }

    /// Stops one node at a time or lets it hang, and mends it some rounds later.
    async fn break_or_mend(&mut self, round: u64) {
        let node = usize::try_from(round / 10).unwrap() % NODES;
        match round % 10 {
            2 if self.faults.stops => {
                let is_even = (round / 10).is_multiple_of(2);
                let address = if is_even { WhileStopped::IsOfOtherCluster } else { WhileStopped::Refuses };
                self.cluster.stop(node, address).await;
            }
            4 if self.faults.stops => self.cluster.accept(node).await,
            6 if self.faults.hangs => {
                let slots = if self.choices.chance(50) { WhileHung::AreTaken } else { WhileHung::Stay };
                self.cluster.hang(node, slots);
            }
            8 if self.faults.hangs => self.cluster.go_on(node),
            _ => {}
        }
    }

    /// Loads and writes sessions, and creates and ends others.
    async fn call_at_once(&mut self, round: u64) {
        let (loaded, touched) = (SESSIONS, [0, 1].map(|_| self.any_session()));
        let saved = [0, 1].map(|_| self.any_session());
        let (creating, ending) = self.choose_lives();
        let loads = join_all(loaded.map(|n| self.load(n)));
        let touches = touched.into_iter().enumerate().map(|(index, n)| self.touch(n, 2 * round + index as u64 + 1));
        let saves = saved.into_iter().enumerate().map(|(index, n)| self.save(n, 2 * round + index as u64 + 1));
        let lives = self.create_and_end((&creating, &ending));
        let others = join4(loads, self.load_missing(), join_all(touches), join_all(saves));
        let ((_, (), touched, saved), (created, ended)) = join(others, lives).await;
        self.writes.extend(touched.into_iter().chain(saved));
        ending.into_iter().zip(ended).for_each(|(n, ended)| self.lives[n].ended = ended);
        let created = creating.into_iter().zip(created);
        self.lives.extend(created.map(|(key, created)| Life { key, created, ended: Call::NotMade }));
    }

    fn any_session(&mut self) -> u32 {
        u32::try_from(self.choices.below(SESSIONS.len())).unwrap()
    }

    async fn load(&self, n: u32) {
        match self.store.load(&session_key(n)).await {
            Ok(snapshot) => {
                let snapshot = snapshot.unwrap_or_else(|| panic!("session {n} is missing"));
                let generations = [snapshot.generation, snapshot.record.head.generation];
                assert_eq!(generations.map(|generation| generation.0), [GENERATION; 2], "session {n}");
            }
            Err(error) => self.check_error(&error, self.faults.may_fail_reads()),
        }
    }

    async fn load_missing(&self) {
        match self.store.load(&session_key(1 << 31)).await {
            Ok(snapshot) => assert_eq!(snapshot, None),
            Err(error) => self.check_error(&error, self.faults.may_fail_reads()),
        }
    }

    async fn touch(&self, n: u32, moment: u64) -> (String, usize, bool) {
        let used = START + u32::try_from(moment).unwrap() * MS;
        let touched = self.store.touch(&session_key(n), &touch(1, used)).await;
        (used.millis().to_string(), 1, self.is_done(touched))
    }

    async fn save(&self, n: u32, number: u64) -> (String, usize, bool) {
        let argument = format!("\"save {number}\"");
        let saved = self.store.apply(&session_key(n), &by_token(1, START), &save(set("a", &argument))).await;
        let saved = saved.map(|applied| assert!(matches!(applied, Applied::Done(_)), "session {n}: {applied:?}"));
        (argument, 1, self.is_done(saved))
    }

    /// Chooses sessions to create, and some to end that were created before.
    fn choose_lives(&mut self) -> ([SessionKey; 2], Vec<usize>) {
        let first = FIRST_CREATED + u32::try_from(self.lives.len()).unwrap();
        let living = (0..self.lives.len()).filter(|n| self.lives[*n].is_living()).collect::<Vec<_>>();
        let some = |_| (!living.is_empty()).then(|| living[self.choices.below(living.len())]);
        let ending: BTreeSet<usize> = [0, 1].map(some).into_iter().flatten().collect();
        ([first, first + 1].map(session_key), ending.into_iter().collect())
    }

    async fn create_and_end(&self, (creating, ending): (&[SessionKey], &[usize])) -> (Vec<Call>, Vec<Call>) {
        let create = async |key| {
            let created = self.store.create(key, &record()).await;
            self.outcome(created.map(|created| assert_eq!(created, Created::Stored, "{key:?}")))
        };
        let end = async |n: &usize| {
            let write = Write::End(EndReason::Destroyed);
            let ended = self.store.apply(&self.lives[*n].key, &by_token(1, START), &write).await;
            // Nobody else ends it, and no other call does.
            self.outcome(
                ended.map(|ended| assert!(matches!(ended, Applied::Done(_)), "{:?}: {ended:?}", self.lives[*n])),
            )
        };
        join(join_all(creating.iter().map(create)), join_all(ending.iter().map(end))).await
    }

    fn outcome(&self, written: Result<(), Error>) -> Call {
        let Err(error) = written else { return Call::Done };
        self.check_error(&error, self.faults.may_fail_writes());
        match with_causes(&error).contains("NOREPLICAS") {
            true => Call::NotDone,
            false => {
                assert!(self.faults.may_lose_writes(), "{error:?} with {:?}", self.faults);
                Call::Unknown
            }
        }
    }

    /// Checks that each call was done once if it succeeded, at most once if it failed, and is still seen.
    async fn check_lives(&self) {
        for life in &self.lives {
            let Life { key, created, ended } = life;
            let runs = ["create", "end"].map(|call| self.cluster.runs_on(&key.id.to_string(), call));
            for (call, runs) in [created, ended].into_iter().zip(runs) {
                let expected = match call {
                    Call::Done => 1..=1,
                    Call::NotMade | Call::NotDone => 0..=0,
                    Call::Unknown => 0..=1,
                };
                assert!(expected.contains(&runs), "{life:?}: {runs} runs");
            }
            let found = self.store.load(key).await.unwrap();
            let seen = found.map(|snapshot| snapshot.record.head.end.is_some());
            assert_eq!(seen, (runs[0] == 1).then_some(runs[1] == 1), "{life:?}");
        }
    }

    /// Makes calls that have a part for each partition.
    async fn call_all_partitions(&mut self, round: u64) {
        let partitions = u16::from(self.partitions);
        let now = START + u32::try_from(round).unwrap() * MS + MS * 1_000_000;
        let revoked = self.store.revoke_app(&app("shop"), now).await;
        self.writes.push((now.millis().to_string(), partitions.into(), self.is_done(revoked)));

        let may_fail = self.faults.may_fail_reads();
        match self.store.load_app_revocation(&app("default")).await {
            Ok(state) => {
                let count = GENERATION * u32::from(partitions);
                assert!(format!("{state:?}").contains(&format!("count: {count},")), "{state:?}");
            }
            Err(error) => self.check_error(&error, may_fail),
        }
        match self.store.feed_end(&app("default")).await {
            Ok(end) => match self.store.read_feed(&app("default"), &end).await {
                Ok(FeedRead::Entries(entries, _)) => assert!(entries.is_empty(), "{entries:?}"),
                Ok(FeedRead::CursorExpired) => assert!(may_fail, "a count or an entry is missing"),
                Err(error) => self.check_error(&error, may_fail),
            },
            Err(error) => self.check_error(&error, may_fail),
        }
    }

    /// Checks that all sessions are there once nothing fails any more.
    async fn end_faults(&mut self) {
        self.cluster.end_faults();
        for n in SESSIONS {
            until("a load", async || self.store.load(&session_key(n)).await.is_ok()).await;
        }
        self.faults = Faults::default();
        for n in SESSIONS {
            self.load(n).await;
        }
    }

    fn is_done(&self, written: Result<(), Error>) -> bool {
        if let Err(error) = &written {
            self.check_error(error, self.faults.may_fail_writes());
        }
        written.is_ok()
    }

    fn check_error(&self, error: &Error, may_fail: bool) {
        let error = if let Error::RevokedInPart { cause, .. } = error { &**cause } else { error };
        // Refused: a node said so until the deadline, and has done nothing.
        let is_outage = matches!(error, Error::Unavailable(_) | Error::Refused(_));
        assert!(may_fail && is_outage, "{error:?} with {:?}", self.faults);
    }
}

impl Life {
    fn is_living(&self) -> bool {
        self.created == Call::Done && self.ended == Call::NotMade
    }
}

/// Says how to repeat a case that fails.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "the case is repeated by its seed")]
    fn drop(&mut self) {
        if panicking() {
            eprintln!("CLOAKROOM_TEST_SEED={} repeats this case", self.0);
        }
    }
}

/// The seeds of the cases.
fn seeds() -> Range<u64> {
    if let Some(seed) = number("CLOAKROOM_TEST_SEED") {
        return seed..seed + 1;
    }
    let first = CASES * u64::from(u32::from_be_bytes(random::bytes()));
    first..first + number("CLOAKROOM_TEST_CLUSTERS").unwrap_or(CASES)
}

/// How many rounds a case has. In the short form only that with all faults breaks and mends each node.
fn rounds(seed: u64) -> u64 {
    let is_short = number::<u64>("CLOAKROOM_TEST_CLUSTERS").is_none() && number::<u64>("CLOAKROOM_TEST_SEED").is_none();
    if is_short && !seed.is_multiple_of(CASES) { SHORT_ROUNDS } else { ROUNDS }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirection_and_no_failure_makes_a_session_missing_or_a_write_happen_twice() {
    for seed in seeds() {
        let seed = Seed(seed);
        let seen = Case::start(seed.0).await.run(rounds(seed.0)).await;
        if seed.0.is_multiple_of(CASES) {
            for kind in EVERYTHING {
                assert!(seen.contains(kind), "{kind} is not in {seen:?}");
            }
        }
    }
}

const SESSIONS: Range<u32> = 0..8;
/// The number of the first session that is created. No other session has one as high.
const FIRST_CREATED: u32 = 1000;

const ROUNDS: u64 = 40;
const SHORT_ROUNDS: u64 = 16;

/// What the case with all faults shows to the router.
const EVERYTHING: [&str; 15] = [
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "READONLY",
    "NOSCRIPT",
    "NOREPLICAS",
    "closed at a read",
    "closed before a write",
    "closed after a write",
    "a node refuses connections",
    "another cluster has the address of a node",
    "a node hangs",
];
