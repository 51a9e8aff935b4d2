//! A Redis Cluster: sends commands to the nodes that have their slots, and follows redirections.
//!
//! Within the deadline a command is sent again only if a node says that it has not done it, if there was no connection to
//! send it on, or if it only reads and the connection was closed. A command that may have been done is never repeated.
//! No lock is held while a node is waited for.

pub(super) mod answered_write;
mod asked_nodes;
mod discovery;
pub(super) mod feed_timeout;
mod followed;
mod groups;
mod redirection;
mod sequence_run;
mod slot_answers;
pub(super) mod slot_nodes;
pub(super) mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use self::answered_write::AnsweredWrite;
use self::asked_nodes::AskedNodes;
use self::discovery::Discovery;
use self::feed_timeout::FeedTimeout;
use self::followed::Followed;
use self::redirection::Redirections;
use self::sequence_run::{DoneBy, Next, SequenceRun};
use self::slots::{Node, SlotTable};
use super::answer::server_error;
use super::connection::connections::{Connections, OpenConnection};
use super::connection::target::{ServerRole, Target};
use super::connection::term::PrimaryTerm;
use super::connection::waiter::{Receipt, not_acknowledged};
use super::failure::{Cause, Failure};
use super::partitions::Slot;
use super::sequence::Sequence;
use super::server_address::ServerAddress;
use super::settings::Settings;
use crate::types::SettingError;

/// The connections to all nodes, and which of them has which slot.
#[derive(Debug)]
pub(in crate::store::redis) struct Cluster {
    pub(in crate::store::redis) target: Arc<Target>,
    pub(in crate::store::redis) table: watch::Sender<Arc<SlotTable>>,
    pub(in crate::store::redis) discovery: Discovery,
    pub(in crate::store::redis) asked: AskedNodes,
    pub(in crate::store::redis) redirections: Redirections,
    pub(in crate::store::redis) topology_changes: AtomicU64,
    started: Instant,
    /// How often another cluster may have been used, before most nodes of the settings told which one it is: once at most.
    cluster_changes: AtomicU64,
}

impl Cluster {
    pub(in crate::store::redis) fn new(settings: &Settings) -> Result<Arc<Self>, SettingError> {
        // A replica in a cluster sends each command on to its primary, so it does no harm.
        let target = Arc::new(Target::new(settings, ServerRole::PrimaryOrReplica)?);
        let discovery = Discovery::new(settings.cluster.addresses().map_err(|error| error.under("cluster"))?);
        let table = watch::Sender::new(Arc::new(SlotTable::empty()));
        Ok(Arc::new(Self {
            target,
            table,
            discovery,
            asked: AskedNodes::default(),
            redirections: Redirections::default(),
            topology_changes: AtomicU64::new(0),
            started: Instant::now(),
            cluster_changes: AtomicU64::new(0),
        }))
    }

    /// Returns the table as it is now.
    pub(in crate::store::redis) fn table(&self) -> Arc<SlotTable> {
        Arc::clone(&self.table.borrow())
    }

    /// How often the nodes may have been of another cluster before.
    pub(in crate::store::redis) fn cluster_changes(&self) -> u64 {
        self.cluster_changes.load(Ordering::Acquire)
    }

    /// Waits until most nodes of the settings have told which cluster it is.
    ///
    /// Fails at once after as long as an operation may take since the start.
    pub(in crate::store::redis) async fn await_identity(self: &Arc<Self>) -> Result<(), Failure> {
        let mut changes = self.table.subscribe();
        while self.target.known_nodes.load().is_empty() {
            let changed = self.await_change(&mut changes, self.started + self.target.timeout).await;
            let unknown = |_| Failure { address: Arc::clone(&self.target.address), cause: Cause::UnknownCluster };
            changed.map_err(unknown)?;
        }
        Ok(())
    }

    /// Returns the table once it is known.
    pub(in crate::store::redis) async fn known_table(self: &Arc<Self>) -> Result<Arc<SlotTable>, Failure> {
        let deadline = Instant::now() + self.target.timeout;
        let mut changes = self.table.subscribe();
        loop {
            let table = Arc::clone(&changes.borrow_and_update());
            if !table.nodes().is_empty() {
                return Ok(table);
            }
            self.await_node(&mut changes, deadline).await?;
        }
    }

    /// Does a sequence, wherever its slot is.
    pub(in crate::store::redis) async fn run(self: &Arc<Self>, sequence: &Sequence<'_>) -> Result<Vec<Value>, Failure> {
        let deadline = Instant::now() + self.target.timeout;
        self.finish_one(Ok(SequenceRun::new(sequence)), deadline).await.map(SequenceRun::into_answers)
    }

