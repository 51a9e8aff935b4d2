//! A node that is started again as another version, whose cursors of SCAN mean something else, while the service runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloakroom::store::{Position, Redis, RedisMode, RedisSettings, Sample as _};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::scripted::{bulk, read_command};
use crate::conformance::fixtures::app;

/// The answer of a node that has all slots, to this command.
fn answer(port: u16, is_upgraded: bool, command: &[Vec<u8>]) -> Vec<u8> {
    match (command[0].as_slice(), is_upgraded) {
        (b"CLUSTER", _) => {
            format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$1\r\na\r\n").into()
        }
        (b"GET", _) => bulk(b"1024"),
        (b"INFO", false) => bulk(b"redis_version:7.2.0\r\nrun_id:1111111111111111111111111111111111111111\r\n"),
        (b"INFO", true) => bulk(b"redis_version:7.4.0\r\nrun_id:2222222222222222222222222222222222222222\r\n"),
        // No more keys.
        (b"SCAN", false) => b"*2\r\n$1\r\n0\r\n*0\r\n".to_vec(),
        // A slot in the middle, then a later one, then the end.
        (b"SCAN", true) => {
            let next = match std::str::from_utf8(&command[1]).unwrap().parse::<u64>().unwrap() % 16384 {
                slot if slot < 4095 => "4095",
                slot if slot < 12288 => "12288",
                _ => "0",
            };
            [b"*2\r\n".to_vec(), bulk(next.as_bytes()), b"*0\r\n".to_vec()].concat()
        }
        _ => b"+OK\r\n".to_vec(),
    }
}

#[tokio::test]
async fn a_count_goes_on_after_a_node_was_upgraded_to_other_cursors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = RedisSettings {
        mode: RedisMode::Cluster,
        url: format!("redis://127.0.0.1:{port}"),
        timeout: Duration::from_secs(60),
        ..Default::default()
    };
    let (mut node, upgraded) = (JoinSet::new(), Arc::<AtomicBool>::default());
    let is_upgraded = Arc::clone(&upgraded);
    node.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let is_upgraded = Arc::clone(&is_upgraded);
            connections.spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let mut reader = BufReader::new(reader);
                while let Ok(command) = read_command(&mut reader).await {
                    let answer = answer(port, is_upgraded.load(Ordering::Relaxed), &command);
                    let _ = writer.write_all(&answer).await;
                }
            });
        }
    });
    let (store, apps) = (Redis::new(&settings).unwrap(), BTreeSet::from([app("default")]));
    let page = store.sample_keys(&apps, Position(0), 100).await.unwrap();
    assert_eq!(page.next, None);

    upgraded.store(true, Ordering::Relaxed);

    let (mut next, mut pages) = (Some(Position(0)), 0);
    while let Some(position) = next {
        next = store.sample_keys(&apps, position, 100).await.expect("the cursors are those of the new version").next;
        pages += 1;
    }
    assert_eq!(pages, 3);
}
