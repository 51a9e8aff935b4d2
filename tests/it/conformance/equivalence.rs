//! Random operations give the same results, records and events in memory and in another store.
//!
//! A record past its purge time counts as absent, because stores delete it at different times. There are few keys,
//! names, tokens, requests and times, so that they collide. `PROPTEST_CASES` sets the number of cases.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::session::{
    AuthenticationChange, Authority, Changes, Denial, Edit, EndReason, ImportedFrom, LifetimeLimits, Lifetimes, Limits,
    NewLifetime, PermanentChange, Precondition, Rotation, SubjectChange, Value, Version, WhenEmpty,
};
use cloakroom::store::{Applied, Cursor, Feed as _, FeedEntry, Memory, Snapshot, Store, Touch, Write};
use cloakroom::types::Time;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::test_runner::TestCaseError;

use super::feed::read_feed;
use super::fixtures::*;
use super::{Fresh, embedded, redis, redis_cluster};
use crate::support::environment::runner;

#[derive(Clone, Debug)]
enum Step {
    /// `imported_from`: how long ago the credential was issued, and how long it stays valid.
    Create {
        key: u32,
        verifier: u8,
        idle: Duration,
        imported_from: Option<(Option<Duration>, Duration)>,
    },
    Apply {
        key: u32,
        authority: AuthorityStep,
        etag: Option<i64>,
        request: Option<(u8, u8)>,
        write: WriteStep,
    },
    Touch {
        key: u32,
        verifier: u8,
        ago: Duration,
    },
    RevokeApp,
    Sweep,
    Wait(Duration),
}

