//! The judge: decides whether a call may write to a session, and if not, why not.
//!
//! The order of the checks is defined here and nowhere else: expired tombstone, request_id, end, authority, etag. The
//! edit checks the limits after that. Stores compare and write; they leave every case but a plain match to the judge.

use super::effect::WriteEffect;
use super::end::EndReason;
use super::head::Head;
use super::idempotency::Fingerprint;
use super::previous_token::PreviousToken;
use super::subject::Subject;
use super::version::{Generation, Version};
use crate::token::VerifierHash;
use crate::types::Time;

/// The conditions on which a call writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    pub authority: Authority,
    /// The version that the session must have; `None` for any.
    pub etag: Option<Version>,
    /// `None` for a call without a request_id.
    pub fingerprint: Option<Fingerprint>,
    pub now: Time,
}

impl Precondition {
    /// Makes one without etag and request_id.
    pub const fn unconditional(authority: Authority, now: Time) -> Self {
        Self { authority, etag: None, fingerprint: None, now }
    }
}

/// The authority that a call writes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The holder of the current token.
    Token(VerifierHash),
    /// The holder of the current or the previous token, which is enough to end a session.
    EndWithToken(VerifierHash),
    /// An administrator.
    Admin,
    /// An administrator, for one subject's sessions: a session that now has another subject is gone for the call.
    Subject(Subject),
}

/// Why a call does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The call is a repetition: it gets the response of the first one.
    Replay(WriteEffect),
    /// The token is in its grace period: the call writes with the next token.
    Grace(PreviousToken),
    /// The session has ended, or the token no longer opens it. `None` if the reason is no longer known.
    Gone(Option<EndReason>),
    /// The session has another version than the etag.
    EtagMismatch,
    /// The request_id was used for another request.
    RequestIdReused,
}

/// Judges a call by the head of its session and the app's generation.
pub fn judge(head: &Head, generation: Generation, precondition: &Precondition) -> Result<(), Denial> {
    if precondition.now >= head.tombstone_expiry() {
        return Err(Denial::Gone(None));
    }
    if let Some(fingerprint) = precondition.fingerprint
        && let Some(earlier) = head.idempotency.find(&fingerprint.request_id, precondition.now)
    {
        let is_same = earlier.fingerprint.request == fingerprint.request;
        return Err(if is_same { Denial::Replay(earlier.effect) } else { Denial::RequestIdReused });
    }
    if let Some(reason) = end_reason(head, generation, precondition.now) {
        return Err(Denial::Gone(Some(reason)));
    }
    check_authority(head, precondition)?;
    if precondition.etag.is_some_and(|etag| etag != head.version) { Err(Denial::EtagMismatch) } else { Ok(()) }
}

/// Why the session has ended; `None` while it lives.
fn end_reason(head: &Head, generation: Generation, now: Time) -> Option<EndReason> {
    if let Some(end) = head.end {
        Some(end.reason)
    } else if head.generation < generation {
        Some(EndReason::Revoked)
    } else if now >= head.deadline_time {
        Some(EndReason::Absolute)
    } else if now >= head.access_time + head.idle_timeout {
        Some(EndReason::Idle)
    } else {
        None
    }
}

fn check_authority(head: &Head, precondition: &Precondition) -> Result<(), Denial> {
    let (verifier_hash, may_only_end) = match &precondition.authority {
        Authority::Admin => return Ok(()),
        Authority::Subject(subject) if head.subject.as_ref() == Some(subject) => return Ok(()),
        Authority::Subject(_) => return Err(Denial::Gone(None)),
        Authority::Token(verifier_hash) => (*verifier_hash, false),
        Authority::EndWithToken(verifier_hash) => (*verifier_hash, true),
    };
    match match_token(head, verifier_hash, precondition.now) {
        TokenMatch::Current => Ok(()),
        TokenMatch::Previous(_) | TokenMatch::Replaced if may_only_end => Ok(()),
        TokenMatch::Previous(previous) if previous.is_in_grace(precondition.now) => Err(Denial::Grace(previous)),
        TokenMatch::Previous(_) | TokenMatch::Replaced | TokenMatch::Unknown => {
            Err(Denial::Gone(Some(EndReason::Superseded)))
        }
    }
}

/// Returns when a call ended the session, or replaced the token, so that the token no longer opens the session.
///
/// `None`: the token opens the session, only time has ended it, or all sessions of the app were revoked, and no session
/// keeps the time of that. Of a token that is no longer remembered only the last rotation is known, so the time may be
/// too late.
pub fn end_time(head: &Head, verifier_hash: VerifierHash, now: Time) -> Option<Time> {
    if now >= head.tombstone_expiry() {
        return None;
    }
    let replaced = match match_token(head, verifier_hash, now) {
        TokenMatch::Current => None,
        // While its grace lasts, only time or an end can have ended what it opens.
        TokenMatch::Previous(previous) => Some(previous.grace_end()).filter(|end| *end <= now),
        // Without a rotation, this record took the place of the one that the token was made for.
        TokenMatch::Replaced | TokenMatch::Unknown => {
            Some(head.previous.as_ref().map_or(head.create_time, |previous| previous.time))
        }
    };
    replaced.into_iter().chain(head.end.map(|end| end.time)).min()
}

/// How a token matches a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMatch {
    /// It is the current token.
    Current,
    /// The last rotation was requested with it, and it is still known.
    Previous(PreviousToken),
    /// It was current when the last rotation was requested with an older token. It may only end the session.
    Replaced,
    /// It is older, or never was a token of the session.
    Unknown,
}

/// Returns how the token with this verifier hash matches the session.
pub fn match_token(head: &Head, verifier_hash: VerifierHash, now: Time) -> TokenMatch {
    match head.previous.as_deref().copied() {
        _ if head.verifier_hash == verifier_hash => TokenMatch::Current,
        Some(previous) if !previous.is_remembered(now) => TokenMatch::Unknown,
        Some(previous) if previous.verifier_hash == verifier_hash => TokenMatch::Previous(previous),
        Some(previous) if previous.current == Some(verifier_hash) => TokenMatch::Replaced,
        _ => TokenMatch::Unknown,
    }
}
