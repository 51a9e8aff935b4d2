//! The identity of a cluster: that of most nodes of the settings, and from then on the ids of its nodes.

use std::sync::Arc;

use cloakroom::store::{ClusterSettings, Handle, PartitionCount, Redis, RedisMode, RedisSettings};
use cloakroom::types::with_causes;
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::scripted::{bulk, read_command};
use crate::conformance::fixtures::session_key;
use crate::process::child::eventually;
use crate::redis_store::{TIMEOUT, until};
use crate::support::ports::free_port;

/// A node without sessions, which tells the slots as the test says. Dropping it ends it.
pub(super) struct Node {
    pub(super) port: u16,
    pub(super) state: Arc<Mutex<NodeState>>,
    answers: watch::Sender<bool>,
    serving: JoinSet<()>,
}

#[derive(Default)]
pub(super) struct NodeState {
    /// The answer to CLUSTER SLOTS.
    slots: Vec<u8>,
    has_marker: bool,
    /// The answer to reads of sessions. `None`: there is no session.
    pub(super) refusal: Option<&'static str>,
    pub(super) refusals: usize,
    reads: usize,
    writes: usize,
}

impl Node {
    pub(super) async fn start() -> Self {
        let (answers, _) = watch::channel(true);
        let mut node = Self { port: free_port(), state: Arc::default(), answers, serving: JoinSet::new() };
        node.accept().await;
        node
    }

    async fn accept(&mut self) {
        // A connection of another test may have the port for a short time.
        let bind = async || TcpListener::bind(("127.0.0.1", self.port)).await.ok();
        let listener = eventually("a free port", bind).await;
        let (state, answers) = (Arc::clone(&self.state), self.answers.subscribe());
        self.serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&state), answers.clone()));
            }
        });
    }

    /// Closes the connections, and accepts no others.
    async fn stop(&mut self) {
        self.serving.shutdown().await;
    }

    /// Closes the connections, and accepts others.
    async fn restart(&mut self) {
        self.stop().await;
        self.accept().await;
    }

    fn hang(&self) {
        self.answers.send_replace(false);
    }

    fn go_on(&self) {
        self.answers.send_replace(true);
    }

    /// Lets the node tell that the first of these nodes has all slots up to this one, and the others are its replicas.
    pub(super) fn tell(&self, last_slot: u16, nodes: &[(&str, u16)]) {
        let node = |(id, port): &(&str, u16)| format!("*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n${}\r\n{id}\r\n", id.len());
        let told: String = nodes.iter().map(node).collect();
        self.state.lock().slots = format!("*1\r\n*{}\r\n:0\r\n:{last_slot}\r\n{told}", nodes.len() + 2).into_bytes();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<NodeState>>, mut answers: watch::Receiver<bool>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    while let Ok(command) = read_command(&mut reader).await {
        if answers.wait_for(|answers| *answers).await.is_err() {
            return;
        }
        let answer = state.lock().answer(&command);
        let _ = writer.write_all(&answer).await;
    }
}

