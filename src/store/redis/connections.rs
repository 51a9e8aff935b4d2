//! The connections to Redis: a few for each worker, which all its calls share.
//!
//! Each worker has a runtime of its own. A connection is driven by the runtime that uses it, so that no call goes to
//! another thread and back, and no call depends on another worker.
//!
//! Each operation has a deadline. A command that was sent and not answered is not sent again if it may write, because
//! whether it was done is unknown: the caller gets an error. A command that was surely not sent, or that Redis says it
//! has not done, is sent once more, on another connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, Script, ScriptInvocation, Value};
use tokio::runtime::{self, Handle};
use tokio::time::{Instant, timeout_at};

use super::acknowledge::{Acknowledge, WriteKind};
use super::connection::{Connection, Mark};
use super::failure::{Cause, Failure, is_of_wrong_server};
use super::reconnecting::{Purpose, Reconnecting};
use super::rounds::Rounds;
use super::settings::Settings;
use super::target::{Server, Target};
use super::waiter::{Receipt, WaitLog, Waiter};
use crate::store::Error;
use crate::types::SettingError;

/// The connections of all runtimes.
#[derive(Debug)]
pub(in crate::store) struct Connections {
    target: Arc<Target>,
    rounds: Arc<Rounds>,
    per_runtime: usize,
    /// For saves, and for what ends sessions.
    pub(super) acknowledge: [Acknowledge; 2],
    wait_log: Arc<WaitLog>,
    /// As many as there are workers. They are never removed, because no worker ends before the process.
    by_runtime: RwLock<Vec<(runtime::Id, Arc<RuntimeConnections>)>>,
}

/// The connections of one runtime.
#[derive(Debug)]
struct RuntimeConnections {
    connections: Vec<Reconnecting>,
    next: AtomicUsize,
    /// For saves, and for what ends sessions: often the same. `None`: the primary acknowledges them.
    waiters: [Option<Arc<Waiter>>; 2],
}

/// What an operation was answered, on which connection.
struct Answer {
    value: Value,
    connection: Arc<Connection>,
    deadline: Instant,
}

/// Which commands may be sent again after the connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// Commands that may write.
    IfNotSent,
    /// Commands that only read.
    IfClosed,
}

impl Connections {
    /// Prepares connections, each of which is opened at its first use.
    pub(in crate::store) fn new(settings: &Settings, server: Server) -> Result<Self, SettingError> {
        let target = Arc::new(Target::new(settings, server)?);
        let rounds = Arc::new(Rounds::new(settings.timeout));
        Ok(Self {
            target,
            rounds,
            per_runtime: settings.connections.max(1),
            acknowledge: [settings.acknowledge, settings.for_endings()],
            wait_log: Arc::default(),
            by_runtime: RwLock::default(),
        })
    }

    /// Reads the files of the settings. Blocks on the disk.
    ///
    /// Without it the first connection does that. Fails if no connection could be opened with what is in them.
    pub(super) fn read_files(&self) -> Result<(), SettingError> {
        self.target.read_all_files()
    }

