//! Lifetimes: when a session expires, and how that changes when it gets or loses its subject or is cleared.
//!
//! A session that is cleared, or gets another subject instead of its own, has the app's own lifetimes again: the one that
//! an earlier save requested was for another user.
//!
//! Where an app's limits are shorter for anonymous sessions, the limits follow the subject:
//!
//! - A session that gets its first subject has the app's own lifetimes from then on, the absolute one counted from its
//!   creation, which is the one bound that nothing moves. A lifetime that an earlier save requested was for the
//!   anonymous session and no longer counts.
//! - A session that loses its subject has the lifetime that is left, cut to the anonymous limits counted from now.
//!   Counted from the creation, a logout late in a session's life would end the session that it is meant to preserve.
//! - A lifetime that the same save requests comes first, within the limits of the session after the save.

use std::time::Duration;

use super::head::Head;
use super::subject::Subject;
use crate::types::Time;

/// The lifetime that a save gives a session, already cut to the app's lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewLifetime {
    pub idle_timeout: Duration,
    /// Counted from the session's creation.
    pub absolute_timeout: Duration,
    /// The latest deadline, if the save sets one.
    pub cap: Option<Time>,
}

impl NewLifetime {
    /// The deadline of a session that has this head before.
    fn deadline_time(&self, head: &Head, now: Time) -> Time {
        let bound = head.create_time + self.absolute_timeout;
        // The absolute timeout may have been longer when the session was created. A login must not end it.
        let bound = if bound > now { bound } else { head.deadline_time };
        self.cap.map_or(bound, |cap| bound.min(cap))
    }
}

/// How long the sessions of an app live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Without being used. A save can ask for less, or for a deadline instead.
    pub idle_timeout: Duration,
    /// However much they are used. No save can ask for more.
    pub absolute_timeout: Duration,
}

impl From<Lifetimes> for NewLifetime {
    fn from(Lifetimes { idle_timeout, absolute_timeout }: Lifetimes) -> Self {
        Self { idle_timeout, absolute_timeout, cap: None }
    }
}

/// An app's limits for sessions with and without a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeLimits {
    pub authenticated: Lifetimes,
    /// Neither timeout is longer than for authenticated sessions.
    pub anonymous: Lifetimes,
}

/// Sets the lifetime of a session after a save that makes `subject` its subject; `head` still has the subject before.
pub(super) fn set_lifetime(
    head: &mut Head,
    subject: Option<&Subject>,
    clears: bool,
    requested: Option<NewLifetime>,
    limits: LifetimeLimits,
    now: Time,
) {
    let default = NewLifetime::from(limits.authenticated);
    let requested = requested.or(clears.then_some(default));
    let follow_subject = limits.authenticated != limits.anonymous;
    let lifetime = match (head.subject.is_some(), subject.is_some()) {
        (false, false) if requested.is_none() => return,
        (had_subject, false) if follow_subject => {
            return set_anonymous_lifetime(head, limits.anonymous, requested, had_subject, now);
        }
        (false, true) if follow_subject => requested.or(Some(default)),
        _ => requested,
    };
    if let Some(lifetime) = lifetime {
        head.deadline_time = not_before(lifetime.deadline_time(head, now), now);
        head.idle_timeout = lifetime.idle_timeout;
    }
}

/// Sets the requested lifetime, or else the one that is left, within the limit of anonymous sessions.
fn set_anonymous_lifetime(
    head: &mut Head,
    limit: Lifetimes,
    requested: Option<NewLifetime>,
    had_subject: bool,
    now: Time,
) {
    let idle_timeout = requested.map_or(head.idle_timeout, |lifetime| lifetime.idle_timeout);
    let deadline = requested.map_or(head.deadline_time, |lifetime| lifetime.deadline_time(head, now));
    // A session that once had a subject may outlive the limit counted from its creation. Its deadline is the bound
    // then.
    let latest = if had_subject {
        now + limit.absolute_timeout
    } else {
        head.deadline_time.max(head.create_time + limit.absolute_timeout)
    };
    head.idle_timeout = idle_timeout.min(limit.idle_timeout);
    head.deadline_time = not_before(deadline.min(latest), now);
}

/// Returns a deadline that is not in the past: the tombstone would have expired at once, and a ticket could create the
/// session again.
fn not_before(deadline: Time, now: Time) -> Time {
    deadline.max(now)
}
