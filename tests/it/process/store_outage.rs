//! A process whose Redis is down or takes no writes, at its start or later: it stays up, and gets ready by itself.

use std::cell::RefCell;
use std::time::Duration;

use cloakroom::grpc::wire::{Changes, DestroySessionRequest, OpenSessionRequest, destroy_session_request};
use cloakroom::token::Key;
use tokio::time::sleep;
use tonic::Code;

use super::child::Process;
use crate::support::calls::{ChangesExt as _, open_cookie, refused, save};
use crate::support::cluster::Cluster;
use crate::support::health_time::until_told;
use crate::support::redis::RedisServer;
use crate::support::sentinel::SentinelService;

/// Starts a process again while its store is down, which `break_store` and `mend_store` see to.
async fn start_during_an_outage(redis: &str, break_store: impl FnOnce(), mend_store: impl FnOnce()) {
    let config = format!(
        "[store]\nkind = \"redis\"\n[store.redis]\n{redis}\n[apps.default]\nkeys = [\"{}\"]\n",
        Key::generate()
    );
    let mut process = Process::start(&config, &[], &[]).await;
    let ticket = process.client().open_session(OpenSessionRequest::default()).await.unwrap().into_inner();
    let ticket = ticket.session.unwrap().token;
    process.signal("-TERM");
    assert!(process.await_exit().await.success());

    break_store();
    process.start_again_unready().await;
    let saving = || save(&ticket, Changes::default().set("a", "1"));
    let refused = refused(process.client().save_session(saving()).await);
    let page = process.page("/readyz").await;
    process.await_output("the store does not work", 1).await;

    mend_store();
    until_told("a store that works", async || process.page("/readyz").await.starts_with("HTTP/1.1 200 ")).await;
    let saved = process.client().save_session(saving()).await.unwrap().into_inner();
    let cookie = format!("session={}", saved.session.unwrap().token);
    process.client().open_session(open_cookie(&cookie)).await.unwrap();

    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(page.starts_with("HTTP/1.1 503 "), "{page}");
}

#[tokio::test]
async fn a_process_starts_while_its_redis_is_down_and_is_ready_when_that_is_up() {
    let redis = RefCell::new(RedisServer::start());
    let url = format!("url = \"{}\"", redis.borrow().url());

    start_during_an_outage(&url, || redis.borrow_mut().stop(), || redis.borrow_mut().start_again()).await;
}

#[tokio::test]
async fn a_process_starts_while_the_sentinels_have_no_primary_and_is_ready_when_there_is_one() {
    let service = SentinelService::start_with(0).await;
    let urls = service.sentinels.iter().map(|sentinel| format!("\"redis://127.0.0.1:{}\"", sentinel.port));
    let urls = urls.collect::<Vec<_>>().join(", ");
    let settings = format!(
        "mode = \"sentinel\"\n[store.redis.sentinel]\nurls = [{urls}]\n\
         service_name = \"{}\"",
        service.settings().sentinel.service_name
    );
    let primary = RefCell::new(service.servers.into_iter().next().expect("there is one").redis);

    start_during_an_outage(&settings, || primary.borrow_mut().stop(), || primary.borrow_mut().start_again()).await;
}

#[tokio::test]
async fn a_process_starts_while_the_node_of_the_marker_hangs_and_is_ready_when_it_goes_on() {
    let cluster = Cluster::start(3, 0, Duration::from_secs(60));
    let settings = format!("mode = \"cluster\"\nurl = \"{}\"", cluster.settings().url);
    let node = &cluster.nodes[1].redis;

    start_during_an_outage(&settings, || node.signal("-STOP"), || node.signal("-CONT")).await;
}

#[tokio::test]
async fn health_follows_a_redis_that_hangs() {
    health_follows_an_outage(|redis| redis.signal("-STOP"), |redis| redis.signal("-CONT")).await;
}

#[tokio::test]
async fn health_follows_a_redis_that_is_stopped_and_started() {
    health_follows_an_outage(RedisServer::stop, RedisServer::start_again).await;
}