    /// Runs a script.
    pub(in crate::store) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        let run = |mut connection| async move { script.invoke_async(&mut connection).await };
        parse(self.run(Repeat::IfNotSent, run).await?.value)
    }

    /// As [`Self::invoke()`], and returns what [`Self::acknowledge()`] needs.
    pub(super) async fn invoke_with_receipt<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<(T, Receipt), Error> {
        let run = |mut connection| async move { script.invoke_async(&mut connection).await };
        let Answer { value, connection, deadline } = self.run(Repeat::IfNotSent, run).await?;
        Ok((parse(value)?, Receipt { term: connection.term.clone(), deadline }))
    }

    /// Whether writes of this kind have to wait.
    pub(super) fn acknowledges_later(&self, kind: WriteKind) -> bool {
        self.acknowledge[kind as usize] != Acknowledge::Primary
    }

    /// Waits until a write is acknowledged.
    pub(super) async fn acknowledge(&self, kind: WriteKind, receipt: Receipt) -> Result<(), Error> {
        match &self.of_current_runtime().waiters[kind as usize] {
            Some(waiter) => Ok(waiter.wait(receipt).await?),
            None => Ok(()),
        }
    }

    /// Checks that Redis lets writes wait.
    pub(super) async fn check_waiters(&self) -> Result<(), Error> {
        for waiter in self.of_current_runtime().waiters.iter().flatten() {
            waiter.check().await?;
        }
        Ok(())
    }

    /// Sends a command that writes.
    pub(in crate::store) async fn write<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let run = |mut connection: MultiplexedConnection| async move { command.query_async(&mut connection).await };
        parse(self.run(Repeat::IfNotSent, run).await?.value)
    }

    /// Sends a command that only reads.
    pub(in crate::store) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let run = |mut connection: MultiplexedConnection| async move { command.query_async(&mut connection).await };
        parse(self.run(Repeat::IfClosed, run).await?.value)
    }

    /// As [`Self::query()`]. `None` if the user may not run the command.
    pub(super) async fn query_if_allowed<T: FromRedisValue>(&self, command: &Cmd) -> Result<Option<T>, Error> {
        let run = |mut connection: MultiplexedConnection| async move {
            match command.query_async(&mut connection).await {
                Err(error) if error.code() == Some("NOPERM") => Ok(Value::Nil),
                result => result,
            }
        };
        parse(self.run(Repeat::IfClosed, run).await?.value)
    }

    /// Loads a script.
    pub(super) async fn load(&self, script: &Script) -> Result<(), Error> {
        let invocation = &script.prepare_invoke();
        let run = |mut connection| async move { invocation.load_async(&mut connection).await.map(Value::SimpleString) };
        self.run(Repeat::IfClosed, run).await.map(drop)
    }

    /// Sends several commands at once that only read, and fails if one of them fails.
    pub(in crate::store) async fn pipeline<T: FromRedisValue>(&self, mut pipe: Pipeline) -> Result<T, Error> {
        // Otherwise the library looks for errors inside each answer, and copies all answers for that.
        pipe.ignore_errors();
        let pipe = &pipe;
        let run = |mut connection: MultiplexedConnection| async move {
            let answers: Vec<Value> = pipe.query_async(&mut connection).await?;
            let failed = answers.iter().find_map(|answer| match answer {
                Value::ServerError(error) => Some(error.clone()),
                _ => None,
            });
            failed.map_or(Ok(Value::Array(answers)), |error| Err(error.into()))
        };
        parse(self.run(Repeat::IfClosed, run).await?.value)
    }

    /// Makes the error of a Redis that answers, but cannot be used.
    pub(super) fn unsuitable(&self, problem: String) -> Error {
        Failure { address: self.address(), cause: Cause::Unsuitable(problem.into()) }.into()
    }

    /// Runs one operation on one of the connections, within the deadline.
    async fn run<F>(&self, repeat: Repeat, operation: impl Fn(MultiplexedConnection) -> F) -> Result<Answer, Error>
    where
        F: Future<Output = Result<Value, RedisError>>,
    {
        let deadline = Instant::now() + self.target.timeout;
        let connections = self.of_current_runtime();
        let reconnecting = connections.next();
        let mut is_repeated = false;
        loop {
            let connecting = timeout_at(deadline, reconnecting.connection()).await;
            let connection = connecting.unwrap_or_else(|_| Err(self.not_connected(reconnecting)))?;
            let mark = connection.mark();
            let error = match timeout_at(deadline, operation(connection.commands())).await {
                Ok(Ok(value)) => return Ok(Answer { value, connection, deadline }),
                Ok(Err(error)) => error,
                Err(_) => {
                    // A connection that was opened meanwhile has had less time to answer.
                    let had_its_time = connection.opened.elapsed() >= self.target.timeout;
                    if had_its_time && !connection.has_received_since(mark) {
                        self.rounds.leave_all(&connection, "a command was not answered");
                        reconnecting.check();
                    }
                    return Err(failure(&connection, Cause::NoAnswer(self.target.timeout)));
                }
            };
            let was_not_done = self.leave_after(&connection, mark, &error, repeat);
            reconnecting.check();
            if !was_not_done || is_repeated {
                return Err(failure(&connection, error.into()));
            }
            is_repeated = true;
        }
    }

    /// Leaves a connection, or all of them, if the error says so. Returns whether another connection may be tried.
    fn leave_after(&self, connection: &Connection, mark: Mark, error: &RedisError, repeat: Repeat) -> bool {
        if is_of_wrong_server(error) {
            return self.rounds.leave_all(connection, "the server refuses");
        }
        // Errors of this kind come from the network, and not from Redis.
        if error.kind() != ErrorKind::Io {
            return false;
        }
        connection.leave();
        repeat == Repeat::IfClosed || !connection.has_sent_since(mark)
    }

    fn not_connected(&self, reconnecting: &Reconnecting) -> Error {
        let cause = Cause::NotConnected(self.target.timeout);
        let none_yet = Failure { address: self.address(), cause };
        reconnecting.failure().unwrap_or(none_yet).into()
    }

    /// The address of the last connection, or that of the first one to come.
    fn address(&self) -> Arc<str> {
        self.rounds.address().unwrap_or_else(|| Arc::clone(&self.target.address))
    }

    /// The connections of the current runtime.
    fn of_current_runtime(&self) -> Arc<RuntimeConnections> {
        let current = Handle::current().id();
        let find = |all: &[(runtime::Id, Arc<RuntimeConnections>)]| {
            all.iter().find_map(|(runtime, connections)| (*runtime == current).then(|| Arc::clone(connections)))
        };
        if let Some(connections) = find(&self.by_runtime.read()) {
            return connections;
        }
        let mut all = self.by_runtime.write();
        if let Some(connections) = find(&all) {
            return connections;
        }
        let start = |_| Reconnecting::start(&self.target, &self.rounds, Purpose::Commands);
        let connections = (0..self.per_runtime).map(start).collect();
        let waiters = self.start_waiters();
        let connections = Arc::new(RuntimeConnections { connections, next: AtomicUsize::new(0), waiters });
        all.push((current, Arc::clone(&connections)));
        connections
    }

    /// Starts the waiters of a runtime: one for each setting.
    fn start_waiters(&self) -> [Option<Arc<Waiter>>; 2] {
        let start = |acknowledge| Arc::new(Waiter::start(acknowledge, &self.target, &self.rounds, &self.wait_log));
        let start = |acknowledge| (acknowledge != Acknowledge::Primary).then(|| start(acknowledge));
        let [saves, endings] = self.acknowledge;
        let for_saves = start(saves);
        let for_endings = if endings == saves { for_saves.clone() } else { start(endings) };
        [for_saves, for_endings]
    }
}

impl RuntimeConnections {
    /// Takes turns, so that each connection gets as many operations as any other.
    fn next(&self) -> &Reconnecting {
        &self.connections[self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len()]
    }
}

/// Reads an answer of Redis as the type that it should have.
fn parse<T: FromRedisValue>(answer: Value) -> Result<T, Error> {
    T::from_redis_value(answer).map_err(|_| Error::Corrupt)
}

fn failure(connection: &Connection, cause: Cause) -> Error {
    Failure { address: Arc::clone(&connection.address), cause }.into()
}
