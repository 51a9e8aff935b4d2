//! Redis Clusters on loopback: one for the whole test run, and others for tests that break them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloakroom::store::{RedisMode, RedisSettings};

use super::environment::number;
use super::ports::free_port;
use super::redis::{RedisServer, documented_rights};

/// A key space of the shared cluster that no other test uses. Its keys are deleted when it is dropped: a SCAN of another
/// test would look at each of them.
pub(crate) struct KeySpace {
    prefix: String,
}

impl KeySpace {
    pub(crate) fn new() -> Self {
        Self { prefix: unused_prefix() }
    }

    pub(crate) fn settings(&self) -> RedisSettings {
        settings_in(self.prefix.clone())
    }
}

impl Drop for KeySpace {
    fn drop(&mut self) {
        let script = "local cursor = '0'
            repeat
                local page = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 10000)
                cursor = page[1]
                for _, key in ipairs(page[2]) do redis.call('UNLINK', key) end
            until cursor == '0'";
        for node in &shared().nodes {
            node.redis.cli(&["eval", script, "0", &format!("{}:*", self.prefix)]);
        }
    }
}

/// Returns settings for a key space of the shared cluster that no other test uses, and whose keys stay.
pub(crate) fn settings() -> RedisSettings {
    settings_in(unused_prefix())
}

fn unused_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn settings_in(key_prefix: String) -> RedisSettings {
    RedisSettings { key_prefix, timeout: Duration::from_secs(60), ..shared().settings() }
}

fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    // Nothing fails here, so no busy node should be taken for one that has failed.
    CLUSTER.get_or_init(|| Cluster::start(primaries(), 0, Duration::from_secs(60)))
}

/// How many primaries the shared cluster has.
pub(crate) fn primaries() -> usize {
    number("CLOAKROOM_TEST_PRIMARIES").unwrap_or(6)
}

/// Primaries that share the slots evenly, and their replicas.
pub(crate) struct Cluster {
    /// The primaries come first. Replica number n is one of primary number n modulo their number.
    pub(crate) nodes: Vec<Node>,
}

/// A node of a cluster.
pub(crate) struct Node {
    pub(crate) redis: RedisServer,
    pub(crate) port: u16,
    pub(crate) id: String,
    bus_port: u16,
}

impl Cluster {
    /// Starts a cluster, and returns when all nodes know all others.
    pub(crate) fn start(primaries: usize, replicas: usize, node_timeout: Duration) -> Self {
        Self::start_with(primaries, replicas, node_timeout, |_| String::new())
    }

    /// The same; each node gets these arguments besides.
    pub(crate) fn start_with(
        primaries: usize,
        replicas: usize,
        node_timeout: Duration,
        arguments: impl Fn(usize) -> String,
    ) -> Self {
        let start = |number| Node::start(node_timeout, &arguments(number));
        let nodes: Vec<Node> = (0..primaries + replicas).map(start).collect();
        let cluster = Self { nodes };
        for (number, node) in cluster.nodes.iter().enumerate() {
            node.run(&["cluster", "set-config-epoch", &(number + 1).to_string()]);
            if number < primaries {
                let first = SLOTS * number / primaries;
                let last = SLOTS * (number + 1) / primaries - 1;
                node.run(&["cluster", "addslotsrange", &first.to_string(), &last.to_string()]);
            }
            for other in &cluster.nodes[..number] {
                cluster.nodes[number].meet(other);
            }
        }
        let all = format!("cluster_known_nodes:{}", primaries + replicas);
        cluster.until("the cluster", |node| node.redis.cli(&["cluster", "info"]).contains(&all));
        for (number, replica) in cluster.nodes[primaries..].iter().enumerate() {
            replica.run(&["cluster", "replicate", &cluster.nodes[number % primaries].id]);
        }
        cluster.until("the slots", |node| node.redis.cli(&["cluster", "info"]).contains("cluster_state:ok"));
        for replica in &cluster.nodes[primaries..] {
            let replication = || replica.redis.cli(&["info", "replication"]);
            until("the replica", || replication().contains("master_link_status:up"));
        }
        cluster
    }

    /// Starts three primaries with so many replicas each, whose user may wait for them. Those of one primary need no other.
    pub(crate) fn start_acknowledging(replicas: usize, node_timeout: Duration) -> Self {
        let cluster = Self::start(3, 3 * replicas, node_timeout);
        for node in &cluster.nodes {
            node.run(&["acl", "setuser", "cloakroom", "+wait"]);
            node.run(&["config", "set", "cluster-require-full-coverage", "no"]);
        }
        for primary in &cluster.nodes[..3] {
            let all = format!("connected_slaves:{replicas}");
            until("the replicas", || {
                let replication = primary.redis.cli(&["info", "replication"]);
                replication.contains(&all) && replication.matches("state=online").count() == replicas
            });
        }
        cluster
    }

