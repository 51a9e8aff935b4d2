//! Waits until replicas or the disk have what was written: one WAIT or WAITAOF for many writes (group commit).
//!
//! Redis blocks a connection that waits, and counts only writes of this connection. So each waiter has a connection of
//! its own, on which it writes a little before it waits: whatever was answered before that is covered too, because
//! replicas and the file have everything in the same order. Writes that come meanwhile make up the next group.
//!
//! The connection has to lead to the server that did the write, and that server must have been the primary all the
//! time: see [`PrimaryTerm`]. A wait that failed may be made again, on another connection of the same term.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{ErrorKind, FromRedisValue as _, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::Connection;
use super::reconnecting::{ConnectionPurpose, Reconnecting};
use super::rounds::Rounds;
use super::target::Target;
use super::term::PrimaryTerm;
use super::wait_commands::{wait_command, waited_write};
use crate::store::redis::acknowledge::Acknowledge;
use crate::store::redis::failure::{Cause, Failure, is_of_wrong_server};
use crate::store::redis::scripts::Script;
use crate::store::redis::server_address::ServerAddress;
use crate::types::duration;

/// A queue of writes that wait, and the task that waits for them. Dropping it ends the task.
#[derive(Debug)]
pub(in crate::store::redis) struct Waiter {
    queue: mpsc::Sender<Request>,
    reconnecting: Arc<Reconnecting>,
    /// For failures.
    address: Arc<str>,
    timeout: Duration,
    task: JoinHandle<()>,
}

/// A write that was answered: by which primary, and until when it may wait.
#[derive(Clone, Debug)]
pub(in crate::store::redis) struct Receipt {
    pub(in crate::store::redis) term: Option<Arc<PrimaryTerm>>,
    pub(in crate::store::redis) deadline: Instant,
}

/// A write in the queue.
#[derive(Debug)]
struct Request {
    receipt: Receipt,
    /// A key of the server that did the write, as long as it has the slot.
    key: Vec<u8>,
    answer: oneshot::Sender<Result<(), Failure>>,
}

impl Waiter {
    /// Starts to open a connection, on the current runtime. `log` is shared by all waiters of a server.
    pub(in crate::store::redis) fn start(
        acknowledge: Acknowledge,
        target: &Arc<Target>,
        node: Option<&ServerAddress>,
        rounds: &Arc<Rounds>,
        log: &Arc<WaitLog>,
    ) -> Self {
        let (queue, requests) = mpsc::channel(QUEUED_WRITES);
        let address = node.map_or_else(|| Arc::clone(&target.address), |node| node.to_string().into());
        let reconnecting = Arc::new(Reconnecting::start(target, node, rounds, ConnectionPurpose::Waiting(acknowledge)));
        let waiter = WaiterLoop {
            acknowledge,
            reconnecting: Arc::clone(&reconnecting),
            rounds: Arc::clone(rounds),
            target: Arc::clone(target),
            write: waited_write(),
            address: address.clone(),
            key: None,
            log: Arc::clone(log),
        };
        Self { queue, reconnecting, address, timeout: target.timeout, task: tokio::spawn(waiter.run(requests)) }
    }

    /// Waits until the write is acknowledged. If it is not in time, the failure says why.
    ///
    /// The key is one that only waits use, in a slot of the server. If it [`is_elsewhere()`], another one may do.
    pub(in crate::store::redis) async fn wait(&self, receipt: Receipt, key: Vec<u8>) -> Result<(), Failure> {
        let (deadline, (answer, answered)) = (receipt.deadline, oneshot::channel());
        let waiting = async {
            self.queue.send(Request { receipt, key, answer }).await.ok()?;
            answered.await.ok()
        };
        timeout_at(deadline, waiting).await.ok().flatten().unwrap_or_else(|| {
            let problem = format!("it was not acknowledged within {}", duration::text(self.timeout));
            let reason = self.reconnecting.failure().map_or(problem, |failure| failure.cause.to_string());
            Err(not_acknowledged(&self.address, &reason))
        })
    }

    /// Returns why writes cannot wait, if that has lasted.
    pub(in crate::store::redis) fn lasting_failure(&self) -> Option<Failure> {
        self.reconnecting.lasting_failure()
    }