#[derive(Clone, Copy, Debug)]
enum AuthorityStep {
    /// The current token, as in most calls.
    Current,
    Token(u8),
    EndWithToken(u8),
    Admin,
    Subject(&'static str),
}

#[derive(Clone, Debug)]
enum WriteStep {
    Edit { edit: Box<Edit>, rotation: RotationStep },
    End(EndReason),
}

/// A rotation whose time and old verifier are known only when it is applied.
#[derive(Clone, Copy, Debug)]
enum RotationStep {
    Keep,
    OnSubjectChange(u8),
    Privilege(u8),
    Renewal(u8),
    /// By an older token, in its grace.
    PrivilegeBy(u8, u8),
}

#[test]
fn embedded_and_memory_give_the_same_results() {
    gives_the_same_results_as_memory(embedded(), 256);
}

#[test]
fn redis_and_memory_give_the_same_results() {
    gives_the_same_results_as_memory(redis(), 128);
}

/// The scripts are those of a single Redis, and each step takes longer.
#[test]
fn a_redis_cluster_and_memory_give_the_same_results() {
    gives_the_same_results_as_memory(redis_cluster(), 32);
}

fn gives_the_same_results_as_memory((store, _place): Fresh<impl Store>, default_cases: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let cases = std::cell::Cell::new(0);
    let result = runner(default_cases).run(&vec(step(), 1..=40), |steps| {
        // Each case has an app of its own, for which the shared store is empty.
        cases.set(cases.get() + 1);
        let mut case = Case { app: format!("case-{}", cases.get()), now: START, memory: Memory::new(), other: &*store };
        runtime.block_on(async {
            let begin = case.other.feed_end(&app(&case.app)).await.expect("the store answers");
            let begin_of_memory = case.memory.feed_end(&app(&case.app)).await.expect("memory answers");
            for step in &steps {
                case.apply(step).await?;
                case.compare_records().await?;
            }
            case.compare_feeds(&begin_of_memory, &begin).await
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

struct Case<'s, S> {
    app: String,
    now: Time,
    memory: Memory,
    other: &'s S,
}

impl<S: Store> Case<'_, S> {
    async fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(duration) => self.now = self.now + *duration,
            Step::Create { key, verifier, idle, imported_from } => {
                self.create(*key, *verifier, *idle, *imported_from).await?
            }
            Step::Apply { key, authority, etag, request, write } => {
                let session_key = key_in(&self.app, *key);
                let snapshot = load(&self.memory, &session_key).await;
                let precondition = self.precondition(snapshot.as_ref(), *authority, *etag, *request);
                let write = self.write(snapshot.as_ref(), write);
                let one = apply(&self.memory, &session_key, &precondition, &write).await;
                let other = apply(self.other, &session_key, &precondition, &write).await;
                same(&without_purge(one), &without_purge(other))?;
            }
            Step::Touch { key, verifier, ago } => {
                let used = Time::from_millis(self.now.millis() - u64::try_from(ago.as_millis()).unwrap_or(0));
                let touch = Touch {
                    verifier_hash: verifier_hash(*verifier),
                    used,
                    context: ago.is_zero().then(|| context("touch")),
                };
                let session_key = key_in(&self.app, *key);
                self.memory.touch(&session_key, &touch).await.expect("memory answers");
                self.other.touch(&session_key, &touch).await.expect("the store answers");
            }
            Step::RevokeApp => {
                let app = app(&self.app);
                self.memory.revoke_app(&app, self.now).await.expect("memory answers");
                self.other.revoke_app(&app, self.now).await.expect("the store answers");
            }
            Step::Sweep => {
                self.memory.sweep(self.now).await.expect("memory answers");
                self.other.sweep(self.now).await.expect("the store answers");
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        key: u32,
        verifier: u8,
        idle: Duration,
        imported_from: Option<(Option<Duration>, Duration)>,
    ) -> Result<(), TestCaseError> {
        let session_key = key_in(&self.app, key);
        let snapshots = [load(&self.memory, &session_key).await, load(self.other, &session_key).await];
        if snapshots.iter().flatten().any(|snapshot| self.now >= snapshot.record.head.purge_time()) {
            // Whether this key is free depends on which store has swept.
            return Ok(());
        }
        let mut record = if key == 0 { record() } else { full_record() };
        record.head.verifier_hash = verifier_hash(verifier);
        (record.head.create_time, record.head.access_time) = (self.now, self.now);
        (record.head.idle_timeout, record.head.deadline_time) = (idle, self.now + SPAN);
        let issued_ago = |ago: Duration| self.now.before(ago);
        let imported_from =
            imported_from.map(|(ago, left)| ImportedFrom { issued: ago.map(issued_ago), until: self.now + left });
        record.head.imported_from = imported_from;
        let one = self.memory.create(&session_key, &record).await.expect("memory answers");
        let other = self.other.create(&session_key, &record).await.expect("the store answers");
        same(&one, &other)
    }

    fn precondition(
        &self,
        snapshot: Option<&Snapshot>,
        authority: AuthorityStep,
        etag: Option<i64>,
        request: Option<(u8, u8)>,
    ) -> Precondition {
        let current = snapshot.map_or(verifier_hash(0), |snapshot| snapshot.record.head.verifier_hash);
        let version = snapshot.map_or(0, |snapshot| snapshot.record.head.version.0);
        Precondition {
            authority: match authority {
                AuthorityStep::Current => Authority::Token(current),
                AuthorityStep::Token(n) => Authority::Token(verifier_hash(n)),
                AuthorityStep::EndWithToken(n) => Authority::EndWithToken(verifier_hash(n)),
                AuthorityStep::Admin => Authority::Admin,
                AuthorityStep::Subject(name) => Authority::Subject(subject(name)),
            },
            etag: etag.map(|off| Version(version.saturating_add_signed(off))),
            fingerprint: request.map(|(id, content)| fingerprint(id, content)),
            now: self.now,
        }
    }

    fn write(&self, snapshot: Option<&Snapshot>, step: &WriteStep) -> Write {
        let (edit, rotation) = match step {
            WriteStep::End(reason) => return Write::End(*reason),
            WriteStep::Edit { edit, rotation } => (edit, rotation),
        };
        let current = snapshot.map_or(0, |snapshot| snapshot.record.head.verifier_hash.as_bytes()[0]);
        let rotation = match *rotation {
            RotationStep::Keep => Rotation::Keep,
            RotationStep::OnSubjectChange(new) => Rotation::OnSubjectChange(privilege(current, new, self.now)),
            RotationStep::Privilege(new) => Rotation::Always(privilege(current, new, self.now)),
            RotationStep::Renewal(new) => Rotation::Always(renewal(current, new, self.now)),
            RotationStep::PrivilegeBy(old, new) => Rotation::Always(privilege(old, new, self.now)),
        };
        write(Edit { rotation, ..Edit::clone(edit) })
    }

    async fn compare_records(&self) -> Result<(), TestCaseError> {
        for n in 0..KEYS {
            let session_key = key_in(&self.app, n);
            let present = |snapshot: &Snapshot| self.now < snapshot.record.head.purge_time();
            let one = load(&self.memory, &session_key).await.filter(present);
            let other = load(self.other, &session_key).await.filter(present);
            same(&one, &other)?;
        }
        Ok(())
    }
}

impl<S: Store> Case<'_, S> {
    /// Compares the events of each session, and the set of revocations, each of which may be repeated.
    async fn compare_feeds(&self, begin_of_memory: &Cursor, begin: &Cursor) -> Result<(), TestCaseError> {
        let (one, _) = read_feed(&self.memory, &self.app, begin_of_memory).await;
        let (other, _) = read_feed(self.other, &self.app, begin).await;
        for n in 0..KEYS {
            let id = key_in(&self.app, n).id;
            let of = |entries: &[FeedEntry]| -> Vec<FeedEntry> {
                let is_of = |entry: &&FeedEntry| matches!(entry, FeedEntry::Session(event) if event.id == id);
                entries.iter().filter(is_of).copied().collect()
            };
            same(&of(&one), &of(&other))?;
        }
        let revoked = |entries: &[FeedEntry]| -> BTreeSet<Time> {
            let time = |entry: &FeedEntry| match entry {
                FeedEntry::AppRevoked { time } => Some(*time),
                FeedEntry::Session(_) => None,
            };
            entries.iter().filter_map(time).collect()
        };
        same(&revoked(&one), &revoked(&other))
    }
}

/// Treats a record that may be purged as purged.
fn without_purge(applied: Applied) -> Applied {
    if applied == Applied::Denied(Denial::Gone(None)) { Applied::Missing } else { applied }
}

fn same<T: PartialEq + std::fmt::Debug>(memory: &T, other: &T) -> Result<(), TestCaseError> {
    if memory == other { Ok(()) } else { Err(TestCaseError::fail(format!("memory: {memory:?}\nother: {other:?}"))) }
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    let idle = prop_oneof![Just(10 * MINUTE), Just(IDLE)];
    let ago = prop_oneof![3 => Just(Duration::ZERO), 1 => Just(MINUTE)];
    let etag = option::weighted(0.2, -1..=1_i64);
    let request = option::weighted(0.5, (0..20_u8, 0..2_u8));
    let apply = (key.clone(), authority(), etag, request, write_step())
        .prop_map(|(key, authority, etag, request, write)| Step::Apply { key, authority, etag, request, write });
    let issued = option::weighted(0.8, prop_oneof![Just(MS), Just(10 * MINUTE)]);
    let imported_from = option::weighted(0.4, (issued, prop_oneof![Just(MINUTE), Just(3 * HOUR), Just(2 * SPAN)]));
    let create = (key.clone(), verifier(), idle, imported_from)
        .prop_map(|(key, verifier, idle, imported_from)| Step::Create { key, verifier, idle, imported_from });
    let touch = (key, verifier(), ago).prop_map(|(key, verifier, ago)| Step::Touch { key, verifier, ago });
    prop_oneof![
        3 => create,
        12 => apply,
        2 => touch,
        1 => Just(Step::RevokeApp),
        1 => Just(Step::Sweep),
        4 => wait().prop_map(Step::Wait),
    ]
}

fn authority() -> impl Strategy<Value = AuthorityStep> {
    prop_oneof![
        8 => Just(AuthorityStep::Current),
        3 => verifier().prop_map(AuthorityStep::Token),
        2 => verifier().prop_map(AuthorityStep::EndWithToken),
        1 => Just(AuthorityStep::Admin),
        1 => prop_oneof![Just("anna"), Just("bert")].prop_map(AuthorityStep::Subject),
    ]
}

fn write_step() -> impl Strategy<Value = WriteStep> {
    let rotation = prop_oneof![
        4 => Just(RotationStep::Keep),
        3 => verifier().prop_map(RotationStep::OnSubjectChange),
        1 => verifier().prop_map(RotationStep::Privilege),
        2 => verifier().prop_map(RotationStep::Renewal),
        1 => (verifier(), verifier()).prop_map(|(old, new)| RotationStep::PrivilegeBy(old, new)),
    ];
    let reason = prop_oneof![Just(EndReason::Destroyed), Just(EndReason::Revoked)];
    prop_oneof![
        10 => (any_edit(), rotation).prop_map(|(edit, rotation)| WriteStep::Edit { edit: Box::new(edit), rotation }),
        1 => reason.prop_map(WriteStep::End),
    ]
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let cap = option::of(prop_oneof![Just(START + HOUR), Just(START + 3 * HOUR)]);
    let lifetime = (prop_oneof![Just(10 * MINUTE), Just(IDLE)], prop_oneof![Just(HOUR), Just(SPAN)], cap);
    let lifetime =
        lifetime.prop_map(|(idle_timeout, absolute_timeout, cap)| NewLifetime { idle_timeout, absolute_timeout, cap });
    let when_empty = prop_oneof![3 => Just(WhenEmpty::Delete), 1 => Just(WhenEmpty::Keep)];
    let limits = prop_oneof![4 => Just((256, 65536)), 1 => Just((3, 65536)), 1 => Just((256, 16))];
    let agent = option::weighted(0.3, prop_oneof![Just("one"), Just("two")]);
    let lifetime_limits = (prop_oneof![Just(10 * MINUTE), Just(IDLE)], prop_oneof![Just(HOUR), Just(SPAN)]);
    let lifetime_limits = lifetime_limits.prop_map(|(idle_timeout, absolute_timeout)| LifetimeLimits {
        authenticated: LIFETIMES,
        anonymous: Lifetimes { idle_timeout, absolute_timeout },
    });
    let lifetimes = (option::weighted(0.2, lifetime), lifetime_limits);
    (option::weighted(0.8, changes()), lifetimes, when_empty, limits, agent).prop_map(
        |(changes, (lifetime, lifetime_limits), when_empty, (max_entries, max_bytes), agent)| Edit {
            changes,
            lifetime,
            lifetime_limits,
            rotation: Rotation::Keep,
            when_empty,
            limits: Limits { max_entries, max_bytes },
            context: agent.map(context),
        },
    )
}

fn changes() -> impl Strategy<Value = Changes> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("c"), Just("n")].prop_map(str::to_owned);
    let value = prop_oneof![
        Just(json("1")),
        Just(json("\"text\"")),
        Just(json("9223372036854775807")),
        Just(Value::raw(b"\0raw\xff")),
    ];
    let delta = prop_oneof![4 => -3..=3_i64, 1 => any::<i64>()];
    let permanent = prop_oneof![
        6 => Just(PermanentChange::Keep),
        1 => any::<bool>().prop_map(PermanentChange::Set),
        1 => Just(PermanentChange::Unset),
    ];
    let subject = prop_oneof![
        6 => Just(SubjectChange::Keep),
        1 => Just(SubjectChange::Set(subject("anna"))),
        1 => Just(SubjectChange::Set(subject("bert"))),
        1 => Just(SubjectChange::Remove),
    ];
    let clear = proptest::bool::weighted(0.1);
    let authentication = prop_oneof![
        4 => Just(AuthenticationChange::Keep),
        1 => Just(AuthenticationChange::Now),
        2 => Just(AuthenticationChange::IfOtherSubject),
    ];
    let parts = (clear, vec(name(), 0..2), btree_map(name(), value, 0..3), btree_map(name(), delta, 0..2));
    let identity = (subject, authentication);
    (parts, permanent, identity).prop_map(
        |((clear, unset, mut set, mut increment), permanent, (subject, authentication))| {
            set.retain(|name, _| !unset.contains(name));
            increment.retain(|name, _| !unset.contains(name) && !set.contains_key(name));
            let changes =
                Changes { clear, unset, set, increment, permanent, subject, authentication, ..Changes::default() };
            changes.check(None).expect("no name is changed twice")
        },
    )
}

fn wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(MS),
        Just(GRACE),
        Just(MINUTE),
        Just(10 * MINUTE - MS),
        Just(10 * MINUTE),
        Just(TOMBSTONE_TTL),
        Just(IDLE + TOMBSTONE_TTL),
    ]
}

fn verifier() -> impl Strategy<Value = u8> {
    0..4_u8
}

const KEYS: u32 = 2;
