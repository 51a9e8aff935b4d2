//! How an app keeps its sessions.

use serde::{Deserialize, Serialize};

use crate::flask::Signer;

/// How an app keeps its sessions, with what that needs.
#[derive(Clone, Debug)]
pub enum Kind {
    /// In the store. The cookie is a token, signed with the app's keys.
    Stored,
    /// In the store, under keys that the application's framework makes, as it makes their cookies.
    External,
    /// In the cookie itself, as Flask signs it. Without a signer the app has only null sessions.
    Cookie(Option<Signer>),
}

/// The kind as the configuration names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KindSetting {
    /// [`Kind::Stored`].
    #[default]
    Stored,
    /// [`Kind::External`].
    External,
    /// [`Kind::Cookie`].
    Cookie,
}