    /// Checks that there is a connection to wait on, which Redis lets wait.
    pub(in crate::store::redis) async fn check(&self) -> Result<(), Failure> {
        let connected = timeout(self.timeout, self.reconnecting.connection()).await;
        if matches!(connected, Ok(Ok(_))) {
            return Ok(());
        }
        let cause = Cause::NotConnected(self.timeout);
        Err(self.reconnecting.failure().unwrap_or_else(|| Failure { address: Arc::clone(&self.address), cause }))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether writes are acknowledged, for the log.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct WaitLog(AtomicBool);

impl WaitLog {
    fn note<T>(&self, address: &str, result: &Result<T, Failure>) {
        let fails = result.is_err();
        if self.0.swap(fails, Ordering::Relaxed) == fails {
            return;
        }
        match result {
            Ok(_) => info!(address, "writes are acknowledged again"),
            Err(failure) => warn!(error = failure as &dyn std::error::Error, "writes are not acknowledged"),
        }
    }
}

/// Whether the server has the slot of a key, or is getting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotOwnership {
    Owned,
    Coming,
}

/// The task that waits.
struct WaiterLoop {
    acknowledge: Acknowledge,
    reconnecting: Arc<Reconnecting>,
    rounds: Arc<Rounds>,
    target: Arc<Target>,
    write: Script,
    /// For failures.
    address: Arc<str>,
    /// The key that was written to last.
    key: Option<Vec<u8>>,
    log: Arc<WaitLog>,
}

impl WaiterLoop {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut group = Vec::new();
        while queue.recv_many(&mut group, QUEUED_WRITES).await > 0 {
            group.retain(|request| !request.answer.is_closed());
            let Some(deadline) = group.iter().map(|request| request.receipt.deadline).max() else { continue };
            let result = self.wait_by_any_key(&group, deadline).await;
            if !result.as_ref().is_err_and(is_elsewhere) {
                self.log.note(&self.address, &result);
            }
            for Request { receipt, answer, .. } in group.drain(..) {
                let answered = match &result {
                    Ok(connection) if receipt.term == connection.term => Ok(()),
                    Ok(connection) => Err(self.leave_all(connection)),
                    Err(failure) => Err(failure.clone()),
                };
                // It fails if the call has ended.
                let _ = answer.send(answered);
            }
        }
    }

