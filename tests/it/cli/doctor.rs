//! `cloakroom doctor`: what it finds, on real files, services and Redis.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cloakroom::token::Key;
use serde_json::Value;
use tokio::net::TcpSocket;

use super::program::{Ended, Program};
use crate::process::child::Process;
use crate::support::authority::CertificateAuthority;
use crate::support::cluster;
use crate::support::redis::{RedisServer, documented_rights};
use crate::support::tls_redis::TlsRedis;

/// What the command found at one place.
#[derive(Debug)]
struct Found {
    verdict: String,
    found: String,
    advice: String,
}

impl Found {
    fn is(&self, verdict: &str, words: &str) -> bool {
        self.verdict == verdict && self.found.contains(words)
    }
}

/// Returns a configured command in a folder of its own, whose addresses nobody listens at while the sockets live.
fn doctor(arguments: &[&str]) -> (Program, [TcpSocket; 2]) {
    let mut program = Program::new(&[&["doctor"], arguments].concat());
    let sockets = [TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap()];
    for (socket, setting) in sockets.iter().zip(["CLOAKROOM__SERVER__LISTEN", "CLOAKROOM__ADMIN__LISTEN"]) {
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        program = program.env(setting, &socket.local_addr().unwrap().to_string());
    }
    (program, sockets)
}

/// Runs it with `--format json` and checks what holds for every answer.
fn examine(environment: &[(&str, &str)], prepare: impl FnOnce(&Program)) -> (Ended, Vec<(String, Found)>) {
    let (program, _sockets) = doctor(&["--format", "json"]);
    let program = program.env(REDIS_TIMEOUT, "60s");
    let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
    prepare(&program);
    let ended = program.run();
    let document: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = |finding: &Value| {
        let [verdict, found, advice] = ["verdict", "found", "advice"].map(|name| text(&finding[name]));
        assert_eq!(verdict == "ok", advice.is_empty(), "whatever is not right says what to do: {finding}");
        (text(&finding["check"]), Found { verdict, found, advice })
    };
    let findings: Vec<_> = document["findings"].as_array().unwrap().iter().map(found).collect();
    let fails = findings.iter().any(|(_, found)| found.verdict == "failed");
    assert_eq!((ended.code, document["verdict"] == "failed"), (Some(i32::from(fails)), fails), "{ended:?}");
    (ended, findings)
}

fn at<'f>(findings: &'f [(String, Found)], check: &str) -> &'f Found {
    findings.iter().find_map(|(name, found)| (name == check).then_some(found)).unwrap_or_else(|| panic!("{findings:?}"))
}

fn on_redis(url: &str) -> Vec<(String, Found)> {
    on_redis_within("60s", url)
}

/// As `on_redis`, for a Redis that lets nobody in: it is waited for until the end.
fn on_redis_within(timeout: &str, url: &str) -> Vec<(String, Found)> {
    let redis = [("CLOAKROOM__STORE__KIND", "redis"), ("CLOAKROOM__STORE__REDIS__URL", url)];
    examine(&[redis[0], redis[1], (REDIS_TIMEOUT, timeout)], |_| {}).1
}

const REDIS_TIMEOUT: &str = "CLOAKROOM__STORE__REDIS__TIMEOUT";

#[tokio::test]
async fn it_finds_a_running_service_at_both_its_addresses() {
    let service = Process::start("", &[], &[]).await;
    let address = |endpoint: tonic::transport::Endpoint| endpoint.uri().authority().unwrap().to_string();
    let path = |name| service.path(name).display().to_string();

    let ended = Program::new(&["doctor", "--config", &path("cloakroom.toml"), "--timeout", "60s"])
        .env("CLOAKROOM__SERVER__LISTEN", &address(service.endpoint()))
        .env("CLOAKROOM__ADMIN__LISTEN", &address(service.admin_endpoint()))
        .env("CLOAKROOM__STORE__EMBEDDED__PATH", &path("data"))
        .run();

    assert_eq!(ended.code, Some(0), "{ended:?}");
    for listener in ["server.listen", "admin.listen"] {
        let line = ended.stdout.lines().find(|line| line.contains(listener)).unwrap_or_else(|| panic!("{ended:?}"));
        assert!(line.starts_with("ok ") && line.ends_with("it serves"), "{line}");
    }
    for line in ["ok       data file: ", "ok       data folder: ", "ok       configuration: "] {
        assert!(ended.stdout.contains(line), "{line} is missing in {}", ended.stdout);
    }
}

