//! Many sequences at once: those of one node go out in one write, and wait for no other node.

use std::borrow::Borrow;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Cmd, Value};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Cluster;
use super::answered_write::AnsweredWrite;
use super::sequence_run::{Next, SequenceRun};
use super::slots::{Node, SlotTable};
use crate::store::redis::failure::Failure;
use crate::store::redis::scripts::Script;
use crate::store::redis::sequence::{Sequence, pipeline};

impl Cluster {
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
        let any_answered = CancellationToken::new();
        let read = async |(node, group): Group<'_, Sequence<'static>>| {
            let (indices, group): (Vec<_>, Vec<_>) = group.into_iter().unzip();
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
        in_order(join_all(group(&table, sequences).into_iter().map(read)).await.into_iter().flatten().collect())
    }

    /// Does sequences of one node. Fails if it does not answer as fast as it used to, and another one has; they go on then.
    async fn run_promptly(
        self: &Arc<Self>,
        node: &Arc<Node>,
        sequences: Vec<Sequence<'static>>,
        any_answered: &CancellationToken,
    ) -> Result<Vec<Result<Vec<Value>, Failure>>, ()> {
        let max_wait = node.feed_timeout.for_next().ok_or(())?;
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
            sleep(max_wait).await;
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
    ) -> Vec<Result<(Vec<Value>, AnsweredWrite), Failure>> {
        let deadline = Instant::now() + self.target.timeout;
        let finished = self.finish_all(sequences, deadline).await;
        finished.into_iter().map(|run| run.and_then(|run| self.written(run, deadline))).collect()
    }

    /// Does all sequences. Those of one node wait for no other node, even if they are redirected.
    async fn finish_all<'q, 's>(
        self: &Arc<Self>,
        sequences: &'q [Sequence<'s>],
        deadline: Instant,
    ) -> Vec<Result<SequenceRun<'q, 's>, Failure>> {
        let table = self.table();
        let finish_group = async |(node, group): Group<'_, &'q Sequence<'s>>| {
            let begun = self.run_group(node, &group, deadline).await;
            let finished = join_all(begun.into_iter().map(|run| self.finish_one(run, deadline))).await;
            group.into_iter().map(|(index, _)| index).zip(finished).collect::<Vec<_>>()
        };
        let finished = join_all(group(&table, sequences).into_iter().map(finish_group)).await;
        in_order(finished.into_iter().flatten().collect())
    }

    /// Sends the sequences of one node once. Returns how far each has come.
    async fn run_group<'q, 's>(
        self: &Arc<Self>,
        node: Option<&Arc<Node>>,
        group: &[(usize, &'q Sequence<'s>)],
        deadline: Instant,
    ) -> Vec<Result<SequenceRun<'q, 's>, Failure>> {
        let mut runs: Vec<_> = group.iter().map(|(_, sequence)| SequenceRun::new(sequence)).collect();
        let (Some(node), Some((_, first))) = (node, group.first()) else {
            return runs.into_iter().map(Ok).collect();
        };
        // Without waiting for a connection here each would wait for it, and then be sent on its own.
        let open = match self.connect(first.slot, None, deadline).await {
            Ok((reached, open)) if Arc::ptr_eq(&reached, node) => open,
            Ok(_) => return runs.into_iter().map(Ok).collect(),
            Err(failure) if self.table().node(first.slot).is_some_and(|it| Arc::ptr_eq(it, node)) => {
                return runs.iter().map(|_| Err(failure.clone())).collect();
            }
            // Only this slot may have moved meanwhile, to a node that cannot be reached.
            Err(_) => return runs.into_iter().map(Ok).collect(),
        };
        // They call the same script, if any. A node that does not have it would otherwise refuse each of them.
        let load = first.script.map(Script::load);
        let loads = usize::from(load.is_some());
        let commands = pipeline(load.into_iter().chain(commands_of(group)));
        match node.connections.exchange_on(&open, &commands, deadline).await {
            Ok(answers) => {
                let mut answers = answers.into_iter().skip(loads);
                let take = |mut run: SequenceRun<'q, 's>| {
                    let count = run.sequence.len();
                    match self.take(&mut run, node, open.term(), answers.by_ref().take(count).collect())? {
                        Next::Moved(address) => self.follow(run.sequence.slot, &address),
                        Next::Done | Next::Again | Next::FollowAsk(_) => {}
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
}

type Group<'t, S> = (Option<&'t Arc<Node>>, Vec<(usize, S)>);

/// Groups sequences by the nodes that have their slots, and notes where each stood.
fn group<'t, 's, S: Borrow<Sequence<'s>>>(
    table: &'t SlotTable,
    sequences: impl IntoIterator<Item = S>,
) -> Vec<Group<'t, S>> {
    let mut groups = Vec::<Group<'t, S>>::new();
    for (index, sequence) in sequences.into_iter().enumerate() {
        let node = table.node(sequence.borrow().slot);
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

/// Returns results in the order of their sequences.
fn in_order<T>(mut results: Vec<(usize, T)>) -> Vec<T> {
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
