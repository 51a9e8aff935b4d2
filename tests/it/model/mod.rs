//! The model: random steps of open, touch, save, clock, rotate, list and revoke, each answer held against plain facts.
//!
//! Never a session readable past its deadline, never one alive after its end, never an acknowledged change lost,
//! never an older token opening anything, never a repeated request applied twice, never a live session unlisted. The
//! service is called directly, its clock is moved by hand. `CLOAKROOM_TEST_STEPS` asks for more steps,
//! `CLOAKROOM_TEST_SEED` for a story again.

mod answer;
mod checks;
mod dice;
mod facts;
mod steps;
mod world;

use std::collections::VecDeque;
use std::time::Duration;

use cloakroom::app::{self, AnonymousSettings, Apps, LimitSettings};
use cloakroom::store::Store;
use cloakroom::token;
use cloakroom::types::random;

use self::dice::Dice;
use self::facts::{ANONYMOUS, GRACE, MAX_BYTES, MAX_ENTRIES, OWNED};
use self::world::World;
use crate::conformance::{InAFile, InMemory, InRedis, Kind};
use crate::support::{self, environment::number};

#[tokio::test]
async fn sessions_in_memory_keep_to_the_model() {
    keeps_to_the_model::<InMemory>(20_000).await;
}

#[tokio::test]
async fn sessions_in_a_file_keep_to_the_model() {
    keeps_to_the_model::<InAFile>(4_000).await;
}

#[tokio::test]
async fn sessions_in_redis_keep_to_the_model() {
    keeps_to_the_model::<InRedis>(6_000).await;
}

async fn keeps_to_the_model<K: Kind>(usual: u64) {
    let (store, _home) = K::fresh().await;
    let seed = number("CLOAKROOM_TEST_SEED").unwrap_or_else(|| u64::from_be_bytes(random::bytes()));
    let steps = number("CLOAKROOM_TEST_STEPS").unwrap_or(usual);
    let mut world: World<K::Store> = World::new(apps(), store, support::now(), Dice::new(seed));
    tell(&mut world, seed, steps).await;
    let met = |what: &str| world.met.keys().any(|met| met.starts_with(what));
    let unmet: Vec<&str> = MET.into_iter().filter(|what| !met(what)).collect();
    assert!(steps < usual || unmet.is_empty(), "{unmet:?} never happened; again with CLOAKROOM_TEST_SEED={seed}");
}

async fn tell<S: Store>(world: &mut World<S>, seed: u64, steps: u64) {
    let mut last = VecDeque::new();
    for number in 1..=steps {
        match world.step().await {
            Ok(done) => last.push_back(done),
            Err(wrong) => panic!(
                "step {number}: {wrong}\n\nbefore that:\n{}\n\nagain with CLOAKROOM_TEST_SEED={seed} \
                 CLOAKROOM_TEST_STEPS={number}",
                last.make_contiguous().join("\n")
            ),
        }
        if last.len() > 12 {
            last.pop_front();
        }
    }
}

/// What happens in every story of the usual length: what never does is not tested.
const MET: [&str; 15] = [
    "opened",
    "opened nothing",
    "opened by an older token",
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

fn apps() -> Apps {
    let span = Duration::from_millis;
    let settings = app::Settings {
        keys: vec![token::Key::generate().into()],
        idle_timeout: span(OWNED.0),
        absolute_timeout: span(OWNED.1),
        anonymous: AnonymousSettings {
            idle_timeout: Some(span(ANONYMOUS.0)),
            absolute_timeout: Some(span(ANONYMOUS.1)),
        },
        rotation_grace: span(GRACE),
        limits: LimitSettings {
            max_entries: u32::try_from(MAX_ENTRIES).unwrap(),
            max_session_bytes: u32::try_from(MAX_BYTES).unwrap(),
        },
        ..app::Settings::default()
    };
    [settings.build("default").unwrap()].into_iter().collect()
}
