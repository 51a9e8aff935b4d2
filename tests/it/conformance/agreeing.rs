//! Agreeing: random stories, told to memory and to another store, get equal answers and leave equal records.
//!
//! A record past its forget time counts as absent, because stores forget it at different moments. Few places,
//! names, tokens, requests and times, so that they collide. `PROPTEST_CASES` asks for more stories.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::clock::Time;
use cloakroom::session::{
    AuthenticationChange, By, Changes, Edit, EndReason, Guard, Lifespan, Lifespans, Limits, NewLifetime, Origin,
    PermanentChange, Rotation, SubjectChange, Value, Verdict, Version, WhenEmpty,
};
use cloakroom::store::{Applied, Cursor, Feed as _, Kept, Memory, Notice, Store, Touch, Write};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::test_runner::{TestCaseError, TestRunner};

use super::feeding::told;
use super::given::*;
use super::{InAFile, InRedis, Kind};

/// One step of a story.
#[derive(Clone, Debug)]
enum Step {
    Create { place: u32, proof: u8, idle: Duration, origin: Option<(Option<Duration>, Duration)> },
    Apply { place: u32, right: Right, etag: Option<i64>, request: Option<(u8, u8)>, write: WriteStep },
    Touch { place: u32, proof: u8, ago: Duration },
    RevokeApp,
    Sweep,
    Wait(Duration),
}

