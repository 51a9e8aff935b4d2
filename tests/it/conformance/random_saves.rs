//! Random saves: the fast path of a store gives the same result as the full one, and keys in Redis expire in time.
//!
//! Redis sets entries by a script of its own while nothing else is requested. A save that sets `permanent` to the value
//! that it has already changes nothing more, but takes the full path.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use cloakroom::session::{
    Changes, Edit, EndReason, Head, ImportedFrom, Limits, PermanentChange, Precondition, Record, RequestContext, Value,
    Version, WhenEmpty,
};
use cloakroom::store::{Redis, SessionKey, Store, Write};
use cloakroom::types::Time;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use redis::Client;
use tokio::runtime::Runtime;

use super::fixtures::*;
use super::{Fresh, embedded, memory, redis as redis_store};
use crate::support::environment::runner;
use crate::support::redis::settings;

#[derive(Clone, Debug)]
struct Save {
    /// Time since the step before.
    after: Duration,
    verifier: u8,
    etag: Option<i64>,
    request: Option<(u8, u8)>,
    edit: Edit,
}

#[test]
fn memory_saves_the_same_on_both_paths() {
    saves_the_same_on_both_paths(memory());
}

#[test]
fn embedded_saves_the_same_on_both_paths() {
    saves_the_same_on_both_paths(embedded());
}

#[test]
fn redis_saves_the_same_on_both_paths() {
    saves_the_same_on_both_paths(redis_store());
}

fn saves_the_same_on_both_paths((store, _place): Fresh<impl Store>) {
    let runtime = Runtime::new().expect("a runtime starts");
    each_case(&vec(any_save(), 1..=30), |app, saves| {
        runtime.block_on(async {
            for (n, record) in [(1, record()), (2, full_record())] {
                let fast = create(&*store, key_in(app, n), &record).await;
                let full = create(&*store, key_in(app, n + 10), &record).await;
                let mut now = START;
                for save in saves {
                    now = now + save.after;
                    save_on_both_paths(&*store, (&fast, &full), save, now).await?;
                }
            }
            Ok(())
        })
    });
}

async fn save_on_both_paths(
    store: &impl Store,
    (fast, full): (&SessionKey, &SessionKey),
    save: &Save,
    now: Time,
) -> Result<(), TestCaseError> {
    let head = load_record(store, full).await.head;
    let precondition = precondition(&head, save, now);
    let permanent = head.permanent.map_or(PermanentChange::Unset, PermanentChange::Set);
    let changes = save.edit.changes.clone().map(|changes| Changes { permanent, ..changes });

    let one = apply(store, fast, &precondition, &write(save.edit.clone())).await;
    let other = apply(store, full, &precondition, &write(Edit { changes, ..save.edit.clone() })).await;

    prop_assert_eq!(one, other);
    prop_assert_eq!(load(store, fast).await, load(store, full).await);
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Save(Box<Save>),
    Touch(Duration),
    Lifetime(Duration, Duration),
    Clear,
    End,
}

#[test]
fn a_key_in_redis_expires_within_a_minute_after_its_purge_time() {
    let runtime = Runtime::new().expect("a runtime starts");
    let settings = settings();
    let store = Redis::new(&settings).expect("the settings are right");
    let client = Client::open(settings.url.as_str()).expect("the address is valid");
    let connection = RefCell::new(client.get_connection().expect("Redis answers"));
    let until = option::of(wait().prop_map(|span| START + span));
    each_case(&(until, vec(step(), 1..=30)), |app, (until, steps)| {
        let mut head = record().head;
        head.imported_from = until.map(|until| ImportedFrom { issued: None, until });
        runtime.block_on(async {
            let session_key = create(&store, key_in(app, 1), &Record { head, ..record() }).await;
            let key = format!(
                "{}:{{{:02}}}:{app}:{}",
                settings.key_prefix,
                session_key.id.as_bytes()[0] >> 2,
                session_key.id
            );
            let mut now = START;
            for step in steps {
                apply_step(&store, &session_key, step, &mut now).await;
                let expire_time = redis::cmd("PEXPIRETIME").arg(&key).query(&mut *connection.borrow_mut());
                let expire_time = Time::from_millis(expire_time.expect("Redis answers"));
                let purge_time = load_record(&store, &session_key).await.head.purge_time();
                prop_assert!(expire_time >= purge_time, "{expire_time:?} is before {purge_time:?}");
                prop_assert!(expire_time <= purge_time + MINUTE, "{expire_time:?} is long after {purge_time:?}");
            }
            Ok(())
        })
    });
}