    /// Adds a replica of a node, and returns when it has all keys.
    pub(crate) fn add_replica(&mut self, primary: usize) {
        self.add();
        let replica = self.nodes.last().expect("it was added");
        replica.run(&["cluster", "replicate", &self.nodes[primary].id]);
        until("the replica", || replica.redis.cli(&["info", "replication"]).contains("master_link_status:up"));
        let online = format!("port={},state=online", replica.port);
        until("the primary", || self.nodes[primary].redis.cli(&["info", "replication"]).contains(&online));
        // All have to know it before they vote for it.
        self.until("the replica", |node| {
            let nodes = node.redis.cli(&["cluster", "nodes"]);
            nodes.lines().any(|line| line.starts_with(&replica.id) && line.contains("slave"))
        });
    }

    /// Removes a node that has no slot: the others forget it, and it is stopped.
    pub(crate) fn remove(&mut self, number: usize) {
        let Node { id, redis, .. } = self.nodes.remove(number);
        self.nodes.iter().for_each(|node| node.run(&["cluster", "forget", &id]));
        drop(redis);
    }

    /// Adds a node that has no slot, and is known to the others.
    pub(crate) fn add(&mut self) {
        let node = Node::start(Duration::from_secs(60), "");
        self.nodes.iter().for_each(|other| node.meet(other));
        self.nodes.push(node);
        let all = format!("cluster_known_nodes:{}", self.nodes.len());
        self.until("the node", |node| {
            let info = node.redis.cli(&["cluster", "info"]);
            info.contains(&all) && info.contains("cluster_state:ok")
        });
    }

    /// Returns settings that begin from the first node.
    pub(crate) fn settings(&self) -> RedisSettings {
        self.nodes[0].settings()
    }

    /// Moves a slot with all its keys, as `redis-cli --cluster reshard` does.
    pub(crate) fn move_slot(&self, slot: &str, from: &Node, to: &Node) {
        self.begin_move(slot, from, to);
        self.finish_move(slot, from, to);
    }

    /// Moves all keys of a slot that is being moved, and the slot.
    pub(crate) fn finish_move(&self, slot: &str, from: &Node, to: &Node) {
        loop {
            let keys = from.redis.cli(&["cluster", "getkeysinslot", slot, "100"]);
            let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            self.move_keys(from, to, &keys);
        }
        let primaries = self.nodes.iter().filter(|node| node.redis.cli(&["role"]).starts_with("master"));
        for node in [to, from].into_iter().chain(primaries) {
            node.run(&["cluster", "setslot", slot, "node", &to.id]);
        }
    }

    /// Moves all slots of a node with all their keys, and returns when the node knows that.
    pub(crate) fn move_all_slots(&self, from: &Node, to: &Node) {
        let slots = from.slots();
        let set = |node: &Node, state: &str, other: &Node| {
            let command = |slot| format!("cluster setslot {slot} {state} {}\r\n", other.id);
            node.redis.run_all(&slots.iter().map(command).collect::<String>());
        };
        set(to, "importing", from);
        set(from, "migrating", to);
        loop {
            let keys = from.redis.cli(&["keys", "*"]);
            let mut keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            // Keys without a tag have slots of their own.
            let tag = |key: &&str| {
                key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(*key, |(tag, _)| tag).to_owned()
            };
            keys.sort_by_key(tag);
            keys.chunk_by(|one, other| tag(one) == tag(other)).for_each(|keys| self.move_keys(from, to, keys));
        }
        let primaries = self.nodes.iter().filter(|node| node.redis.cli(&["role"]).starts_with("master"));
        // Its new owner tells the old one, which may become a replica of it at that moment, and then take no command.
        let others = primaries.filter(|node| node.port != from.port && node.port != to.port);
        [to].into_iter().chain(others).for_each(|node| set(node, "node", to));
        until("a node without slots", || from.slots().is_empty());
    }

    /// Moves slots with all their keys in one step, which only Valkey can do.
    pub(crate) fn move_slots_at_once(&self, [first, last]: [&str; 2], from: &Node, to: &Node) {
        from.run(&["cluster", "migrateslots", "slotsrange", first, last, "node", &to.id]);
        until("the slots", || {
            let moves = from.redis.cli(&["cluster", "getslotmigrations"]);
            assert!(!moves.contains("failed") && !moves.contains("cancelled"), "{moves}");
            // The others are finished.
            moves.matches("\nstate\n").count() == moves.matches("\nstate\nsuccess\n").count()
        });
    }