impl NodeState {
    fn answer(&mut self, command: &[Vec<u8>]) -> Vec<u8> {
        match command[0].to_ascii_uppercase().as_slice() {
            b"PING" | b"ASKING" => b"+OK\r\n".to_vec(),
            b"INFO" => bulk(b"role:master\r\n"),
            b"CLUSTER" => self.slots.clone(),
            b"GET" if self.has_marker && command[1].ends_with(b":layout") => bulk(b"64"),
            b"GET" => {
                self.reads += 1;
                b"$-1\r\n".to_vec()
            }
            b"HGETALL" => match self.refusal {
                Some(refusal) => {
                    self.refusals += 1;
                    refusal.as_bytes().to_vec()
                }
                None => b"*0\r\n".to_vec(),
            },
            b"SET" => {
                self.writes += 1;
                self.has_marker = true;
                b"+OK\r\n".to_vec()
            }
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }
}

/// Makes a store with these nodes in its settings.
pub(super) fn store_on(nodes: &[&Node]) -> Handle {
    let mut addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
    let settings = RedisSettings {
        mode: RedisMode::Cluster,
        url: format!("redis://{}", addresses.next().expect("there is a node")),
        cluster: ClusterSettings { nodes: addresses.collect() },
        partitions: Some(PartitionCount::P64),
        timeout: TIMEOUT,
        ..Default::default()
    };
    Redis::new(&settings).unwrap().into()
}

/// Starts a node of another cluster, and two nodes that tell which cluster they are of as soon as they go on.
async fn start_beside_another() -> [Node; 3] {
    let [wrong, first, second] = [Node::start().await, Node::start().await, Node::start().await];
    wrong.tell(LAST_SLOT, &[("other", wrong.port)]);
    for node in [&first, &second] {
        node.tell(LAST_SLOT, &[("a", first.port), ("b", second.port)]);
        node.hang();
    }
    [wrong, first, second]
}

#[tokio::test]
async fn a_cluster_of_a_minority_of_the_nodes_of_the_settings_is_left_and_gets_no_marker() {
    let [wrong, first, second] = start_beside_another().await;
    let store = store_on(&[&wrong, &first, &second]);

    until("a look for the marker", async || {
        store.load(&session_key(0)).await.expect_err("nobody knows which cluster it is");
        wrong.state.lock().reads > 0
    })
    .await;
    [&first, &second].into_iter().for_each(Node::go_on);
    until("the cluster of the others", async || store.load(&session_key(0)).await.is_ok()).await;

    assert_eq!(wrong.state.lock().writes, 0);
    assert_eq!(first.state.lock().writes, 1);
}

#[tokio::test]
async fn the_marker_of_a_cluster_that_was_left_says_nothing_of_the_next_one() {
    let [wrong, first, second] = start_beside_another().await;
    wrong.state.lock().has_marker = true;
    let store = store_on(&[&wrong, &first, &second]);

    until("the first cluster", async || store.load(&session_key(0)).await.is_ok()).await;
    [&first, &second].into_iter().for_each(Node::go_on);

    until("the marker", async || {
        let _ = store.load(&session_key(0)).await;
        first.state.lock().writes > 0
    })
    .await;
    let reads = wrong.state.lock().reads;
    store.load(&session_key(0)).await.unwrap();
    assert_eq!(wrong.state.lock().reads, reads);
}

#[tokio::test]
async fn a_replica_that_the_last_look_did_not_name_takes_over_if_an_earlier_one_did() {
    let [mut primary, replica] = [Node::start().await, Node::start().await];
    for node in [&primary, &replica] {
        node.tell(LAST_SLOT, &[("a", primary.port), ("b", replica.port)]);
    }
    let store = store_on(&[&primary, &replica]);
    until("the cluster", async || store.load(&session_key(0)).await.is_ok()).await;

    // The replica has failed. The slot without a node shows that this answer was taken.
    primary.tell(LAST_SLOT - 1, &[("a", primary.port)]);
    primary.restart().await;
    until("a look without the replica", async || {
        let _ = store.load(&session_key(0)).await;
        let cluster = store.redis_metrics().expect("it is on Redis").cluster;
        cluster.expect("it is on a cluster").uncovered_slots == Some(1)
    })
    .await;
    replica.tell(LAST_SLOT, &[("b", replica.port)]);
    primary.stop().await;

    until("the replica", async || store.load(&session_key(0)).await.is_ok()).await;
}

#[tokio::test]
async fn a_node_that_goes_to_another_cluster_and_keeps_its_connections_is_left() {
    let node = Node::start().await;
    node.tell(LAST_SLOT, &[("a", node.port)]);
    let store = store_on(&[&node]);
    until("the cluster", async || store.load(&session_key(0)).await.is_ok()).await;

    node.tell(LAST_SLOT, &[("other", node.port)]);

    until("a look", async || {
        let loaded = store.load(&session_key(0)).await;
        loaded.is_err_and(|error| with_causes(&error).contains("does not belong to the Redis Cluster"))
    })
    .await;
}

pub(super) const LAST_SLOT: u16 = 16_383;
