//! Finds out which node of a cluster has which slot, in the background.
//!
//! A few nodes are asked at once, and the answer that most of them give counts: a primary that hung and came back does
//! not know yet that another one has taken its place. Without a majority those of the settings are asked as well. A node
//! that knows none of the nodes that were there before is of another cluster, and its answer never counts.
//!
//! Most nodes of the settings tell which cluster it is. Until so many have answered, the service uses the cluster of those
//! that have, if that has the layout marker, and asks all of them at each look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::Pipeline;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{debug, info};

use super::Cluster;
use super::slot_answers::{SlotAnswer, SlotAnswers};
use super::slots::{Node, SlotRanges, SlotTable};
use crate::store::redis::failure::{Cause, Failure};
use crate::store::redis::node_ids::{KnownNodes, NodeIds};
use crate::store::redis::sequence::pipeline;
use crate::store::redis::server_address::ServerAddress;

/// The nodes to ask, and how the last query went.
#[derive(Debug)]
pub(in crate::store::redis) struct Discovery {
    /// The nodes of the settings besides the one in the url.
    seeds: Vec<ServerAddress>,
    is_running: AtomicBool,
    /// The number of the node that is asked first.
    turn: AtomicUsize,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    ended: Option<Instant>,
    /// Since when no node has said anything, and why.
    failure: Option<(Instant, Failure)>,
}

impl Discovery {
    pub(in crate::store::redis) fn new(seeds: Vec<ServerAddress>) -> Self {
        let last = Mutex::new(Last { ended: None, failure: None });
        Self { seeds, is_running: AtomicBool::new(false), turn: AtomicUsize::new(0), last }
    }

    /// Why no node has answered; `None` if one has.
    pub(in crate::store::redis) fn failure(&self) -> Option<Failure> {
        self.last.lock().failure.as_ref().map(|(_, failure)| failure.clone())
    }

    /// The same if it has been so for so long.
    pub(in crate::store::redis) fn lasting_failure(&self, long: Duration) -> Option<Failure> {
        let last = self.last.lock();
        let (since, failure) = last.failure.as_ref()?;
        (since.elapsed() >= long).then(|| failure.clone())
    }

    fn is_older_than(&self, age: Duration) -> bool {
        self.last.lock().ended.is_none_or(|ended| ended.elapsed() >= age)
    }
}

impl Cluster {
    /// Has the slots looked at, unless that is being done.
    pub(in crate::store::redis) fn refresh_soon(self: &Arc<Self>) {
        if self.discovery.is_running.swap(true, Ordering::Relaxed) {
            return;
        }
        let running = DiscoveryGuard(Arc::clone(self));
        tokio::spawn(async move {
            let last = running.0.discovery.last.lock().ended;
            if let Some(last) = last {
                sleep_until(last + MIN_INTERVAL).await;
            }
            running.0.refresh().await;
        });
    }

    /// The same if that was last done long ago.
    pub(in crate::store::redis) fn refresh_at_times(self: &Arc<Self>) {
        if self.discovery.is_older_than(MAX_AGE) {
            self.refresh_soon();
        }
    }

    async fn refresh(&self) {
        let (mut answers, mut asked) = (SlotAnswers::default(), Ok(()));
        if self.target.known_nodes.load().is_empty() {
            asked = self.ask_seeds(&mut answers).await;
            self.identify(&mut answers);
        }
        if !answers.is_settled() {
            self.ask_known(&mut answers).await;
        }
        if !answers.is_settled() {
            asked = asked.and(self.ask_seeds(&mut answers).await);
        }
        let before = self.table();
        match answers.take_chosen(before.ranges()) {
            Some(answer) => self.adopt(answer, &answers),
            None => self.note_failure(asked.err().or(answers.failure).unwrap_or_else(no_answer)),
        }
    }

    /// Notes which cluster it is, if most nodes of the settings have answered that.
    fn identify(&self, answers: &mut SlotAnswers) {
        if !answers.keep_cluster_of_most() {
            return;
        }
        // All connections were opened before it was known which cluster it is. The table is emptied first, so that a call that
        // sees the ids, or the new number of changes, sends no command to the nodes that were in it.
        let before = self.table.send_replace(Arc::new(SlotTable::empty()));
        let nodes: Vec<_> = answers.answers.iter().map(|answer| answer.node.clone()).collect();
        self.asked.keep(&nodes);
        let ids = answers.answers.first().map(|answer| answers.ids_of_cluster(answer)).unwrap_or_default();
        self.target.known_nodes.store(Arc::new(KnownNodes::default().after(ids)));
        if !before.nodes().is_empty() {
            self.cluster_changes.fetch_add(1, Ordering::Release);
        }
    }

    /// Makes the table of an answer.
    fn adopt(&self, answer: SlotAnswer, others: &SlotAnswers) {
        self.discovery.last.lock().failure = None;
        let known = self.target.known_nodes.load();
        if !known.is_empty() {
            self.target.known_nodes.store(Arc::new(known.after(others.ids_of_cluster(&answer))));
        }
        self.asked.forget_old();
        self.table.send_if_modified(|table| {
            let Some(updated) = table.updated(answer.ranges, |address| self.node_for(address)) else {
                return false;
            };
            if !updated.is_same_as(table) {
                self.topology_changes.fetch_add(1, Ordering::Relaxed);
            }
            info!(nodes = updated.nodes().len(), "the slots of the Redis Cluster are known anew");
            *table = Arc::new(updated);
            true
        });
    }

