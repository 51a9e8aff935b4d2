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
use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, ServerError, Value};
use tokio::runtime::{self, Handle};
use tokio::time::{Instant, timeout_at};

use super::Connection;
use super::reconnecting::{ConnectionPurpose, Reconnecting};
use super::rounds::Rounds;
use super::target::{ServerRole, Target};
use super::term::PrimaryTerm;
use super::waiter::{Receipt, WaitLog, Waiter};
use crate::store::Error;
use crate::store::redis::acknowledge::{Acknowledge, WriteKind};
use crate::store::redis::answer::{parse, server_error};
use crate::store::redis::failure::{Cause, Failure, is_of_wrong_server};
use crate::store::redis::sequence::Repeat;
use crate::store::redis::server_address::ServerAddress;
use crate::store::redis::settings::Settings;
use crate::types::SettingError;

/// The connections of all runtimes.
#[derive(Debug)]
pub(in crate::store) struct Connections {
    target: Arc<Target>,
    /// The node of a cluster that they lead to. `None`: the target says where.
    node: Option<ServerAddress>,
    rounds: Arc<Rounds>,
    wait_log: Arc<WaitLog>,
    /// As many as there are workers. They are never removed, because no worker ends before the process.
    by_runtime: RwLock<Vec<(runtime::Id, Arc<RuntimeConnections>)>>,
}

/// A connection that was open a moment ago.
#[derive(Debug)]
pub(in crate::store::redis) struct OpenConnection {
    connections: Arc<RuntimeConnections>,
    index: usize,
    connection: Arc<Connection>,
}

/// The connections of one runtime.
#[derive(Debug)]
struct RuntimeConnections {
    connections: Vec<Reconnecting>,
    next: AtomicUsize,
    /// For saves, and for what ends sessions: often the same. `None`: the primary acknowledges them.
    waiters: [Option<Arc<Waiter>>; 2],
}

/// Why commands were not answered.
#[derive(Clone, Debug)]
pub(in crate::store::redis) enum Unanswered {
    /// The connection was closed before they were sent.
    NotSent(Failure),
    /// The connection was closed after they were sent: whether they were done is unknown.
    Closed(Failure),
    /// Nothing came within the deadline.
    TimedOut(Failure),
}

impl OpenConnection {
    /// The term of the server. `None`: nobody needs it, or it is a replica.
    pub(in crate::store::redis) fn term(&self) -> Option<&Arc<PrimaryTerm>> {
        self.connection.term.as_ref()
    }
}

impl Unanswered {
    pub(in crate::store::redis) const fn failure(&self) -> &Failure {
        match self {
            Self::NotSent(failure) | Self::Closed(failure) | Self::TimedOut(failure) => failure,
        }
    }
}

impl Connections {
    /// Prepares connections, each of which is opened at its first use.
    pub(in crate::store) fn new(settings: &Settings, role: ServerRole) -> Result<Self, SettingError> {
        Ok(Self::to(Arc::new(Target::new(settings, role)?), None))
    }

    /// Prepares connections to the target, or to a node of a cluster, with all else as the target has it.
    pub(in crate::store::redis) fn to(target: Arc<Target>, node: Option<ServerAddress>) -> Self {
        let rounds = Arc::new(Rounds::new(target.timeout));
        Self { target, node, rounds, wait_log: Arc::default(), by_runtime: RwLock::default() }
    }

    /// Reads the files of the settings. Blocks on the disk.
    ///
    /// Without it the first connection does that. Fails if no connection could be opened with what is in them.
    pub(in crate::store::redis) fn read_files(&self) -> Result<(), SettingError> {
        self.target.read_all_files()
    }

    /// Sends several commands at once that only read, and fails if one of them fails.
    pub(in crate::store) async fn pipeline<T: FromRedisValue>(&self, pipe: Pipeline) -> Result<T, Error> {
        let answers = self.run(&pipe, Repeat::IfClosed).await?;
        self.check(&answers)?;
        parse(Value::Array(answers))
    }

    /// Returns the acknowledgement of saves, and that of writes that end sessions.
    pub(in crate::store::redis) fn acknowledges(&self) -> [Acknowledge; 2] {
        self.target.acknowledges
    }

    /// Waits until a write is acknowledged. The key is one that the server has, and that nothing else uses.
    pub(in crate::store::redis) async fn acknowledge(
        &self,
        kind: WriteKind,
        receipt: Receipt,
        key: Vec<u8>,
    ) -> Result<(), Failure> {
        match &self.of_current_runtime().waiters[kind as usize] {
            Some(waiter) => waiter.wait(receipt, key).await,
            None => Ok(()),
        }
    }

