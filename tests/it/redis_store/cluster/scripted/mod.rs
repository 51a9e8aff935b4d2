//! Nodes of a cluster that answer as a script of random choices says, but never contradict the protocol.
//!
//! Between any two commands, a slot may begin to move, keys of it may move, and the slot after them. Each command may be
//! refused, each connection closed. A node may refuse connections or hang while another one takes its slots, and a node of
//! another cluster may have got its address.

mod faults;
mod state;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(super) use self::faults::{CASES, Choices, Faults};
pub(super) use self::state::{GENERATION, bulk};
use self::state::{Reply, State};
use crate::process::child::eventually;
use crate::support::ports::free_port;

/// How many nodes there are.
pub(super) const NODES: usize = 3;

/// The nodes. Dropping it ends them.
pub(super) struct ScriptedCluster {
    pub(super) ports: [u16; NODES],
    state: Arc<Mutex<State>>,
    nodes: [JoinSet<()>; NODES],
    /// Whether each node answers. One that does not keeps what it is sent, and does it when it answers again.
    answers: [watch::Sender<bool>; NODES],
    /// What all nodes together were sent, and what they wait for.
    received: watch::Sender<Received>,
}

/// What all nodes together were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) loads_of_scripts: usize,
    pub(super) script_calls: usize,
    /// No node answers the call of a script before all of them together were sent so many.
    awaited: usize,
}

impl ScriptedCluster {
    /// Starts the nodes. They share the slots evenly. Their keys are those of so many partitions, and sessions with these ids.
    pub(super) async fn start(choices: Choices, faults: Faults, partitions: u16, ids: &[String]) -> Self {
        let ports = [(); NODES].map(|()| free_port());
        let mut cluster = Self {
            ports,
            state: Arc::new(Mutex::new(State::new(choices, faults, partitions, ports, ids))),
            nodes: Default::default(),
            answers: [(); NODES].map(|()| watch::Sender::new(true)),
            received: watch::Sender::default(),
        };
        for number in 0..NODES {
            cluster.accept(number).await;
        }
        cluster
    }

    /// Closes all connections of a node. Another one takes its slots.
    pub(super) async fn stop(&mut self, number: usize, address: WhileStopped) {
        {
            let mut state = self.state.lock();
            state.take_over(number);
            state.set_stopped(Some(number));
            state.note(match address {
                WhileStopped::Refuses => "a node refuses connections",
                WhileStopped::IsOfOtherCluster => "another cluster has the address of a node",
            });
        }
        self.nodes[number].shutdown().await;
        if address == WhileStopped::IsOfOtherCluster {
            self.listen(number, Owner::OtherCluster).await;
        }
    }

    /// Lets a node that was stopped, and has no slots, accept connections again.
    pub(super) async fn accept(&mut self, number: usize) {
        self.nodes[number].shutdown().await;
        self.listen(number, Owner::ThisCluster).await;
        self.state.lock().set_stopped(None);
    }

    async fn listen(&mut self, number: usize, owner: Owner) {
        // A connection of another test may have the port for a short time.
        let listener =
            eventually("a free port", async || TcpListener::bind(("127.0.0.1", self.ports[number])).await.ok()).await;
        let (state, answers) = (Arc::clone(&self.state), self.answers[number].subscribe());
        let received = self.received.clone();
        self.nodes[number].spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let served = serve((number, owner), stream, Arc::clone(&state), answers.clone(), received.clone());
                connections.spawn(served);
            }
        });
    }

    /// Lets a node hang.
    pub(super) fn hang(&self, number: usize, slots: WhileHung) {
        if slots == WhileHung::AreTaken {
            self.state.lock().take_over(number);
        }
        self.state.lock().note("a node hangs");
        self.answers[number].send_replace(false);
    }

    /// Lets a node that hung go on.
    pub(super) fn go_on(&self, number: usize) {
        self.answers[number].send_replace(true);
    }

    /// Lets no node answer the call of a script before all of them together were sent so many.
    pub(super) fn answer_no_script_before(&self, calls: usize) {
        self.received.send_modify(|received| received.awaited = calls);
    }

    pub(super) fn received(&self) -> Received {
        *self.received.borrow()
    }

    /// Ends all failures and moves.
    pub(super) fn end_faults(&self) {
        self.state.lock().end_faults();
    }

    /// How often a script was run with this argument on each key.
    pub(super) fn runs(&self, argument: &str) -> Vec<u32> {
        self.state.lock().runs(argument.as_bytes())
    }

    /// How often the session with this id was created, or ended.
    pub(super) fn runs_on(&self, id: &str, argument: &str) -> u32 {
        self.state.lock().runs_on(id, argument)
    }

    /// What clients were answered, and what happened to them.
    pub(super) fn seen(&self) -> BTreeSet<&'static str> {
        self.state.lock().seen().clone()
    }
}

/// What happens to the slots of a node that hangs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhileHung {
    Stay,
    AreTaken,
}

/// What is at the address of a node that is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhileStopped {
    Refuses,
    IsOfOtherCluster,
}

/// The cluster that has the address of a node.
#[derive(Clone, Copy)]
enum Owner {
    ThisCluster,
    OtherCluster,
}

async fn serve(
    (number, owner): (usize, Owner),
    stream: TcpStream,
    state: Arc<Mutex<State>>,
    mut answers: watch::Receiver<bool>,
    received: watch::Sender<Received>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let (sender, mut commands) = mpsc::unbounded_channel();
    let mut awaited = received.subscribe();
    // A node reads on while it does not answer.
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let mut reader = BufReader::new(reader);
        while let Ok(command) = read_command(&mut reader).await {
            match command[0].as_slice() {
                b"EVALSHA" => received.send_modify(|received| received.script_calls += 1),
                b"SCRIPT" => received.send_modify(|received| received.loads_of_scripts += 1),
                _ => {}
            }
            let _ = sender.send(command);
        }
    });
    let mut is_asking = false;
    while let Some(command) = commands.recv().await {
        answers.wait_for(|answers| *answers).await.map_err(io::Error::other)?;
        if command[0] == b"EVALSHA" {
            let is_sent = awaited.wait_for(|received| received.script_calls >= received.awaited);
            is_sent.await.map_err(io::Error::other)?;
        }
        let reply = match owner {
            Owner::ThisCluster => state.lock().answer(number, &command, is_asking),
            Owner::OtherCluster => state.lock().answer_of_other_cluster(number, &command),
        };
        is_asking = command[0] == b"ASKING";
        match reply {
            // A client that has gone does not undo what it has sent.
            Reply::Bytes(bytes) => drop(writer.write_all(&bytes).await),
            Reply::Close => return Ok(()),
        }
    }
    Ok(())
}

/// Reads what a client sends.
pub(super) async fn read_command(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<Vec<u8>>> {
    let count = read_number(reader).await?;
    let mut command = Vec::with_capacity(count);
    for _ in 0..count {
        let mut part = vec![0; read_number(reader).await? + 2];
        reader.read_exact(&mut part).await?;
        part.truncate(part.len() - 2);
        command.push(part);
    }
    Ok(command)
}

/// Reads `*<number>` or `$<number>`.
async fn read_number(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    line.get(1..).and_then(|rest| rest.trim().parse().ok()).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
