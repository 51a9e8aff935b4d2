//! A model test: random steps of open, touch, save, clock, rotate, list and revoke, each response compared with a
//! model.
//!
//! No session is readable past its deadline or alive after its end. No acknowledged change is lost, no older token
//! opens a session, no repeated request is applied twice, no live session is missing from a list. The test calls the
//! service directly and moves its clock by hand. `CLOAKROOM_TEST_STEPS` sets the number of steps, `CLOAKROOM_TEST_SEED`
//! repeats a run.

mod answer;
mod checks;
mod expected_session;
mod external;
mod rng;
mod simulation;
mod steps;

use std::collections::VecDeque;
use std::time::Duration;

use cloakroom::app::{self, AnonymousSettings, Apps, KindSetting, LimitSettings};
use cloakroom::store::IntoHandle;
use cloakroom::token;
use cloakroom::types::random;

use self::answer::Checked;
use self::expected_session::{ANONYMOUS, AUTHENTICATED, GRACE, MAX_BYTES, MAX_ENTRIES};
use self::external::ExternalSimulation;
use self::rng::Rng;
use self::simulation::Simulation;
use crate::conformance::{Fresh, embedded, memory, redis, redis_cluster, redis_with_1024_partitions};
use crate::support::{self, environment};

#[tokio::test]
async fn memory_matches_the_model() {
    matches_the_model(memory(), 20_000).await;
}

#[tokio::test]
async fn embedded_matches_the_model() {
    matches_the_model(embedded(), 4_000).await;
}

#[tokio::test]
async fn redis_matches_the_model() {
    matches_the_model(redis(), 6_000).await;
}

#[tokio::test]
async fn a_redis_cluster_matches_the_model() {
    matches_the_model(redis_cluster(), 3_000).await;
}

#[tokio::test]
async fn redis_with_1024_partitions_matches_the_model() {
    matches_the_model(redis_with_1024_partitions(), 3_000).await;
}

async fn matches_the_model<S: IntoHandle>((store, _place): Fresh<S>, default_steps: u64) {
    let seed = seed();
    let simulation: Simulation<S> = Simulation::new(apps(), store, support::now(), Rng::new(seed));
    run(simulation, &MUST_HAPPEN, default_steps, seed).await;
}

#[tokio::test]
async fn memory_matches_the_model_by_keys() {
    matches_the_model_by_keys(memory(), 10_000).await;
}

#[tokio::test]
async fn embedded_matches_the_model_by_keys() {
    matches_the_model_by_keys(embedded(), 4_000).await;
}

#[tokio::test]
async fn redis_matches_the_model_by_keys() {
    matches_the_model_by_keys(redis(), 6_000).await;
}

#[tokio::test]
async fn a_redis_cluster_matches_the_model_by_keys() {
    matches_the_model_by_keys(redis_cluster(), 4_000).await;
}

#[tokio::test]
async fn redis_with_1024_partitions_matches_the_model_by_keys() {
    matches_the_model_by_keys(redis_with_1024_partitions(), 4_000).await;
}

/// Random steps of an app of kind `external`.
async fn matches_the_model_by_keys<S: IntoHandle>((store, _place): Fresh<S>, default_steps: u64) {
    let seed = seed();
    let settings =
        app::Settings { kind: KindSetting::External, keys: Vec::new(), rotation_grace: DEFAULT_GRACE, ..settings() };
    let simulation = ExternalSimulation::new(&settings, store, support::now(), Rng::new(seed));
    run(simulation, &MUST_HAPPEN_BY_KEYS, default_steps, seed).await;
}

fn seed() -> u64 {
    environment::number("CLOAKROOM_TEST_SEED").unwrap_or_else(|| u64::from_be_bytes(random::bytes()))
}

/// A service that takes random steps, and the model that its responses must match.
trait RandomSteps {
    /// Does one step and checks it. Returns what was done.
    async fn step(&mut self) -> Checked<String>;

    /// Whether a case has happened whose description begins so.
    fn has_happened(&self, case: &str) -> bool;
}

/// Makes the steps of a simulation. Panics at the first that is wrong, with those before it.
///
/// A run goes on until each case has happened: one that never happens is not tested.
#[expect(clippy::print_stdout, reason = "the seed repeats a panic of the model itself")]
async fn run(mut simulation: impl RandomSteps, must_happen: &[&str], default_steps: u64, seed: u64) {
    let wanted_steps = environment::number("CLOAKROOM_TEST_STEPS");
    println!("CLOAKROOM_TEST_SEED={seed}");
    let mut last = VecDeque::new();
    for number in 1..=wanted_steps.unwrap_or(MAX_EXTENSION * default_steps) {
        match simulation.step().await {
            Ok(done) => last.push_back(done),
            Err(wrong) => panic!(
                "step {number}: {wrong}\n\nbefore that:\n{}\n\nrepeat with CLOAKROOM_TEST_SEED={seed} \
                 CLOAKROOM_TEST_STEPS={number}",
                last.make_contiguous().join("\n")
            ),
        }
        if last.len() > 12 {
            last.pop_front();
        }
        if wanted_steps.is_none()
            && number >= default_steps
            && must_happen.iter().all(|case| simulation.has_happened(case))
        {
            return;
        }
    }
    let missing: Vec<_> = must_happen.iter().filter(|case| !simulation.has_happened(case)).collect();
    assert!(
        wanted_steps.is_some() || missing.is_empty(),
        "{missing:?} never happened; repeat with CLOAKROOM_TEST_SEED={seed}"
    );
}

/// By how much a run gets longer at most, until each case has happened.
const MAX_EXTENSION: u64 = 10;

/// What happens in every run.
const MUST_HAPPEN: [&str; 22] = [
    "opened",
    "opened after the end of the session during the request",
    "opened nothing",
    "opened by an older token",
    "opened a recovery session",
    "saved to a recovery session",
    "a recovery session after another",
    "gone during the request",
    "gone in recovery during the request",
    "Done { outcome: Created, rotated: true",
    "Done { outcome: Created",
    "Done { outcome: Updated, rotated: true",
    "Again { outcome: Created",
    "Again { outcome: Updated",
    "Gone(Superseded",
    "Gone(Idle",
    "Gone(Absolute",
    "Gone(Revoked",
    "Refused(\"reused",
    "listed",
    "revoked",
    "revoked a subject",
];

/// The same for an app of kind `external`.
const MUST_HAPPEN_BY_KEYS: [&str; 12] = [
    "opened",
    "opened nothing",
    "opened Destroyed",
    "opened Idle",
    "opened Revoked",
    "Done { outcome: Created",
    "Done { outcome: Updated",
    "Again { outcome: Created",
    "Again { outcome: Updated",
    "Gone(Destroyed",
    "Gone(Idle",
    "Refused(\"reused",
];

/// That of an app whose settings say nothing: one of kind `external` has no use for another one.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

fn apps() -> Apps {
    [settings().build("default").unwrap()].into_iter().collect()
}

fn settings() -> app::Settings {
    let ms = Duration::from_millis;
    app::Settings {
        keys: vec![token::Key::generate().into()],
        idle_timeout: ms(AUTHENTICATED.0),
        absolute_timeout: ms(AUTHENTICATED.1),
        anonymous: AnonymousSettings { idle_timeout: Some(ms(ANONYMOUS.0)), absolute_timeout: Some(ms(ANONYMOUS.1)) },
        rotation_grace: ms(GRACE),
        limits: LimitSettings {
            max_entries: u32::try_from(MAX_ENTRIES).unwrap(),
            max_session_bytes: u32::try_from(MAX_BYTES).unwrap(),
        },
        ..app::Settings::default()
    }
}