#[test]
fn the_folder_of_the_audit_log_is_looked_at() {
    let folder = |prepare: fn(&Path)| {
        let (_, findings) =
            examine(&[("CLOAKROOM__AUDIT__FOLDER", "audit")], |program| prepare(&program.path("audit")));
        findings.into_iter().filter(|(check, _)| check.starts_with("audit ")).collect::<Vec<_>>()
    };
    let is = |findings: &[(String, Found)], check: &str, verdict: &str, words: &str| {
        assert!(findings.iter().any(|(at, found)| at == check && found.is(verdict, words)), "{check}: {findings:?}");
    };

    let missing = folder(|_| {});
    let there = folder(|path| fs::create_dir(path).unwrap());
    let file = folder(|path| fs::write(path, "").unwrap());
    let open_to_all = folder(|path| {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    });
    let unreadable = folder(|path| fs::create_dir_all(path.join("session-ends-2026-01-31.jsonl")).unwrap());
    let (_, without) = examine(&[], |_| {});

    is(&missing, "audit folder", "ok", "it is not there yet");
    is(&missing, "audit disk", "ok", "there is room");
    is(&there, "audit folder", "ok", "this user may write there");
    is(&there, "audit files", "ok", "this user may read them");
    is(&file, "audit folder", "failed", "it is no folder");
    is(&open_to_all, "audit folder", "failed", "every user of this machine may write there");
    is(&unreadable, "audit files", "failed", "session-ends-2026-01-31.jsonl cannot be read: it is no regular file");
    assert!(without.iter().all(|(check, _)| !check.starts_with("audit ")), "{without:?}");
}

#[test]
fn one_of_a_kind_is_in_the_singular() {
    let (program, _sockets) = doctor(&[]);
    let ended = program.env("CLOAKROOM__STORE__KIND", "embedded").run();

    assert!(ended.stdout.contains("with 1 app and 0 callers"), "{}", ended.stdout);
}

#[test]
fn a_service_that_does_not_run_is_a_warning_and_another_program_in_its_place_a_failure() {
    let (_, absent) = examine(&[], |_| {});
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::new(&["doctor", "--timeout", "100ms"])
        .env("CLOAKROOM__SERVER__LISTEN", &silent.local_addr().unwrap().to_string())
        .env("CLOAKROOM__ADMIN__LISTEN", "");

    let ended = program.run();

    for listener in ["server.listen", "admin.listen"] {
        assert!(at(&absent, listener).is("warning", "nobody listens there"), "{absent:?}");
    }
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("somebody listens there, but: no answer within 100ms"), "{ended:?}");
}

#[test]
fn it_says_what_is_wrong_with_the_configuration() {
    let (ended, findings) = examine(&[("CLOAKROOM__STORE__KIND", "disk"), ("CLOAKROOM__LOG__FORMAT", "xml")], |_| {});

    assert_eq!(ended.code, Some(1));
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(|(check, found)| check == "configuration" && found.verdict == "failed"));
    assert!(findings.iter().any(|(_, found)| found.found.contains("store.kind")), "{findings:?}");
}

#[test]
fn a_redis_that_the_service_can_work_with_is_described() {
    let redis = RedisServer::start_with("--appendonly yes");

    let findings = on_redis(&redis.url());

    for (check, found) in [
        ("redis", "the service can work with it"),
        ("redis role", "it is a primary"),
        ("redis eviction", "never"),
        ("redis persistence", "append-only file"),
        ("redis encryption", "on this machine"),
        ("clock", "it agrees with that of Redis"),
    ] {
        assert!(at(&findings, check).is("ok", found), "{findings:?}");
    }
    let version = redis.cli(&["info", "server"]);
    let version = version
        .lines()
        .find_map(|line| ["valkey_version:", "redis_version:"].into_iter().find_map(|name| line.strip_prefix(name)));
    assert!(at(&findings, "redis version").verdict == "ok", "{findings:?}");
    assert!(version.is_some_and(|version| !version.trim().is_empty()));
}

