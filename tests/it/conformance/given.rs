//! What facts begin with: places, records, guards and writes, the plainest that there are.

use std::time::Duration;

use cloakroom::session::{
    Authority, Changes, Context, Denial, Edit, EndReason, Entries, Fingerprint, Head, Limits, NewLifetime,
    Precondition, PreviousToken, Record, Replacement, ReplacementCause, Rotation, Subject, SubjectChange, Value,
    Version, WhenEmpty,
};
use cloakroom::store::{Applied, Created, Done, SessionKey, Snapshot, Store, Touch, Write};
use cloakroom::token::{KeyId, Nonce, SessionId, VerifierHash};
use cloakroom::types::{AppName, Time};

/// When every story begins, in the year 2100.
pub(crate) const START: Time = Time::from_millis(4_102_444_800_000);

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// The idle timeout of [`record`].
pub(crate) const IDLE: Duration = HOUR;

/// How long [`record`] lives at most.
pub(crate) const SPAN: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the token that a [`renewal`] replaced still opens its session.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// How long an end is remembered.
pub(crate) const TOMBSTONE_TTL: Duration = Duration::from_secs(16 * 60);

/// A millisecond before.
pub(crate) fn just_before(time: Time) -> Time {
    Time::from_millis(time.millis() - 1)
}

pub(crate) fn app(name: &str) -> AppName {
    AppName::parse(name).expect("the name is one")
}

pub(crate) fn session_key(n: u32) -> SessionKey {
    place_of("default", n)
}

pub(crate) fn place_of(name: &str, n: u32) -> SessionKey {
    let mut id = [0; 16];
    // Spread over partitions and shards, as ids are.
    id[..4].copy_from_slice(&n.wrapping_mul(0x9E37_79B1).to_be_bytes());
    id[12..].copy_from_slice(&n.to_be_bytes());
    SessionKey { app: app(name), id: SessionId::from_bytes(id) }
}

pub(crate) fn verifier_hash(n: u8) -> VerifierHash {
    VerifierHash::from_bytes([n; 16])
}

pub(crate) fn fingerprint(request: u8, asked: u8) -> Fingerprint {
    Fingerprint::new(&[request], &[asked])
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::parse(name).expect("the name is one")
}

pub(crate) fn json(text: &str) -> Value {
    Value::json(text.to_owned()).expect("the text is JSON")
}

pub(crate) fn context(agent: &str) -> Context {
    Context { user_agent: agent.into(), remote_address: "192.0.2.1".into() }
}

/// A session of one entry, saved once at the start under proof 1.
pub(crate) fn record() -> Record {
    let entries = Entries::pack([("lang", b"\"en\"".as_slice())]);
    let head = Head {
        version: Version(1),
        entry_count: entries.count(),
        entry_bytes: entries.bytes(),
        ..Head::new(verifier_hash(1), START, IDLE, SPAN)
    };
    Record { head, entries }
}

/// A session that says all that one can say.
pub(crate) fn full_record() -> Record {
    let mut record = record();
    record.entries =
        Entries::pack([("a", b"1".as_slice()), ("b", &[0, 255, 0]), ("c", b"{\"d\":[]}"), ("\u{fc}", b"null")]);
    record.head.entry_count = record.entries.count();
    record.head.entry_bytes = record.entries.bytes();
    record.head.authenticate_time = Some(START + MINUTE);
    record.head.permanent = Some(false);
    record.head.subject = Some(subject("anna"));
    record.head.context = context("Browser/1.0");
    record
}

/// A call by the token of that proof.
pub(crate) fn authority(proof_number: u8, now: Time) -> Precondition {
    Precondition { authority: Authority::Token(verifier_hash(proof_number)), etag: None, fingerprint: None, now }
}

/// An end asked for by the token of that proof.
pub(crate) fn ending(proof_number: u8, now: Time) -> Precondition {
    Precondition { authority: Authority::EndWithToken(verifier_hash(proof_number)), ..authority(proof_number, now) }
}

pub(crate) fn by_admin(now: Time) -> Precondition {
    Precondition { authority: Authority::Admin, ..authority(0, now) }
}

/// An edit that changes nothing.
pub(crate) fn edit() -> Edit {
    Edit {
        changes: None,
        lifetime: None,
        lifetime_limits: None,
        rotation: Rotation::Keep,
        when_empty: WhenEmpty::Delete,
        limits: Limits { max_entries: 256, max_bytes: 64 * 1024 },
        context: None,
    }
}

