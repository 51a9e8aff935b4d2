//! The feed of a single Redis after a failover that has lost an event: a count alone does not show it.

use cloakroom::store::{Cursor, Feed as _, FeedRead, Redis, RedisSettings};

use super::{TIMEOUT, until};
use crate::conformance::fixtures::{app, create_session};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;

fn store(url: String) -> Redis {
    Redis::new(&RedisSettings { url, timeout: TIMEOUT, ..Default::default() }).unwrap()
}

/// Replaces the only entry of the feed by another one with the same number, as after a failover that has lost it.
fn replace_entry(redis: &RedisServer) {
    let keys = redis.keys();
    let feed = keys.iter().find(|key| key.ends_with(":default:feed")).expect("a session was created");
    let replace = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-')[1] \
                   redis.call('XDEL', KEYS[1], last[1]) \
                   return redis.call('XADD', KEYS[1], '*', 'n', last[2][2], 'e', last[2][4])";
    assert!(redis.cli(&["eval", replace, "1", feed]).contains('-'));
}

/// Reads the feed, where nothing is new.
async fn read_nothing(store: &Redis, cursor: &Cursor) {
    assert_eq!(store.read_feed(&app("default"), cursor).await.unwrap(), FeedRead::Entries(Vec::new(), cursor.clone()));
}

#[tokio::test]
async fn a_cursor_of_another_process_has_missed_an_event_that_was_replaced_in_the_same_number() {
    let redis = RedisServer::start();
    let first = store(redis.url());
    create_session(&first).await;
    let end = first.feed_end(&app("default")).await.unwrap();
    read_nothing(&store(redis.url()), &end).await;

    replace_entry(&redis);

    let read = store(redis.url()).read_feed(&app("default"), &end).await.unwrap();
    assert_eq!(read, FeedRead::CursorExpired);
}

#[tokio::test]
async fn a_reader_whose_connection_is_a_new_one_has_missed_an_event_that_was_replaced_in_the_same_number() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.socket()).await;
    let store = store(proxy.url());
    create_session(&store).await;
    let end = store.feed_end(&app("default")).await.unwrap();
    read_nothing(&store, &end).await;

    replace_entry(&redis);
    let before = proxy.accepted();
    proxy.close();
    until("a new connection", async || proxy.accepted() > before).await;

    let read = store.read_feed(&app("default"), &end).await.unwrap();
    assert_eq!(read, FeedRead::CursorExpired);
}

#[tokio::test]
async fn a_reader_that_goes_on_over_the_same_connection_checks_no_entry_again() {
    let redis = RedisServer::start();
    let store = store(redis.url());
    create_session(&store).await;
    let end = store.feed_end(&app("default")).await.unwrap();
    read_nothing(&store, &end).await;
    let before = redis.calls("xrevrange");

    for _ in 0..5 {
        read_nothing(&store, &end).await;
    }

    assert_eq!(redis.calls("xrevrange"), before);
}