#[test]
fn the_store_that_sessions_move_from_is_looked_at_too() {
    let (redis, previous) = (RedisServer::start_with("--appendonly yes"), RedisServer::start());
    let (url, previous_url) = (redis.url(), previous.url());
    let both = [
        ("CLOAKROOM__STORE__KIND", "redis"),
        ("CLOAKROOM__STORE__REDIS__URL", url.as_str()),
        ("CLOAKROOM__STORE__PREVIOUS__KIND", "redis"),
        ("CLOAKROOM__STORE__PREVIOUS__REDIS__URL", previous_url.as_str()),
        ("CLOAKROOM__STORE__PREVIOUS__REDIS__TIMEOUT", "60s"),
    ];
    let of_redis = examine(&both, |_| {}).1;
    let of_file = examine(&[both[0], both[1], ("CLOAKROOM__STORE__PREVIOUS__KIND", "embedded")], |_| {}).1;

    assert!(at(&of_redis, "redis at [store.previous]").is("ok", "the service can work with it"), "{of_redis:?}");
    assert!(at(&of_redis, "redis persistence").is("ok", "append-only file"), "{of_redis:?}");
    assert_eq!(at(&of_redis, "redis persistence at [store.previous]").verdict, "warning", "{of_redis:?}");
    assert!(at(&of_file, "data folder at [store.previous]").is("ok", "data"), "{of_file:?}");
}

#[test]
fn a_redis_user_without_a_right_is_told_which() {
    let redis = RedisServer::start();
    let rights: Vec<&str> = documented_rights().into_iter().filter(|right| *right != "+hset").collect();
    let user = ["acl", "setuser", "cloakroom", "on", ">secret", "~cloakroom:*"];
    assert_eq!(redis.cli(&[&user[..], &rights].concat()), "OK\n");

    let findings = on_redis(&format!("{}?user=cloakroom&pass=secret", redis.url()));

    let found = at(&findings, "redis");
    assert!(found.is("failed", "this user lacks commands that the service needs: hset"), "{findings:?}");
    assert!(found.advice.contains("grant the rights"), "{found:?}");
    assert!(at(&findings, "redis eviction").verdict == "ok", "what it is, is told all the same: {findings:?}");
}

#[test]
fn a_redis_that_evicts_or_keeps_nothing_is_told() {
    let redis = RedisServer::start_with("--maxmemory 100mb --maxmemory-policy allkeys-lru");

    let findings = on_redis(&redis.url());
    let (_, tolerated) = examine(
        &[
            ("CLOAKROOM__STORE__KIND", "redis"),
            ("CLOAKROOM__STORE__REDIS__URL", &redis.url()),
            ("CLOAKROOM__STORE__REDIS__ALLOW_EVICTION", "true"),
        ],
        |_| {},
    );

    let eviction = at(&findings, "redis eviction");
    assert!(eviction.is("failed", "maxmemory-policy is allkeys-lru"), "{findings:?}");
    assert!(eviction.advice.contains("CONFIG SET maxmemory-policy noeviction"), "{eviction:?}");
    assert!(eviction.found.contains("maxmemory is 100.0 MiB"), "{eviction:?}");
    assert!(at(&findings, "redis persistence").is("warning", "no append-only file"), "{findings:?}");
    assert_eq!(at(&tolerated, "redis eviction").verdict, "warning");
    assert_eq!(at(&tolerated, "redis").verdict, "ok");
}

#[test]
fn a_replica_is_told_from_a_primary() {
    let replica = RedisServer::start();
    // One that never had the data of the service is not read at all.
    replica.cli(&["set", "cloakroom:layout", "64"]);
    replica.cli(&["replicaof", "127.0.0.1", "1"]);

    let findings = on_redis(&replica.url());

    assert!(at(&findings, "redis role").is("failed", "it is a replica"), "{findings:?}");
    assert_eq!(at(&findings, "redis").verdict, "failed");
}

