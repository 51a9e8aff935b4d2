//! Listings, while Redis restarts or is replaced between their pages. It keeps its data.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::grpc::wire::ListSessionsRequest;
use cloakroom::store::{Cursor, Handle, Redis, RedisSettings, Store as _};
use cloakroom::token::SessionId;
use futures_util::future::join_all;

use super::sentinel::has_writes;
use super::until;
use crate::conformance::fixtures::{app, create, record, session_key};
use crate::support::redis::{RedisServer, documented_rights};
use crate::support::sentinel::{SERVICE, SentinelService, await_replicas};
use crate::support::{TestService, app_settings, long_timeouts};

/// Opens a store that waits for a Redis that restarts.
fn store_on(redis: &RedisServer) -> Redis {
    open(RedisSettings { url: redis.url(), ..Default::default() })
}

fn open(settings: RedisSettings) -> Redis {
    Redis::new(&RedisSettings { timeout: Duration::from_secs(60), ..settings }).unwrap()
}

async fn create_all(store: &Redis) {
    let record = record();
    join_all((0..SESSIONS).map(|n| create(store, session_key(n), &record))).await;
}

/// Counts the sessions of a scan, each once, and does something after a few pages.
async fn scan(store: &Redis, between: impl AsyncFnOnce()) -> usize {
    scan_ids(store, between).await.into_iter().collect::<BTreeSet<_>>().len()
}

async fn scan_ids(store: &Redis, between: impl AsyncFnOnce()) -> Vec<SessionId> {
    let (mut ids, mut cursor, mut between) = (Vec::new(), Cursor::default(), Some(between));
    for page in 0..MOST_PAGES {
        let read = store.scan(&app("default"), &cursor, PAGE).await.unwrap();
        ids.extend(read.sessions.into_iter().map(|(id, _)| id));
        let Some(next) = read.next else { return ids };
        cursor = next;
        if page == PAGES_BEFORE {
            between.take().expect("a page comes once")().await;
        }
    }
    panic!("it begins again and again")
}

fn restart(redis: &mut RedisServer) {
    redis.stop();
    redis.start_again();
}

#[tokio::test]
async fn a_scan_has_no_session_twice_if_redis_loses_no_key_meanwhile() {
    let redis = RedisServer::start();
    let store = store_on(&redis);
    create_all(&store).await;

    let ids = scan_ids(&store, async || {
        let later = (SESSIONS..2 * SESSIONS).map(|n| (session_key(n), record()));
        join_all(later.map(async |(session_key, record)| create(&store, session_key, &record).await)).await;
    })
    .await;

    assert!(ids.len() >= SESSIONS as usize);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[tokio::test]
async fn a_listing_has_every_session_if_redis_restarts_between_its_pages() {
    let mut redis = RedisServer::start_with(KEEPING);
    let store = Handle::from(store_on(&redis));
    let service = TestService::on_store(store, [("default", app_settings())], long_timeouts()).await;
    for _ in 0..SESSIONS {
        service.stored(&[("a", "1")]).await;
    }

    let (mut ids, mut page_token) = (BTreeSet::new(), String::new());
    for page in 0..MOST_PAGES {
        let request = ListSessionsRequest { page_size: PAGE as i32, page_token, ..Default::default() };
        let read = service.try_list(request).await.unwrap();
        ids.extend(read.sessions.into_iter().map(|session| session.id));
        page_token = read.next_page_token;
        if page_token.is_empty() {
            break;
        }
        if page == PAGES_BEFORE {
            restart(&mut redis);
        }
    }

    assert_eq!((ids.len(), page_token.as_str()), (SESSIONS as usize, ""));
}

#[tokio::test]
async fn a_scan_has_every_session_if_redis_is_replaced_between_its_pages() {
    let redis = SentinelService::start().await;
    let store = open(redis.settings());
    create_all(&store).await;
    await_replicas(&redis.servers[0].redis, 1).await;

    let found = scan(&store, async || {
        assert_eq!(redis.sentinels[0].redis.cli(&["sentinel", "failover", SERVICE]), "OK\n");
        until("the new primary", async || {
            let _ = store.ping().await;
            redis.servers[1].is_primary() && has_writes(&redis.servers[1])
        })
        .await;
    })
    .await;

    assert_eq!(found, SESSIONS as usize);
}

#[tokio::test]
async fn without_the_right_to_info_a_scan_goes_on_from_page_to_page() {
    let redis = RedisServer::start();
    let user = ["acl", "setuser", "cloakroom", "reset", "on", ">secret", "~cloakroom:*"];
    let rights: Vec<&str> = documented_rights().into_iter().filter(|right| *right != "+info").collect();
    assert_eq!(redis.cli(&[&user[..], &rights].concat()), "OK\n");
    let url = format!("{}?user=cloakroom&pass=secret", redis.url());
    let store = open(RedisSettings { url, allow_eviction: true, ..Default::default() });
    create_all(&store).await;

    assert_eq!(scan(&store, async || {}).await, SESSIONS as usize);
}

/// It has all data again after a restart.
const KEEPING: &str = "--appendonly yes";

const SESSIONS: u32 = 600;

/// About how many keys a page looks at.
const PAGE: usize = 50;

/// After the page of this number something happens: about half of the sessions have been found.
const PAGES_BEFORE: usize = 5;

/// Many more than there are if a scan begins again once.
const MOST_PAGES: usize = 100;