    /// Checks that Redis lets writes wait.
    pub(in crate::store::redis) async fn check_waiters(&self) -> Result<(), Failure> {
        for waiter in self.of_current_runtime().waiters.iter().flatten() {
            waiter.check().await?;
        }
        Ok(())
    }

    /// As [`Self::run_with_receipt()`], for commands that nothing waits for.
    pub(in crate::store::redis) async fn run(
        &self,
        commands: &Pipeline,
        repeat: Repeat,
    ) -> Result<Vec<Value>, Failure> {
        self.run_with_receipt(commands, 0, repeat).await.map(|(answers, _)| answers)
    }

    /// Sends commands, and once more if surely none of them was done, or they only read.
    ///
    /// Any answer may be an error of Redis. The receipt is what [`Self::acknowledge()`] needs. The first `loads` commands
    /// load scripts, which a server does that refuses everything else.
    pub(in crate::store::redis) async fn run_with_receipt(
        &self,
        commands: &Pipeline,
        loads: usize,
        repeat: Repeat,
    ) -> Result<(Vec<Value>, Receipt), Failure> {
        let deadline = Instant::now() + self.target.timeout;
        let connections = self.of_current_runtime();
        let reconnecting = connections.next();
        let mut is_repeated = false;
        loop {
            let connecting = timeout_at(deadline, reconnecting.connection()).await;
            let connection = connecting.unwrap_or_else(|_| Err(self.not_connected(reconnecting)))?;
            match self.exchange(reconnecting, &connection, commands, deadline).await {
                Ok(answers) => {
                    let is_refused =
                        |answer| server_error(answer).is_some_and(|error| is_of_wrong_server(error.code()));
                    let answered = answers.get(loads..).unwrap_or_default();
                    let is_left = answered.iter().any(is_refused) && self.leave_wrong_server(reconnecting, &connection);
                    // A server that becomes the primary in between has done the later commands.
                    let may_repeat = repeat == Repeat::IfClosed || answered.iter().all(is_refused);
                    if is_repeated || !is_left || !may_repeat {
                        return Ok((answers, Receipt { term: connection.term.clone(), deadline }));
                    }
                }
                Err(Unanswered::NotSent(_)) if !is_repeated => {}
                Err(Unanswered::Closed(_)) if !is_repeated && repeat == Repeat::IfClosed => {}
                Err(unanswered) => return Err(unanswered.failure().clone()),
            }
            is_repeated = true;
        }
    }

    /// Returns a connection if one is open now.
    pub(in crate::store::redis) fn try_open(&self) -> Option<OpenConnection> {
        let connections = self.of_current_runtime();
        let index = connections.next_index();
        let connection = connections.connections[index].try_connection()?;
        Some(OpenConnection { connections, index, connection })
    }

    /// Waits for a connection.
    ///
    /// Fails only if there has been none for as long as an operation may take.
    pub(in crate::store::redis) async fn open(&self) -> Result<OpenConnection, Failure> {
        let connections = self.of_current_runtime();
        let index = connections.next_index();
        let connection = connections.connections[index].connection().await?;
        Ok(OpenConnection { connections, index, connection })
    }

