//! Writing with a token: the one loop that save, rotate and destroy share.

use super::index::judge_as_admin;
use super::view::Fate;
use super::{Call, Error, Service};
use crate::session::{
    By, Cause, Counters, EndReason, Fingerprint, Guard, Head, Hold, Outcome, Previous, Record, Refusal, Replacement,
    Verdict, Version, counter, hold,
};
use crate::store::{Applied, Done, Store, Write};
use crate::token::{Bearer, Nonce, successor};

/// On what conditions a call writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) etag: Option<Version>,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// What became of a write.
#[derive(Debug)]
pub(super) enum Written {
    /// It is done, now or before.
    Done(Box<Finished>),
    /// The session had ended.
    Gone(Option<EndReason>),
    /// Nothing is kept there.
    Missing,
    /// Nothing is kept there, and there is nothing to keep.
    Nothing,
    /// The token is in its grace, and this is the successor: for a renewal that has happened already.
    Renewed(Bearer),
}

/// A write that is done.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) fate: Fate,
    /// The head from now on; nothing if the session has ended since.
    pub(super) head: Option<Head>,
    /// The session's bearer from now on; nothing if this caller may not know it.
    pub(super) bearer: Option<Bearer>,
    pub(super) counters: Counters,
}

/// What to write, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'w> {
    pub(super) write: &'w Write,
    /// The rotation that the write may do.
    pub(super) offer: Option<Offer>,
    pub(super) in_grace: InGrace,
}

/// A rotation that a call offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) next: Bearer,
    pub(super) replacement: Replacement,
}

/// What to do when a token that a renewal replaced is shown in its grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InGrace {
    /// Write as the successor.
    Write,
    /// The renewal that is asked for has happened: answer the successor.
    Answer,
}

impl Call<'_> {
    /// The token that a rotation by the holder of `old` would put in its place.
    pub(super) fn offer(&self, old: Bearer, cause: Cause, terms: Terms) -> Offer {
        let (key, nonce) = (self.keys.signing(), Nonce::random());
        let next = successor(key, old, nonce);
        let previous = Previous {
            proof: old.proof(&self.app.name),
            nonce,
            key_id: key.id(),
            cause,
            time: self.now,
            fingerprint: terms.fingerprint,
            current: None,
        };
        Offer { next, replacement: Replacement { proof: next.proof(&self.app.name), previous } }
    }

    pub(super) fn refused(&self, refusal: Refusal) -> Error {
        Error::refused(refusal, self.app.limits)
    }
}

impl<S: Store> Service<S> {
    /// Writes with the right of `bearer`, or of its successor while it is in its grace.
    pub(super) async fn write(
        &self,
        call: &Call<'_>,
        bearer: Bearer,
        terms: Terms,
        attempt: Attempt<'_>,
    ) -> Result<Written, Error> {
        let Attempt { write, offer, in_grace } = attempt;
        let place = call.place(bearer);
        let mut acting = bearer;
        loop {
            let proof = acting.proof(&call.app.name);
            let by = if matches!(write, Write::End(_)) { By::Ending(proof) } else { By::Proof(proof) };
            let guard = Guard { by, etag: terms.etag, fingerprint: terms.fingerprint, now: call.now };
            return match self.apply(&place, &guard, write).await? {
                Applied::Done(done) => Ok(Written::Done(Box::new(finished(*done, acting, offer)))),
                Applied::Missing => Ok(Written::Missing),
                Applied::Refused(refusal) => Err(call.refused(refusal)),
                Applied::Judged(Verdict::Replay(outcome)) => self.replay(call, bearer, terms, (outcome, write)).await,
                Applied::Judged(Verdict::Stale) => Err(Error::EtagMismatch),
                Applied::Judged(Verdict::MarkReused) => Err(Error::RequestIdReused),
                Applied::Judged(Verdict::Gone(reason)) => Ok(Written::Gone(reason)),
                Applied::Judged(Verdict::Grace(previous)) if acting == bearer => {
                    match call.successor(bearer, &previous) {
                        Some(next) if in_grace == InGrace::Answer => Ok(Written::Renewed(next)),
                        Some(next) => {
                            acting = next;
                            continue;
                        }
                        None => Ok(Written::Gone(Some(EndReason::Superseded))),
                    }
                }
                // The successor was replaced in its turn: two generations back is too far.
                Applied::Judged(Verdict::Grace(_) | Verdict::Go) => Ok(Written::Gone(Some(EndReason::Superseded))),
            };
        }
    }

    /// Answers a call that has been done before: the same outcome, the session as it stands.
    async fn replay(
        &self,
        call: &Call<'_>,
        bearer: Bearer,
        terms: Terms,
        (outcome, write): (Outcome, &Write),
    ) -> Result<Written, Error> {
        let place = call.place(bearer);
        let Some(kept) = self.store.load(&place).await? else { return Ok(Written::Missing) };
        let lives = judge_as_admin(&kept, call.now) == Verdict::Go;
        let record = kept.record;
        let fate = match outcome {
            Outcome::Unchanged => Fate::Unchanged,
            Outcome::Created => Fate::Created,
            Outcome::Updated => Fate::Updated,
            Outcome::Deleted => Fate::Deleted(record.head.end.map_or(EndReason::Destroyed, |end| end.reason)),
        };
        let bearer = match hold(&record.head, bearer.proof(&call.app.name), call.now) {
            Hold::Current => Some(bearer),
            Hold::Previous(previous) if yields(&previous, terms, call) => call.successor(bearer, &previous),
            Hold::Previous(_) | Hold::Replaced | Hold::None => None,
        };
        let counters = counters(&record, write);
        let head = Some(record.head).filter(|_| lives);
        Ok(Written::Done(Box::new(Finished { fate, head, bearer, counters })))
    }
}

/// Whether a replaced token yields its successor: in its grace, and to the very call that replaced it.
fn yields(previous: &Previous, terms: Terms, call: &Call<'_>) -> bool {
    let by_this_call = previous.fingerprint.is_some() && previous.fingerprint == terms.fingerprint;
    by_this_call || previous.is_in_grace(call.now)
}

fn finished(done: Done, acting: Bearer, offer: Option<Offer>) -> Finished {
    let rotated = offer.filter(|offer| offer.replacement.proof == done.head.proof);
    let fate = match (done.outcome, done.head.end) {
        (Outcome::Deleted, end) => Fate::Deleted(end.map_or(EndReason::Destroyed, |end| end.reason)),
        (Outcome::Created, _) => Fate::Created,
        (Outcome::Unchanged, _) => Fate::Unchanged,
        (Outcome::Updated, _) => Fate::Updated,
    };
    Finished {
        fate,
        bearer: Some(rotated.map_or(acting, |offer| offer.next)),
        head: Some(done.head).filter(|head| head.end.is_none()),
        counters: done.counters,
    }
}

/// The counters that a call moves, as they stand.
fn counters(record: &Record, write: &Write) -> Counters {
    let Write::Edit(edit) = write else { return Counters::new() };
    let names = edit.changes.iter().flat_map(|changes| changes.increment.keys());
    let entries = record.entries.to_map();
    let counter = |name: &String| Some((name.clone(), counter(entries.get(name.as_str())?)?));
    names.filter_map(counter).collect()
}