#[derive(Clone, Copy, Debug)]
enum Right {
    /// Whatever the current proof is: most calls come with it.
    Current,
    Proof(u8),
    Ending(u8),
    Admin,
    Subject(&'static str),
}

#[derive(Clone, Debug)]
enum WriteStep {
    Edit { edit: Box<Edit>, rotation: RotationStep },
    End(EndReason),
}

/// A rotation whose time and old proof are not known yet.
#[derive(Clone, Copy, Debug)]
enum RotationStep {
    Keep,
    OnSubjectChange(u8),
    Privilege(u8),
    Renewal(u8),
    /// By an older token, in its grace.
    PrivilegeOf(u8, u8),
}

#[test]
fn a_file_and_memory_agree_on_every_story() {
    memory_agrees_with::<InAFile>();
}

#[test]
fn redis_and_memory_agree_on_every_story() {
    memory_agrees_with::<InRedis>();
}

fn memory_agrees_with<K: Kind>() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let (store, _home) = runtime.block_on(K::fresh());
    let stories = std::cell::Cell::new(0);
    let outcome = TestRunner::default().run(&vec(step(), 1..=40), |steps| {
        // An app for each story: a store that is shared looks new to it.
        stories.set(stories.get() + 1);
        let mut story =
            Story { app: format!("story-{}", stories.get()), now: START, memory: Memory::new(), other: &*store };
        runtime.block_on(async {
            let begin = story.other.latest(&app(&story.app)).await.expect("the store answers");
            let begin_of_memory = story.memory.latest(&app(&story.app)).await.expect("memory answers");
            for step in &steps {
                story.tell(step).await?;
                story.compare().await?;
            }
            story.compare_feeds(&begin_of_memory, &begin).await
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

struct Story<'s, S> {
    app: String,
    now: Time,
    memory: Memory,
    other: &'s S,
}

impl<S: Store> Story<'_, S> {
    async fn tell(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(span) => self.now = self.now + *span,
            Step::Create { place, proof, idle, origin } => self.create(*place, *proof, *idle, *origin).await?,
            Step::Apply { place, right, etag, request, write } => {
                let place = place_of(&self.app, *place);
                let kept = load(&self.memory, &place).await;
                let guard = self.guard(kept.as_ref(), *right, *etag, *request);
                let write = self.write(kept.as_ref(), write);
                let one = apply(&self.memory, &place, &guard, &write).await;
                let other = apply(self.other, &place, &guard, &write).await;
                same(&forgiven(one), &forgiven(other))?;
            }
            Step::Touch { place, proof: n, ago } => {
                let used = Time::from_millis(self.now.millis() - u64::try_from(ago.as_millis()).unwrap_or(0));
                let touch = Touch { proof: proof(*n), used, context: ago.is_zero().then(|| context("touch")) };
                let place = place_of(&self.app, *place);
                self.memory.touch(&place, &touch).await.expect("memory answers");
                self.other.touch(&place, &touch).await.expect("the store answers");
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
        n: u32,
        proof_number: u8,
        idle: Duration,
        origin: Option<(Option<Duration>, Duration)>,
    ) -> Result<(), TestCaseError> {
        let place = place_of(&self.app, n);
        let kept = [load(&self.memory, &place).await, load(self.other, &place).await];
        if kept.iter().flatten().any(|kept| self.now >= kept.record.head.forget_time()) {
            // Whether this place is free depends on who has swept.
            return Ok(());
        }
        let mut record = if n == 0 { record() } else { full_record() };
        record.head.proof = proof(proof_number);
        (record.head.create_time, record.head.access_time) = (self.now, self.now);
        (record.head.idle_timeout, record.head.deadline_time) = (idle, self.now + SPAN);
        let issued_ago = |ago: Duration| self.now.before(ago);
        let origin = origin.map(|(ago, left)| Origin { issued: ago.map(issued_ago), until: self.now + left });
        record.head.origin = origin;
        let one = self.memory.create(&place, &record).await.expect("memory answers");
        let other = self.other.create(&place, &record).await.expect("the store answers");
        same(&one, &other)
    }

    fn guard(&self, kept: Option<&Kept>, right: Right, etag: Option<i64>, request: Option<(u8, u8)>) -> Guard {
        let current = kept.map_or(proof(0), |kept| kept.record.head.proof);
        let version = kept.map_or(0, |kept| kept.record.head.version.0);
        Guard {
            by: match right {
                Right::Current => By::Proof(current),
                Right::Proof(n) => By::Proof(proof(n)),
                Right::Ending(n) => By::Ending(proof(n)),
                Right::Admin => By::Admin,
                Right::Subject(name) => By::Subject(subject(name)),
            },
            etag: etag.map(|off| Version(version.saturating_add_signed(off))),
            fingerprint: request.map(|(request, asked)| fingerprint(request, asked)),
            now: self.now,
        }
    }

    fn write(&self, kept: Option<&Kept>, step: &WriteStep) -> Write {
        let WriteStep::Edit { edit, rotation } = step else {
            let WriteStep::End(reason) = step else { unreachable!("there are two kinds of write") };
            return Write::End(*reason);
        };
        let current = kept.map_or(0, |kept| kept.record.head.proof.as_bytes()[0]);
        let rotation = match *rotation {
            RotationStep::Keep => Rotation::Keep,
            RotationStep::OnSubjectChange(new) => Rotation::OnSubjectChange(privilege(current, new, self.now)),
            RotationStep::Privilege(new) => Rotation::Always(privilege(current, new, self.now)),
            RotationStep::Renewal(new) => Rotation::Always(renewal(current, new, self.now)),
            RotationStep::PrivilegeOf(old, new) => Rotation::Always(privilege(old, new, self.now)),
        };
        write(Edit { rotation, ..Edit::clone(edit) })
    }

    async fn compare(&self) -> Result<(), TestCaseError> {
        for n in 0..PLACES {
            let place = place_of(&self.app, n);
            let present = |kept: &Kept| self.now < kept.record.head.forget_time();
            let one = load(&self.memory, &place).await.filter(present);
            let other = load(self.other, &place).await.filter(present);
            same(&one, &other)?;
        }
        Ok(())
    }
}

impl<S: Store> Story<'_, S> {
    /// The same was told of each session, and the same revocations, how often ever each of them.
    async fn compare_feeds(&self, begin_of_memory: &Cursor, begin: &Cursor) -> Result<(), TestCaseError> {
        let (one, _) = told(&self.memory, &self.app, begin_of_memory).await;
        let (other, _) = told(self.other, &self.app, begin).await;
        for n in 0..PLACES {
            let id = place_of(&self.app, n).id;
            let of = |notices: &[Notice]| -> Vec<Notice> {
                let is_of = |notice: &&Notice| matches!(notice, Notice::Session(event) if event.id == id);
                notices.iter().filter(is_of).copied().collect()
            };
            same(&of(&one), &of(&other))?;
        }
        let revoked = |notices: &[Notice]| -> BTreeSet<Time> {
            let time = |notice: &Notice| match notice {
                Notice::AppRevoked { time } => Some(*time),
                Notice::Session(_) => None,
            };
            notices.iter().filter_map(time).collect()
        };
        same(&revoked(&one), &revoked(&other))
    }
}

/// An answer, but for whether a record that may be forgotten is forgotten.
fn forgiven(applied: Applied) -> Applied {
    if applied == Applied::Judged(Verdict::Gone(None)) { Applied::Missing } else { applied }
}

fn same<T: PartialEq + std::fmt::Debug>(memory: &T, other: &T) -> Result<(), TestCaseError> {
    if memory == other { Ok(()) } else { Err(TestCaseError::fail(format!("memory: {memory:?}\nother: {other:?}"))) }
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0..PLACES;
    let idle = prop_oneof![Just(10 * MINUTE), Just(IDLE)];
    let ago = prop_oneof![3 => Just(Duration::ZERO), 1 => Just(MINUTE)];
    let etag = option::weighted(0.2, -1..=1_i64);
    let request = option::weighted(0.5, (0..20_u8, 0..2_u8));
    let apply = (place.clone(), right(), etag, request, write_step())
        .prop_map(|(place, right, etag, request, write)| Step::Apply { place, right, etag, request, write });
    let issued = option::weighted(0.8, prop_oneof![Just(MS), Just(10 * MINUTE)]);
    let origin = option::weighted(0.4, (issued, prop_oneof![Just(MINUTE), Just(3 * HOUR), Just(2 * SPAN)]));
    let create = (place.clone(), proof_number(), idle, origin).prop_map(|(place, proof, idle, origin)| Step::Create {
        place,
        proof,
        idle,
        origin,
    });
    prop_oneof![
        3 => create,
        12 => apply,
        2 => (place, proof_number(), ago).prop_map(|(place, proof, ago)| Step::Touch { place, proof, ago }),
        1 => Just(Step::RevokeApp),
        1 => Just(Step::Sweep),
        4 => wait().prop_map(Step::Wait),
    ]
}

fn right() -> impl Strategy<Value = Right> {
    prop_oneof![
        8 => Just(Right::Current),
        3 => proof_number().prop_map(Right::Proof),
        2 => proof_number().prop_map(Right::Ending),
        1 => Just(Right::Admin),
        1 => prop_oneof![Just("anna"), Just("bert")].prop_map(Right::Subject),
    ]
}

fn write_step() -> impl Strategy<Value = WriteStep> {
    let rotation = prop_oneof![
        4 => Just(RotationStep::Keep),
        3 => proof_number().prop_map(RotationStep::OnSubjectChange),
        1 => proof_number().prop_map(RotationStep::Privilege),
        2 => proof_number().prop_map(RotationStep::Renewal),
        1 => (proof_number(), proof_number()).prop_map(|(old, new)| RotationStep::PrivilegeOf(old, new)),
    ];
    let reason = prop_oneof![Just(EndReason::Destroyed), Just(EndReason::Revoked)];
    prop_oneof![
        10 => (an_edit(), rotation).prop_map(|(edit, rotation)| WriteStep::Edit { edit: Box::new(edit), rotation }),
        1 => reason.prop_map(WriteStep::End),
    ]
}

fn an_edit() -> impl Strategy<Value = Edit> {
    let cap = option::of(prop_oneof![Just(START + HOUR), Just(START + 3 * HOUR)]);
    let lifetime = (prop_oneof![Just(10 * MINUTE), Just(IDLE)], prop_oneof![Just(HOUR), Just(SPAN)], cap);
    let lifetime = lifetime.prop_map(|(idle_timeout, span, cap)| NewLifetime { idle_timeout, span, cap });
    let when_empty = prop_oneof![3 => Just(WhenEmpty::Delete), 1 => Just(WhenEmpty::Keep)];
    let limits = prop_oneof![4 => Just((256, 65536)), 1 => Just((3, 65536)), 1 => Just((256, 16))];
    let agent = option::weighted(0.3, prop_oneof![Just("one"), Just("two")]);
    let lifespans = (prop_oneof![Just(10 * MINUTE), Just(IDLE)], prop_oneof![Just(HOUR), Just(3 * HOUR)]);
    let lifespans = lifespans.prop_map(|(idle_timeout, span)| Lifespans {
        owned: Lifespan { idle_timeout: IDLE, span: SPAN },
        anonymous: Lifespan { idle_timeout, span },
    });
    let lifetimes = (option::weighted(0.2, lifetime), option::weighted(0.5, lifespans));
    (option::weighted(0.8, changes()), lifetimes, when_empty, limits, agent).prop_map(
        |(changes, (lifetime, lifespans), when_empty, (max_entries, max_bytes), agent)| Edit {
            changes,
            lifetime,
            lifespans,
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
    let authentication = prop_oneof![4 => Just(AuthenticationChange::Keep), 1 => Just(AuthenticationChange::Now)];
    let parts = (clear, vec(name(), 0..2), btree_map(name(), value, 0..3), btree_map(name(), delta, 0..2));
    let whose = (subject, authentication);
    (parts, permanent, whose).prop_map(
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
        Just(MEMORY),
        Just(IDLE + MEMORY),
    ]
}

fn proof_number() -> impl Strategy<Value = u8> {
    0..4_u8
}

const PLACES: u32 = 2;