#[test]
fn each_primary_of_a_cluster_is_described() {
    let redis = cluster::settings();

    let (_, findings) = examine(
        &[
            ("CLOAKROOM__STORE__KIND", "redis"),
            ("CLOAKROOM__STORE__REDIS__MODE", "cluster"),
            ("CLOAKROOM__STORE__REDIS__URL", &redis.url),
            ("CLOAKROOM__STORE__REDIS__KEY_PREFIX", &redis.key_prefix),
        ],
        |_| {},
    );

    assert!(at(&findings, "redis").is("ok", "the service can work with it"), "{findings:?}");
    for check in ["redis version at 127.0.0.1:", "redis role at 127.0.0.1:", "redis eviction at 127.0.0.1:"] {
        let found: Vec<_> = findings.iter().filter(|(name, _)| name.starts_with(check)).collect();
        assert!(
            found.len() == cluster::primaries() && found.iter().all(|(_, found)| found.verdict == "ok"),
            "{findings:?}"
        );
    }
}

#[test]
fn a_redis_that_is_not_there_or_does_not_let_in_is_told() {
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "right"]);

    let absent = on_redis_within("3s", "redis://127.0.0.1:1");
    let wrong = on_redis_within("3s", &format!("{}?pass=wrong-secret", redis.url()));

    assert!(at(&absent, "redis").is("failed", "127.0.0.1:1: Connection refused"), "{absent:?}");
    assert!(at(&absent, "redis").advice.contains("is Redis up"), "{absent:?}");
    assert!(at(&wrong, "redis").is("failed", "WRONGPASS"), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong-secret"), "{wrong:?}");
}

#[test]
fn a_redis_that_may_not_be_asked_what_it_is_is_a_warning() {
    let redis = RedisServer::start();
    let rights: Vec<&str> = documented_rights().into_iter().filter(|right| *right != "+info").collect();
    let user = ["acl", "setuser", "cloakroom", "on", ">secret", "~cloakroom:*"];
    assert_eq!(redis.cli(&[&user[..], &rights].concat()), "OK\n");
    let url = format!("{}?user=cloakroom&pass=secret", redis.url());

    let (_, findings) = examine(
        &[
            ("CLOAKROOM__STORE__KIND", "redis"),
            ("CLOAKROOM__STORE__REDIS__URL", &url),
            ("CLOAKROOM__STORE__REDIS__ALLOW_EVICTION", "true"),
        ],
        |_| {},
    );

    let of_redis = findings.iter().filter(|(check, _)| check == "redis").map(|(_, found)| found).collect::<Vec<_>>();
    assert!(of_redis[0].is("ok", "the service can work with it"), "{findings:?}");
    assert!(of_redis[1].is("warning", "may not run INFO"), "{findings:?}");
    assert!(!findings.iter().any(|(check, _)| check == "redis version"), "{findings:?}");
}

#[test]
fn certificates_that_have_ended_are_told() {
    let authority = CertificateAuthority::new();
    let redis = TlsRedis::start_with("--tls-auth-clients no");
    let (ended, good) = (authority.sign_until("localhost", 2001), authority.sign("localhost"));
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    ended.write(Path::new(&path("server.pem")), Path::new(&path("server.key")));
    good.write(Path::new(&path("admin.pem")), Path::new(&path("admin.key")));
    fs::write(path("ca.pem"), &ended.certificate).unwrap();

    let (_, findings) = examine(
        &[
            ("CLOAKROOM__SERVER__TLS__CERTIFICATE_FILE", &path("server.pem")),
            ("CLOAKROOM__SERVER__TLS__KEY_FILE", &path("server.key")),
            ("CLOAKROOM__ADMIN__TLS__CERTIFICATE_FILE", &path("admin.pem")),
            ("CLOAKROOM__ADMIN__TLS__KEY_FILE", &path("admin.key")),
            ("CLOAKROOM__STORE__KIND", "redis"),
            ("CLOAKROOM__STORE__REDIS__URL", &redis.url()),
            ("CLOAKROOM__STORE__REDIS__CA_FILE", &path("ca.pem")),
            (REDIS_TIMEOUT, "4s"),
        ],
        |_| {},
    );

    assert!(at(&findings, "certificate of [server.tls]").is("failed", "it has ended: 2001-01-01"), "{findings:?}");
    assert!(at(&findings, "certificate of [admin.tls]").is("ok", "it ends 2100-01-01"), "{findings:?}");
    let authorities = at(&findings, "authorities of store.redis.ca_file");
    assert!(authorities.is("failed", "all 1 have ended"), "{findings:?}");
    assert!(at(&findings, "redis encryption").is("ok", "TLS"), "{findings:?}");
    assert!(at(&findings, "redis").is("failed", "signed by no authority"), "{findings:?}");
}