    /// Lets two nodes know that a slot is being moved.
    pub(crate) fn begin_move(&self, slot: &str, from: &Node, to: &Node) {
        to.run(&["cluster", "setslot", slot, "importing", &from.id]);
        from.run(&["cluster", "setslot", slot, "migrating", &to.id]);
    }

    /// Moves keys of a slot that is being moved.
    pub(crate) fn move_keys(&self, from: &Node, to: &Node, keys: &[&str]) {
        let port = to.port.to_string();
        let command = ["migrate", "127.0.0.1", &port, "", "0", "60000", "keys"];
        // A key may have expired meanwhile.
        let answer = from.redis.cli(&[&command[..], keys].concat());
        assert!(answer.starts_with("OK") || answer.starts_with("NOKEY"), "{answer}");
    }

    fn until(&self, what: &str, is_so: impl Fn(&Node) -> bool) {
        self.nodes.iter().for_each(|node| until(what, || is_so(node)));
    }
}

impl Node {
    fn start(node_timeout: Duration, arguments: &str) -> Self {
        Self::start_at(free_port(), node_timeout, arguments)
    }

    /// Starts a cluster of one node at this port, which nothing uses any more.
    pub(crate) fn start_alone(port: u16) -> Self {
        let node = Self::start_at(port, Duration::from_secs(60), "");
        node.run(&["cluster", "addslotsrange", "0", &(SLOTS - 1).to_string()]);
        until("the slots", || node.redis.cli(&["cluster", "info"]).contains("cluster_state:ok"));
        node
    }

    fn start_at(port: u16, node_timeout: Duration, arguments: &str) -> Self {
        let bus_port = free_port();
        let redis = RedisServer::start_with(&format!(
            "--port {port} --cluster-enabled yes --cluster-port {bus_port} --cluster-node-timeout {} --databases 1 \
             --repl-diskless-sync-delay 0 --cluster-replica-validity-factor 0 {arguments}",
            node_timeout.as_millis()
        ));
        grant(&redis);
        let id = redis.cli(&["cluster", "myid"]).trim().to_owned();
        Self { redis, port, id, bus_port }
    }

    /// Returns settings that begin from this node.
    pub(crate) fn settings(&self) -> RedisSettings {
        let url = format!("redis://cloakroom:secret@127.0.0.1:{}", self.port);
        RedisSettings { mode: RedisMode::Cluster, url, ..Default::default() }
    }

    /// Starts it again, without data. It still knows its slots.
    pub(crate) fn restart(&mut self) {
        self.redis.start_again();
        grant(&self.redis);
    }

    /// Returns how often it has refused a command by this code.
    pub(crate) fn refusals(&self, code: &str) -> u64 {
        let stats = self.redis.cli(&["info", "errorstats"]);
        let count = stats.lines().find_map(|line| line.strip_prefix(&format!("errorstat_{code}:count=")));
        count.map_or(0, |count| count.trim().parse().unwrap())
    }

    fn meet(&self, other: &Self) {
        self.run(&["cluster", "meet", "127.0.0.1", &other.port.to_string(), &other.bus_port.to_string()]);
    }

    /// Returns all its slots.
    fn slots(&self) -> Vec<usize> {
        let nodes = self.redis.cli(&["cluster", "nodes"]);
        let myself = nodes.lines().find(|line| line.contains("myself")).expect("a node knows itself");
        // What is in brackets is a slot that is being moved.
        let ranges = myself.split_whitespace().skip(8).filter(|range| !range.starts_with('['));
        let parse = |slot: &str| slot.parse::<usize>().unwrap();
        ranges
            .map(|range| range.split_once('-').unwrap_or((range, range)))
            .flat_map(|(a, b)| parse(a)..=parse(b))
            .collect()
    }

    /// Runs a command that has to succeed.
    pub(crate) fn run(&self, command: &[&str]) {
        let answer = self.redis.cli(command);
        assert_eq!(answer, "OK\n", "{command:?}");
    }
}

/// Lets the documented user in.
pub(crate) fn grant(redis: &RedisServer) {
    let user = ["acl", "setuser", "cloakroom", "on", ">secret", "~*", "+cluster|slots", "+asking"];
    assert_eq!(redis.cli(&[&user[..], &documented_rights()].concat()), "OK\n");
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited for a minute: {what}");
        std::thread::yield_now();
    }
}

const SLOTS: usize = 16_384;