    /// Sends commands on this connection in one write, and waits for their answers.
    ///
    /// Any answer may be an error of Redis.
    pub(in crate::store::redis) async fn exchange_on(
        &self,
        open: &OpenConnection,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Unanswered> {
        let reconnecting = &open.connections.connections[open.index];
        self.exchange(reconnecting, &open.connection, commands, deadline).await
    }

    async fn exchange(
        &self,
        reconnecting: &Reconnecting,
        connection: &Connection,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Value>, Unanswered> {
        let (before, begin) = (connection.counts(), Instant::now());
        let mut handle = connection.commands();
        let answered = timeout_at(deadline, handle.send_packed_commands(commands, 0, commands.len())).await;
        if !matches!(answered, Ok(Ok(_))) {
            self.rounds.count_failure();
        }
        match answered {
            Ok(Ok(answers)) => {
                connection.record_answer();
                Ok(answers)
            }
            Ok(Err(error)) => {
                // Errors of another kind come from the library, and not from the network.
                let is_of_network = error.kind() == ErrorKind::Io;
                if is_of_network {
                    connection.leave();
                }
                reconnecting.check();
                let was_not_sent = is_of_network && !connection.has_sent_since(before);
                let failure = failure(connection, error.into());
                Err(if was_not_sent { Unanswered::NotSent(failure) } else { Unanswered::Closed(failure) })
            }
            Err(_) => {
                // Not the short rest of a deadline, and not a connection that was opened meanwhile.
                let had_its_time =
                    begin.elapsed() >= self.target.timeout / 2 && connection.opened.elapsed() >= self.target.timeout;
                if had_its_time && self.rounds.leave_unanswered(connection, before, "a command was not answered") {
                    reconnecting.check();
                }
                Err(Unanswered::TimedOut(failure(connection, Cause::NoAnswer(self.target.timeout))))
            }
        }
    }

    /// Leaves all connections, if this one is not new.
    pub(in crate::store::redis) fn leave(&self, open: &OpenConnection, why: &str) {
        self.rounds.leave_all(&open.connection, why);
        open.connections.connections[open.index].check();
    }

    /// Leaves all connections, because the server refuses. Returns whether another one may be tried.
    fn leave_wrong_server(&self, reconnecting: &Reconnecting, connection: &Connection) -> bool {
        let is_left = self.rounds.leave_all(connection, "the server refuses");
        reconnecting.check();
        is_left
    }

    /// Fails if one of these answers is an error of Redis.
    pub(in crate::store::redis) fn check(&self, answers: &[Value]) -> Result<(), Failure> {
        answers.iter().find_map(server_error).map_or(Ok(()), |error| Err(self.refused(error)))
    }

    /// Makes the error of an answer that is one.
    pub(in crate::store::redis) fn refused(&self, error: &ServerError) -> Failure {
        Failure { address: self.address(), cause: RedisError::from(error.clone()).into() }
    }

    /// Makes the error of a Redis that answers, but cannot be used.
    pub(in crate::store::redis) fn unsuitable(&self, problem: String) -> Failure {
        Failure { address: self.address(), cause: Cause::Unsuitable(problem.into()) }
    }

    fn not_connected(&self, reconnecting: &Reconnecting) -> Failure {
        let cause = Cause::NotConnected(self.target.timeout);
        let none_yet = Failure { address: self.address(), cause };
        reconnecting.failure().unwrap_or(none_yet)
    }

    /// Makes the failure of a server that has not answered yet.
    pub(in crate::store::redis) fn silent(&self) -> Failure {
        Failure { address: self.address(), cause: Cause::NoAnswer(self.target.timeout) }
    }

    /// Says why there is no connection.
    pub(in crate::store::redis) fn why_none(&self) -> Failure {
        self.not_connected(self.of_current_runtime().next())
    }

    /// Whether at least one connection is open. `None`: nobody has used any.
    pub(in crate::store::redis) fn is_open(&self) -> Option<bool> {
        let all = self.by_runtime.read();
        let mut connections = all.iter().flat_map(|(_, of_runtime)| &of_runtime.connections);
        (!all.is_empty()).then(|| connections.any(|connection| connection.try_connection().is_some()))
    }

    /// Checks that no worker lacks a connection that its calls need: one with others tells nothing of them.
    pub(in crate::store::redis) fn check_all(&self) -> Result<(), Failure> {
        let all = self.by_runtime.read();
        let failing = all.iter().find_map(|(_, of_runtime)| {
            let commands = of_runtime.connections.iter().find_map(Reconnecting::lasting_failure);
            commands.or_else(|| of_runtime.waiters.iter().flatten().find_map(|waiter| waiter.lasting_failure()))
        });
        failing.map_or(Ok(()), Err)
    }

    /// How often commands were not answered, and connections could not be opened.
    pub(in crate::store::redis) fn failures(&self) -> u64 {
        self.rounds.failures()
    }

    /// How often a connection led to another server than the one before it.
    pub(in crate::store::redis) fn server_changes(&self) -> u64 {
        self.rounds.server_changes()
    }

    /// How many connections for commands were opened to the target and its nodes.
    pub(in crate::store::redis) fn opened(&self) -> u64 {
        self.target.opened()
    }

    /// The address of the last connection, or that of the first one to come.
    pub(in crate::store::redis) fn address(&self) -> Arc<str> {
        self.rounds.address().unwrap_or_else(|| match &self.node {
            Some(node) => node.to_string().into(),
            None => Arc::clone(&self.target.address),
        })
    }

    /// The number of the database that new connections lead to.
    pub(in crate::store::redis) async fn database(&self) -> i64 {
        let endpoint = self.target.endpoint().await;
        endpoint.as_ref().as_ref().map_or(0, |endpoint| endpoint.info.redis_settings().db())
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
        let start =
            |_| Reconnecting::start(&self.target, self.node.as_ref(), &self.rounds, ConnectionPurpose::Commands);
        let connections = (0..self.target.connections).map(start).collect();
        let waiters = self.start_waiters();
        let connections = Arc::new(RuntimeConnections { connections, next: AtomicUsize::new(0), waiters });
        all.push((current, Arc::clone(&connections)));
        connections
    }

    /// Starts the waiters of a runtime: one for each setting.
    fn start_waiters(&self) -> [Option<Arc<Waiter>>; 2] {
        let node = self.node.as_ref();
        let start =
            |acknowledge| Arc::new(Waiter::start(acknowledge, &self.target, node, &self.rounds, &self.wait_log));
        let start = |acknowledge| (acknowledge != Acknowledge::Primary).then(|| start(acknowledge));
        let [saves, endings] = self.target.acknowledges;
        let for_saves = start(saves);
        let for_endings = if endings == saves { for_saves.clone() } else { start(endings) };
        [for_saves, for_endings]
    }
}

impl RuntimeConnections {
    /// Takes turns, so that each connection gets as many operations as any other.
    fn next(&self) -> &Reconnecting {
        &self.connections[self.next_index()]
    }

    fn next_index(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len()
    }
}

fn failure(connection: &Connection, cause: Cause) -> Failure {
    Failure { address: Arc::clone(&connection.address), cause }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;
    use crate::store::redis::sequence::pipeline;

    const TIMEOUT: Duration = Duration::from_millis(200);

    /// Starts a Redis that answers each command as this function says, which is given its bytes.
    async fn start_redis(answer: impl Fn(&str) -> &'static str + Clone + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                        let commands = str::from_utf8(&bytes[..count]).unwrap().split('*').skip(1);
                        let answers: String = commands.map(&answer).collect();
                        stream.write_all(answers.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        url
    }

    #[tokio::test]
    async fn a_server_is_silent_only_if_a_command_has_waited_for_more_than_the_rest_of_a_deadline() {
        let url = start_redis(|command| if command.contains("GET") { "" } else { "+OK\r\n" }).await;
        let settings = Settings { url, timeout: TIMEOUT, ..Settings::default() };
        let connections = Connections::new(&settings, ServerRole::PrimaryOrReplica).unwrap();
        let get = pipeline([redis::cmd("GET")]);
        for (wait, is_left) in [(TIMEOUT / 20, false), (TIMEOUT, true)] {
            let open = connections.open().await.unwrap();
            while open.connection.opened.elapsed() < TIMEOUT {
                sleep(TIMEOUT / 20).await;
            }

            let answered = connections.exchange_on(&open, &get, Instant::now() + wait).await;

            assert!(matches!(answered, Err(Unanswered::TimedOut(_))), "{answered:?}");
            assert_eq!(connections.rounds.was_silent(&open.connection), is_left, "{wait:?}");
        }
    }

    #[tokio::test]
    async fn commands_are_repeated_only_if_the_wrong_server_has_done_none_of_them_or_they_only_read() {
        // The first two commands with this name are refused.
        for (second, repeat, expected) in
            [("ACCEPTED", Repeat::IfNotSent, 1), ("REFUSED", Repeat::IfNotSent, 4), ("ACCEPTED", Repeat::IfClosed, 2)]
        {
            let sent = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&sent);
            let answer = move |command: &str| {
                let is_refused = command.contains("REFUSED") && counted.fetch_add(1, Ordering::Relaxed) < 2;
                if is_refused { "-READONLY You can't write against a read only replica.\r\n" } else { "+OK\r\n" }
            };
            let url = start_redis(answer).await;
            let settings = Settings { url, timeout: TIMEOUT, connections: 1, ..Settings::default() };
            let connections = Connections::new(&settings, ServerRole::PrimaryOrReplica).unwrap();
            let open = connections.open().await.unwrap();
            while open.connection.opened.elapsed() < TIMEOUT {
                sleep(TIMEOUT / 20).await;
            }

            let commands = pipeline(["REFUSED", second].map(redis::cmd));
            connections.run(&commands, repeat).await.unwrap();

            assert_eq!(sent.load(Ordering::Relaxed), expected, "{second} {repeat:?}");
        }
    }
}