async fn apply_step(store: &impl Store, session_key: &SessionKey, step: &Step, now: &mut Time) {
    let head = load_record(store, session_key).await.head;
    let current = head.verifier_hash.as_bytes()[0];
    match step {
        Step::Save(save) => {
            *now = *now + save.after;
            apply(store, session_key, &precondition(&head, save, *now), &write(save.edit.clone())).await;
        }
        Step::Touch(after) => {
            *now = *now + *after;
            store.touch(session_key, &touch(current, *now)).await.expect("the store answers");
        }
        Step::Lifetime(idle_timeout, span) => {
            let edit = Edit { changes: Some(set("a", "1")), lifetime: lifetime(*idle_timeout, *span), ..edit() };
            apply(store, session_key, &by_token(current, *now), &write(edit)).await;
        }
        Step::Clear => {
            apply(store, session_key, &by_token(current, *now), &save(Changes { clear: true, ..set("a", "1") })).await;
        }
        Step::End => {
            apply(store, session_key, &by_token(current, *now), &Write::End(EndReason::Destroyed)).await;
        }
    }
}

/// Runs random cases, each in an app of its own.
fn each_case<S: Strategy>(cases: &S, run: impl Fn(&str, &S::Value) -> Result<(), TestCaseError>) {
    let number = Cell::new(0);
    let result = runner(128).run(cases, |case| {
        number.set(number.get() + 1);
        run(&format!("case-{}", number.get()), &case)
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

fn precondition(head: &Head, save: &Save, now: Time) -> Precondition {
    Precondition {
        etag: save.etag.map(|off| Version(head.version.0.saturating_add_signed(off))),
        fingerprint: save.request.map(|(id, content)| fingerprint(id, content)),
        ..by_token(save.verifier, now)
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any_save().prop_map(|save| Step::Save(Box::new(save))),
        5 => wait().prop_map(Step::Touch),
        5 => (wait(), wait()).prop_map(|(idle, span)| Step::Lifetime(idle, span)),
        2 => Just(Step::Clear),
        1 => Just(Step::End),
    ]
}

fn any_save() -> impl Strategy<Value = Save> {
    let name = || prop_oneof![Just("a"), Just("b"), Just("lang"), Just("\u{fc}")].prop_map(str::to_owned);
    let value =
        prop_oneof![Just(json("1")), Just(json("\"text\"")), Just(Value::raw(b"")), Just(Value::raw(&[0, 255]))];
    let changes = (vec(name(), 0..3), btree_map(name(), value, 0..3)).prop_map(|(mut unset, set)| {
        unset.retain(|name| !set.contains_key(name));
        Changes { unset, set, ..Changes::default() }.check(None).expect("no name is changed twice")
    });
    let verifier = prop_oneof![20 => Just(1_u8), 1 => Just(2)];
    let etag = option::weighted(0.2, -1..=1_i64);
    let request = option::weighted(0.5, (0..20_u8, 0..2_u8));
    let limits = prop_oneof![4 => Just((256, 65536)), 1 => Just((2, 65536)), 1 => Just((256, 16))];
    let context =
        option::weighted(0.5, prop_oneof![Just(RequestContext::default()), Just(context("one")), Just(context("two"))]);
    (wait(), verifier, (etag, request), changes, limits, context).prop_map(
        |(after, verifier, (etag, request), changes, (max_entries, max_bytes), context)| {
            let limits = Limits { max_entries, max_bytes };
            let edit = Edit { changes: Some(changes), limits, context, when_empty: WhenEmpty::Keep, ..edit() };
            Save { after, verifier, etag, request, edit }
        },
    )
}

// Mostly short: the second of two saves in one minute has less to write.
fn wait() -> impl Strategy<Value = Duration> {
    let second = Duration::from_secs(1);
    prop_oneof![
        4 => Just(Duration::ZERO),
        4 => Just(MS),
        4 => Just(20 * second),
        4 => Just(MINUTE - MS),
        2 => Just(MINUTE),
        1 => Just(10 * MINUTE),
        1 => Just(IDLE - MINUTE),
        1 => Just(2 * HOUR),
    ]
}
