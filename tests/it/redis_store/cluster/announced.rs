//! Nodes are called where they announce themselves, in each way that Redis has for that.

use std::net::TcpListener;
use std::time::Duration;

use cloakroom::store::{Handle, Redis, RedisSettings, SessionKey, Store as _};
use cloakroom::token::SessionId;

use super::{CALM, partitions};
use crate::conformance::fixtures::{app, create, record};
use crate::redis_store::until;
use crate::support::cluster::{Cluster, Node};

/// What all nodes are told to announce, and what follows from it.
struct Announced {
    ip: &'static str,
    hostname: &'static str,
    endpoint_type: &'static str,
    /// The host in a redirection.
    written: &'static str,
    /// The host where the store calls the nodes.
    called: &'static str,
}

/// A session whose partition is at this node at first. That of the first one has the tag `{460}`.
fn key(node: u16) -> SessionKey {
    let mut id = [0; 16];
    let partition = if node == 0 { 0 } else { partitions(node).start };
    id[..2].copy_from_slice(&(partition << 6).to_be_bytes());
    SessionKey { app: app("default"), id: SessionId::from_bytes(id) }
}

/// Has all nodes announce this, and waits until each of them has heard it from all.
async fn announce(cluster: &Cluster, Announced { ip, hostname, endpoint_type, .. }: &Announced) {
    for node in &cluster.nodes {
        node.run(&["config", "set", "cluster-announce-ip", ip, "cluster-announce-hostname", hostname]);
        node.run(&["config", "set", "cluster-preferred-endpoint-type", endpoint_type]);
    }
    let is_heard = |nodes: &str, other: &Node| {
        let (id, address) = (format!("{} ", other.id), format!("{ip}:{}@", other.port));
        let place = nodes.lines().find_map(|line| line.strip_prefix(&id)?.split(' ').next()).unwrap_or_default();
        place.starts_with(&address) && place.split(',').nth(1).unwrap_or_default() == *hostname
    };
    for node in &cluster.nodes {
        let all_are_heard = || {
            let nodes = node.redis.cli(&["cluster", "nodes"]);
            cluster.nodes.iter().all(|other| is_heard(&nodes, other))
        };
        until("the announcements", async || all_are_heard()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_called_and_followed_where_they_announce_themselves() {
    let Announced { ip, hostname, .. } = ANNOUNCED[0];
    // Otherwise the nodes would hear of it some seconds later.
    let cluster = Cluster::start_with(3, 0, CALM, |_| {
        format!("--cluster-announce-ip {ip} --cluster-announce-hostname {hostname}")
    });
    let settings = RedisSettings { timeout: Duration::from_secs(60), ..cluster.settings() };
    for node in 0..3 {
        create(&Redis::new(&settings).unwrap(), key(node), &record()).await;
    }
    let slot = cluster.nodes[0].redis.cli(&["cluster", "keyslot", "{460}"]);
    let record_key = format!("cloakroom:{{460}}:default:{}", key(0).id);
    let (mut from, mut to) = (&cluster.nodes[0], &cluster.nodes[1]);

    for announced in &ANNOUNCED {
        let Announced { ip, written, called, .. } = announced;
        if TcpListener::bind((*ip, 0)).is_err() {
            println!("skipped: {ip} is no address of this machine");
            continue;
        }
        announce(&cluster, announced).await;
        let store = Handle::from(Redis::new(&settings).unwrap());
        let load = async |node| store.load(&key(node)).await.unwrap().expect("it was created");
        for node in 0..3 {
            load(node).await;
        }

        cluster.begin_move(slot.trim(), from, to);
        cluster.move_keys(from, to, &[&record_key]);
        let redirected = from.redis.cli(&["hgetall", &record_key]);
        assert!(redirected.starts_with(&format!("ASK {} {written}:{}", slot.trim(), to.port)), "{redirected}");
        load(0).await;
        cluster.finish_move(slot.trim(), from, to);
        // It still knows the node that had the slot before.
        load(0).await;

        let nodes: Vec<_> = store.read_server_info().await.unwrap().into_iter().filter_map(|it| it.node).collect();
        let expected = cluster.nodes.iter().map(|node| format!("{called}:{}", node.port));
        for node in expected {
            assert!(nodes.contains(&node), "{node} is not in {nodes:?}");
        }
        (from, to) = (to, from);
    }
}

#[tokio::test]
async fn a_node_that_knows_no_address_of_its_own_is_called_where_it_was_asked() {
    let cluster = Cluster::start(1, 0, CALM);
    let node = &cluster.nodes[0];
    for (endpoint_type, written) in [("ip", ""), ("hostname", "?")] {
        node.run(&["config", "set", "cluster-preferred-endpoint-type", endpoint_type]);
        let slots = node.redis.cli(&["cluster", "slots"]);
        assert_eq!(slots.lines().nth(2), Some(written), "{slots}");

        let store = Redis::new(&cluster.settings()).unwrap();

        until("an answer", async || store.ping().await.is_ok()).await;
    }
}

const ANNOUNCED: [Announced; 5] = [
    Announced { endpoint_type: "ip", written: "127.0.0.2", called: "127.0.0.2", ..NAMED },
    Announced { endpoint_type: "hostname", written: "localhost", called: "localhost", ..NAMED },
    Announced { endpoint_type: "unknown-endpoint", written: "", called: "127.0.0.1", ..NAMED },
    Announced { endpoint_type: "ip", written: "::1", called: "[::1]", ..NAMELESS },
    Announced { endpoint_type: "hostname", written: "?", called: "[::1]", ..NAMELESS },
];

const NAMED: Announced =
    Announced { ip: "127.0.0.2", hostname: "localhost", endpoint_type: "", written: "", called: "" };

const NAMELESS: Announced = Announced { ip: "::1", hostname: "", ..NAMED };