#[test]
fn the_rights_of_files_are_told() {
    let set = |program: &Program, mode: u32| {
        let path = program.path("keys");
        fs::write(&path, Key::generate()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let environment = ["APPS__DEFAULT__KEYS_FILE", "TRACES__HEADERS_FILE", "METRICS__HEADERS_FILE"];
    let environment = environment.map(|name| format!("CLOAKROOM__{name}"));
    let environment = environment.each_ref().map(|name| (name.as_str(), "keys"));

    for (mode, verdict, words) in [
        (0o600, "ok", "mode 600"),
        (0o640, "ok", "mode 640"),
        (0o644, "warning", "everybody on this machine may read this secret (mode 644)"),
        (0o602, "failed", "everybody on this machine may change it (mode 602)"),
    ] {
        let (_, findings) = examine(&environment, |program| set(program, mode));

        for setting in ["apps.default.keys_file", "traces.headers_file", "metrics.headers_file"] {
            let found = at(&findings, setting);
            assert!(found.is(verdict, words), "{findings:?}");
            assert_eq!(found.advice.starts_with("chmod o"), verdict != "ok", "{found:?}");
        }
    }
}

#[test]
fn a_configuration_file_with_a_secret_is_for_its_owner_alone() {
    let key = format!("[apps.default]\nkeys = [\"{}\"]\n", Key::generate());
    let address = "[store]\nkind = \"memory\"\n[store.redis]\nurl = \"redis://:word@10.0.0.1\"\n";
    for (text, verdict) in [("[log]\nlevel = \"info\"\n", "ok"), (&key, "warning"), (address, "warning")] {
        let (_, findings) = examine(&[], |program| {
            fs::write(program.path("cloakroom.toml"), text).unwrap();
            fs::set_permissions(program.path("cloakroom.toml"), fs::Permissions::from_mode(0o644)).unwrap();
        });

        assert_eq!(at(&findings, "configuration file").verdict, verdict, "{text}");
    }
}

#[test]
fn files_of_the_embedded_store_that_stop_a_start_are_told() {
    let write = |program: &Program, name: &str, text: &str, mode: u32| {
        fs::create_dir_all(program.path("data")).unwrap();
        let path = program.path("data").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };

    let (_, new) = examine(&[], |_| {});
    let (_, open_key) = examine(&[], |program| write(program, "default.key", &Key::generate(), 0o644));
    let (_, open_data) = examine(&[], |program| write(program, "sessions.redb", "x", 0o666));
    let (_, no_folder) = examine(&[], |program| fs::write(program.path("data"), "").unwrap());
    let (_, key_alone) = examine(&[], |program| write(program, "default.key", &Key::generate(), 0o600));
    let (_, data_alone) = examine(&[], |program| write(program, "sessions.redb", "x", 0o600));

    assert!(at(&new, "data folder").is("ok", "it is not there yet"), "{new:?}");
    assert!(at(&new, "data file").is("ok", "it is not there yet"), "{new:?}");
    assert!(at(&new, "disk").found.contains(" are free"), "{new:?}");
    assert!(at(&open_key, "key of the app default").is("failed", "mode 644"), "{open_key:?}");
    assert!(at(&open_data, "data file").is("failed", "mode 666"), "{open_data:?}");
    assert!(at(&no_folder, "data folder").is("failed", "it is no folder"), "{no_folder:?}");
    for alone in [key_alone, data_alone] {
        assert!(at(&alone, "key of the app default").is("failed", "it is not there, but "), "{alone:?}");
    }
}

#[test]
fn too_few_open_files_are_told() {
    let limit = |environment: &[(&str, &str)]| at(&examine(environment, |_| {}).1, "open files").verdict.clone();

    assert_eq!(limit(&[("CLOAKROOM__SERVER__MAX_CONNECTIONS", "1")]), "ok");
    let files = Program::new(&["doctor", "--format", "json"]);
    let ended = limited(files, 64);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let found = document["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == "open files");
    let found = found.unwrap();
    assert_eq!(found["verdict"], "warning", "{found}");
    assert!(found["found"].as_str().unwrap().contains("may open 64, and max_connections needs 10256"), "{found}");
}

/// Runs a program that may open only so many files.
fn limited(mut program: Program, files: u32) -> Ended {
    let command = program.command();
    let arguments = command.get_args().map(|argument| argument.to_str().unwrap().to_owned()).collect::<Vec<_>>();
    let name = command.get_program().to_str().unwrap().to_owned();
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\""), &name])
        .args(arguments)
        .env_clear()
        .current_dir(program.folder())
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_bundle_has_all_that_a_bug_report_needs_and_replaces_no_file() {
    let (mut program, _sockets) = doctor(&["--bundle", "report.md"]);
    let path = program.path("report.md");

    let written = program.command().output().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let again = program.run();

    assert_eq!((written.status.code(), mode), (Some(0), 0o600));
    for words in [
        "## Build\n\n```text\ncloakroom 0.1.0\ncommit ",
        "## Machine\n",
        "\nkernel ",
        "## Findings\n\n```text\nok       configuration: ",
        "## Configuration, without secrets\n\n```text\n[server]\n",
        "\nmax_connections = 10000  # default\n",
    ] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("report.md: it cannot be written: File exists"), "{again:?}");
}

