//! A Redis Cluster: sends commands to the nodes that have their slots, and follows redirections.
//!
//! Within the deadline a command is sent again only if a node says that it has not done it, if there was no connection to
//! send it on, or if it only reads and the connection was closed. A command that may have been done is never repeated.
//! No lock is held while a node is waited for.

mod asked_nodes;
mod discovery;
pub(super) mod feed_timeout;
mod redirection;
mod sequence_run;
mod slot_nodes;
pub(super) mod slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::asked_nodes::AskedNodes;
use self::discovery::Discovery;
use self::feed_timeout::FeedTimeout;
use self::redirection::Redirections;
use self::sequence_run::{DoneBy, Next, SequenceRun};
use self::slots::{Node, SlotTable};
use super::connection::connections::{Connections, OpenConnection, server_error};
use super::connection::sentinels::ServerAddress;
use super::connection::target::{Server, Target};
use super::connection::term::PrimaryTerm;
use super::connection::waiter::{Receipt, not_acknowledged};
use super::failure::{Cause, Failure};
use super::partitions::Slot;
use super::router::Written;
use super::scripts::Script;
use super::sequence::{Sequence, pipeline};
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
}

impl Cluster {
    pub(in crate::store::redis) fn new(settings: &Settings) -> Result<Arc<Self>, SettingError> {
        // A replica in a cluster sends each command on to its primary, so it does no harm.
        let target = Arc::new(Target::new(settings, Server::PrimaryOrReplica)?);
        let discovery = Discovery::new(settings.cluster.addresses().map_err(|error| error.under("cluster"))?);
        let table = watch::Sender::new(Arc::new(SlotTable::empty()));
        Ok(Arc::new(Self {
            target,
            table,
            discovery,
            asked: AskedNodes::default(),
            redirections: Redirections::default(),
            topology_changes: AtomicU64::new(0),
        }))
    }

    /// Returns the table as it is now.
    pub(in crate::store::redis) fn table(&self) -> Arc<SlotTable> {
        Arc::clone(&self.table.borrow())
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
            self.await_change(&mut changes, deadline).await?;
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
    ) -> Result<(Vec<Value>, Written), Failure> {
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
    ) -> Result<Option<(Vec<Value>, Written)>, Failure> {
        let deadline = Instant::now() + self.target.timeout;
        let finished = self.finish(SequenceRun::new(sequence), deadline, WhenSplit::Return).await?;
        finished.map(|run| self.written(run, deadline)).transpose()
    }

