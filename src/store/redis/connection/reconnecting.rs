//! A connection that is replaced when it no longer serves.
//!
//! One task opens the connection, watches it, and opens the next one, so that there is never more than one attempt at
//! a time. Calls only take what it has published. While there is no connection they wait for one, within their
//! deadlines; once an outage has lasted as long as that, they fail at once. The outage of a server that hangs begins with
//! the command that it does not answer, and not when its connections are left: calls wait only a little longer then, for
//! a new connection may lead to another server.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use redis::ErrorKind;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Connection;
use super::endpoint::Endpoint;
use super::rounds::Rounds;
use super::sentinels::Sentinels;
use super::target::{ServerRole, Target};
use super::wait_commands;
use crate::store::redis::acknowledge::Acknowledge;
use crate::store::redis::failure::{Cause, Failure};
use crate::store::redis::server_address::ServerAddress;

/// Holds one connection at a time. Dropping it closes the connection.
#[derive(Debug)]
pub(in crate::store::redis) struct Reconnecting {
    state: watch::Receiver<ReconnectingState>,
    wakeup: Arc<Notify>,
    target: Arc<Target>,
    rounds: Arc<Rounds>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug)]
enum ReconnectingState {
    Open(Arc<Connection>),
    /// There is no connection. The failure is that of the last attempt.
    Opening {
        /// From when on calls fail at once.
        fails_from: Instant,
        failure: Option<Failure>,
    },
}

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum ConnectionPurpose {
    Commands,
    /// Waiting for acknowledgements, which blocks the connection. See [`super::waiter`].
    Waiting(Acknowledge),
}

impl Reconnecting {
    /// Starts to open a connection, on the current runtime.
    pub(in crate::store::redis) fn start(
        target: &Arc<Target>,
        node: Option<&ServerAddress>,
        rounds: &Arc<Rounds>,
        purpose: ConnectionPurpose,
    ) -> Self {
        let (publisher, state) =
            watch::channel(ReconnectingState::Opening { fails_from: Instant::now() + target.timeout, failure: None });
        let wakeup = Arc::new(Notify::new());
        let opener = Opener {
            target: Arc::clone(target),
            node: node.cloned(),
            rounds: Arc::clone(rounds),
            wakeup: Arc::clone(&wakeup),
            purpose,
            publisher,
        };
        let task = tokio::spawn(opener.run());
        Self { state, wakeup, target: Arc::clone(target), rounds: Arc::clone(rounds), task }
    }

    /// Returns the connection if there is one.
    pub(in crate::store::redis) fn try_connection(&self) -> Option<Arc<Connection>> {
        match &*self.state.borrow() {
            ReconnectingState::Open(connection) if self.rounds.is_usable(connection) => Some(Arc::clone(connection)),
            ReconnectingState::Open(_) | ReconnectingState::Opening { .. } => None,
        }
    }

    /// Returns the connection, or waits for the next one.
    pub(in crate::store::redis) async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        if let Some(connection) = self.try_connection() {
            return Ok(connection);
        }
        let mut state = self.state.clone();
        loop {
            // In each turn, for another call may have left the connection that was published meanwhile.
            self.wakeup.notify_one();
            let fails_from = match &*state.borrow_and_update() {
                ReconnectingState::Open(connection) if self.rounds.is_usable(connection) => {
                    return Ok(Arc::clone(connection));
                }
                ReconnectingState::Opening { fails_from, failure: Some(failure) } if *fails_from <= Instant::now() => {
                    return Err(failure.clone());
                }
                ReconnectingState::Opening { fails_from, failure: Some(_) } => Some(*fails_from),
                ReconnectingState::Open(_) | ReconnectingState::Opening { failure: None, .. } => None,
            };
            tokio::select! {
                // It fails only if the runtime ends.
                changed = state.changed() => changed.map_err(|_| self.target.not_connected())?,
                () = until(fails_from) => {}
            }
        }
    }

    /// Returns why there is no connection.
    pub(in crate::store::redis) fn failure(&self) -> Option<Failure> {
        match &*self.state.borrow() {
            ReconnectingState::Open(_) => None,
            ReconnectingState::Opening { failure, .. } => failure.clone(),
        }
    }

    /// Returns why calls fail at once, if they do.
    pub(in crate::store::redis) fn lasting_failure(&self) -> Option<Failure> {
        // The task of a runtime that has ended opens no connection, and no call waits for one.
        self.state.has_changed().ok()?;
        match &*self.state.borrow() {
            ReconnectingState::Opening { fails_from, failure } if *fails_from <= Instant::now() => failure.clone(),
            ReconnectingState::Open(_) | ReconnectingState::Opening { .. } => None,
        }
    }

    /// Has the connection looked at, because it may have been left.
    pub(in crate::store::redis) fn check(&self) {
        self.wakeup.notify_one();
    }
}