#[test]
fn no_secret_of_a_configuration_is_in_the_output_or_in_the_bundle() {
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "mark-redis-password"]);
    let keys = [Key::generate(), Key::generate()];
    let config = CONFIG.replace("REDIS", &redis.socket().display().to_string()).replace("KEY", &keys[0]);
    let run = |format: &str| {
        let (program, _sockets) = doctor(&["--bundle", "report.md", "--format", format]);
        let mut program = program
            .file("cloakroom.toml", &config)
            .file("other.keys", &keys[1])
            .file("flask.keys", "mark-flask-key-of-a-file")
            .file("scs.url", "redis://mark-user:mark-scs-password@127.0.0.1:1/")
            .file("password", "mark-password-of-a-file")
            .file("hashes", &"e".repeat(64))
            .env("CLOAKROOM_CALLER_TOKEN", "mark-caller-token")
            .env("CLOAKROOM__APPS__WEB__KEYS", &keys[1]);
        let output = program.command().output().unwrap();
        let bundle = fs::read_to_string(program.path("report.md")).unwrap_or_else(|_| panic!("{output:?}"));
        [output.stdout, output.stderr, bundle.into_bytes()].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
    };

    for text in ["text", "json"].map(run) {
        for secret in ["mark-", &"e".repeat(64), &"a".repeat(64), &keys[0], &keys[1]] {
            assert!(!text.contains(secret), "{secret} is in:\n{text}");
        }
        for shown in ["***", "the service can work with it", "migrate.flask_session", "127.0.0.1:1"] {
            assert!(text.contains(shown), "{shown} is missing in:\n{text}");
        }
    }
}

/// A configuration with a secret at each place that can have one.
const CONFIG: &str = "
[store]
kind = 'redis'
[store.redis]
url = 'redis+unix://REDIS?pass=mark-redis-password'
timeout = '60s'
[apps.default]
keys = ['KEY']
[apps.default.migrate]
until = '2100-01-01'
[apps.default.migrate.flask_cookie]
keys = ['mark-flask-key']
[apps.default.migrate.flask_session]
url = 'redis://:mark-legacy-password@127.0.0.1:1'
signer_keys = ['mark-signer-key']
[apps.other]
keys_file = 'other.keys'
[apps.other.migrate]
until = '2100-01-01'
[apps.other.migrate.scs]
url_file = 'scs.url'
[apps.flask]
kind = 'cookie'
keys_file = 'flask.keys'
[apps.web]
idle_timeout = '1h'
[callers.one]
roles = ['frontend']
apps = ['*']
token_hashes = ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']
[callers.two]
roles = ['admin']
apps = ['*']
token_hashes_file = 'hashes'
";
