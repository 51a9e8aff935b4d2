//! Nodes that contradict each other for as long as a call may take.

use std::time::Duration;

use cloakroom::store::{Error, PartitionCount, Redis, RedisMode, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::scripted::{bulk, read_command};
use crate::conformance::fixtures::session_key;

/// Starts two nodes, the first of which has all slots by CLUSTER SLOTS. Each redirects all reads of sessions to the other.
async fn start([first, second]: [&'static str; 2], nodes: &mut JoinSet<()>) -> [u16; 2] {
    let listeners = [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    let refusals = [(first, ports[1]), (second, ports[0])].map(|(code, to)| format!("-{code} 1 127.0.0.1:{to}\r\n"));
    for (listener, refusal) in listeners.into_iter().zip(refusals) {
        nodes.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (refusal, owner) = (refusal.clone(), ports[0]);
                connections.spawn(async move {
                    let (reader, mut writer) = stream.into_split();
                    let mut reader = BufReader::new(reader);
                    while let Ok(command) = read_command(&mut reader).await {
                        let answer = answer(&command, owner).unwrap_or_else(|| refusal.clone().into_bytes());
                        writer.write_all(&answer).await.unwrap();
                    }
                });
            }
        });
    }
    ports
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
        let mut nodes = JoinSet::new();
        let [one, other] = start(codes, &mut nodes).await;
        let settings = RedisSettings {
            mode: RedisMode::Cluster,
            url: format!("redis://127.0.0.1:{one}"),
            partitions: Some(PartitionCount::P64),
            timeout: Duration::from_secs(3),
            ..Default::default()
        };

        let error = Redis::new(&settings).unwrap().load(&session_key(0)).await.unwrap_err();

        let text = with_causes(&error);
        assert!(matches!(error, Error::Unavailable(_)), "{text}");
        assert!(text.contains("the nodes redirect slot "), "{text}");
        let [first, second] = codes;
        for redirected in [
            format!("127.0.0.1:{one} says {first} 127.0.0.1:{other}"),
            format!("127.0.0.1:{other} says {second} 127.0.0.1:{one}"),
        ] {
            assert!(text.contains(&redirected), "{redirected} is not in: {text}");
        }
    }
}