pub(crate) fn write(edit: Edit) -> Write {
    Write::Edit(Box::new(edit))
}

/// A save of these changes and nothing else.
pub(crate) fn save(changes: Changes) -> Write {
    write(Edit { changes: Some(changes), ..edit() })
}

pub(crate) fn set(name: &str, text: &str) -> Changes {
    Changes { set: [(name.to_owned(), json(text))].into(), ..Changes::default() }
}

pub(crate) fn unset(name: &str) -> Changes {
    Changes { unset: vec![name.to_owned()], ..Changes::default() }
}

pub(crate) fn increment(name: &str, delta: i64) -> Changes {
    Changes { increment: [(name.to_owned(), delta)].into(), ..Changes::default() }
}

pub(crate) fn login(name: &str) -> Changes {
    Changes { subject: SubjectChange::Set(subject(name)), ..Changes::default() }
}

pub(crate) fn clear() -> Changes {
    Changes { clear: true, ..Changes::default() }
}

/// A lifetime from the session's creation on.
pub(crate) fn lifetime(idle_timeout: Duration, absolute_timeout: Duration) -> Option<NewLifetime> {
    Some(NewLifetime { idle_timeout, absolute_timeout, cap: None })
}

pub(crate) fn rotate(rotation: Rotation) -> Write {
    write(Edit { rotation, ..edit() })
}

/// The token of the old proof gives way to that of the new one, without grace.
pub(crate) fn privilege(old: u8, new: u8, now: Time) -> Replacement {
    Replacement {
        verifier_hash: verifier_hash(new),
        previous: PreviousToken {
            verifier_hash: verifier_hash(old),
            nonce: Nonce::from_bytes([new; 16]),
            key_id: KeyId::from_bytes([7; 6]),
            cause: ReplacementCause::Privilege,
            time: now,
            fingerprint: None,
            current: None,
        },
    }
}

/// The token of the old proof gives way to that of the new one, with [`GRACE`].
pub(crate) fn renewal(old: u8, new: u8, now: Time) -> Replacement {
    let mut replacement = privilege(old, new, now);
    replacement.previous.cause = ReplacementCause::Renewal { grace: GRACE };
    replacement
}

pub(crate) fn touch(proof_number: u8, used: Time) -> Touch {
    Touch { verifier_hash: verifier_hash(proof_number), used, context: None }
}

/// A store that keeps [`record`] at place 1, which it answers.
pub(crate) async fn one_session(store: &impl Store) -> SessionKey {
    keep(store, session_key(1), &record()).await
}

pub(crate) async fn keep(store: &impl Store, session_key: SessionKey, record: &Record) -> SessionKey {
    let created = store.create(&session_key, record).await.expect("the store answers");
    assert_eq!(created, Created::Stored);
    session_key
}

pub(crate) async fn load(store: &impl Store, session_key: &SessionKey) -> Option<Snapshot> {
    store.load(session_key).await.expect("the store answers")
}

/// The record that is kept.
pub(crate) async fn snapshot(store: &impl Store, session_key: &SessionKey) -> Record {
    load(store, session_key).await.expect("something is kept there").record
}

pub(crate) async fn apply(
    store: &impl Store,
    session_key: &SessionKey,
    precondition: &Precondition,
    write: &Write,
) -> Applied {
    store.apply(session_key, precondition, write).await.expect("the store answers")
}

/// Writes, and expects that it is written.
pub(crate) async fn done(
    store: &impl Store,
    session_key: &SessionKey,
    precondition: &Precondition,
    write: &Write,
) -> Done {
    match apply(store, session_key, precondition, write).await {
        Applied::Done(done) => *done,
        other => panic!("not written: {other:?}"),
    }
}

/// Writes, and expects that the judge says no and that nothing is changed.
pub(crate) async fn judged(
    store: &impl Store,
    session_key: &SessionKey,
    precondition: &Precondition,
    write: &Write,
) -> Denial {
    let before = load(store, session_key).await;
    let Applied::Denied(verdict) = apply(store, session_key, precondition, write).await else { panic!("not judged") };
    assert_eq!(load(store, session_key).await, before);
    verdict
}

pub(crate) const fn gone(reason: EndReason) -> Denial {
    Denial::Gone(Some(reason))
}
