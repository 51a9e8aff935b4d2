//! How many sessions one subject may have at once.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The most sessions that one subject may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectLimit {
    /// The limit.
    pub max_sessions: NonZeroU32,
    /// The effect of a login over the limit.
    pub on_session_limit: OnSessionLimit,
}

/// The effect of a login when its subject already has as many sessions as allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSessionLimit {
    /// Ends the subject's session that authenticated longest ago.
    #[default]
    Evict,
    /// Refuses the login.
    Refuse,
}
