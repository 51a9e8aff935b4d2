//! Nodes that announce host names, with TLS, behind a network that translates addresses.
//!
//! The names are in the file of hosts of a mount namespace. So they are resolved as any others, on every machine.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom::store::{Redis, RedisSettings, SessionKey, Store as _};
use cloakroom::token::SessionId;
use cloakroom::types::with_causes;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::{CALM, partitions};
use crate::conformance::fixtures::{app, create, load, record};
use crate::redis_store::{TIMEOUT, until};
use crate::support::authority::CertificateAuthority;
use crate::support::cluster::Cluster;
use crate::support::ports::free_port;

#[test]
fn nodes_that_announce_names_are_called_and_checked_by_them() {
    let hosts = tempfile::NamedTempFile::new().unwrap();
    let names = (0..NODES).map(|node| format!("{} {}\n", address(node), name(node)));
    std::fs::write(hosts.path(), names.collect::<String>()).unwrap();
    let inside = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec", "mount --bind \"$0\" /etc/hosts; exec \"$@\""]);
        command.arg(hosts.path()).arg(program).args(arguments).status()
    };
    if !inside("true", &[]).is_ok_and(|status| status.success()) {
        println!("skipped: it needs unshare and the right to make a mount namespace");
        return;
    }

    let program = std::env::current_exe().unwrap();
    let test = ["redis_store::cluster::tls_names::in_a_mount_namespace", "--exact", "--ignored", "--nocapture"];

    assert!(inside(program.to_str().unwrap(), &test).unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the test above runs it, in a mount namespace"]
async fn in_a_mount_namespace() {
    let nodes = NamedNodes::start().await;
    let store = Redis::new(&nodes.settings()).unwrap();
    store.ping().await.unwrap();
    for node in 0..NODES {
        create(&store, key(node), &record()).await;
        load(&store, &key(node)).await.expect("it was created");
        assert!(nodes.accepted[node].load(Ordering::Relaxed) > 0, "{} was not called", name(node));
    }

    nodes.show_certificate(2, 1);

    let store = Redis::new(&RedisSettings { timeout: TIMEOUT, ..nodes.settings() }).unwrap();
    let expected = format!(
        "{}:{}: TLS: the certificate of Redis is not for {}, the host of this address, but for DnsName(\"{}\")",
        name(2),
        nodes.ports[2],
        name(2),
        name(1)
    );
    until("the refusal", async || {
        let refused = store.load(&key(2)).await.expect_err("the certificate is that of another node");
        // The first connection may take longer than the call.
        with_causes(&refused).contains(&expected)
    })
    .await;
    for node in [0, 1] {
        until("the other nodes", async || store.load(&key(node)).await.is_ok_and(|found| found.is_some())).await;
    }
}

/// A cluster whose nodes have names and certificates for these, each of which is reached by a forwarder.
struct NamedNodes {
    cluster: Cluster,
    folder: TempDir,
    /// The announced ports.
    ports: Vec<u16>,
    /// How many connections each forwarder has accepted.
    accepted: Vec<Arc<AtomicUsize>>,
}

impl NamedNodes {
    async fn start() -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), CertificateAuthority::new());
        let path = |file: String| folder.path().join(file);
        authority.write(&path("ca.pem".to_owned()));
        let (mut ports, mut accepted, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
        for node in 0..NODES {
            authority.sign(&name(node)).write(&path(format!("{node}.pem")), &path(format!("{node}.key")));
            let (bound, files) = (free_port(), folder.path().display());
            let forwarder = TcpListener::bind((address(node), 0)).await.unwrap();
            let announced = forwarder.local_addr().unwrap().port();
            let count = Arc::<AtomicUsize>::default();
            tokio::spawn(forward(forwarder, SocketAddr::from(([127, 0, 0, 1], bound)), Arc::clone(&count)));
            arguments.push(format!(
                "--bind 127.0.0.1 --tls-port {bound} --tls-cluster yes --tls-auth-clients no \
                 --tls-ca-cert-file {files}/ca.pem --tls-cert-file {files}/{node}.pem --tls-key-file {files}/{node}.key \
                 --cluster-announce-hostname {} --cluster-preferred-endpoint-type hostname \
                 --cluster-announce-tls-port {announced}",
                name(node)
            ));
            ports.push(announced);
            accepted.push(count);
        }
        let cluster = Cluster::start_with(NODES, 0, CALM, |node| arguments[node].clone());
        for node in &cluster.nodes {
            let all_named = async || {
                let slots = node.redis.cli(&["cluster", "slots"]);
                (0..NODES).all(|other| slots.contains(&name(other)))
            };
            until("the names", all_named).await;
        }
        Self { cluster, folder, ports, accepted }
    }

    fn settings(&self) -> RedisSettings {
        let url = format!("rediss://cloakroom:secret@{}:{}", name(0), self.ports[0]);
        let ca_file = Some(self.folder.path().join("ca.pem"));
        let timeout = Duration::from_secs(60);
        RedisSettings { url, ca_file, timeout, ..self.cluster.settings() }
    }

    /// Lets a node show the certificate of another one.
    fn show_certificate(&self, node: usize, other: usize) {
        let files = self.folder.path().display();
        let (certificate, key) = (format!("{files}/{other}.pem"), format!("{files}/{other}.key"));
        self.cluster.nodes[node].run(&["config", "set", "tls-cert-file", &certificate, "tls-key-file", &key]);
    }
}

async fn forward(listener: TcpListener, to: SocketAddr, accepted: Arc<AtomicUsize>) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        accepted.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let mut server = TcpStream::connect(to).await?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// A session whose partition is at this node.
fn key(node: usize) -> SessionKey {
    let partition = partitions(u16::try_from(node).unwrap()).start;
    let mut id = [0; 16];
    id[..2].copy_from_slice(&(partition << 6).to_be_bytes());
    SessionKey { app: app("default"), id: SessionId::from_bytes(id) }
}

fn name(node: usize) -> String {
    format!("node-{}.redis.test", node + 1)
}

/// The address that the name leads to. The node itself has another one.
fn address(node: usize) -> String {
    format!("127.0.1.{}", node + 1)
}

const NODES: usize = 3;
