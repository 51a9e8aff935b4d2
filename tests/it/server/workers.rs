//! Worker threads.

use cloakroom::server::{Server, Settings};
use tokio_util::sync::CancellationToken;

use super::support::echo::Echo;
use super::support::test_server::{TestServer, settings, with_timeout};

#[tokio::test]
async fn connections_are_spread_over_the_workers() {
    let server = TestServer::start(&Settings { workers: 3, ..settings() }).await;
    let mut workers = Vec::new();
    let mut clients = Vec::new();

    for _ in 0..6 {
        let client = server.client().await;
        workers.push(client.call("Thread").await.body);
        clients.push(client);
    }

    workers.sort();
    assert_eq!(workers, ["worker-0", "worker-0", "worker-1", "worker-1", "worker-2", "worker-2"]);
}

#[tokio::test]
async fn workers_end_with_the_server() {
    let server = TestServer::start(&Settings { workers: 3, ..settings() }).await;
    server.client().await.call("Echo").await;
    let echo = server.echo.clone();

    server.close().await;

    // Each worker had a clone of the service.
    assert_eq!(echo.holders(), 1);
}

#[tokio::test]
async fn a_worker_that_fails_to_start_is_an_error() {
    let server = Server::bind(&settings()).await.unwrap();
    let fails = |number| if number == 1 { panic!("the test asked for it") } else { Echo::new() };

    let served = with_timeout(server.run(fails, CancellationToken::new())).await;

    assert!(served.unwrap_err().to_string().contains("a worker thread"));
}