async fn health_follows_an_outage(begin: fn(&mut RedisServer), end: fn(&mut RedisServer)) {
    let mut redis = RedisServer::start();
    let process = Process::start(&config_of(&redis), &[], &[]).await;

    begin(&mut redis);
    until_told("an outage", async || process.page("/readyz").await.starts_with("HTTP/1.1 503 ")).await;
    assert!(process.page("/healthz").await.starts_with("HTTP/1.1 200 "), "the process is alive");
    until_told("its reads", async || process.page("/readablez").await.starts_with("HTTP/1.1 503 ")).await;
    end(&mut redis);
    until_told("its end", async || process.page("/readyz").await.starts_with("HTTP/1.1 200 ")).await;
    until_told("reads", async || process.page("/readablez").await.starts_with("HTTP/1.1 200 ")).await;
}

#[tokio::test]
async fn a_process_on_a_full_redis_stays_readable_and_ends_sessions() {
    let (full, room) = (["config", "set", "maxmemory", "1"], ["config", "set", "maxmemory", "0"]);
    let redis = RedisServer::start();
    let mut process = Process::start(&config_of(&redis), &[], &[]).await;
    let (kept, ended) = (saved(&process).await, saved(&process).await);

    redis.cli(&full);
    until_told("a full store", async || process.page("/readyz").await.starts_with("HTTP/1.1 503 ")).await;
    let page = process.page("/readablez").await;
    let opened = process.client().open_session(open_cookie(&format!("session={kept}"))).await.unwrap().into_inner();
    let credential = Some(destroy_session_request::Credential::Token(ended.clone()));
    process.client().destroy_session(DestroySessionRequest { credential, ..Default::default() }).await.unwrap();
    // Probes ask for so long that one wrong answer between two pings would be seen.
    for _ in 0..100 {
        assert!(process.page("/readablez").await.starts_with("HTTP/1.1 200 "));
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(process.metric("cloakroom_serving").await, Some(0.0));
    assert_eq!(process.metric("cloakroom_readable").await, Some(1.0));

    // A replica that starts meanwhile has to serve too.
    process.signal("-TERM");
    assert!(process.await_exit().await.success());
    process.start_again_unready().await;
    until_told("reads", async || process.page("/readablez").await.starts_with("HTTP/1.1 200 ")).await;
    assert!(process.page("/readyz").await.starts_with("HTTP/1.1 503 "));

    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(!opened.session.unwrap().new);
    redis.cli(&room);
    until_told("room", async || process.page("/readyz").await.starts_with("HTTP/1.1 200 ")).await;
}

#[tokio::test]
async fn a_process_that_redis_does_not_let_in_is_not_readable() {
    let redis = RedisServer::start();
    let mut process = Process::start(&config_of(&redis), &[], &[]).await;
    process.signal("-TERM");
    assert!(process.await_exit().await.success());
    redis.cli(&["config", "set", "requirepass", "secret"]);

    process.start_again_unready().await;
    process.await_output("the store does not work", 1).await;

    assert!(process.page("/readablez").await.starts_with("HTTP/1.1 503 "));
    redis.cli(&["-a", "secret", "config", "set", "requirepass", ""]);
    until_told("reads", async || process.page("/readablez").await.starts_with("HTTP/1.1 200 ")).await;
}

/// Saves a session, and returns its token.
async fn saved(process: &Process) -> String {
    let ticket = process.client().open_session(OpenSessionRequest::default()).await.unwrap().into_inner();
    let saving = save(&ticket.session.unwrap().token, Changes::default().set("a", "1"));
    process.client().save_session(saving).await.unwrap().into_inner().session.unwrap().token
}

fn config_of(redis: &RedisServer) -> String {
    format!(
        "[store]\nkind = \"redis\"\n[store.redis]\nurl = \"{}\"\n[apps.default]\nkeys = [\"{}\"]\n",
        redis.url(),
        Key::generate()
    )
}
