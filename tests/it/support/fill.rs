//! Fills a store with many sessions, faster than by calls.

use std::time::Duration;

use cloakroom::session::{Head, Record, Subject};
use cloakroom::store::{Handle, SessionKey};
use cloakroom::token::{SplitToken, VerifierHash};
use cloakroom::types::{AppName, Time};
use tokio::task::JoinSet;

/// Makes the key of a session with an id as real ones are: a hash.
pub(crate) fn hashed_key(app: &str, number: u32) -> SessionKey {
    let app = AppName::parse(app).unwrap();
    let id = SplitToken::derived(&app, "test", &[&number.to_be_bytes()]).id(&app);
    SessionKey { app, id }
}

/// Makes a session that ends an hour after its creation if it is not used; an anonymous one if there is no subject.
pub(crate) fn session(subject: Option<&str>, created: Time) -> Record {
    let hour = Duration::from_secs(3600);
    let head = Head::new(VerifierHash::from_bytes([1; 16]), created, hour, 24 * hour);
    let subject = subject.map(|subject| Subject::parse(subject).unwrap());
    Record { head: Head { subject, ..head }, entries: Default::default() }
}

/// Runs a task for each number, some at once.
pub(crate) async fn for_each<F>(numbers: impl Iterator<Item = u32>, task: impl Fn(u32) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for number in numbers {
        if running.len() == 64 {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(task(number));
    }
    running.join_all().await;
}

/// Creates sessions with these numbers.
pub(crate) async fn create_all(
    store: &Handle,
    app: &'static str,
    numbers: impl Iterator<Item = u32>,
    record: impl Fn(u32) -> Record,
) {
    for_each(numbers, |number| {
        let (store, record) = (store.clone(), record(number));
        async move { _ = store.create(&hashed_key(app, number), &record).await.unwrap() }
    })
    .await;
}
