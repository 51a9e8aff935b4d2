//! Writing with a token: the one loop that save, rotate and destroy share.

use super::index::judge_as_admin;
use super::view::Outcome;
use super::{AppCall, Error, Service};
use crate::session::{
    Authority, Counters, EditError, EndReason, Fingerprint, Head, Precondition, PreviousToken, Record, Replacement,
    ReplacementCause, TokenMatch, Verdict, Version, WriteEffect, counter, match_token,
};
use crate::store::{Applied, Done, Store, Write};
use crate::token::{Nonce, SplitToken, next_token};

/// On what conditions a call writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) etag: Option<Version>,
    pub(super) fingerprint: Option<Fingerprint>,
}

/// What became of a write.
#[derive(Debug)]
pub(super) enum WriteResult {
    /// It is done, now or before.
    Done(Box<CompletedWrite>),
    /// The session had ended.
    Gone(Option<EndReason>),
    /// Nothing is kept there.
    Missing,
    /// Nothing is kept there, and there is nothing to keep.
    Nothing,
    /// The token is in its grace, and this is the successor: for a renewal that has happened already.
    Renewed(SplitToken),
}

/// A write that is done.
#[derive(Debug)]
pub(super) struct CompletedWrite {
    pub(super) outcome: Outcome,
    /// The head from now on; nothing if the session has ended since.
    pub(super) head: Option<Head>,
    /// The session's bearer from now on; nothing if this caller may not know it.
    pub(super) token: Option<SplitToken>,
    pub(super) counters: Counters,
}

/// What to write, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteAttempt<'w> {
    pub(super) write: &'w Write,
    /// The rotation that the write may do.
    pub(super) next_token: Option<NextToken>,
    pub(super) in_grace: InGrace,
}

/// A rotation that a call offers.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextToken {
    pub(super) next: SplitToken,
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

impl AppCall<'_> {
    /// The token that a rotation by the holder of `old` would put in its place.
    pub(super) fn derive_next_token(&self, old: SplitToken, cause: ReplacementCause, terms: Conditions) -> NextToken {
        let (key, nonce) = (self.keys.signing(), Nonce::random());
        let next = next_token(key, old, nonce);
        let previous = PreviousToken {
            verifier_hash: old.verifier_hash(&self.app.name),
            nonce,
            key_id: key.id(),
            cause,
            time: self.now,
            fingerprint: terms.fingerprint,
            current: None,
        };
        NextToken { next, replacement: Replacement { verifier_hash: next.verifier_hash(&self.app.name), previous } }
    }

    pub(super) fn refused(&self, edit_error: EditError) -> Error {
        Error::refused(edit_error, self.app.limits)
    }
}

impl<S: Store> Service<S> {
    /// Writes with the right of `bearer`, or of its successor while it is in its grace.
    pub(super) async fn write(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        terms: Conditions,
        attempt: WriteAttempt<'_>,
    ) -> Result<WriteResult, Error> {
        let WriteAttempt { write, next_token, in_grace } = attempt;
        let session_key = call.session_key(token);
        let mut acting = token;
        loop {
            let verifier_hash = acting.verifier_hash(&call.app.name);
            let authority = if matches!(write, Write::End(_)) {
                Authority::EndWithToken(verifier_hash)
            } else {
                Authority::Token(verifier_hash)
            };
            let precondition =
                Precondition { authority, etag: terms.etag, fingerprint: terms.fingerprint, now: call.now };
            return match self.apply(&session_key, &precondition, write).await? {
                Applied::Done(done) => Ok(WriteResult::Done(Box::new(finished(*done, acting, next_token)))),
                Applied::Missing => Ok(WriteResult::Missing),
                Applied::Refused(edit_error) => Err(call.refused(edit_error)),
                Applied::Judged(Verdict::Replay(effect)) => self.replay(call, token, terms, (effect, write)).await,
                Applied::Judged(Verdict::EtagMismatch) => Err(Error::EtagMismatch),
                Applied::Judged(Verdict::RequestIdReused) => Err(Error::RequestIdReused),
                Applied::Judged(Verdict::Gone(reason)) => Ok(WriteResult::Gone(reason)),
                Applied::Judged(Verdict::Grace(previous)) if acting == token => {
                    match call.find_next_token(token, &previous) {
                        Some(next) if in_grace == InGrace::Answer => Ok(WriteResult::Renewed(next)),
                        Some(next) => {
                            acting = next;
                            continue;
                        }
                        None => Ok(WriteResult::Gone(Some(EndReason::Superseded))),
                    }
                }
                // The successor was replaced in its turn: two generations back is too far.
                Applied::Judged(Verdict::Grace(_) | Verdict::Allow) => {
                    Ok(WriteResult::Gone(Some(EndReason::Superseded)))
                }
            };
        }
    }

    /// Answers a call that has been done before: the same outcome, the session as it stands.
    async fn replay(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        terms: Conditions,
        (effect, write): (WriteEffect, &Write),
    ) -> Result<WriteResult, Error> {
        let session_key = call.session_key(token);
        let Some(snapshot) = self.store.load(&session_key).await? else { return Ok(WriteResult::Missing) };
        let lives = judge_as_admin(&snapshot, call.now) == Verdict::Allow;
        let record = snapshot.record;
        let outcome = match effect {
            WriteEffect::Unchanged => Outcome::Unchanged,
            WriteEffect::Created => Outcome::Created,
            WriteEffect::Updated => Outcome::Updated,
            WriteEffect::Deleted => Outcome::Deleted(record.head.end.map_or(EndReason::Destroyed, |end| end.reason)),
        };
        let token = match match_token(&record.head, token.verifier_hash(&call.app.name), call.now) {
            TokenMatch::Current => Some(token),
            TokenMatch::Previous(previous) if yields(&previous, terms, call) => call.find_next_token(token, &previous),
            TokenMatch::Previous(_) | TokenMatch::Replaced | TokenMatch::Unknown => None,
        };
        let counters = counters(&record, write);
        let head = Some(record.head).filter(|_| lives);
        Ok(WriteResult::Done(Box::new(CompletedWrite { outcome, head, token, counters })))
    }
}

/// Whether a replaced token yields its successor: in its grace, and to the very call that replaced it.
fn yields(previous: &PreviousToken, terms: Conditions, call: &AppCall<'_>) -> bool {
    let by_this_call = previous.fingerprint.is_some() && previous.fingerprint == terms.fingerprint;
    by_this_call || previous.is_in_grace(call.now)
}

fn finished(done: Done, acting: SplitToken, next_token: Option<NextToken>) -> CompletedWrite {
    let rotated = next_token.filter(|next_token| next_token.replacement.verifier_hash == done.head.verifier_hash);
    let outcome = match (done.effect, done.head.end) {
        (WriteEffect::Deleted, end) => Outcome::Deleted(end.map_or(EndReason::Destroyed, |end| end.reason)),
        (WriteEffect::Created, _) => Outcome::Created,
        (WriteEffect::Unchanged, _) => Outcome::Unchanged,
        (WriteEffect::Updated, _) => Outcome::Updated,
    };
    CompletedWrite {
        outcome,
        token: Some(rotated.map_or(acting, |next_token| next_token.next)),
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
