//! How many sessions one subject may have at once, and what happens to the one that is too many.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The most sessions of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectLimit {
    /// How many.
    pub max_sessions: NonZeroU32,
    /// What happens to the one that is too many.
    pub on_session_limit: OnSessionLimit,
}

/// What happens when a subject has as many sessions as it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSessionLimit {
    /// The session that authenticated longest ago ends.
    #[default]
    Evict,
    /// The login is refused.
    Refuse,
}