    /// The same for one that writes. Returns also what the write waits for.
    pub(in crate::store::redis) async fn write(
        self: &Arc<Self>,
        sequence: &Sequence<'_>,
    ) -> Result<(Vec<Value>, AnsweredWrite), Failure> {
        let deadline = Instant::now() + self.target.timeout;
        self.written(self.finish_one(Ok(SequenceRun::new(sequence)), deadline).await?, deadline)
    }

    /// As [`Self::run()`], but returns `None` if the slot is being moved and the keys are at two nodes.
    pub(in crate::store::redis) async fn run_unless_split(
        self: &Arc<Self>,
        sequence: &Sequence<'_>,
    ) -> Result<Option<Vec<Value>>, Failure> {
        let deadline = Instant::now() + self.target.timeout;
        let finished = self.finish(SequenceRun::new(sequence), deadline, WhenSplit::Return).await?;
        Ok(finished.map(SequenceRun::into_answers))
    }

    /// As [`Self::write()`], but returns `None` if the slot is being moved and the keys are at two nodes.
    pub(in crate::store::redis) async fn write_unless_split(
        self: &Arc<Self>,
        sequence: &Sequence<'_>,
    ) -> Result<Option<(Vec<Value>, AnsweredWrite)>, Failure> {
        let deadline = Instant::now() + self.target.timeout;
        let finished = self.finish(SequenceRun::new(sequence), deadline, WhenSplit::Return).await?;
        finished.map(|run| self.written(run, deadline)).transpose()
    }

    async fn finish_one<'q, 's>(
        self: &Arc<Self>,
        run: Result<SequenceRun<'q, 's>, Failure>,
        deadline: Instant,
    ) -> Result<SequenceRun<'q, 's>, Failure> {
        self.finish(run?, deadline, WhenSplit::Wait).await?.ok_or_else(|| self.no_node())
    }

    /// Tells the answers of a write from what it waits for.
    fn written(&self, run: SequenceRun<'_, '_>, deadline: Instant) -> Result<(Vec<Value>, AnsweredWrite), Failure> {
        let slot = run.sequence.slot;
        let (answers, done_by) = run.into_parts();
        let was_replica = || not_acknowledged(&self.target.address, "its node was a replica a moment ago");
        let DoneBy { node, term } = done_by.ok_or_else(was_replica)?;
        Ok((answers, AnsweredWrite { node: Some(node), slot, receipt: Receipt { term: Some(term), deadline } }))
    }

    /// Sends what is left of a sequence until all of it is answered.
    async fn finish<'q, 's>(
        self: &Arc<Self>,
        mut run: SequenceRun<'q, 's>,
        deadline: Instant,
        when_split: WhenSplit,
    ) -> Result<Option<SequenceRun<'q, 's>>, Failure> {
        let slot = run.sequence.slot;
        let (mut attempts, mut followed) = (0_u32, Followed::default());
        while !run.is_done() {
            let (node, open) = self.connect(slot, run.asked.as_ref(), deadline).await?;
            let answered = run.answered();
            let failure = match node.connections.exchange_on(&open, &run.commands(), deadline).await {
                Ok(answers) => match self.take(&mut run, &node, open.term(), answers)? {
                    Next::Done => break,
                    Next::Again => None,
                    Next::Moved(address) => {
                        self.follow(slot, &address);
                        followed.note(&node.address, "MOVED", &address);
                        None
                    }
                    Next::FollowAsk(address) => {
                        followed.note(&node.address, "ASK", &address);
                        None
                    }
                    Next::Split(_) if when_split == WhenSplit::Return => return Ok(None),
                    Next::Split(failure) | Next::Wait(failure) => Some(failure),
                },
                Err(unanswered) => {
                    self.refresh_soon();
                    let failure = unanswered.failure().clone();
                    run.take_failure(unanswered)?;
                    Some(failure)
                }
            };
            if run.answered() > answered {
                // Each key of a slot that is being moved may be redirected. They go round in a circle only if none of
                // them leads to an answer.
                (attempts, followed) = (0, Followed::default());
            }
            attempts += 1;
            // Redirections are followed at once, unless they go round in a circle.
            if failure.is_some() || attempts > FAST_ATTEMPTS {
                self.refresh_soon();
                let failure = failure.or_else(|| followed.failure(slot)).unwrap_or_else(|| self.no_node());
                wait(attempts, deadline).await.map_err(|()| failure)?;
            }
        }
        Ok(Some(run))
    }