impl Drop for Reconnecting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that opens connections.
struct Opener {
    target: Arc<Target>,
    /// The node of a cluster that the connection leads to.
    node: Option<ServerAddress>,
    rounds: Arc<Rounds>,
    wakeup: Arc<Notify>,
    purpose: ConnectionPurpose,
    publisher: watch::Sender<ReconnectingState>,
}

impl Opener {
    async fn run(self) {
        let mut fails_from = Instant::now() + self.target.timeout;
        loop {
            let connection = Arc::new(self.open(fails_from).await);
            self.publisher.send_replace(ReconnectingState::Open(Arc::clone(&connection)));
            self.watch(&connection).await;
            connection.leave();
            let failure = self.rounds.was_silent(&connection).then(|| self.no_answer(&connection));
            let max_wait = if failure.is_some() { self.target.timeout / 4 } else { self.target.timeout };
            fails_from = Instant::now() + max_wait;
            self.publisher.send_replace(ReconnectingState::Opening { fails_from, failure });
            // A server that closes each connection at once is not asked without a pause.
            sleep_until(connection.opened + MIN_PAUSE).await;
        }
    }

    /// Makes the failure of calls while a server is silent that was so for long before its connections were left.
    fn no_answer(&self, connection: &Connection) -> Failure {
        Failure { address: Arc::clone(&connection.address), cause: Cause::NoAnswer(self.target.timeout) }
    }

    /// Opens a connection, however often it takes.
    async fn open(&self, fails_from: Instant) -> Connection {
        let since = Instant::now();
        loop {
            match self.open_once().await {
                Ok(mut connection) => {
                    self.rounds.admit(&mut connection);
                    if self.purpose == ConnectionPurpose::Commands {
                        self.target.count_opened();
                    }
                    return connection;
                }
                Err(failure) => {
                    self.rounds.count_failure();
                    self.publisher.send_replace(ReconnectingState::Opening { fails_from, failure: Some(failure) });
                    sleep(pause(since.elapsed(), self.target.timeout)).await;
                    self.refresh().await;
                }
            }
        }
    }

    async fn open_once(&self) -> Result<Connection, Failure> {
        let endpoint = self.target.endpoint().await;
        let endpoint = endpoint.as_ref().as_ref().map_err(Clone::clone)?;
        let mut connection = match (&self.node, &self.target.sentinels) {
            (Some(node), _) => self.open_to_node(&endpoint.at(node)).await?,
            (None, None) => self.open_to_url(endpoint).await?,
            (None, Some(sentinels)) => self.open_to_primary(endpoint, sentinels).await?,
        };
        if self.target.needs_terms {
            match connection.read_term(self.target.timeout).await {
                // It tells the slots and reads as well as a primary, and does no write.
                Err(Failure { cause: Cause::NotPrimary, .. })
                    if self.target.sentinels.is_none() && self.purpose == ConnectionPurpose::Commands => {}
                read => read?,
            }
        }
        if let ConnectionPurpose::Waiting(acknowledge) = self.purpose {
            wait_commands::prepare(&connection, acknowledge, self.target.timeout).await?;
        }
        Ok(connection)
    }

    /// Opens a connection to the server that the url names. It has to have the sessions if it should be the primary.
    async fn open_to_url(&self, endpoint: &Endpoint) -> Result<Connection, Failure> {
        let connection = Connection::open(endpoint, self.rounds.current(), self.target.timeout).await?;
        if self.target.role == ServerRole::Primary && self.purpose == ConnectionPurpose::Commands {
            connection.check_data(&self.target.marker_key, self.target.timeout).await?;
        }
        Ok(connection)
    }

    /// Opens a connection to a server that has to be a node of the cluster.
    async fn open_to_node(&self, endpoint: &Endpoint) -> Result<Connection, Failure> {
        let connection = Connection::open(endpoint, self.rounds.current(), self.target.timeout).await?;
        connection.check_cluster(&self.target.known_nodes.load_full(), self.target.timeout).await?;
        Ok(connection)
    }

    /// Whether a new connection would lead to another server or database.
    async fn leads_elsewhere(&self, connection: &Connection) -> bool {
        if self.node.is_some() {
            return false;
        }
        if self.target.leads_elsewhere(&connection.address, connection.database) {
            return true;
        }
        let Some(sentinels) = &self.target.sentinels else { return false };
        let Some(another) = sentinels.another_than(&connection.address, CHECK_INTERVAL).await else { return false };
        let endpoint = self.target.endpoint().await;
        let Ok(endpoint) = &*endpoint else { return false };
        self.open_primary(endpoint, &another, self.target.timeout).await.is_ok()
    }

