//! The causes of errors in the log, which an operator needs in an outage, in both formats.

use super::child::{Process, eventually};
use crate::support::redis::RedisServer;

/// Starts a service, takes its store away, and waits for a line in which `find` finds what it looks for.
async fn in_an_outage<T>(format: &str, find: impl Fn(&str) -> Option<T>) -> T {
    let mut redis = RedisServer::start();
    let config = format!(
        "[log]\nformat = '{format}'\n[server]\nstore_unhealthy_after = '100ms'\n[apps.default]\nkeys = ['{}']\n\
         [store]\nkind = 'redis'\n[store.redis]\nurl = '{}'\n",
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
        (line["level"] == "WARN").then(|| line["error.sources"].as_array().cloned())?
    });

    assert!(causes.await.iter().all(|cause| cause.as_str().is_some_and(|text| !text.is_empty())));
}

#[tokio::test]
async fn a_text_line_about_an_outage_has_its_causes() {
    let line = in_an_outage("text", |line| line.contains(" error.sources=[").then(|| line.to_owned()));

    assert!(line.await.contains(" WARN "));
}
