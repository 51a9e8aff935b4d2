//! TLS to Redis: what is checked, what the operator is told, and certificates that change while the service runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cloakroom::grpc::wire::Changes;
use cloakroom::store::{Handle, Redis, RedisSettings, Store as _};
use tokio::task::JoinSet;

use super::{problem, until};
use crate::cli::program::Program;
use crate::conformance::fixtures::create_session;
use crate::support::authority::{CertificateAuthority, replace};
use crate::support::calls::{ChangesExt as _, save};
use crate::support::environment::number;
use crate::support::ports::free_port;
use crate::support::redis::{RedisServer, documented_rights};
use crate::support::sentinel::{SERVICE, Server, await_replicas, settings};
use crate::support::tls_redis::TlsRedis;
use crate::support::{TestService, app_settings, long_timeouts};

/// Starts a service on a store with these settings.
async fn service_on(settings: RedisSettings) -> TestService {
    let store = Handle::from(Redis::new(&settings).unwrap());
    TestService::on_store(store, [("default", app_settings())], long_timeouts()).await
}

#[tokio::test]
async fn sessions_are_stored_by_each_version_of_tls() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let redis = TlsRedis::start_with(&format!("--tls-auth-clients no --tls-protocols {version}"));
        let service = service_on(redis.settings()).await;

        let token = service.stored(&[("a", "1")]).await;
        service.save(save(&token, Changes::default().set("a", "2"))).await;

        assert_eq!(service.entries(&token).await["a"], "2", "{version}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_by_each_version_of_tls() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let redis = TlsRedis::start_with(&format!("--tls-auth-clients yes --tls-protocols {version}"));
        let settings = redis.settings_as(&redis.authority.sign("cloakroom"));

        Redis::new(&settings).unwrap().ping().await.unwrap();
    }
}

/// Runs `cloakroom check --connect` with these settings, and returns its error without the beginning that all have.
fn check(settings: &RedisSettings) -> String {
    let mut program = Program::new(&["check", "--connect"]).env("CLOAKROOM__STORE__KIND", "redis");
    let RedisSettings { url, username, password_file, ca_file, certificate_file, key_file, .. } = settings;
    let files = [
        ("PASSWORD_FILE", password_file),
        ("CA_FILE", ca_file),
        ("CERTIFICATE_FILE", certificate_file),
        ("KEY_FILE", key_file),
    ];
    program = program.env("CLOAKROOM__STORE__REDIS__URL", url);
    if let Some(username) = username {
        program = program.env("CLOAKROOM__STORE__REDIS__USERNAME", username);
    }
    for (name, path) in files.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))) {
        program = program.env(&format!("CLOAKROOM__STORE__REDIS__{name}"), path.to_str().unwrap());
    }
    let ended = program.run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(!ended.stderr.contains("secret"), "{ended:?}");
    let (_, cause) = ended.stderr.trim().split_once("Redis at ").expect(&ended.stderr);
    cause.split_once(": ").unwrap().1.to_owned()
}

