//! A Redis password that changes while the service runs: the log says what is wrong, and a new url needs no restart.

use cloakroom::token::Key;

use super::child::Process;
use crate::support::redis::RedisServer;

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
    process.await_log_line("the store works again").await;
    process.await_log_line("the configuration is reloaded").await;

    let cause = line["error"].as_str().unwrap();
    let host = redis.socket().display().to_string();
    assert!(cause.contains(&host) && cause.contains("WRONGPASS"), "{cause}");
    let output = process.output();
    assert!(!output.contains("need a restart") && !output.contains("secret"), "{output}");
}
