//! Lifetimes: when a session ends, and what a gain or a loss of its subject does to that.
//!
//! Where an app grants sessions without a subject less, what it grants follows the subject:
//!
//! - With its first subject a session has the app's own lifetimes, the absolute one counted from its creation: that is
//!   the one bound that nothing moves. What an earlier save asked for was for a session of nobody's, and is over.
//! - Without its subject it keeps what is left, cut to what is granted to anonymous sessions from that moment on:
//!   counted from the creation, a logout late in a session's life would end what it was to keep.
//! - A lifetime that the same save asks for goes first, within what is granted to the session as it is afterwards.

use std::time::Duration;

use super::head::{Head, Subject};
use crate::types::Time;

/// A lifetime that a save asks for, measured against the app's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewLifetime {
    /// How long the session lives without being used.
    pub idle_timeout: Duration,
    /// How long it lives from its creation on.
    pub absolute_timeout: Duration,
    /// When it ends at the latest, if that is said.
    pub cap: Option<Time>,
}

impl NewLifetime {
    /// When a session created then ends however much it is used.
    pub fn deadline_time(&self, create_time: Time) -> Time {
        let deadline = create_time + self.absolute_timeout;
        self.cap.map_or(deadline, |cap| deadline.min(cap))
    }
}

/// The longest that a session may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeLimit {
    /// Without being used.
    pub idle_timeout: Duration,
    /// However much it is used.
    pub absolute_timeout: Duration,
}

impl From<LifetimeLimit> for NewLifetime {
    fn from(LifetimeLimit { idle_timeout, absolute_timeout }: LifetimeLimit) -> Self {
        Self { idle_timeout, absolute_timeout, cap: None }
    }
}

/// What an app grants, where it tells sessions by whether they have a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifetimeLimits {
    /// To a session with a subject.
    pub authenticated: LifetimeLimit,
    /// To a session without: in no part more than the other.
    pub anonymous: LifetimeLimit,
}

/// Gives a session the lifetime that it has after a save that makes it `subject`'s. Its own subject is still the one before.
pub(super) fn set_lifetime(
    head: &mut Head,
    subject: Option<&Subject>,
    (asked, granted): (Option<NewLifetime>, Option<LifetimeLimits>),
    now: Time,
) {
    let (was_owned, is_owned) = (head.subject.is_some(), subject.is_some());
    let lifetime = match granted {
        Some(granted) if !is_owned => {
            if let (false, None) = (was_owned, asked) {
                return;
            }
            return cut_to(head, granted.anonymous, (asked, was_owned), now);
        }
        Some(granted) if !was_owned => asked.or(Some(granted.authenticated.into())),
        _ => asked,
    };
    if let Some(lifetime) = lifetime {
        head.idle_timeout = lifetime.idle_timeout;
        head.deadline_time = never_past(lifetime.deadline_time(head.create_time), now);
    }
}

/// What is asked for, or what is left, within what an anonymous session is granted.
fn cut_to(head: &mut Head, granted: LifetimeLimit, (asked, was_owned): (Option<NewLifetime>, bool), now: Time) {
    let idle_timeout = asked.map_or(head.idle_timeout, |lifetime| lifetime.idle_timeout);
    let deadline = asked.map_or(head.deadline_time, |lifetime| lifetime.deadline_time(head.create_time));
    // One that had a subject once may live longer than from its creation: then its deadline says how long.
    let latest = if was_owned {
        now + granted.absolute_timeout
    } else {
        head.deadline_time.max(head.create_time + granted.absolute_timeout)
    };
    head.idle_timeout = idle_timeout.min(granted.idle_timeout);
    head.deadline_time = never_past(deadline.min(latest), now);
}

/// Never before now: the memory of the end would be over at once, and a ticket could open the place anew.
fn never_past(deadline: Time, now: Time) -> Time {
    deadline.max(now)
}
