//! Where commands go: to the one server, or to the node of a cluster that has their slot.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, Pipeline, ServerErrorKind, Value};

use super::acknowledge::{Acknowledge, WriteKind};
use super::answer::{parse, parse_one, parse_several, server_error};
use super::cluster::Cluster;
use super::cluster::answered_write::AnsweredWrite;
use super::cluster::slots::Node;
use super::connection::connections::Connections;
use super::connection::process_id::ProcessId;
use super::connection::target::ServerRole;
use super::connection::waiter::Receipt;
use super::failure::{Cause, Failure};
use super::partitions::Slot;
use super::scripts::Script;
use super::sequence::{Repeat, Sequence, pipeline};
use super::settings::{Mode, Settings};
use crate::store::Error;
use crate::types::SettingError;

/// Sends commands where they can be done.
#[derive(Debug)]
pub(super) enum Router {
    /// One primary, which may be replaced by another one.
    Single(Connections),
    Cluster(Arc<Cluster>),
}

/// A server that takes commands of its own, such as SCAN.
#[derive(Clone, Debug)]
pub(super) enum AnyServer {
    Single,
    Node(Arc<Node>),
}

impl AnyServer {
    /// The address of a node of a cluster.
    pub(super) fn node(&self) -> Option<String> {
        match self {
            Self::Single => None,
            Self::Node(node) => Some(node.address.to_string()),
        }
    }
}

impl Router {
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingError> {
        Ok(match settings.mode {
            Mode::Standalone | Mode::Sentinel => Self::Single(Connections::new(settings, ServerRole::Primary)?),
            Mode::Cluster => Self::Cluster(Cluster::new(settings)?),
        })
    }

    /// Reads the files of the settings. Blocks on the disk.
    pub(super) fn read_files(&self) -> Result<(), SettingError> {
        match self {
            Self::Single(connections) => connections.read_files(),
            Self::Cluster(cluster) => cluster.target.read_all_files(),
        }
    }

    /// Does one command.
    pub(super) async fn query<T: FromRedisValue>(&self, sequence: impl Into<Sequence<'_>>) -> Result<T, Error> {
        parse_one(self.run(&sequence.into()).await?)
    }

    /// Does one command; `None` if its slot is being moved and its keys are at two nodes.
    pub(super) async fn query_unless_split<T: FromRedisValue>(
        &self,
        sequence: impl Into<Sequence<'_>>,
    ) -> Result<Option<T>, Error> {
        match self {
            Self::Single(_) => self.query(sequence).await.map(Some),
            Self::Cluster(cluster) => {
                cluster.refresh_at_times();
                cluster.run_unless_split(&sequence.into()).await?.map(parse_one).transpose()
            }
        }
    }

    /// Does several commands, and reads all answers together.
    pub(super) async fn query_several<T: FromRedisValue>(&self, sequence: Sequence<'_>) -> Result<T, Error> {
        parse_several(self.run(&sequence).await?)
    }