    /// Tries the servers that the Sentinels name.
    async fn open_to_primary(&self, endpoint: &Endpoint, sentinels: &Sentinels) -> Result<Connection, Failure> {
        let addresses = sentinels.addresses().await?;
        let max_wait = self.target.timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let mut failure = None;
        for address in addresses {
            // A primary that hangs need not be waited for if there is another one by now.
            let opened = tokio::select! {
                opened = self.open_primary(endpoint, &address, max_wait) => opened,
                () = sentinels.await_another_than(&address) => Err(self.target.not_connected()),
            };
            match opened {
                Ok(connection) => {
                    sentinels.confirm(address);
                    return Ok(connection);
                }
                // That of the server that most Sentinels name.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.expect("there is at least one address"))
    }

    /// Opens a connection to a server that has to be a primary.
    async fn open_primary(
        &self,
        endpoint: &Endpoint,
        address: &ServerAddress,
        max_wait: Duration,
    ) -> Result<Connection, Failure> {
        let connection = Connection::open(&endpoint.at(address), self.rounds.current(), max_wait).await?;
        connection.check_role(max_wait).await?;
        Ok(connection)
    }

    /// Reads the files again, because a password or a certificate may have been replaced.
    async fn refresh(&self) {
        self.target.refresh().await;
        if let Some(sentinels) = &self.target.sentinels {
            sentinels.refresh().await;
        }
    }

    /// Returns when the connection has to be replaced.
    async fn watch(&self, connection: &Connection) {
        tokio::select! {
            () = connection.closed() => {}
            () = self.left(connection) => {}
            () = self.check_regularly(connection) => {}
        }
    }

    /// Waits until a call has left the connection.
    async fn left(&self, connection: &Connection) {
        while self.rounds.is_usable(connection) {
            self.wakeup.notified().await;
        }
    }

    /// Checks the connection until it has to be left.
    ///
    /// Nothing else tells that its peer is gone while no call is made, or that its server is no longer the primary. And
    /// no load balancer takes it for idle.
    async fn check_regularly(&self, connection: &Connection) {
        while self.rounds.is_usable(connection) {
            sleep(CHECK_INTERVAL).await;
            tokio::join!(self.check(connection), self.refresh());
            if self.leads_elsewhere(connection).await {
                self.rounds.leave_all(connection, "new connections lead to another server");
            }
        }
    }

    async fn check(&self, connection: &Connection) {
        let before = connection.counts();
        let mut info = redis::cmd("INFO");
        info.arg("replication");
        let mut commands = connection.commands();
        let max_wait = match self.purpose {
            ConnectionPurpose::Commands => self.target.timeout,
            // It is answered after the wait that is under way.
            ConnectionPurpose::Waiting(_) => 2 * self.target.timeout,
        };
        let answered = timeout(max_wait, info.query_async::<String>(&mut commands)).await;
        if answered.as_ref().is_ok_and(|answer| answer.as_ref().err().is_none_or(|it| it.kind() != ErrorKind::Io)) {
            connection.record_answer();
        }
        match answered {
            Ok(Ok(replication)) if self.target.role == ServerRole::Primary && replication.contains("\nrole:slave") => {
                self.rounds.leave_all(connection, "the server is a replica");
            }
            // It was opened to a replica, which is a primary by now.
            Ok(Ok(replication))
                if self.target.needs_terms && connection.term.is_none() && replication.contains("\nrole:master") =>
            {
                connection.leave();
            }
            // A user without the right to this command gets an answer, too.
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() != ErrorKind::Io => {}
            Ok(Err(_)) => {
                self.rounds.count_failure();
                connection.leave();
            }
            Err(_) => {
                self.rounds.count_failure();
                self.rounds.leave_unanswered(connection, before, "a check was not answered");
            }
        }
    }
}

/// Returns how long to wait before the next attempt to connect, after an outage of this length.
fn pause(outage: Duration, timeout: Duration) -> Duration {
    (outage / 8).clamp(MIN_PAUSE, MAX_PAUSE.min(timeout).max(MIN_PAUSE))
}

/// Waits until then; forever if it is not known.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// How often a connection is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest and the longest pause between two attempts to connect. The longer an outage, the longer the pause, up to
/// the timeout of a call: a failover takes three of these at most.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_with_the_outage_up_to_the_timeout_of_a_call() {
        let millis = Duration::from_millis;
        let table = [(0, 1000, 50), (1600, 1000, 200), (60_000, 1000, 500), (60_000, 200, 200), (60_000, 10, 50)];
        for (outage, timeout, expected) in table {
            assert_eq!(pause(millis(outage), millis(timeout)), millis(expected), "{outage} {timeout}");
        }
    }
}
