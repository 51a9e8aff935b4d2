//! The judge: may this call write to this session, and if not, why not.
//!
//! The order of judgement stands here and nowhere else: request_id, gone, etag. (Limits follow in
//! the edit itself.) Stores compare and write; what they cannot decide plainly they bring here.

use super::end::{EndReason, WriteEffect};
use super::head::{Generation, Head, PreviousToken, Subject, Version};
use super::idempotency::Fingerprint;
use crate::token::VerifierHash;
use crate::types::Time;

/// Who asks, and on what conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// By what right.
    pub authority: Authority,
    /// Only if the session has this version.
    pub etag: Option<Version>,
    /// The call, if it has a request_id.
    pub fingerprint: Option<Fingerprint>,
    /// When.
    pub now: Time,
}

/// By what right a call writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// With the current token.
    Token(VerifierHash),
    /// With the current token or the one that it replaced: enough to end a session.
    EndWithToken(VerifierHash),
    /// As an administrator.
    Admin,
    /// As an administrator of one subject's sessions: if it has become another's, it is gone for this call.
    Subject(Subject),
}

/// What the judge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Write.
    Allow,
    /// This very call has been done: answer as it was answered.
    Replay(WriteEffect),
    /// The token is in its grace: write as its successor.
    Grace(PreviousToken),
    /// The session has ended, or this token's hold on it. Without a reason: too long ago.
    Gone(Option<EndReason>),
    /// Somebody has saved since.
    EtagMismatch,
    /// The request_id stands for another call.
    RequestIdReused,
}

/// Judges a call against what is kept of a session and the app's generation.
pub fn judge(head: &Head, generation: Generation, precondition: &Precondition) -> Verdict {
    if precondition.now >= head.tombstone_expiry() {
        return Verdict::Gone(None);
    }
    if let Some(asked) = precondition.fingerprint
        && let Some(mark) = head.idempotency.find(&asked.request, precondition.now)
    {
        let same = mark.fingerprint.asked == asked.asked;
        return if same { Verdict::Replay(mark.effect) } else { Verdict::RequestIdReused };
    }
    if let Some(reason) = ended(head, generation, precondition.now) {
        return Verdict::Gone(Some(reason));
    }
    match right(head, precondition) {
        Verdict::Allow if precondition.etag.is_some_and(|etag| etag != head.version) => Verdict::EtagMismatch,
        verdict => verdict,
    }
}

/// Why a session that is kept has ended; nothing while it lives.
fn ended(head: &Head, generation: Generation, now: Time) -> Option<EndReason> {
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

fn right(head: &Head, precondition: &Precondition) -> Verdict {
    let (verifier_hash, ending) = match &precondition.authority {
        Authority::Admin => return Verdict::Allow,
        Authority::Subject(subject) if head.subject.as_ref() == Some(subject) => return Verdict::Allow,
        Authority::Subject(_) => return Verdict::Gone(None),
        Authority::Token(verifier_hash) => (*verifier_hash, false),
        Authority::EndWithToken(verifier_hash) => (*verifier_hash, true),
    };
    match match_token(head, verifier_hash, precondition.now) {
        TokenMatch::Current => Verdict::Allow,
        TokenMatch::Previous(_) | TokenMatch::Replaced if ending => Verdict::Allow,
        TokenMatch::Previous(previous) if previous.is_in_grace(precondition.now) => Verdict::Grace(previous),
        TokenMatch::Previous(_) | TokenMatch::Replaced | TokenMatch::Unknown => {
            Verdict::Gone(Some(EndReason::Superseded))
        }
    }
}

/// What a token is to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMatch {
    /// Its token.
    Current,
    /// The one that the last rotation was asked with, still remembered.
    Previous(PreviousToken),
    /// The one that the last rotation replaced, though it was asked with an older one: good for an end alone.
    Replaced,
    /// An older one.
    Unknown,
}

/// What the token of this proof is to a session.
pub fn match_token(head: &Head, verifier_hash: VerifierHash, now: Time) -> TokenMatch {
    match head.previous.as_deref().copied() {
        _ if head.verifier_hash == verifier_hash => TokenMatch::Current,
        Some(previous) if !previous.is_remembered(now) => TokenMatch::Unknown,
        Some(previous) if previous.verifier_hash == verifier_hash => TokenMatch::Previous(previous),
        Some(previous) if previous.current == Some(verifier_hash) => TokenMatch::Replaced,
        _ => TokenMatch::Unknown,
    }
}
