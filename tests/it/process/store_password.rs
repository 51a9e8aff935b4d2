//! What a service needs to reach Redis, and what changes while it runs: the log says what is wrong, and no restart is
//! needed.

use cloakroom::token::Key;

use super::child::{Process, eventually};
use crate::support::authority::CertificateAuthority;
use crate::support::calls::open_cookie;
use crate::support::redis::RedisServer;
use crate::support::tls_redis::TlsRedis;

#[tokio::test]
async fn a_new_password_in_the_url_file_needs_no_restart() {
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "old-secret"]);
    let url = |password: &str| format!("{}?pass={password}", redis.url());
    let config = format!(
        "[log]\nformat = \"json\"\n[store]\nkind = \"redis\"\n[store.redis]\nurl_file = \"redis-url\"\n\
         [reload]\npoll_interval = \"20ms\"\n[apps.default]\nkeys = [\"{}\"]\n",
        Key::generate()
    );
    let process = Process::start(&config, &[("redis-url", &url("old-secret"))], &[]).await;

    redis.cli(&["-a", "old-secret", "config", "set", "requirepass", "new-secret"]);
    redis.cli(&["-a", "new-secret", "client", "kill", "type", "normal"]);
    let line = process.await_log_line("the store does not work").await;
    process.replace("redis-url", &url("new-secret"));
    let end = process.await_log_line("the store works again").await;
    process.await_log_line("the configuration is reloaded").await;

    let cause = line["error"].as_str().unwrap();
    let host = redis.socket().display().to_string();
    assert!(cause.contains(&host) && cause.contains("WRONGPASS"), "{cause}");
    let ended = end["problem"].as_str().unwrap_or_default();
    assert!(ended.contains(&host) && ended.contains("WRONGPASS"), "{end}");
    let output = process.output();
    assert!(!output.contains("need a restart") && !output.contains("secret"), "{output}");
}

#[tokio::test]
async fn a_new_password_in_the_url_file_of_a_migration_source_needs_no_restart_and_no_reload() {
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "old-secret"]);
    let url = |password: &str| format!("{}?pass={password}", redis.url());
    let config = format!(
        "[log]\nformat = \"json\"\n[store]\nkind = \"memory\"\n[reload]\npoll_interval = \"0s\"\n[apps.default]\nkeys = [\"{}\"]\n\
         [apps.default.migrate]\nuntil = \"2100-01-01\"\n[apps.default.migrate.scs]\nurl_file = \"redis-url\"\n",
        Key::generate()
    );
    let process = Process::start(&config, &[("redis-url", &url("old-secret"))], &[]).await;
    let mut client = process.client();
    let open = || open_cookie("session=qsTHe0rGPeFJvB1oFmHbfA6OJQdLk5xDDDG9cbZlfyI");
    client.open_session(open()).await.unwrap();

    redis.cli(&["-a", "old-secret", "config", "set", "requirepass", "new-secret"]);
    redis.cli(&["-a", "new-secret", "client", "kill", "type", "normal"]);
    eventually("a refusal", async || client.clone().open_session(open()).await.err()).await;
    process.replace("redis-url", &url("new-secret"));
    eventually("an open", async || client.clone().open_session(open()).await.ok()).await;

    let output = process.output();
    assert!(!output.contains("secret") && !output.contains("reloaded"), "{output}");
}

/// Returns a configuration that reaches Redis by TLS, with each file beside it.
fn tls_config(redis: &TlsRedis) -> String {
    format!(
        "[log]\nformat = \"json\"\n[store]\nkind = \"redis\"\n[store.redis]\nurl = \"{}\"\nusername = \"cloakroom\"\n\
         password_file = \"password\"\nca_file = \"ca.pem\"\ncertificate_file = \"client.pem\"\n\
         key_file = \"client.key\"\n[apps.default]\nkeys = [\"{}\"]\n",
        redis.url(),
        Key::generate()
    )
}

#[tokio::test]
async fn a_new_password_and_new_certificates_need_no_restart() {
    let mut redis = TlsRedis::start_with("--tls-auth-clients yes");
    let set_password = |redis: &TlsRedis, password: &str| {
        let user = ["acl", "setuser", "cloakroom", "on", "resetpass", password, "~cloakroom:*", "+@all"];
        assert_eq!(redis.redis.cli(&user), "OK\n");
    };
    set_password(&redis, ">old-secret");
    let client = redis.authority.sign("cloakroom");
    let (ca, config) = (redis.authority.pem(), tls_config(&redis));
    let files = [
        ("password", "old-secret\n"),
        ("ca.pem", &ca),
        ("client.pem", &client.certificate),
        ("client.key", &client.key),
    ];
    let process = Process::start(&config, &files, &[]).await;

    set_password(&redis, ">new-secret");
    redis.redis.cli(&["client", "kill", "type", "normal"]);
    let wrong_password = process.await_log_line("the store does not work").await;
    process.replace("password", "new-secret\n");
    process.await_log_line("the store works again").await;
    let authority = CertificateAuthority::named("the next one");
    let (client, ca) = (authority.sign("cloakroom"), authority.pem());
    redis.use_authority(authority);
    redis.redis.cli(&["client", "kill", "type", "normal"]);
    process.await_output("TLS: the certificate of Redis is signed by no authority in ca.pem", 1).await;
    process.replace("client.key", &client.key);
    process.replace("client.pem", &client.certificate);
    process.replace("ca.pem", &ca);
    let output = process.await_output("the store works again", 2).await;

    let cause = wrong_password["error"].as_str().unwrap();
    assert!(cause.contains("WRONGPASS"), "{cause}");
    assert!(!output.contains("need a restart") && !output.contains("secret"), "{output}");
}
