//! How an app keeps its sessions.

use serde::{Deserialize, Serialize};

use crate::flask::Signer;

/// How an app keeps its sessions, with what that needs.
#[derive(Clone, Debug)]
pub enum Kind {
    /// In the store; the cookie is a token. The app's keys sign it.
    Stored,
    /// In the cookie itself, as Flask signs it; without a key the app has only null sessions.
    Cookie(Option<Signer>),
}

/// The kind as it is written in a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KindSetting {
    /// [`Kind::Stored`].
    #[default]
    Stored,
    /// [`Kind::Cookie`].
    Cookie,
}
