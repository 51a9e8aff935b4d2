//! A change of keys under load, as docs/operations.md says to do it: no call fails, and nobody is logged out.

use cloakroom::token::{Key, KeyRing};

use super::child::Process;
use super::load::{Load, Restart};
use super::rolling_restart::replicas;
use crate::support::redis::RedisServer;

/// How a replica is told.
#[derive(Clone, Copy)]
enum Authority {
    File,
    Signal,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_changes_of_keys_fail_no_call_and_log_nobody_out() {
    let (redis, mut old) = (RedisServer::start(), Key::generate());
    let replicas = replicas(&redis, &old).await;
    let load = Load::start(&replicas, CALLERS, Restart::Orderly);
    load.more(CALLS_BETWEEN).await;

    for by in [Authority::File, Authority::Signal, Authority::File] {
        let new = Key::generate();
        // Verified everywhere before it signs anywhere.
        roll_out(&replicas, by, &[&old, &new], &load).await;
        roll_out(&replicas, by, &[&new, &old], &load).await;
        // Every session has come by meanwhile, and with it the new key's token.
        roll_out(&replicas, by, &[&new], &load).await;
        old = new;
    }

    load.stop().await;
    for replica in &replicas {
        let said = replica.said();
        assert!(!said.contains("ERROR") && !said.contains("\"WARN\""), "{said}");
        let rejected = r#"cloakroom_tokens_rejected_total{app="default",reason="UNKNOWN_KEY"}"#;
        assert_eq!(replica.metric(rejected).await, Some(0.0));
    }
}

/// Gives a list of keys to one replica after the other, with calls between and afterwards.
async fn roll_out(replicas: &[Process; 2], by: Authority, keys: &[&str], load: &Load) {
    let ids = KeyRing::parse(keys).unwrap();
    for replica in replicas {
        match by {
            Authority::File => replica.replace("keys", &keys.join("\n")),
            Authority::Signal => {
                replica.replace("keys", &keys.join("\n"));
                replica.signal("-HUP");
            }
        }
        for (place, id) in ids.ids().enumerate() {
            let signs = if place == 0 { "yes" } else { "no" };
            let key = format!(r#"cloakroom_key_info{{app="default",key="{id}",signs="{signs}"}}"#);
            replica.until_metric(&key, 1.0).await;
        }
        load.more(CALLS_BETWEEN).await;
    }
}

const CALLERS: usize = 8;
/// Enough for every caller to have met what has changed.
const CALLS_BETWEEN: u64 = 200;
