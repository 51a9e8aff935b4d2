//! The causes of errors in the log, which an operator needs in an outage, in both formats.

use super::child::{Process, eventually};
use crate::support::redis::RedisServer;

/// Starts a service, takes its store away, and waits for a line in which `find` finds what it looks for.
async fn in_an_outage<T>(format: &str, find: impl Fn(&str) -> Option<T>) -> T {
    let mut redis = RedisServer::start();
    let config = format!(
        "[log]\nformat = '{format}'\n[server]\nstore_unhealthy_after = '100ms'\n[apps.default]\nkeys = ['{}']\n\
         [store]\nkind = 'redis'\n[store.redis]\ntimeout = '100ms'\nurl = '{}'\n",
        cloakroom::token::Key::generate(),
        redis.url()
    );
    let process = Process::start(&config, &[], &[]).await;

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
