//! What the tests start from: session keys, records, preconditions and writes, as simple as possible.

use std::time::Duration;

use cloakroom::session::{
    Authority, Changes, Denial, Done, Edit, EndReason, Entries, Fingerprint, Head, LifetimeLimits, Lifetimes, Limits,
    NewLifetime, Precondition, PreviousToken, Record, Replacement, ReplacementCause, RequestContext, Rotation, Subject,
    SubjectChange, Value, Version, WhenEmpty,
};
use cloakroom::store::{Applied, Created, SessionKey, Snapshot, Store, Touch, Write};
use cloakroom::token::{KeyId, Nonce, SessionId, VerifierHash};
use cloakroom::types::{AppName, Time};

/// The time at which every test starts, in the year 2100.
pub(crate) const START: Time = Time::from_millis(4_102_444_800_000);

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// The idle timeout of [`record`].
pub(crate) const IDLE: Duration = HOUR;

/// The absolute timeout of [`record`].
pub(crate) const SPAN: Duration = Duration::from_secs(24 * 60 * 60);

/// The grace of a token that a [`renewal`] replaced.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

pub(crate) const TOMBSTONE_TTL: Duration = Duration::from_secs(16 * 60);

pub(crate) fn just_before(time: Time) -> Time {
    Time::from_millis(time.millis() - 1)
}

pub(crate) fn app(name: &str) -> AppName {
    AppName::parse(name).expect("the name is valid")
}

pub(crate) fn session_key(n: u32) -> SessionKey {
    key_in("default", n)
}

pub(crate) fn key_in(app_name: &str, n: u32) -> SessionKey {
    let mut id = [0; 16];
    // Spread over partitions and shards, as real ids are.
    id[..4].copy_from_slice(&n.wrapping_mul(0x9E37_79B1).to_be_bytes());
    id[12..].copy_from_slice(&n.to_be_bytes());
    SessionKey { app: app(app_name), id: SessionId::from_bytes(id) }
}

pub(crate) fn verifier_hash(n: u8) -> VerifierHash {
    VerifierHash::from_bytes([n; 16])
}

pub(crate) fn fingerprint(request_id: u8, content: u8) -> Fingerprint {
    Fingerprint::new(&[request_id], &[content])
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::parse(name).expect("the name is valid")
}

pub(crate) fn json(text: &str) -> Value {
    Value::json(text.to_owned()).expect("the text is JSON")
}

pub(crate) fn context(agent: &str) -> RequestContext {
    RequestContext { user_agent: agent.into(), remote_address: "192.0.2.1".into() }
}

/// A session with one entry, saved once at [`START`] with verifier 1.
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

/// A session with every optional field set.
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

/// The precondition of a call by the token with that verifier.
pub(crate) fn by_token(verifier_number: u8, now: Time) -> Precondition {
    Precondition { authority: Authority::Token(verifier_hash(verifier_number)), etag: None, fingerprint: None, now }
}

/// The precondition of a call that ends the session by the token with that verifier.
pub(crate) fn end_by_token(verifier_number: u8, now: Time) -> Precondition {
    Precondition {
        authority: Authority::EndWithToken(verifier_hash(verifier_number)),
        ..by_token(verifier_number, now)
    }
}

pub(crate) fn by_admin(now: Time) -> Precondition {
    Precondition { authority: Authority::Admin, ..by_token(0, now) }
}

/// The lifetimes of [`record`].
pub(crate) const LIFETIMES: Lifetimes = Lifetimes { idle_timeout: IDLE, absolute_timeout: SPAN };

/// An edit that changes nothing.
pub(crate) fn edit() -> Edit {
    Edit {
        changes: None,
        lifetime: None,
        lifetime_limits: LifetimeLimits { authenticated: LIFETIMES, anonymous: LIFETIMES },
        rotation: Rotation::Keep,
        when_empty: WhenEmpty::Delete,
        limits: Limits { max_entries: 256, max_bytes: 64 * 1024 },
        context: None,
    }
}

pub(crate) fn write(edit: Edit) -> Write {
    Write::Edit(Box::new(edit))
}

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

/// A lifetime that counts from the creation of the session.
pub(crate) fn lifetime(idle_timeout: Duration, absolute_timeout: Duration) -> Option<NewLifetime> {
    Some(NewLifetime { idle_timeout, absolute_timeout, cap: None })
}

pub(crate) fn rotate(rotation: Rotation) -> Write {
    write(Edit { rotation, ..edit() })
}

/// Replaces the token with the old verifier by one with the new verifier, without grace.
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

/// Replaces the token with the old verifier by one with the new verifier, with [`GRACE`].
pub(crate) fn renewal(old: u8, new: u8, now: Time) -> Replacement {
    let mut replacement = privilege(old, new, now);
    replacement.previous.cause = ReplacementCause::Renewal { grace: GRACE };
    replacement
}

pub(crate) fn touch(verifier_number: u8, used: Time) -> Touch {
    Touch { verifier_hash: verifier_hash(verifier_number), used, context: None }
}

/// Creates [`record`] at session key 1 and returns that key.
pub(crate) async fn create_session(store: &impl Store) -> SessionKey {
    create(store, session_key(1), &record()).await
}

pub(crate) async fn create(store: &impl Store, session_key: SessionKey, record: &Record) -> SessionKey {
    let created = store.create(&session_key, record).await.expect("the store answers");
    assert_eq!(created, Created::Stored);
    session_key
}

pub(crate) async fn load(store: &impl Store, session_key: &SessionKey) -> Option<Snapshot> {
    store.load(session_key).await.expect("the store answers")
}

pub(crate) async fn load_record(store: &impl Store, session_key: &SessionKey) -> Record {
    load(store, session_key).await.expect("there is a record").record
}

pub(crate) async fn apply(
    store: &impl Store,
    session_key: &SessionKey,
    precondition: &Precondition,
    write: &Write,
) -> Applied {
    store.apply(session_key, precondition, write).await.expect("the store answers")
}

/// Applies a write that must succeed.
pub(crate) async fn commit(
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

/// Applies a write that must be rejected and must change nothing.
pub(crate) async fn rejection(
    store: &impl Store,
    session_key: &SessionKey,
    precondition: &Precondition,
    write: &Write,
) -> Denial {
    let before = load(store, session_key).await;
    let Applied::Denied(verdict) = apply(store, session_key, precondition, write).await else { panic!("not rejected") };
    assert_eq!(load(store, session_key).await, before);
    verdict
}

pub(crate) const fn gone(reason: EndReason) -> Denial {
    Denial::Gone(Some(reason))
}