    /// Waits by the key that was written to last, or else by that of one of these writes.
    ///
    /// The slot of a key may be at another node by now, or be on its way there. What was written to it here is waited for
    /// by any other key of this node. A node that is getting its first slot has only keys that it has to be asked for.
    async fn wait_by_any_key(&mut self, group: &[Request], deadline: Instant) -> Result<Arc<Connection>, Failure> {
        let mut keys: Vec<Vec<u8>> = self.key.take().into_iter().collect();
        for Request { key, .. } in group {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let mut result = Err(self.not_connected());
        for key in keys {
            result = self.wait(&key, SlotOwnership::Owned, deadline).await;
            if !result.as_ref().is_err_and(is_elsewhere) {
                self.key = Some(key);
                return result;
            }
        }
        for Request { key, .. } in group {
            result = self.wait(key, SlotOwnership::Coming, deadline).await;
            if !result.as_ref().is_err_and(is_elsewhere) {
                break;
            }
        }
        result
    }

    /// Waits for all that was written so far in one term: that of the connection that is returned.
    async fn wait(&self, key: &[u8], slot: SlotOwnership, deadline: Instant) -> Result<Arc<Connection>, Failure> {
        loop {
            let connected = timeout_at(deadline, self.reconnecting.connection()).await;
            let Ok(Ok(connection)) = connected else {
                return Err(self.reconnecting.failure().unwrap_or_else(|| self.not_connected()));
            };
            let (before, begin) = (connection.counts(), Instant::now());
            let error = match timeout_at(deadline, self.ask(&connection, key, slot, deadline)).await {
                Ok(Ok(answers)) => {
                    connection.record_answer();
                    return self.judge(&connection, answers).map(|()| connection);
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    self.rounds.count_failure();
                    let had_its_time = begin.elapsed() >= self.target.timeout / 2;
                    if had_its_time && !connection.has_received_since(before) {
                        self.rounds.leave_all(&connection, "a wait was not answered");
                        self.reconnecting.check();
                    }
                    let cause = Cause::NoAnswer(self.target.timeout);
                    return Err(Failure { address: Arc::clone(&connection.address), cause });
                }
            };
            let failure = Failure { address: Arc::clone(&connection.address), cause: error.clone().into() };
            if is_elsewhere(&failure) {
                return Err(failure);
            }
            let is_of_wrong_server = error.code().is_some_and(is_of_wrong_server);
            let is_left = !is_of_wrong_server || self.rounds.leave_all(&connection, "the server refuses");
            let may_repeat = error.kind() == ErrorKind::Io || is_no_script(&error) || is_of_wrong_server;
            // A new connection checks again what this Redis can do, and loads the script.
            connection.leave();
            self.reconnecting.check();
            if !is_left || !may_repeat {
                return Err(failure);
            }
        }
    }

    fn not_connected(&self) -> Failure {
        Failure { address: Arc::clone(&self.address), cause: Cause::NotConnected(self.target.timeout) }
    }

    /// Writes, waits, and asks which history of writes that was about.
    async fn ask(
        &self,
        connection: &Connection,
        key: &[u8],
        slot: SlotOwnership,
        deadline: Instant,
    ) -> Result<[Value; 3], RedisError> {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let mut pipe = Pipeline::with_capacity(4);
        if slot == SlotOwnership::Coming {
            pipe.cmd("ASKING").ignore();
        }
        pipe.cmd("EVALSHA").arg(self.write.hash()).arg(1).arg(key);
        if slot == SlotOwnership::Coming {
            pipe.arg("asked");
        }
        pipe.add_command(wait_command(self.acknowledge, remaining - reserve(remaining)));
        pipe.cmd("INFO").arg("replication");
        pipe.ignore_errors();
        let answers: Vec<Value> = pipe.query_async(&mut connection.commands()).await?;
        for answer in &answers {
            if let Value::ServerError(error) = answer {
                return Err(error.clone().into());
            }
        }
        answers.try_into().map_err(|_| RedisError::from((ErrorKind::UnexpectedReturnType, "not three answers")))
    }

    fn judge(&self, connection: &Connection, answers: [Value; 3]) -> Result<(), Failure> {
        let [_, waited, replication] = answers;
        let replication = String::from_redis_value(replication).unwrap_or_default();
        if !connection.term.as_ref().is_some_and(|term| term.goes_on(&replication)) {
            return Err(self.leave_all(connection));
        }
        let waited = match waited {
            // WAITAOF: how many local files, then how many files of replicas.
            Value::Array(counts) => counts.into_iter().next().unwrap_or(Value::Nil),
            count => count,
        };
        let have = u64::from_redis_value(waited).unwrap_or_default();
        let reason = match self.acknowledge {
            Acknowledge::Replicas(needed) if have < u64::from(needed) => {
                format!("{have} of {needed} replicas have acknowledged it")
            }
            Acknowledge::Fsync if have < 1 => "it is not on the disk yet".to_owned(),
            _ => return Ok(()),
        };
        Err(not_acknowledged(&connection.address, &reason))
    }

    /// Has all connections opened anew, because they are of different terms. Returns what is told to the writes.
    fn leave_all(&self, connection: &Connection) -> Failure {
        self.rounds.leave_all(connection, "the connections are of different terms of a primary");
        self.reconnecting.check();
        not_acknowledged(&self.address, "the primary is another one by now, or began another history")
    }
}

/// How much of the time before a deadline is left for the answer to a wait, which tells what is missing.
///
/// A Redis without work notices only at its timer, ten times a second, that a wait has lasted long enough.
fn reserve(remaining: Duration) -> Duration {
    (remaining / 8).max(TIMER_INTERVAL).min(remaining / 2)
}

fn is_no_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether a node of a cluster says that the slot of the key is at another node, or on its way there.
pub(in crate::store::redis) fn is_elsewhere(failure: &Failure) -> bool {
    matches!(&failure.cause, Cause::Answered { code, .. } if matches!(&**code, "MOVED" | "ASK" | "TRYAGAIN"))
}

pub(in crate::store::redis) fn not_acknowledged(address: &Arc<str>, reason: &str) -> Failure {
    Failure { address: Arc::clone(address), cause: Cause::NotAcknowledged(reason.into()) }
}

/// How many writes one waiter has in its queue. More wait for room, within their deadlines.
const QUEUED_WRITES: usize = 1024;

/// The interval of the timer of Redis, and the way back.
const TIMER_INTERVAL: Duration = Duration::from_millis(110);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_early_enough_for_the_timer_of_redis() {
        // How long until the deadline, and how much of it the wait leaves, in milliseconds.
        for (remaining, expected) in [(60_000, 7_500), (880, 110), (400, 110), (100, 50), (0, 0)] {
            assert_eq!(reserve(Duration::from_millis(remaining)), Duration::from_millis(expected), "{remaining}");
        }
    }
}
