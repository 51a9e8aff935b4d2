//! Nodes of the settings that answer, and cannot tell the slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloakroom::store::{Redis, RedisMode, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::scripted::read_command;
use crate::conformance::fixtures::session_key;

#[tokio::test]
async fn a_node_without_slots_is_asked_again_and_again_by_the_same_connection() {
    let (listener, accepted) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::<AtomicUsize>::default());
    let settings = RedisSettings {
        mode: RedisMode::Cluster,
        url: format!("redis://{}", listener.local_addr().unwrap()),
        timeout: Duration::from_secs(2),
        ..Default::default()
    };
    let (mut node, accepts) = (JoinSet::new(), Arc::clone(&accepted));
    node.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            accepts.fetch_add(1, Ordering::Relaxed);
            connections.spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let mut reader = BufReader::new(reader);
                while let Ok(command) = read_command(&mut reader).await {
                    let answer: &[u8] = if command[0] == b"CLUSTER" { b"*0\r\n" } else { b"+OK\r\n" };
                    let _ = writer.write_all(answer).await;
                }
            });
        }
    });
    let store = Redis::new(&settings).unwrap();

    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        let problem = with_causes(&store.load(&session_key(0)).await.expect_err("the cluster has no slots"));
        assert!(problem.contains("the cluster has no slots yet"), "{problem}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let accepted = accepted.load(Ordering::Relaxed);
    assert!(accepted <= 3, "{accepted} connections");
}