    fn note_failure(&self, failure: Failure) {
        debug!(error = &failure as &dyn std::error::Error, "no node of the Redis Cluster tells the slots");
        let mut last = self.discovery.last.lock();
        let since = last.failure.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        last.failure = Some((since, failure));
    }

    /// Asks some of the nodes that are known.
    async fn ask_known(&self, answers: &mut SlotAnswers) {
        let mut nodes = self.table().nodes().to_vec();
        nodes.retain(|node| !answers.asked.contains(&node.address));
        if nodes.is_empty() {
            return;
        }
        let first = self.discovery.turn.fetch_add(ASKED, Ordering::Relaxed) % nodes.len();
        let asked: Vec<_> = nodes.iter().cycle().skip(first).take(nodes.len().min(ASKED)).cloned().collect();
        self.ask_all(asked, SLOTS_TIMEOUT, answers).await;
    }

    /// Asks the nodes of the settings that were not asked.
    ///
    /// Their connections stay open for the next times, unless they are older than the timeout: while none of them tells the
    /// slots, that is every 50 ms.
    async fn ask_seeds(&self, answers: &mut SlotAnswers) -> Result<(), Failure> {
        self.target.refresh().await;
        let endpoint = self.target.endpoint().await;
        let endpoint = endpoint.as_ref().as_ref().map_err(Clone::clone)?;
        let mut addresses: Vec<_> = endpoint.server().into_iter().chain(self.discovery.seeds.iter().cloned()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.retain(|address| !answers.asked.contains(address));
        let nodes = addresses.iter().map(|address| self.named_node(address)).collect();
        self.ask_all(nodes, self.target.timeout, answers).await;
        Ok(())
    }

    /// Asks nodes until one answer is that of most. Once one has answered, the others have little time left.
    async fn ask_all(&self, nodes: Vec<Arc<Node>>, max_wait: Duration, answers: &mut SlotAnswers) {
        let (mut asking, known) = (JoinSet::new(), self.target.known_nodes.load_full());
        for node in nodes {
            answers.asked.push(node.address.clone());
            let known = Arc::clone(&known);
            asking.spawn(async move {
                let asked = timeout(max_wait, ask(&node, &known)).await;
                asked.unwrap_or_else(|_| Err(node.connections.why_none()))
            });
        }
        let soon = || Instant::now() + SLOTS_TIMEOUT;
        // Until one has answered, each says in its own time why it has not.
        let mut deadline = (!answers.answers.is_empty()).then(soon);
        while let Some(answer) = next_answer(&mut asking, deadline).await {
            match answer {
                Ok(Ok(answer)) => {
                    deadline.get_or_insert_with(soon);
                    answers.answers.push(answer);
                }
                Ok(Err(error)) => answers.failure = Some(error),
                Err(_) => {}
            }
            if answers.is_settled() {
                break;
            }
        }
    }
}

/// Waits for the next answer. `None`: there is none, or none until the deadline.
async fn next_answer<T: 'static>(asking: &mut JoinSet<T>, deadline: Option<Instant>) -> Option<Result<T, JoinError>> {
    match deadline {
        Some(deadline) => timeout_at(deadline, asking.join_next()).await.ok().flatten(),
        None => asking.join_next().await,
    }
}

/// Asks one node, which has to know one of these nodes if there are any.
async fn ask(node: &Node, known: &KnownNodes) -> Result<SlotAnswer, Failure> {
    let open = node.connections.open().await?;
    // The caller waits for less time. A node that is only slow is not left for that.
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let mut answers = node
        .connections
        .exchange_on(&open, &query(), deadline)
        .await
        .map_err(|unanswered| unanswered.failure().clone())?;
    node.connections.check(&answers)?;
    let answer = answers.pop();
    let ids = answer.as_ref().map(NodeIds::read).unwrap_or_default();
    let ranges = answer.and_then(|answer| SlotRanges::parse(answer, &node.address));
    let ranges = ranges.ok_or_else(|| node.connections.unsuitable(MALFORMED.to_owned()))?;
    if ranges.is_empty() {
        // Its name may lead to another node as well, which knows the slots.
        node.connections.leave(&open, "the node has no slots");
        return Err(node.connections.unsuitable(NO_SLOTS.to_owned()));
    }
    if !known.is_empty() && !known.include_any_of(&ids) {
        node.connections.leave(&open, "the node is of another cluster");
        return Err(Failure { address: node.connections.address(), cause: Cause::OtherCluster });
    }
    Ok(SlotAnswer { node: node.address.clone(), ranges, ids })
}

fn query() -> Pipeline {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    pipeline([command])
}

fn no_answer() -> Failure {
    Failure { address: "the cluster".into(), cause: Cause::NoAnswer(SLOTS_TIMEOUT) }
}

/// Notes that nobody asks any more, however that ended.
struct DiscoveryGuard(Arc<Cluster>);

impl Drop for DiscoveryGuard {
    fn drop(&mut self) {
        let discovery = &self.0.discovery;
        discovery.last.lock().ended = Some(Instant::now());
        discovery.is_running.store(false, Ordering::Relaxed);
    }
}

/// How long a node may take to tell the slots if another one is known, or has told them.
const SLOTS_TIMEOUT: Duration = Duration::from_millis(250);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The shortest time between two looks, and the longest while there are calls.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
const MAX_AGE: Duration = Duration::from_secs(5);

/// How many nodes are asked at once.
const ASKED: usize = 5;

const MALFORMED: &str = "its answer to CLUSTER SLOTS is malformed";
const NO_SLOTS: &str = "the cluster has no slots yet; create it first, such as by redis-cli --cluster create";
