//! The token that the last rotation replaced, and how long it is known.

use std::time::Duration;

use super::idempotency::{Fingerprint, IDEMPOTENCY_TTL};
use crate::token::{KeyId, Nonce, VerifierHash};
use crate::types::Time;

/// The token that the last rotation replaced, and what the next token is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousToken {
    /// The hash of the replaced token's verifier.
    pub verifier_hash: VerifierHash,
    /// With the replaced verifier and the key it gives the next token.
    pub nonce: Nonce,
    pub key_id: KeyId,
    pub cause: ReplacementCause,
    /// When the token was replaced.
    pub time: Time,
    /// The call that replaced the token, if it had a request_id.
    pub fingerprint: Option<Fingerprint>,
    /// The hash of the token that was current then, if the call came with an older one in its grace period.
    pub current: Option<VerifierHash>,
}

impl PreviousToken {
    /// Whether the replaced token is still known: for its grace period, and at least 10 minutes.
    pub fn is_remembered(&self, now: Time) -> bool {
        now < self.time + self.grace().max(PREVIOUS_TOKEN_TTL)
    }

    /// Whether the replaced token still opens the session.
    ///
    /// Without a grace it never does. `now` may be before the rotation: a call reads the clock before it waits for the
    /// store, and the clocks of two replicas differ.
    pub fn is_in_grace(&self, now: Time) -> bool {
        !self.grace().is_zero() && now < self.grace_end()
    }

    /// When the replaced token no longer opens the session.
    pub fn grace_end(&self) -> Time {
        self.time + self.grace()
    }

    const fn grace(&self) -> Duration {
        match self.cause {
            ReplacementCause::Privilege => Duration::ZERO,
            ReplacementCause::Renewal { grace } => grace,
        }
    }
}

/// Why a token was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplacementCause {
    /// The user's rights changed. There is no grace period.
    Privilege,
    /// The token was renewed. The old one still opens the session for `grace`.
    Renewal { grace: Duration },
}

/// How long the replaced token is known at least: as long as an idempotency record.
pub const PREVIOUS_TOKEN_TTL: Duration = IDEMPOTENCY_TTL;
