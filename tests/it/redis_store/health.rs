//! Health tells whether Redis takes writes, and says what is wrong with one that cannot be relied on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::grpc;
use cloakroom::store::{Redis, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::connections::service_on;
use super::{TIMEOUT, problem, until};
use crate::conformance::fixtures::create_session;
use crate::support::TestService;
use crate::support::health_time::until_told;
use crate::support::redis::RedisServer;

/// Checks that health follows a Redis that is broken and mended by commands of `redis-cli`, and that reading goes on.
async fn health_follows(broken_by: &[&[&str]], mended_by: &[&[&str]]) {
    let redis = RedisServer::start();
    let service = service_on(&redis.url()).await;
    let token = service.stored(&[("a", "1")]).await;
    await_health(&service, ServingStatus::Serving).await;

    broken_by.iter().for_each(|command| assert_eq!(redis.cli(command), "OK\n"));
    await_health(&service, ServingStatus::NotServing).await;
    assert_eq!(service.entries(&token).await["a"], "1");
    assert_eq!(health(&service, "").await, ServingStatus::Serving, "liveness does not depend on the store");
    assert_eq!(health(&service, grpc::READABLE_SERVICE).await, ServingStatus::Serving, "sessions are read");

    mended_by.iter().for_each(|command| assert_eq!(redis.cli(command), "OK\n"));
    await_health(&service, ServingStatus::Serving).await;
    service.stored(&[("b", "2")]).await;
}

#[tokio::test]
async fn health_follows_a_redis_without_room() {
    health_follows(&[&["config", "set", "maxmemory", "1"]], &[&["config", "set", "maxmemory", "0"]]).await;
}

#[tokio::test]
async fn health_follows_a_redis_that_is_a_replica() {
    health_follows(&[&["replicaof", "127.0.0.1", "1"]], &[&["replicaof", "no", "one"]]).await;
}

#[tokio::test]
async fn health_follows_a_redis_without_enough_replicas() {
    let replicas = |number| ["config", "set", "min-replicas-to-write", number];
    health_follows(&[&replicas("1")], &[&replicas("0")]).await;
}

#[tokio::test]
async fn health_follows_the_rights_of_the_user() {
    health_follows(&[&["acl", "setuser", "default", "-hset"]], &[&["acl", "setuser", "default", "+hset"]]).await;
}

#[tokio::test]
async fn health_follows_the_eviction_policy() {
    let policy = |name| ["config", "set", "maxmemory-policy", name];
    health_follows(
        &[&["config", "set", "maxmemory", "1gb"], &policy("volatile-lru")],
        &[&policy("noeviction"), &["config", "set", "maxmemory", "0"]],
    )
    .await;
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused_unless_that_is_tolerated() {
    let redis = RedisServer::start_with("--maxmemory 1gb --maxmemory-policy allkeys-random");
    let tolerant = RedisSettings { allow_eviction: true, ..settings(&redis.url()) };

    let problem = problem(&settings(&redis.url())).await;

    assert!(problem.contains("maxmemory-policy is allkeys-random; set it to noeviction"), "{problem}");
    assert!(problem.contains("allow_eviction = true in [store.redis]"), "{problem}");
    Redis::new(&tolerant).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_redis_that_does_not_tell_whether_it_evicts_is_refused_unless_that_is_tolerated() {
    let redis = RedisServer::start();
    redis.cli(&["acl", "setuser", "default", "-info"]);
    let tolerant = RedisSettings { allow_eviction: true, ..settings(&redis.url()) };

    let problem = problem(&settings(&redis.url())).await;

    assert!(problem.contains("grant +info, or set allow_eviction = true"), "{problem}");
    Redis::new(&tolerant).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_of_what_kind_it_is() {
    let redis = RedisServer::start();
    let table: [(&[&str], &[&str], &str); 3] = [
        (&["config", "set", "maxmemory", "1"], &["config", "set", "maxmemory", "0"], "the store is full: Redis at"),
        (&["replicaof", "127.0.0.1", "1"], &["replicaof", "no", "one"], "this is a replica, which takes no writes"),
        (
            &["config", "set", "min-replicas-to-write", "1"],
            &["config", "set", "min-replicas-to-write", "0"],
            "NOREPLICAS",
        ),
    ];

    for (broken_by, mended_by, expected) in table {
        redis.cli(broken_by);
        let problem = problem(&settings(&redis.url())).await;
        redis.cli(mended_by);

        assert!(problem.contains(expected), "{problem}");
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_says_what_it_is() {
    let redis = RedisServer::start_with("--cluster-enabled yes --databases 1");

    let problem = problem(&settings(&redis.url())).await;

    assert!(problem.contains("this is a node of a Redis Cluster; set mode = \"cluster\""), "{problem}");
}

#[tokio::test]
async fn a_failure_names_the_host_and_the_cause_and_never_the_password() {
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "right"]);
    let socket = redis.socket().display().to_string();
    let table = [
        (format!("{}?pass=wrong-secret", redis.url()), socket.clone(), "WRONGPASS"),
        (redis.url(), socket, "NOAUTH"),
        ("redis://:wrong-secret@127.0.0.1:1/2".to_owned(), "127.0.0.1:1".to_owned(), "Connection refused"),
        ("redis://:wrong-secret@no.such.host.invalid".to_owned(), "no.such.host.invalid:6379".to_owned(), "lookup"),
    ];

    for (url, host, cause) in table {
        let problem = problem(&settings(&url)).await;

        assert!(problem.contains(&host) && problem.contains(cause), "{problem}");
        assert!(!problem.contains("secret"), "{problem}");
    }
}

/// What a server answers to these bytes.
type Answer = fn(&[u8]) -> Vec<u8>;

/// Serves something else than Redis.
async fn other_server(answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                    let _ = socket.write_all(&answer(&buffer[..read])).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_is_no_redis_is_named_and_its_words_never_hold_the_password() {
    let http = |request: &[u8]| [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), request].concat();
    let quoting = |request: &[u8]| {
        let quoted = String::from_utf8_lossy(request).replace("\r\n", " ");
        format!("-ERR what is {quoted}?\r\n").into_bytes()
    };
    let servers: [(Answer, &str); 3] = [
        (<[u8]>::to_vec, "it does not answer as Redis does"),
        (http, "it does not answer as Redis does"),
        (quoting, "ERR (its text is left out"),
    ];
    for (answer, cause) in servers {
        let address = other_server(answer).await;

        let problem = problem(&settings(&format!("redis://frontend:very-secret@{address}"))).await;

        assert!(problem.contains(&address.to_string()) && problem.contains(cause), "{problem}");
        assert!(!problem.contains("secret") && !problem.contains('\n'), "{problem}");
    }
}

#[tokio::test]
async fn health_sees_a_worker_that_gets_no_connection() {
    let redis = RedisServer::start();
    let settings = RedisSettings { timeout: TIMEOUT, ..settings(&redis.url()) };
    let store = Arc::new(Redis::new(&settings).unwrap());
    store.ping().await.unwrap();
    // The connection that is open stays logged in.
    redis.cli(&["config", "set", "requirepass", "secret"]);
    let (runtime, of_worker) = (Builder::new_current_thread().enable_all().build().unwrap(), Arc::clone(&store));
    let (stop, stopped) = oneshot::channel::<()>();

    let worker = spawn_blocking(move || {
        runtime.block_on(async {
            of_worker.ping().await.unwrap_err();
            let _ = stopped.await;
        });
    });

    until("health sees it", async || store.ping().await.is_err()).await;
    redis.cli(&["-a", "secret", "config", "set", "requirepass", ""]);
    until("health sees that it has one", async || store.ping().await.is_ok()).await;
    drop(stop);
    worker.await.unwrap();
}

#[tokio::test]
async fn a_new_password_in_the_url_file_is_used_by_new_connections() {
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "old"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    let write = |password: &str| std::fs::write(&path, format!("{}?pass={password}\n", redis.url())).unwrap();
    write("old");
    let store = Redis::new(&RedisSettings { url_file: Some(path.clone()), ..settings(&redis.url()) }).unwrap();
    store.ping().await.unwrap();

    redis.cli(&["-a", "old", "config", "set", "requirepass", "new"]);
    write("new");
    redis.cli(&["-a", "new", "client", "kill", "type", "normal"]);

    let begin = Instant::now();
    while store.ping().await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}

#[tokio::test]
async fn connections_never_lead_to_two_servers() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, old.url()).unwrap();
    let settings = RedisSettings { url_file: Some(path.clone()), connections: 4, ..settings(&old.url()) };
    let store = Redis::new(&settings).unwrap();
    let ping_all = async || {
        for _ in 0..4 {
            store.ping().await.unwrap();
        }
    };
    ping_all().await;

    std::fs::write(&path, new.url()).unwrap();
    let clients = old.cli(&["client", "list", "type", "normal"]);
    let id = clients.split_whitespace().find_map(|word| word.strip_prefix("id=")).unwrap();
    old.cli(&["client", "kill", "id", id]);

    let begin = Instant::now();
    while !new.cli(&["client", "list"]).contains("cmd=set") {
        ping_all().await;
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
    old.cli(&["config", "resetstat"]);
    ping_all().await;
    assert!(!old.cli(&["info", "commandstats"]).contains("cmdstat_set"));
}

#[tokio::test]
async fn a_url_that_leads_to_another_server_moves_open_connections() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, old.url()).unwrap();
    let store = Redis::new(&RedisSettings { url_file: Some(path.clone()), ..settings(&old.url()) }).unwrap();
    store.ping().await.unwrap();

    std::fs::write(&path, new.url()).unwrap();

    let writes = |redis: &RedisServer| redis.cli(&["info", "commandstats"]).contains("cmdstat_set:");
    until("the new server", async || {
        store.ping().await.unwrap();
        writes(&new)
    })
    .await;
    old.cli(&["config", "resetstat"]);
    store.ping().await.unwrap();
    assert!(!writes(&old));
}

#[tokio::test]
async fn a_url_that_leads_to_another_layout_never_makes_a_session_missing() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    std::fs::write(&path, old.url()).unwrap();
    let store = Redis::new(&RedisSettings { url_file: Some(path.clone()), ..settings(&old.url()) }).unwrap();
    let key = create_session(&store).await;
    assert_eq!(new.cli(&["set", "cloakroom:layout", "1024"]), "OK\n");

    std::fs::write(&path, new.url()).unwrap();

    // Only calls, for a look at the health of Redis would read the marker.
    until("a refusal", async || match store.load(&key).await {
        Ok(found) => {
            assert!(found.is_some(), "the session is looked for where none can be");
            false
        }
        Err(error) => with_causes(&error).contains("are in 1024 partitions"),
    })
    .await;
}

fn settings(url: &str) -> RedisSettings {
    RedisSettings { url: url.to_owned(), ..Default::default() }
}

async fn await_health(service: &TestService, expected: ServingStatus) {
    let is_told = async || health(service, grpc::SESSION_SERVICE).await == expected;
    until_told(&format!("{expected:?}"), is_told).await;
}

async fn health(service: &TestService, name: &str) -> ServingStatus {
    let channel = Channel::from_shared(service.address.clone()).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: name.to_owned() };
    let checked = HealthClient::new(channel).check(request).await;
    checked.map_or(ServingStatus::Unknown, |response| response.into_inner().status())
}
