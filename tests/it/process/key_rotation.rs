//! A change of keys under load, as docs/operations.md describes it: no call fails, and no session is lost.

use cloakroom::token::{Key, KeyRing};

use super::child::Process;
use super::load::{Load, Restart};
use super::rolling_restart::replicas;
use crate::support::redis::RedisServer;

/// The way in which a replica notices new keys.
#[derive(Clone, Copy)]
enum Trigger {
    File,
    Signal,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_changes_of_keys_fail_no_call_and_lose_no_session() {
    let (redis, mut old) = (RedisServer::start(), Key::generate());
    let replicas = replicas(&redis, &old).await;
    let load = Load::start(replicas.each_ref(), CALLERS, Restart::Orderly);
    load.await_calls(CALLS_BETWEEN).await;

    for trigger in [Trigger::File, Trigger::Signal, Trigger::File] {
        let new = Key::generate();
        // Every replica verifies with the new key before one signs with it.
        roll_out(&replicas, trigger, &[&old, &new], &load).await;
        roll_out(&replicas, trigger, &[&new, &old], &load).await;
        // Every session was used in the meantime, and has a token of the new key.
        roll_out(&replicas, trigger, &[&new], &load).await;
        old = new;
    }

    load.stop().await;
    for replica in &replicas {
        let output = replica.output();
        assert!(!output.contains("ERROR") && !output.contains("\"WARN\""), "{output}");
        let rejected = r#"cloakroom_tokens_rejected_total{app="default",reason="UNKNOWN_KEY"}"#;
        assert_eq!(replica.metric(rejected).await, Some(0.0));
    }
}

/// Gives a list of keys to one replica after the other, with calls after each.
async fn roll_out(replicas: &[Process; 2], trigger: Trigger, keys: &[&str], load: &Load) {
    let ids = KeyRing::parse(keys).unwrap();
    for replica in replicas {
        match trigger {
            Trigger::File => replica.replace("keys", &keys.join("\n")),
            Trigger::Signal => {
                replica.replace("keys", &keys.join("\n"));
                replica.signal("-HUP");
            }
        }
        for (index, id) in ids.ids().enumerate() {
            let signs = if index == 0 { "yes" } else { "no" };
            let key = format!(r#"cloakroom_key_info{{app="default",key="{id}",signs="{signs}"}}"#);
            replica.await_metric(&key, 1.0).await;
        }
        load.await_calls(CALLS_BETWEEN).await;
    }
}

const CALLERS: usize = 8;
/// Enough for every caller to meet a change.
const CALLS_BETWEEN: u64 = 200;
