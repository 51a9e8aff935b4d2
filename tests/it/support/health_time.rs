//! The time until health tells what the store does.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::environment::number;

/// Waits until health tells it. A second is promised on a machine that does nothing else: `CLOAKROOM_TEST_HEALTH_MS` is the
/// most that it may take there, and a busy machine gets a minute.
#[expect(clippy::print_stdout, reason = "the time is worth reading")]
pub(crate) async fn until_told(what: &str, mut is_told: impl AsyncFnMut() -> bool) {
    let most = number("CLOAKROOM_TEST_HEALTH_MS").map_or(Duration::from_secs(60), Duration::from_millis);
    let begin = Instant::now();
    while !is_told().await {
        assert!(begin.elapsed() < most, "health does not tell within {most:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    let took = begin.elapsed();
    println!("health told after {took:?}: {what}");
    // The last question may have taken long itself.
    assert!(took < most, "health told after {took:?}, and not within {most:?}: {what}");
}
