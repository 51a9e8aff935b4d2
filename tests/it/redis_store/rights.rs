//! The rights of the Redis user. All tests of stores run as the documented user; here each right is needed.

use std::error::Error as _;

use cloakroom::store::{Error, Redis, RedisSettings, Store as _};

use crate::conformance::fixtures::{create_session, record, session_key};
use crate::support::redis::{RedisServer, documented_rights};

/// Opens a store as a user with these rights on all keys.
fn store_with(redis: &RedisServer, rights: &[&str]) -> Redis {
    let user = ["acl", "setuser", "cloakroom", "reset", "on", ">secret", "~cloakroom:*"];
    assert_eq!(redis.cli(&[&user[..], rights].concat()), "OK\n");
    let url = format!("{}?user=cloakroom&pass=secret", redis.url());
    Redis::new(&RedisSettings { url, ..Default::default() }).unwrap()
}

#[tokio::test]
async fn each_documented_right_is_missed_at_the_start() {
    let redis = RedisServer::start();
    let all = documented_rights();

    store_with(&redis, &all).ping().await.unwrap();

    assert!(all.len() > 20, "{all:?}");
    for missing in &all {
        let rights: Vec<&str> = all.iter().filter(|right| *right != missing).copied().collect();
        let error = store_with(&redis, &rights).ping().await.unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "without {missing}: {error:?}");
        let cause = error.source().unwrap().to_string();
        let command = missing.trim_start_matches('+');
        assert!(cause.to_lowercase().contains(command), "without {missing}: {cause}");
    }
}

#[tokio::test]
async fn a_create_that_fails_on_its_way_stores_no_session() {
    let redis = RedisServer::start();
    let all = documented_rights();

    for missing in ["+xadd", "+incrby", "+hset", "+pexpireat"] {
        let rights: Vec<&str> = all.iter().filter(|right| **right != missing).copied().collect();
        let store = store_with(&redis, &rights);
        store.create(&session_key(1), &record()).await.unwrap_err();

        let sessions = redis.cli(&["keys", &format!("*:{}", session_key(1).id)]);
        assert_eq!(sessions.trim(), "", "without {missing}");
    }
    create_session(&store_with(&redis, &all)).await;
}