#[tokio::test]
async fn each_fault_of_a_certificate_has_words_of_its_own() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let arguments = format!("--tls-auth-clients yes --tls-protocols {version}");
        let redis = TlsRedis::start_with(&arguments);
        let authority = CertificateAuthority::new();
        let expired = authority.sign_until("localhost", 2001);
        let redis_with_expired = TlsRedis::start_as(authority, &expired, &arguments);
        let foreign = CertificateAuthority::named("another one");
        foreign.write(&redis.path("foreign.pem"));
        CertificateAuthority::new().write(&redis.path("namesake.pem"));
        let client = redis.authority.sign("cloakroom");
        let good = redis.settings_as(&client);
        let client_file = redis.path("client.pem").display().to_string();
        let unknown = |file: &str| {
            format!("TLS: the certificate of Redis is signed by no authority in {}", redis.path(file).display())
        };
        let table = [
            (RedisSettings { ca_file: Some(redis.path("foreign.pem")), ..good.clone() }, unknown("foreign.pem")),
            (RedisSettings { ca_file: Some(redis.path("namesake.pem")), ..good.clone() }, unknown("namesake.pem")),
            (
                RedisSettings { ca_file: None, ..good.clone() },
                "TLS: the certificate of Redis is signed by no public authority; name the file of its authority in \
                 ca_file"
                    .to_owned(),
            ),
            (
                RedisSettings { url: format!("rediss://127.0.0.1:{}", redis.port()), ..good.clone() },
                "TLS: the certificate of Redis is not for 127.0.0.1, the host of this address, but for \
                 DnsName(\"localhost\")"
                    .to_owned(),
            ),
            (redis_with_expired.settings(), "TLS: the certificate of Redis has expired".to_owned()),
            (
                redis.settings(),
                "TLS: Redis asks for a client certificate; set certificate_file and key_file".to_owned(),
            ),
        ];
        thread::scope(|scope| {
            for (settings, expected) in &table {
                scope.spawn(move || assert_eq!(check(settings), *expected, "{version}"));
            }
        });

        let expired = redis.settings_as(&redis.authority.sign_until("cloakroom", 2001));
        assert_eq!(check(&expired), format!("TLS: the client certificate in {client_file} has expired"), "{version}");
        let refused = check(&redis.settings_as(&foreign.sign("cloakroom")));
        let words = format!("TLS: Redis refuses the client certificate in {client_file} (UnknownCA)");
        let closed =
            format!("TLS: Redis closed the connection after it had asked for the client certificate in {client_file}");
        assert!(refused == words || refused == closed, "{version}: {refused}");
        redis.settings_as(&client);
        Redis::new(&good).unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn passwords_and_rights_have_words_of_their_own_by_tls_too() {
    let redis = TlsRedis::start_with("--tls-auth-clients no");
    let set_user = |rights: &[&str]| {
        let user = ["acl", "setuser", "cloakroom", "reset", "on", ">secret", "~cloakroom:*"];
        assert_eq!(redis.redis.cli(&[&user[..], rights].concat()), "OK\n");
    };
    let with_password = |password: &str| {
        replace(&redis.path("password"), &format!("{password}\n"));
        let (username, password_file) = (Some("cloakroom".to_owned()), Some(redis.path("password")));
        RedisSettings { username, password_file, ..redis.settings() }
    };
    let all = documented_rights();

    set_user(&all);
    Redis::new(&with_password("secret")).unwrap().ping().await.unwrap();
    let wrong = check(&with_password("wrong-secret"));
    set_user(&all.iter().filter(|right| **right != "+hset").copied().collect::<Vec<_>>());
    let without_right = check(&with_password("secret"));
    set_user(&[&all[..], &["resetkeys", "~other:*"]].concat());
    let without_keys = check(&with_password("secret"));
    redis.redis.cli(&["config", "set", "requirepass", "secret"]);
    let missing = check(&redis.settings());

    assert!(wrong.starts_with("WRONGPASS"), "{wrong}");
    assert!(missing.starts_with("NOAUTH"), "{missing}");
    assert!(without_right.starts_with("this user lacks commands") && without_right.contains("hset"), "{without_right}");
    assert!(without_keys.starts_with("NOPERM") && without_keys.contains("key"), "{without_keys}");
}

#[tokio::test]
async fn a_port_without_tls_and_a_url_without_tls_are_told() {
    let redis = TlsRedis::start_with("--tls-auth-clients no");
    let plain = RedisSettings { url: format!("redis://localhost:{}", redis.port()), ..Default::default() };
    let port = free_port();
    let _without_tls = RedisServer::start_with(&format!("--port {port}"));
    let encrypted = RedisSettings { url: format!("rediss://localhost:{port}"), ..redis.settings() };

    let (plain, encrypted) = (check(&plain), check(&encrypted));

    assert!(plain.contains("if this port speaks TLS, the url has to begin with rediss://"), "{plain}");
    assert!(encrypted.starts_with("TLS: ") && encrypted.contains("TLS?"), "{encrypted}");
}

/// A primary and its replica, which speak nothing but TLS, and a Sentinel that watches them by TLS.
struct TlsSentinelService {
    primary: TlsRedis,
    replica: RedisServer,
    sentinel: Server,
}