    async fn run(&self, sequence: &Sequence<'_>) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Single(connections) => run_checked(connections, sequence).await.map(|(answers, _)| answers),
            Self::Cluster(cluster) => {
                cluster.refresh_at_times();
                cluster.run(sequence).await
            }
        }
    }

    /// Does many sequences that only read. In a cluster the nodes do not wait for one that hangs: see [`FeedTimeout`].
    ///
    /// [`FeedTimeout`]: super::cluster::feed_timeout::FeedTimeout
    pub(super) async fn all_promptly(&self, sequences: Vec<Sequence<'static>>) -> Vec<Result<Vec<Value>, Failure>> {
        match self {
            Self::Single(_) => self.all(&sequences).await,
            Self::Cluster(cluster) => {
                cluster.refresh_at_times();
                cluster.run_all_promptly(sequences).await
            }
        }
    }

    /// Does many sequences, which all call the same script or none, in one round trip to each server.
    pub(super) async fn all(&self, sequences: &[Sequence<'_>]) -> Vec<Result<Vec<Value>, Failure>> {
        if sequences.is_empty() {
            return Vec::new();
        }
        let connections = match self {
            Self::Single(connections) => connections,
            Self::Cluster(cluster) => {
                cluster.refresh_at_times();
                return cluster.run_all(sequences).await;
            }
        };
        match run_all(connections, sequences).await {
            Ok((results, _)) => results,
            Err(failure) => sequences.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    /// Returns the acknowledgement of saves, and that of writes that end sessions.
    pub(super) fn acknowledges(&self) -> [Acknowledge; 2] {
        match self {
            Self::Single(connections) => connections.acknowledges(),
            Self::Cluster(cluster) => cluster.target.acknowledges,
        }
    }

    /// Whether a write of this kind waits for more than its primary.
    pub(super) fn waits(&self, kind: WriteKind) -> bool {
        self.acknowledges()[kind as usize] != Acknowledge::Primary
    }

    /// Does a sequence that writes. Returns the answers, and what [`Self::acknowledge()`] needs.
    pub(super) async fn write(&self, sequence: &Sequence<'_>) -> Result<(Vec<Value>, AnsweredWrite), Failure> {
        match self {
            Self::Single(connections) => {
                let (answers, receipt) = run_checked(connections, sequence).await?;
                Ok((answers, AnsweredWrite { node: None, slot: sequence.slot, receipt }))
            }
            Self::Cluster(cluster) => {
                cluster.refresh_at_times();
                cluster.write(sequence).await
            }
        }
    }

    /// The same; `None` if its slot is being moved and its keys are at two nodes.
    pub(super) async fn write_unless_split(
        &self,
        sequence: &Sequence<'_>,
    ) -> Result<Option<(Vec<Value>, AnsweredWrite)>, Failure> {
        match self {
            Self::Single(_) => self.write(sequence).await.map(Some),
            Self::Cluster(cluster) => {
                cluster.refresh_at_times();
                cluster.write_unless_split(sequence).await
            }
        }
    }

    /// The same for many sequences, which all call the same script, in one round trip to each server.
    pub(super) async fn write_all(
        &self,
        sequences: &[Sequence<'_>],
    ) -> Vec<Result<(Vec<Value>, AnsweredWrite), Failure>> {
        let connections = match self {
            Self::Single(connections) => connections,
            Self::Cluster(cluster) => {
                cluster.refresh_at_times();
                return cluster.write_all(sequences).await;
            }
        };
        match run_all(connections, sequences).await {
            Ok((results, receipt)) => {
                let written = |slot| AnsweredWrite { node: None, slot, receipt: receipt.clone() };
                let results = results.into_iter().zip(sequences);
                results.map(|(result, sequence)| Ok((result?, written(sequence.slot)))).collect()
            }
            Err(failure) => sequences.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    /// Waits until a write that this server did is acknowledged. Only waits use the key.
    pub(super) async fn acknowledge(
        &self,
        kind: WriteKind,
        server: &AnyServer,
        receipt: Receipt,
        key: Vec<u8>,
    ) -> Result<(), Failure> {
        self.connections_of(server)?.acknowledge(kind, receipt, key).await
    }

    /// The first and the last slot of a node, as far as is known.
    pub(super) fn some_slots(&self, server: &AnyServer) -> Vec<Slot> {
        match (self, server) {
            (Self::Cluster(cluster), AnyServer::Node(node)) => cluster.table().some_slots(node),
            _ => Vec::new(),
        }
    }

    /// Checks that a server lets writes wait.
    pub(super) async fn check_waiters(&self, server: &AnyServer) -> Result<(), Failure> {
        self.connections_of(server)?.check_waiters().await
    }

    /// Checks that each worker has the connections to a server that its calls need.
    pub(super) fn check_connections(&self, server: &AnyServer) -> Result<(), Failure> {
        self.connections_of(server)?.check_all()
    }

    /// Returns all servers that have sessions, in the order of their first slots.
    pub(super) async fn servers(&self) -> Result<Vec<AnyServer>, Error> {
        match self {
            Self::Single(_) => Ok(vec![AnyServer::Single]),
            Self::Cluster(cluster) => {
                let table = cluster.known_table().await?;
                Ok(table.nodes().iter().cloned().map(AnyServer::Node).collect())
            }
        }
    }

    /// The number of the database. A cluster has only one.
    pub(super) async fn database(&self) -> i64 {
        match self {
            Self::Single(connections) => connections.database().await,
            Self::Cluster(_) => 0,
        }
    }

    /// The slot itself in a cluster; elsewhere one that stands for all, so that one sequence can have any keys.
    pub(super) const fn common_slot(&self, slot: Slot) -> Slot {
        match self {
            Self::Single(_) => Slot(0),
            Self::Cluster(_) => slot,
        }
    }

    /// The number of the node that has a slot, as far as is known; 0 for a single server.
    pub(super) fn node_number(&self, slot: Slot) -> u16 {
        match self {
            Self::Single(_) => 0,
            Self::Cluster(cluster) => cluster.table().node_number(slot),
        }
    }

    /// How often connections led to another server than before. Those to nodes of a known cluster never lead to another one.
    pub(super) fn server_changes(&self) -> u64 {
        match self {
            Self::Single(connections) => connections.server_changes(),
            Self::Cluster(cluster) => cluster.cluster_changes(),
        }
    }

    /// Waits until it is known which cluster it is. A single server is that of the url.
    pub(super) async fn await_identity(&self) -> Result<(), Failure> {
        match self {
            Self::Single(_) => Ok(()),
            Self::Cluster(cluster) => cluster.await_identity().await,
        }
    }

    /// How many connections for commands were opened, to all servers together.
    pub(super) fn opened_connections(&self) -> u64 {
        match self {
            Self::Single(connections) => connections.opened(),
            Self::Cluster(cluster) => cluster.target.opened(),
        }
    }

    /// Whether this server has a slot. A single one has all.
    pub(super) fn has(&self, server: &AnyServer, slot: Slot) -> bool {
        match (self, server) {
            (Self::Cluster(cluster), AnyServer::Node(node)) => {
                cluster.table().node(slot).is_some_and(|other| Arc::ptr_eq(node, other))
            }
            _ => true,
        }
    }

    /// Whether two slots are at the same node, as far as is known. A single server has all.
    pub(super) fn are_at_one_node(&self, slot: Slot, other: Slot) -> bool {
        let Self::Cluster(cluster) = self else { return true };
        let table = cluster.table();
        let (node, other) = (table.node(slot), table.node(other));
        node.zip(other).is_some_and(|(node, other)| Arc::ptr_eq(node, other))
    }

    /// Sends commands that only read to one server. Any answer may be an error of Redis.
    pub(super) async fn read_on(&self, server: &AnyServer, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        self.connections_of(server)?.run(commands, Repeat::IfClosed).await
    }

    /// Sends one command that only reads to one server.
    pub(super) async fn query_on<T: FromRedisValue>(&self, server: &AnyServer, command: Cmd) -> Result<T, Error> {
        let answers = self.read_on(server, &pipeline([command])).await?;
        self.connections_of(server)?.check(&answers)?;
        parse_one(answers)
    }

    /// As [`Self::query_on()`]. `None` if the user may not run the command.
    pub(super) async fn query_if_allowed<T: FromRedisValue>(
        &self,
        server: &AnyServer,
        command: Cmd,
    ) -> Result<Option<T>, Error> {
        let answers = self.read_on(server, &pipeline([command])).await?;
        let error = answers.first().and_then(server_error);
        if error.is_some_and(|error| error.kind() == Some(ServerErrorKind::NoPerm)) {
            return Ok(None);
        }
        self.connections_of(server)?.check(&answers)?;
        parse_one(answers).map(Some)
    }

    /// As [`Self::query_on()`], and says which process has answered. `None`: this user may not ask.
    pub(super) async fn query_process_on<T: FromRedisValue>(
        &self,
        server: &AnyServer,
        command: Cmd,
    ) -> Result<(T, Option<ProcessId>), Error> {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let mut answers = self.read_on(server, &pipeline([command, info])).await?;
        let info = answers.pop().filter(|answer| server_error(answer).is_none());
        self.connections_of(server)?.check(&answers)?;
        let info: Option<String> = info.map(parse).transpose()?;
        Ok((parse_one(answers)?, info.as_deref().and_then(ProcessId::read)))
    }

    /// Makes the error of a Redis that answers, but cannot be used.
    pub(super) fn unsuitable(&self, server: &AnyServer, problem: String) -> Error {
        match self.connections_of(server) {
            Ok(connections) => connections.unsuitable(problem).into(),
            Err(failure) => Failure { cause: Cause::Unsuitable(problem.into()), ..failure }.into(),
        }
    }

    /// The address of a server, for logs.
    pub(super) fn address(&self, server: &AnyServer) -> Arc<str> {
        self.connections_of(server).map_or_else(|failure| failure.address, Connections::address)
    }

    fn connections_of<'c>(&'c self, server: &'c AnyServer) -> Result<&'c Connections, Failure> {
        match (self, server) {
            (_, AnyServer::Node(node)) => Ok(&node.connections),
            (Self::Single(connections), AnyServer::Single) => Ok(connections),
            (Self::Cluster(cluster), AnyServer::Single) => {
                Err(Failure { address: Arc::clone(&cluster.target.address), cause: Cause::NoNode })
            }
        }
    }
}

/// Does a sequence, and fails if one of its commands fails.
pub(super) async fn run_checked(
    connections: &Connections,
    sequence: &Sequence<'_>,
) -> Result<(Vec<Value>, Receipt), Failure> {
    let (commands, repeat) = (&sequence.commands, sequence.repeat);
    let (mut answers, mut receipt) = connections.run_with_receipt(commands, 0, repeat).await?;
    if let Some(script) = sequence.script.filter(|_| lacks_script(&answers)) {
        (answers, receipt) = run_loading(connections, Some(script), commands, repeat).await?;
    }
    connections.check(&answers)?;
    Ok((answers, receipt))
}

/// Does many sequences, which all call the same script or none.
pub(super) async fn run_all(
    connections: &Connections,
    sequences: &[Sequence<'_>],
) -> Result<(Vec<Result<Vec<Value>, Failure>>, Receipt), Failure> {
    let commands = pipeline(sequences.iter().flat_map(|sequence| sequence.commands.cmd_iter().cloned()));
    let (script, repeat) = sequences.first().map_or((None, Repeat::IfClosed), |first| (first.script, first.repeat));
    let (answers, receipt) = run_loading(connections, script, &commands, repeat).await?;
    let mut answers = answers.into_iter();
    let take = |sequence: &Sequence<'_>| {
        let answers: Vec<Value> = answers.by_ref().take(sequence.len()).collect();
        connections.check(&answers).map(|()| answers)
    };
    Ok((sequences.iter().map(take).collect(), receipt))
}

/// Sends commands behind the one that loads their script. Any answer may be an error of Redis.
async fn run_loading(
    connections: &Connections,
    script: Option<&Script>,
    commands: &Pipeline,
    repeat: Repeat,
) -> Result<(Vec<Value>, Receipt), Failure> {
    let Some(script) = script else { return connections.run_with_receipt(commands, 0, repeat).await };
    let loading = pipeline([script.load()].into_iter().chain(commands.cmd_iter().cloned()));
    let (mut answers, receipt) = connections.run_with_receipt(&loading, 1, repeat).await?;
    connections.check(answers.get(..1).unwrap_or_default())?;
    answers.remove(0);
    Ok((answers, receipt))
}

fn lacks_script(answers: &[Value]) -> bool {
    let error = answers.first().and_then(server_error);
    error.is_some_and(|error| error.kind() == Some(ServerErrorKind::NoScript))
}
