//! Connections whose packets are lost, while new connections work: in a network namespace, with iptables.

use std::process::Command;
use std::time::Instant;

use cloakroom::grpc::wire::Changes;

use super::TIMEOUT;
use super::connections::service_on;
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::environment::number;
use crate::support::redis::RedisServer;

#[test]
fn connections_that_lose_their_packets_are_replaced_within_three_timeouts() {
    let can_filter = "ip link set lo up && iptables --append INPUT --protocol tcp --sport 1 --jump DROP";
    let mut probe = Command::new("unshare");
    if !probe.args(["--net", "sh", "-c", can_filter]).status().is_ok_and(|status| status.success()) {
        println!("skipped: it needs root, unshare, ip and iptables");
        return;
    }

    let mut inside = Command::new("unshare");
    inside.arg("--net").arg(std::env::current_exe().unwrap());
    inside.args(["redis_store::lost_packets::in_a_network_namespace", "--exact", "--ignored", "--nocapture"]);

    assert!(inside.status().unwrap().success());
}

#[tokio::test]
#[ignore = "the test above runs it, in a network namespace"]
async fn in_a_network_namespace() {
    run("ip link set lo up");
    let redis = RedisServer::start_with("--port 6379");
    let service = service_on("redis://127.0.0.1:6379").await;
    let token = service.stored(&[("n", "0")]).await;
    let header = format!("session={token}");
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = service.another_client().await;
        client.open_session(open_cookie(&header)).await.unwrap();
        clients.push(client);
    }

    for port in ports(&redis) {
        for side in ["--sport", "--dport"] {
            run(&format!("iptables --append INPUT --protocol tcp {side} {port} --jump DROP"));
        }
    }

    let begin = Instant::now();
    let (mut attempts, mut acknowledged) = (0, 0);
    for client in &mut clients {
        loop {
            attempts += 1;
            assert!(begin.elapsed() < 60 * TIMEOUT, "the connections are never replaced");
            if client.save_session(save(&token, Changes::default().increment("n", 1))).await.is_ok() {
                break;
            }
        }
        acknowledged += 1;
    }
    // Three timeouts are promised on a machine that does nothing else; a busy one gets far more.
    let most = if number::<u64>("CLOAKROOM_TEST_HEALTH_MS").is_some() { 3 } else { 30 } * TIMEOUT;
    let took = begin.elapsed();
    println!("all connections were replaced after {took:?}");
    assert!(took < most, "{took:?}");
    let stored: i64 = service.entries(&token).await["n"].parse().unwrap();
    assert!((acknowledged..=attempts).contains(&stored), "{acknowledged} {stored} {attempts}");
}

/// Returns the ports of the TCP connections to Redis.
fn ports(redis: &RedisServer) -> Vec<String> {
    let list = redis.cli(&["client", "list"]);
    let ports = list.split_whitespace().filter_map(|word| word.strip_prefix("addr=127.0.0.1:"));
    ports.map(str::to_owned).collect()
}

fn run(command: &str) {
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}