impl TlsSentinelService {
    /// Starts all. The Sentinel names them by this host, and all certificates are for `localhost`.
    async fn start(host: &str) -> Self {
        let common = "--tls-auth-clients no --tls-replication yes --repl-diskless-sync-delay 0";
        let primary = TlsRedis::start_with(&format!("{common} --replica-announce-ip {host}"));
        let file = |name: &str| primary.path(name).display().to_string();
        let [certificate, key, authority] = ["server.pem", "server.key", "ca.pem"].map(file);
        let replica = RedisServer::start_with(&format!(
            "--tls-port {} --tls-cert-file {certificate} --tls-key-file {key} --tls-ca-cert-file {authority} {common} \
             --replicaof {host} {} --replica-announce-ip {host}",
            free_port(),
            primary.port(),
        ));
        await_replicas(&primary.redis, 1).await;
        let more = format!(
            "tls-replication yes\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-ca-cert-file {authority}\n\
             sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n"
        );
        let sentinel = Server::sentinel(primary.port(), 1, &more);
        let monitor = ["sentinel", "monitor", SERVICE, host, &primary.port().to_string(), "1"];
        assert_eq!(sentinel.redis.cli(&["sentinel", "remove", SERVICE]), "OK\n");
        assert_eq!(sentinel.redis.cli(&monitor), "OK\n");
        Self { primary, replica, sentinel }
    }

