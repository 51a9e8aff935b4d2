//! Attacks over the network, with an honest caller beside them and an unattacked service to compare with.
//!
//! Short by default: each flood lasts a second, and how long the caller waited is only printed, for the other tests take
//! processors from the attacked service. `CLOAKROOM_TEST_ATTACK_SECONDS` sets how long each flood lasts, and the waiting is
//! judged then.

mod flood;
mod floods;
mod honest;
mod scene;

use std::slice;
use std::time::Duration;

use self::flood::Flood;
use self::floods::{FLOODS, OPERATOR_FLOODS, TLS_FLOODS, UNFINISHED_FLOODS};
use self::scene::{Listener, Scene};
use crate::support::environment::number;

#[tokio::test]
async fn no_flood_disturbs_an_honest_caller_or_health_or_uses_much_memory() {
    check(&Scene::start(Listener::Frontends).await, FLOODS).await;
}

// Each attacks a service of its own: one that was attacked before lets the address of the attackers wait.
#[tokio::test]
async fn no_flood_of_unfinished_calls_uses_much_memory() {
    for flood in UNFINISHED_FLOODS {
        check(&Scene::start(Listener::Frontends).await, slice::from_ref(flood)).await;
    }
}

#[tokio::test]
async fn no_flood_of_the_listener_for_operators_disturbs_probes_or_uses_much_memory() {
    check(&Scene::start(Listener::Operators).await, OPERATOR_FLOODS).await;
}

#[tokio::test]
async fn no_flood_of_handshakes_disturbs_an_honest_caller_by_tls() {
    check(&Scene::start_with_tls().await, TLS_FLOODS).await;
}

async fn check(scene: &Scene, floods: &[Flood]) {
    let seconds = number("CLOAKROOM_TEST_ATTACK_SECONDS");
    let (length, most_ratio) =
        (Duration::from_secs(seconds.unwrap_or(1)), seconds.map_or(f64::INFINITY, |_| MOST_RATIO));
    let only: Option<String> = number("CLOAKROOM_TEST_ATTACK");
    let mut faults = Vec::new();

    for flood in floods.iter().filter(|flood| only.as_ref().is_none_or(|only| flood.name.contains(only))) {
        faults.extend(scene.endure(flood, length, most_ratio).await);
    }

    faults.extend(scene.after_all().await);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// How many times longer than at the unattacked service a caller may wait.
const MOST_RATIO: f64 = 2.0;
