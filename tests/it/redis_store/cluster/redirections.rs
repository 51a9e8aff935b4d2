//! The router against scripted nodes: no redirection reads as a missing session, and nothing is done twice.

use std::time::Duration;

use cloakroom::store::{Redis, RedisMode, RedisSettings, Store as _};

use super::scripted::ScriptedCluster;
use crate::conformance::fixtures::{MS, START, session_key, touch};

/// A store on scripted nodes, and the session that they have.
async fn scripted() -> (ScriptedCluster, Redis) {
    // Tags of 1,024 partitions differ from run to run only if the layout changes: partition 0 has this one.
    let key = format!("cloakroom:{{460}}:default:{}", session_key(0).id);
    let cluster = ScriptedCluster::start(&[key]).await;
    let url = format!("redis://127.0.0.1:{}", cluster.ports[0]);
    let settings =
        RedisSettings { mode: RedisMode::Cluster, url, timeout: Duration::from_secs(20), ..Default::default() };
    (cluster, Redis::new(&settings).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirection_makes_a_session_missing() {
    let (cluster, store) = scripted().await;

    for round in 0..400 {
        let loaded = store.load(&session_key(0)).await;
        match loaded {
            Ok(snapshot) => assert!(snapshot.is_some(), "round {round}"),
            Err(error) => panic!("round {round}: {error:?}"),
        }
    }
    let missing = store.load(&session_key(1 << 31)).await;

    assert!(matches!(missing, Ok(None)), "{missing:?}");
    let answered = cluster.answered();
    for kind in ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN"] {
        assert!(answered.contains(kind), "{kind} is not in {answered:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirection_makes_a_write_happen_twice() {
    let (cluster, store) = scripted().await;

    let (mut done, mut unknown) = (0, 0);
    for round in 1..=400 {
        let used = START + round * MS;
        let touched = store.touch(&session_key(0), &touch(1, used)).await;
        let runs = cluster.runs(&used.millis().to_string());
        match touched {
            Ok(()) => {
                assert_eq!(runs, 1, "round {round}");
                done += 1;
            }
            Err(_) => {
                assert!(runs <= 1, "round {round}: {runs} runs");
                unknown += 1;
            }
        }
    }

    assert!(done > 300, "{done} done");
    let answered = cluster.answered();
    for kind in ["MOVED", "ASK", "NOSCRIPT", "closed before", "closed after"] {
        assert!(answered.contains(kind), "{kind} is not in {answered:?}");
    }
    assert!(unknown > 0 && unknown < 80, "{unknown} unknown: only a connection that was closed makes one");
}
