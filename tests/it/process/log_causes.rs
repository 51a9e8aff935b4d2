//! The causes of errors in the log, which an operator needs in an outage, in both formats.

use cloakroom::grpc::wire::{Changes, OpenSessionRequest};

use super::child::{Process, eventually};
use crate::support::calls::{ChangesExt as _, open_cookie, save};
use crate::support::redis::RedisServer;

async fn start(redis: &RedisServer, format: &str, timeout: &str) -> Process {
    let config = format!(
        "[log]\nformat = '{format}'\n[server]\nstore_unhealthy_after = '{timeout}'\n[apps.default]\nkeys = ['{}']\n\
         [store]\nkind = 'redis'\n[store.redis]\ntimeout = '{timeout}'\nurl = '{}'\n",
        cloakroom::token::Key::generate(),
        redis.url()
    );
    Process::start(&config, &[], &[]).await
}

/// Starts a service, takes its store away, and waits for a line in which `find` finds what it looks for.
async fn in_an_outage<T>(format: &str, find: impl Fn(&str) -> Option<T>) -> T {
    let mut redis = RedisServer::start();
    let process = start(&redis, format, "100ms").await;

    redis.stop();

    eventually("a line with a cause", async || process.output().lines().find_map(&find)).await
}

#[tokio::test]
async fn a_json_line_about_an_outage_has_its_causes() {
    let causes = in_an_outage("json", |line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["level"] == "WARN").then(|| line["error"].as_str().map(str::to_owned))?
    });

    assert_names_the_cause(&causes.await);
}

#[tokio::test]
async fn a_text_line_about_an_outage_has_its_causes() {
    let line = in_an_outage("text", |line| line.contains(" WARN ").then(|| line.to_owned()));

    assert_names_the_cause(&line.await);
}

/// Checks that a text names the address of Redis, and what is wrong.
fn assert_names_the_cause(text: &str) {
    let causes = ["os error", "closed", "broken"];
    assert!(text.contains("Redis at /") && causes.iter().any(|cause| text.contains(cause)), "{text}");
}

#[tokio::test]
async fn a_line_about_a_damaged_session_names_the_app_and_the_end_of_its_key() {
    let redis = RedisServer::start();
    let process = start(&redis, "json", "10s").await;
    let mut client = process.client();
    let opened = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner();
    let change = save(&opened.session.unwrap().token, Changes::default().set("a", "1"));
    let saved = client.save_session(change).await.unwrap().into_inner();
    let keys = redis.cli(&["--raw", "keys", &format!("*:{}", "?".repeat(32))]);
    redis.cli(&["hset", keys.trim(), "m", "nonsense"]);

    let cookie = open_cookie(&format!("session={}", saved.session.unwrap().token));
    client.open_session(cookie).await.map(drop).unwrap_err();

    let line = process.await_log_line("damaged").await;
    assert_eq!((&line["level"], &line["app"]), (&"ERROR".into(), &"default".into()));
    let id = line["session.id"].as_str().unwrap();
    assert!(id.len() == 32 && keys.trim().ends_with(id), "{line}");
}
