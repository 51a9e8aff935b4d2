//! Nodes that contradict each other for as long as a call may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cloakroom::store::{Error, PartitionCount, Redis, RedisMode, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use futures_util::future::join_all;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::scripted::{bulk, read_command};
use crate::conformance::fixtures::session_key;
use crate::redis_store::until;

/// Two nodes. Dropping it ends them.
struct Circle {
    _nodes: JoinSet<()>,
    ports: [u16; 2],
    /// How often each was asked for the slots.
    requests: [Arc<AtomicU32>; 2],
}

/// Starts two nodes, the first of which has all slots by CLUSTER SLOTS. Each redirects all reads of sessions to the other.
async fn start([first, second]: [&'static str; 2]) -> Circle {
    let (mut nodes, requests) = (JoinSet::new(), [Arc::<AtomicU32>::default(), Arc::default()]);
    let listeners = [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    let refusals = [(first, ports[1]), (second, ports[0])].map(|(code, to)| format!("-{code} 1 127.0.0.1:{to}\r\n"));
    for ((listener, refusal), requests) in listeners.into_iter().zip(refusals).zip(requests.clone()) {
        nodes.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (refusal, owner, requests) = (refusal.clone(), ports[0], Arc::clone(&requests));
                connections.spawn(async move {
                    let (reader, mut writer) = stream.into_split();
                    let mut reader = BufReader::new(reader);
                    while let Ok(command) = read_command(&mut reader).await {
                        if command[0] == b"CLUSTER" {
                            requests.fetch_add(1, Ordering::Relaxed);
                        }
                        let answer = answer(&command, owner).unwrap_or_else(|| refusal.clone().into_bytes());
                        writer.write_all(&answer).await.unwrap();
                    }
                });
            }
        });
    }
    Circle { _nodes: nodes, ports, requests }
}

impl Circle {
    fn settings(&self, timeout: Duration) -> RedisSettings {
        RedisSettings {
            mode: RedisMode::Cluster,
            url: format!("redis://127.0.0.1:{}", self.ports[0]),
            partitions: Some(PartitionCount::P64),
            timeout,
            ..Default::default()
        }
    }
}

/// What both nodes answer; `None` to what they redirect.
fn answer(command: &[Vec<u8>], owner: u16) -> Option<Vec<u8>> {
    let slots = format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{owner}\r\n$2\r\nid\r\n");
    match &*command[0] {
        b"PING" | b"ASKING" => Some(b"+OK\r\n".to_vec()),
        b"CLUSTER" => Some(slots.into_bytes()),
        b"INFO" => Some(bulk(b"role:master\r\n")),
        b"GET" if command[1].ends_with(b":layout") => Some(bulk(b"64")),
        _ => None,
    }
}

#[tokio::test]
async fn redirections_without_an_end_are_named_with_their_nodes() {
    for codes in [["MOVED", "MOVED"], ["ASK", "MOVED"], ["ASK", "ASK"]] {
        let circle = start(codes).await;
        let [one, other] = circle.ports;
        let settings = circle.settings(Duration::from_secs(3));

        let store = Redis::new(&settings).unwrap();
        let mut found = None;
        // On a busy machine a call may end in the middle of its last round trip, and then names that.
        until("the redirections", async || {
            let error = store.load(&session_key(0)).await.unwrap_err();
            let text = with_causes(&error);
            let is_named = text.contains("the nodes redirect slot ");
            found = is_named.then_some((error, text));
            is_named
        })
        .await;

        let (error, text) = found.unwrap();
        assert!(matches!(error, Error::Unavailable(_)), "{text}");
        let [first, second] = codes;
        for redirected in [
            format!("127.0.0.1:{one} says {first} 127.0.0.1:{other}"),
            format!("127.0.0.1:{other} says {second} 127.0.0.1:{one}"),
        ] {
            assert!(text.contains(&redirected), "{redirected} is not in: {text}");
        }
    }
}

#[tokio::test]
async fn redirections_without_an_end_ask_for_the_slots_at_most_every_50_ms() {
    let circle = start(["MOVED", "MOVED"]).await;
    let store = Redis::new(&circle.settings(Duration::from_secs(1))).unwrap();
    let begin = Instant::now();

    join_all((0..CALLS).map(async |n| store.load(&session_key(n)).await.unwrap_err())).await;

    let asked = circle.requests.each_ref().map(|requests| requests.load(Ordering::Relaxed));
    let most = most_questions(begin.elapsed());
    assert!(asked.iter().sum::<u32>() > 0, "nobody was asked");
    assert!(asked.iter().all(|asked| u128::from(*asked) <= most), "{asked:?} requests, at most {most}");
}

/// How often a node may have been asked for the slots at most, after so long.
pub(super) const fn most_questions(elapsed: Duration) -> u128 {
    elapsed.as_millis() / 50 + 2
}

const CALLS: u32 = 64;
