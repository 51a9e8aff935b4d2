//! The judge: may this call write to this session, and if not, why not.
//!
//! The order of judgement stands here and nowhere else: request_id, gone, etag. (Limits follow in
//! the edit itself.) Stores compare and write; what they cannot decide plainly they bring here.

use super::end::{EndReason, Outcome};
use super::head::{Generation, Head, Previous, Subject, Version};
use super::mark::Fingerprint;
use crate::clock::Time;
use crate::token::Proof;

/// Who asks, and on what conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// By what right.
    pub by: By,
    /// Only if the session has this version.
    pub etag: Option<Version>,
    /// The call, if it has a request_id.
    pub fingerprint: Option<Fingerprint>,
    /// When.
    pub now: Time,
}

/// By what right a call writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// With the current token.
    Proof(Proof),
    /// With the current token or the one that it replaced: enough to end a session.
    Ending(Proof),
    /// As an administrator.
    Admin,
    /// As an administrator of one subject's sessions: if it has become another's, it is gone for this call.
    Subject(Subject),
}

/// What the judge says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Write.
    Go,
    /// This very call has been done: answer as it was answered.
    Replay(Outcome),
    /// The token is in its grace: write as its successor.
    Grace(Previous),
    /// The session has ended, or this token's hold on it. Without a reason: too long ago.
    Gone(Option<EndReason>),
    /// Somebody has saved since.
    Stale,
    /// The request_id stands for another call.
    MarkReused,
}

/// Judges a call against what is kept of a session and the app's generation.
pub fn judge(head: &Head, generation: Generation, guard: &Guard) -> Verdict {
    if guard.now >= head.memory_end() {
        return Verdict::Gone(None);
    }
    if let Some(asked) = guard.fingerprint
        && let Some(mark) = head.marks.find(&asked.request, guard.now)
    {
        let same = mark.fingerprint.asked == asked.asked;
        return if same { Verdict::Replay(mark.outcome) } else { Verdict::MarkReused };
    }
    if let Some(reason) = ended(head, generation, guard.now) {
        return Verdict::Gone(Some(reason));
    }
    match right(head, guard) {
        Verdict::Go if guard.etag.is_some_and(|etag| etag != head.version) => Verdict::Stale,
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

fn right(head: &Head, guard: &Guard) -> Verdict {
    let (proof, ending) = match &guard.by {
        By::Admin => return Verdict::Go,
        By::Subject(subject) if head.subject.as_ref() == Some(subject) => return Verdict::Go,
        By::Subject(_) => return Verdict::Gone(None),
        By::Proof(proof) => (*proof, false),
        By::Ending(proof) => (*proof, true),
    };
    match hold(head, proof, guard.now) {
        Hold::Current => Verdict::Go,
        Hold::Previous(_) | Hold::Replaced if ending => Verdict::Go,
        Hold::Previous(previous) if previous.is_in_grace(guard.now) => Verdict::Grace(previous),
        Hold::Previous(_) | Hold::Replaced | Hold::None => Verdict::Gone(Some(EndReason::Superseded)),
    }
}

/// What a token is to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Its token.
    Current,
    /// The one that the last rotation was asked with, still remembered.
    Previous(Previous),
    /// The one that the last rotation replaced, though it was asked with an older one: good for an end alone.
    Replaced,
    /// An older one.
    None,
}

/// What the token of this proof is to a session.
pub fn hold(head: &Head, proof: Proof, now: Time) -> Hold {
    match head.previous.as_deref().copied() {
        _ if head.proof == proof => Hold::Current,
        Some(previous) if !previous.is_remembered(now) => Hold::None,
        Some(previous) if previous.proof == proof => Hold::Previous(previous),
        Some(previous) if previous.current == Some(proof) => Hold::Replaced,
        _ => Hold::None,
    }
}