    fn settings(&self) -> RedisSettings {
        let url = "rediss://any/0".to_owned();
        RedisSettings {
            url,
            ca_file: Some(self.primary.path("ca.pem")),
            ..settings(std::slice::from_ref(&self.sentinel))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn primaries_that_a_sentinel_names_are_reached_by_tls_before_and_after_a_failover() {
    let redis = TlsSentinelService::start("localhost").await;
    let store = Redis::new(&RedisSettings { timeout: Duration::from_secs(20), ..redis.settings() }).unwrap();
    let session_key = create_session(&store).await;
    await_replicas(&redis.primary.redis, 1).await;
    let sentinel = &redis.sentinel.redis;
    until("the replica", async || sentinel.cli(&["info", "sentinel"]).contains("slaves=1")).await;

    until("a failover", async || sentinel.cli(&["sentinel", "failover", SERVICE]) == "OK\n").await;
    until("the promotion", async || redis.replica.cli(&["role"]).starts_with("master")).await;

    until("the new primary", async || {
        let _ = store.ping().await;
        redis.replica.cli(&["info", "commandstats"]).contains("cmdstat_set:")
    })
    .await;
    store.load(&session_key).await.unwrap().expect("the replica had it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_a_primary_has_to_be_for_the_name_that_the_sentinel_announces() {
    let redis = TlsSentinelService::start("127.0.0.1").await;

    let problem = problem(&redis.settings()).await;

    let expected = "TLS: the certificate of Redis is not for 127.0.0.1, the host of this address, but for \
                    DnsName(\"localhost\")";
    assert!(
        problem.contains(&format!("127.0.0.1:{}", redis.primary.port())) && problem.contains(expected),
        "{problem}"
    );
}

/// Returns the cause of an error that a store's files make.
fn refusal(settings: &RedisSettings) -> String {
    Redis::new(settings).unwrap_err().to_string()
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_at_the_start() {
    let redis = TlsRedis::start_with("--tls-auth-clients no");
    let good = redis.settings_as(&redis.authority.sign("cloakroom"));
    redis.authority.sign("cloakroom").write(&redis.path("other.pem"), &redis.path("other.key"));
    replace(&redis.path("empty"), "\n");
    let file = |name: &str| Some(redis.path(name));
    let table = [
        (RedisSettings { ca_file: file("missing"), ..good.clone() }, "ca_file: ", "it cannot be read: No such file"),
        (RedisSettings { ca_file: file("empty"), ..good.clone() }, "ca_file: ", "there is no certificate in PEM in it"),
        (RedisSettings { key_file: file("other.key"), ..good.clone() }, "key_file: ", "is not that of the certificate"),
        (
            RedisSettings { key_file: file("empty"), ..good.clone() },
            "key_file: ",
            "there is no private key in PEM in it",
        ),
        (
            RedisSettings { certificate_file: file("empty"), ..good.clone() },
            "certificate_file: ",
            "no certificate in PEM",
        ),
        (RedisSettings { password_file: file("empty"), ..good }, "password_file: ", "there is no password in it"),
    ];

    for (settings, setting, problem) in table {
        let refusal = refusal(&settings);
        assert!(refusal.starts_with(setting) && refusal.contains(problem), "{refusal}");
    }
}

#[tokio::test]
async fn files_that_are_gone_or_damaged_stop_no_new_connection() {
    let redis = TlsRedis::start_with("--tls-auth-clients yes");
    let store = Redis::new(&redis.settings_as(&redis.authority.sign("cloakroom"))).unwrap();
    store.ping().await.unwrap();

    std::fs::remove_file(redis.path("ca.pem")).unwrap();
    replace(&redis.path("client.pem"), "damaged");
    for _ in 0..3 {
        let before = connections_received(&redis.redis);
        redis.redis.cli(&["client", "kill", "type", "normal"]);
        until("a new connection", async || connections_received(&redis.redis) > before + 1).await;
        // A check of health is one that may not be repeated: the connection may be noticed as closed only now.
        until("health", async || store.ping().await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_fails_no_read() {
    let redis = TlsRedis::start_with("--tls-auth-clients no");
    let service = service_on(redis.settings()).await;
    let token = service.stored(&[("a", "1")]).await;

    for _ in 0..10 {
        redis.redis.cli(&["client", "kill", "type", "normal"]);
        assert_eq!(service.entries(&token).await["a"], "1");
    }
}

/// How many connections a Redis has accepted. Each command is one itself.
fn connections_received(redis: &RedisServer) -> u64 {
    let stats = redis.cli(&["info", "stats"]);
    let value = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    value.trim().parse().unwrap()
}

#[tokio::test]
async fn new_certificates_fail_no_call_but_on_connections_that_are_killed() {
    let mut redis = TlsRedis::start_with("--tls-auth-clients yes");
    let settings = redis.settings_as(&redis.authority.sign("cloakroom"));
    // On a busy machine a second may pass until there is a new connection.
    let service = Arc::new(service_on(RedisSettings { timeout: Duration::from_secs(20), ..settings }).await);
    let (stop, saves, failures) =
        (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (token, mut client) = (service.stored(&[("n", "0")]).await, service.another_client().await);
        let (stop, saves, failures) = (Arc::clone(&stop), Arc::clone(&saves), Arc::clone(&failures));
        writers.spawn(async move {
            let mut acknowledged = 0;
            for n in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match client.save_session(save(&token, Changes::default().set("n", &n.to_string()))).await {
                    Ok(_) => acknowledged = n,
                    Err(_) => _ = failures.fetch_add(1, Ordering::Relaxed),
                }
                saves.fetch_add(1, Ordering::Relaxed);
            }
            (token, acknowledged)
        });
    }
    let saved = async |more: usize| {
        let before = saves.load(Ordering::Relaxed);
        until("saves", async || saves.load(Ordering::Relaxed) >= before + more).await;
    };

    saved(10 * WRITERS).await;
    for _ in 0..number("CLOAKROOM_TEST_CERTIFICATES").unwrap_or(ROUNDS) {
        let authority = CertificateAuthority::new();
        authority.sign("cloakroom").write(&redis.path("client.pem"), &redis.path("client.key"));
        authority.write(&redis.path("ca.pem"));
        redis.use_authority(authority);
        let before = failures.load(Ordering::Relaxed);
        saved(10 * WRITERS).await;
        assert_eq!(failures.load(Ordering::Relaxed), before, "no connection was closed");

        redis.redis.cli(&["client", "kill", "type", "normal"]);
        saved(10 * WRITERS).await;
        let lost = failures.load(Ordering::Relaxed) - before;
        assert!(lost <= WRITERS, "{lost} saves failed, and each writer had one on its way");
    }
    stop.store(true, Ordering::Relaxed);

    for (token, acknowledged) in writers.join_all().await {
        let stored: u64 = service.entries(&token).await["n"].parse().unwrap();
        assert!(stored >= acknowledged, "{acknowledged} was acknowledged, {stored} is stored");
    }
}

const WRITERS: usize = 64;

/// How often the certificates change; `CLOAKROOM_TEST_CERTIFICATES` sets it.
const ROUNDS: usize = 3;