    /// Does many sequences, in one round trip to each node unless there are redirections.
    pub(in crate::store::redis) async fn run_all(
        self: &Arc<Self>,
        sequences: &[Sequence<'_>],
    ) -> Vec<Result<Vec<Value>, Failure>> {
        let deadline = Instant::now() + self.target.timeout;
        let finished = self.finish_all(sequences, deadline).await;
        finished.into_iter().map(|run| run.map(SequenceRun::into_answers)).collect()
    }

    /// The same for sequences that only read, each node for itself: a node that hangs delays none of the others.
    pub(in crate::store::redis) async fn run_all_promptly(
        self: &Arc<Self>,
        sequences: Vec<Sequence<'static>>,
    ) -> Vec<Result<Vec<Value>, Failure>> {
        let table = match self.known_table().await {
            Ok(table) => table,
            Err(failure) => return sequences.iter().map(|_| Err(failure.clone())).collect(),
        };
        let mut groups = Vec::<(Option<&Arc<Node>>, Vec<usize>, Vec<Sequence<'static>>)>::new();
        for (index, sequence) in sequences.into_iter().enumerate() {
            let node = table.node(sequence.slot);
            match groups.iter_mut().find(|(other, ..)| is_same(node, *other)) {
                Some((_, indices, group)) => {
                    indices.push(index);
                    group.push(sequence);
                }
                None => groups.push((node, vec![index], vec![sequence])),
            }
        }
        let any_answered = CancellationToken::new();
        let read = async |(node, indices, group): (Option<&Arc<Node>>, Vec<usize>, Vec<Sequence<'static>>)| {
            let results = match node {
                Some(node) => {
                    self.run_promptly(node, group, &any_answered).await.map_err(|()| node.connections.silent())
                }
                None => {
                    self.refresh_soon();
                    Err(self.no_node())
                }
            };
            let results = results.unwrap_or_else(|failure| indices.iter().map(|_| Err(failure.clone())).collect());
            indices.into_iter().zip(results).collect::<Vec<_>>()
        };
        let mut results: Vec<_> = join_all(groups.into_iter().map(read)).await.into_iter().flatten().collect();
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Does sequences of one node. Fails if it does not answer as fast as it used to, and another one has; they go on then.
    async fn run_promptly(
        self: &Arc<Self>,
        node: &Arc<Node>,
        sequences: Vec<Sequence<'static>>,
        any_answered: &CancellationToken,
    ) -> Result<Vec<Result<Vec<Value>, Failure>>, ()> {
        let patience = node.feed_timeout.for_next().ok_or(())?;
        let (cluster, read_node) = (Arc::clone(self), Arc::clone(node));
        let mut reading = tokio::spawn(async move {
            let begin = Instant::now();
            let results = cluster.run_all(&sequences).await;
            match results.iter().any(Result::is_ok) {
                true => read_node.feed_timeout.note_answer(begin.elapsed()),
                false => read_node.feed_timeout.note_failure(begin.elapsed()),
            }
            results
        });
        // If no node answers, it is not this one that hangs.
        let late = async {
            sleep(patience).await;
            any_answered.cancelled().await;
        };
        tokio::select! {
            biased;
            read = &mut reading => {
                let results = read.map_err(drop)?;
                if results.iter().any(Result::is_ok) {
                    any_answered.cancel();
                }
                Ok(results)
            }
            () = late => {
                node.feed_timeout.note_late(reading.abort_handle());
                Err(())
            }
        }
    }

    /// The same for sequences that write. Returns also what each write waits for.
    pub(in crate::store::redis) async fn write_all(
        self: &Arc<Self>,
        sequences: &[Sequence<'_>],
    ) -> Vec<Result<(Vec<Value>, Written), Failure>> {
        let deadline = Instant::now() + self.target.timeout;
        let finished = self.finish_all(sequences, deadline).await;
        finished.into_iter().map(|run| run.and_then(|run| self.written(run, deadline))).collect()
    }

    async fn finish_all<'q, 's>(
        self: &Arc<Self>,
        sequences: &'q [Sequence<'s>],
        deadline: Instant,
    ) -> Vec<Result<SequenceRun<'q, 's>, Failure>> {
        let table = self.table();
        let groups = group(&table, sequences);
        let first = join_all(groups.iter().map(|(node, group)| self.run_group(*node, group, deadline))).await;
        let mut indices = Vec::with_capacity(sequences.len());
        for (_, group) in &groups {
            indices.extend(group.iter().map(|(index, _)| *index));
        }
        let finished = join_all(first.into_iter().flatten().map(|run| self.finish_one(run, deadline))).await;
        let mut results: Vec<_> = indices.into_iter().zip(finished).collect();
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    async fn finish_one<'q, 's>(
        self: &Arc<Self>,
        run: Result<SequenceRun<'q, 's>, Failure>,
        deadline: Instant,
    ) -> Result<SequenceRun<'q, 's>, Failure> {
        self.finish(run?, deadline, WhenSplit::Wait).await?.ok_or_else(|| self.no_node())
    }

    /// Tells the answers of a write from what it waits for.
    fn written(&self, run: SequenceRun<'_, '_>, deadline: Instant) -> Result<(Vec<Value>, Written), Failure> {
        let slot = run.sequence.slot;
        let (answers, done_by) = run.into_parts();
        let was_replica = || not_acknowledged(&self.target.address, "its node was a replica a moment ago");
        let DoneBy { node, term } = done_by.ok_or_else(was_replica)?;
        Ok((answers, Written { node: Some(node), slot, receipt: Receipt { term: Some(term), deadline } }))
    }

    /// Sends the sequences of one node once. Returns how far each has come.
    async fn run_group<'q, 's>(
        self: &Arc<Self>,
        node: Option<&Arc<Node>>,
        group: &[(usize, &'q Sequence<'s>)],
        deadline: Instant,
    ) -> Vec<Result<SequenceRun<'q, 's>, Failure>> {
        let mut runs: Vec<_> = group.iter().map(|(_, sequence)| SequenceRun::new(sequence)).collect();
        let Some((node, open)) = node.and_then(|node| Some((node, node.connections.try_open()?))) else {
            return runs.into_iter().map(Ok).collect();
        };
        // They call the same script, if any. A node that does not have it would otherwise refuse each of them.
        let script = group.first().and_then(|(_, sequence)| sequence.script);
        let load = script.map(Script::load);
        let loads = usize::from(load.is_some());
        let commands = pipeline(load.into_iter().chain(commands_of(group)));
        match node.connections.exchange_on(&open, &commands, deadline).await {
            Ok(answers) => {
                let mut answers = answers.into_iter().skip(loads);
                let take = |mut run: SequenceRun<'q, 's>| {
                    let count = run.sequence.len();
                    match self.take(&mut run, (node, open.term()), answers.by_ref().take(count).collect())? {
                        Next::Moved(address) => self.follow(run.sequence.slot, &address),
                        Next::Done | Next::Again => {}
                        Next::Split(_) | Next::Wait(_) => self.refresh_soon(),
                    }
                    Ok(run)
                };
                runs.into_iter().map(take).collect()
            }
            Err(unanswered) => {
                self.refresh_soon();
                let took = runs.iter_mut().map(|run| run.take_failure(unanswered.clone())).collect::<Vec<_>>();
                runs.into_iter().zip(took).map(|(run, took)| took.map(|()| run)).collect()
            }
        }
    }

    /// Sends what is left of a sequence until all of it is answered.
    async fn finish<'q, 's>(
        self: &Arc<Self>,
        mut run: SequenceRun<'q, 's>,
        deadline: Instant,
        when_split: WhenSplit,
    ) -> Result<Option<SequenceRun<'q, 's>>, Failure> {
        let slot = run.sequence.slot;
        let mut attempts = 0_u32;
        while !run.is_done() {
            let (node, open) = self.connect(slot, run.asked.as_ref(), deadline).await?;
            let failure = match node.connections.exchange_on(&open, &run.commands(), deadline).await {
                Ok(answers) => match self.take(&mut run, (&node, open.term()), answers)? {
                    Next::Done => break,
                    Next::Again => None,
                    Next::Moved(address) => {
                        self.follow(slot, &address);
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
            attempts += 1;
            // Redirections are followed at once, unless they go round in a circle.
            if failure.is_some() || attempts > FAST_ATTEMPTS {
                self.refresh_soon();
                let failure = failure.unwrap_or_else(|| self.no_node());
                wait(attempts, deadline).await.map_err(|()| failure)?;
            }
        }
        Ok(Some(run))
    }

    /// Takes the answers of a node. One without replicas may have been replaced, so the slots are looked at soon.
    fn take(
        self: &Arc<Self>,
        run: &mut SequenceRun<'_, '_>,
        node: (&Arc<Node>, Option<&Arc<PrimaryTerm>>),
        answers: Vec<Value>,
    ) -> Result<Next, Failure> {
        if let Some(error) = answers.iter().find_map(server_error) {
            self.redirections.count(error);
        }
        run.take(node, answers).inspect_err(|failure| {
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
                self.await_change(&mut changes, deadline).await?;
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

    /// Waits until the table changes, or for a moment, and has it looked at meanwhile.
    async fn await_change(
        self: &Arc<Self>,
        changes: &mut watch::Receiver<Arc<SlotTable>>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        self.refresh_soon();
        if let Some(failure) = self.discovery.lasting_failure(self.target.timeout) {
            return Err(failure);
        }
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

/// What to do if the keys of a command are at two nodes, because their slot is being moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhenSplit {
    Wait,
    Return,
}

type Group<'t, 'q, 's> = (Option<&'t Arc<Node>>, Vec<(usize, &'q Sequence<'s>)>);

/// Groups sequences by the nodes that have their slots, and notes where each stood.
fn group<'t, 'q, 's>(table: &'t SlotTable, sequences: &'q [Sequence<'s>]) -> Vec<Group<'t, 'q, 's>> {
    let mut groups = Vec::<Group<'t, 'q, 's>>::new();
    for (index, sequence) in sequences.iter().enumerate() {
        let node = table.node(sequence.slot);
        match groups.iter_mut().find(|(other, _)| is_same(node, *other)) {
            Some((_, group)) => group.push((index, sequence)),
            None => groups.push((node, vec![(index, sequence)])),
        }
    }
    groups
}

fn is_same(node: Option<&Arc<Node>>, other: Option<&Arc<Node>>) -> bool {
    match (node, other) {
        (Some(node), Some(other)) => Arc::ptr_eq(node, other),
        (None, None) => true,
        _ => false,
    }
}

fn commands_of(group: &[(usize, &Sequence<'_>)]) -> Vec<Cmd> {
    group.iter().flat_map(|(_, sequence)| sequence.commands.cmd_iter().cloned()).collect()
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