    /// Takes the answers of a node. One without replicas may have been replaced, so the slots are looked at soon.
    fn take(
        self: &Arc<Self>,
        run: &mut SequenceRun<'_, '_>,
        node: &Arc<Node>,
        term: Option<&Arc<PrimaryTerm>>,
        answers: Vec<Value>,
    ) -> Result<Next, Failure> {
        if let Some(error) = answers.iter().find_map(server_error) {
            self.redirections.count(error);
        }
        run.take(node, term, answers).inspect_err(|failure| {
            if matches!(&failure.cause, Cause::Answered { code, .. } if &**code == "NOREPLICAS") {
                self.refresh_soon();
            }
        })
    }

    /// Notes that another node has a slot.
    pub(in crate::store::redis) fn follow(self: &Arc<Self>, slot: Slot, address: &ServerAddress) {
        self.table.send_if_modified(|table| match table.moved(slot, address, |address| self.node_for(address)) {
            Some(moved) => {
                self.topology_changes.fetch_add(1, Ordering::Relaxed);
                *table = Arc::new(moved);
                true
            }
            None => false,
        });
        self.refresh_soon();
    }

    /// Returns a connection to the node that was asked for, or else to the node of the slot.
    async fn connect(
        self: &Arc<Self>,
        slot: Slot,
        asked: Option<&ServerAddress>,
        deadline: Instant,
    ) -> Result<(Arc<Node>, OpenConnection), Failure> {
        let find = |table: &SlotTable| match asked {
            Some(address) => Some(self.named_node(address)),
            None => table.node(slot).cloned(),
        };
        if let Some(node) = find(&self.table())
            && let Some(open) = node.connections.try_open()
        {
            return Ok((node, open));
        }
        let mut changes = self.table.subscribe();
        loop {
            let table = Arc::clone(&changes.borrow_and_update());
            let Some(node) = find(&table) else {
                self.await_node(&mut changes, deadline).await?;
                continue;
            };
            tokio::select! {
                opened = node.connections.open() => {
                    if opened.is_err() {
                        self.refresh_soon();
                    }
                    return Ok((Arc::clone(&node), opened?));
                }
                changed = self.await_change(&mut changes, deadline) => changed.map_err(|_| node.connections.why_none())?,
            }
        }
    }

    /// The node at this address, if it has a slot or is getting one.
    pub(in crate::store::redis) fn known_node(&self, address: &ServerAddress) -> Option<Arc<Node>> {
        let in_table = self.table.borrow().at(address);
        in_table.or_else(|| self.asked.find(address))
    }

    /// The same for an address that another node has named.
    pub(in crate::store::redis) fn named_node(&self, address: &ServerAddress) -> Arc<Node> {
        let in_table = self.table.borrow().at(address);
        in_table.unwrap_or_else(|| self.asked.find_or_add(address, || self.new_node(address)))
    }

    /// Makes the node of the table for this address.
    pub(in crate::store::redis) fn node_for(&self, address: &ServerAddress) -> Arc<Node> {
        self.asked.take(address).unwrap_or_else(|| self.new_node(address))
    }

    pub(in crate::store::redis) fn new_node(&self, address: &ServerAddress) -> Arc<Node> {
        let connections = Connections::to(Arc::clone(&self.target), Some(address.clone()));
        Arc::new(Node { address: address.clone(), connections, feed_timeout: FeedTimeout::default() })
    }

    /// Waits until the table changes. Fails at once if no node has told the slots for long.
    async fn await_node(
        self: &Arc<Self>,
        changes: &mut watch::Receiver<Arc<SlotTable>>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        match self.discovery.lasting_failure(self.target.timeout) {
            Some(failure) => {
                self.refresh_soon();
                Err(failure)
            }
            None => self.await_change(changes, deadline).await,
        }
    }

    /// Waits until the table changes, or for a moment, and has it looked at meanwhile.
    async fn await_change(
        self: &Arc<Self>,
        changes: &mut watch::Receiver<Arc<SlotTable>>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        self.refresh_soon();
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep(LONGEST_WAIT) => {}
            () = sleep_until(deadline) => return Err(self.no_node()),
        }
        Ok(())
    }

    pub(in crate::store::redis) fn no_node(&self) -> Failure {
        let none = || Failure { address: Arc::clone(&self.target.address), cause: Cause::NoNode };
        self.discovery.failure().unwrap_or_else(none)
    }
}

/// The policy for a command whose keys are at two nodes, because their slot is being moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenSplit {
    Wait,
    Return,
}

/// Waits before the next attempt. Fails if the deadline is nearer.
async fn wait(attempts: u32, deadline: Instant) -> Result<(), ()> {
    let pause = (SHORTEST_WAIT * attempts).min(LONGEST_WAIT);
    if Instant::now() + pause >= deadline {
        return Err(());
    }
    sleep(pause).await;
    Ok(())
}

/// How many redirections are followed without a pause.
const FAST_ATTEMPTS: u32 = 4;

const SHORTEST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(50);
