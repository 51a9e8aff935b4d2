//! A Redis that is too old, and KeyDB: both are refused by name and version, before rights are judged.

use std::io;
use std::sync::Arc;

use cloakroom::store::{Redis, RedisSettings, Store as _};
use cloakroom::types::with_causes;
use parking_lot::Mutex;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::{problem, until};
use crate::cli::program::Program;
use crate::support::redis::RedisServer;
use crate::support::tool::tool;

#[tokio::test]
async fn redis_6_2_is_refused_by_its_version() {
    let redis = redis_6_2();

    let problem = problem(&settings(&redis.url())).await;

    assert!(problem.contains(": this is Redis 6.2."), "{problem}");
    assert!(problem.ends_with("lacks commands of Redis 7.0; use Redis 7.0 or newer, or Valkey"), "{problem}");
}

#[test]
fn check_and_doctor_say_that_redis_6_2_is_too_old() {
    let redis = redis_6_2();
    let run = |arguments: &[&str]| {
        let program = Program::new(arguments).env("CLOAKROOM__STORE__KIND", "redis");
        program.env("CLOAKROOM__STORE__REDIS__URL", &redis.url()).run()
    };

    let check = run(&["check", "--connect"]);
    let doctor = run(&["doctor"]);

    assert_eq!((check.code, doctor.code), (Some(1), Some(1)), "{check:?} {doctor:?}");
    assert!(check.stderr.contains("this is Redis 6.2."), "{check:?}");
    assert!(doctor.stdout.contains("redis version: Redis 6.2."), "{doctor:?}");
    let advice = doctor.stdout.lines().filter(|line| line.trim() == "do: use Redis 7.0 or newer, or Valkey").count();
    assert_eq!(advice, 2, "of the connection and of the version: {doctor:?}");
}

#[tokio::test]
async fn keydb_is_refused_by_its_name_and_version() {
    let server = DisguisedRedis::start(KEYDB).await;

    let problem = problem(&settings(&server.url)).await;

    assert!(problem.contains(": this is KeyDB 6.3.4, which lacks commands of Redis 7.0; use Redis 7.0"), "{problem}");
}

#[tokio::test]
async fn a_server_that_does_not_say_its_version_is_used() {
    let server = DisguisedRedis::start(OF_A_PROXY).await;

    Redis::new(&settings(&server.url)).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn an_older_redis_that_takes_the_place_of_another_is_refused_until_it_is_replaced() {
    let server = DisguisedRedis::start(OF_A_PROXY).await;
    let store = Redis::new(&settings(&server.url)).unwrap();
    store.ping().await.unwrap();

    server.answer(KEYDB);
    let refused = async || store.ping().await.is_err_and(|error| with_causes(&error).contains("this is KeyDB 6.3.4"));
    until("the refusal", refused).await;

    server.answer(OF_A_PROXY);
    store.ping().await.unwrap();
}

fn redis_6_2() -> RedisServer {
    RedisServer::start_program(&tool("redis-server-6.2"), "")
}

fn settings(url: &str) -> RedisSettings {
    RedisSettings { url: url.to_owned(), ..Default::default() }
}

/// A real Redis behind a port that answers INFO itself.
struct DisguisedRedis {
    url: String,
    info: Arc<Mutex<String>>,
    _redis: RedisServer,
    _connections: JoinSet<()>,
}

impl DisguisedRedis {
    async fn start(info: &str) -> Self {
        let redis = RedisServer::start();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (socket, info) = (redis.socket(), Arc::new(Mutex::new(info.to_owned())));
        let mut connections = JoinSet::new();
        let answer = Arc::clone(&info);
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                open.spawn(forward(client, server, Arc::clone(&answer)));
            }
        });
        Self { url, info, _redis: redis, _connections: connections }
    }

    fn answer(&self, info: &str) {
        info.clone_into(&mut self.info.lock());
    }
}

/// Forwards one command and its answer after the other.
async fn forward(client: TcpStream, server: UnixStream, info: Arc<Mutex<String>>) -> io::Result<()> {
    let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
    loop {
        let command = read_value(&mut client).await?;
        let answer = match command.get(..14) {
            Some(b"*1\r\n$4\r\nINFO\r\n") => {
                let info = info.lock();
                format!("${}\r\n{info}\r\n", info.len()).into_bytes()
            }
            // It takes the name of one section.
            Some(b"*3\r\n$4\r\nINFO\r\n" | b"*4\r\n$4\r\nINFO\r\n") => b"-ERR syntax error\r\n".to_vec(),
            _ => {
                server.write_all(&command).await?;
                read_value(&mut server).await?
            }
        };
        client.write_all(&answer).await?;
    }
}

/// Reads the bytes of a value of RESP 2, with those that it consists of.
async fn read_value(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let (mut value, mut left) = (Vec::new(), 1_u64);
    while left > 0 {
        let start = value.len();
        if from.read_until(b'\n', &mut value).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= 1;
        let (kind, length) = value[start..].split_first().unwrap();
        // -1 stands for nothing.
        let length = str::from_utf8(length).ok().and_then(|length| length.trim().parse::<u64>().ok());
        match (kind, length) {
            (b'*', Some(length)) => left += length,
            (b'$', Some(length)) => {
                from.take(length + 2).read_to_end(&mut value).await?;
            }
            _ => {}
        }
    }
    Ok(value)
}

/// What KeyDB 6.3.4 answers to INFO, as far as it tells anything here.
const KEYDB: &str = "# Server\r\nredis_version:6.3.4\r\nredis_git_sha1:7e7e5e57\r\nredis_mode:standalone\r\n\
                     executable:/usr/local/bin/keydb-server\r\nfeatures:cluster_mget\r\n\r\n\
                     # Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\r\n\
                     # Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n\
                     # CPU\r\nserver_threads:2\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n# KeyDB\r\nmvcc_depth:0\r\n";

/// What is left of the answer if a proxy hides the version.
const OF_A_PROXY: &str = "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\r\n\
                          # Replication\r\nrole:master\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n";
