//! Apps: one frontend application each, with its keys, its cookie and its lifetimes.
//!
//! What stands here is checked: an app that exists can be served. Nothing here reads a store.

mod flask;
mod kind;
mod migration;
mod migration_settings;
mod settings;
mod subject_limit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use flask::{FlaskKeysError, FlaskSettings};
pub use kind::{Kind, KindSetting};
pub use migration::{FlaskCookie, FlaskSession, Migration, MigrationSource};
pub use migration_settings::{FlaskCookieSettings, FlaskSessionSettings, MigrationError, MigrationSettings};
pub use settings::{AnonymousSettings, CookieSettings, LimitSettings, SameSiteSetting, Settings, SettingsError};
pub use subject_limit::{OnSessionLimit, SubjectLimit};

use crate::cookie;
use crate::flask::Signer;
use crate::session::Limits;
use crate::token::{KeyId, KeyRing};
use crate::types::AppName;

/// One frontend application.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// How it keeps its sessions.
    pub kind: Kind,
    /// The keys of an app of kind `stored`; without any it has only null sessions.
    pub keys: Option<KeyRing>,
    /// What its cookie looks like.
    pub cookie: cookie::Template,
    /// Flask's `SESSION_REFRESH_EACH_REQUEST`.
    pub refresh_each_request: bool,
    /// How long its sessions live.
    pub lifetimes: Lifetimes,
    /// How long they live while they have no subject: in no part longer.
    pub anonymous_lifetimes: Lifetimes,
    /// How long a token that a renewal replaced still opens its session.
    pub rotation_grace: Duration,
    /// The entry that holds the subject.
    pub subject_key: Option<Box<str>>,
    /// How large its sessions may be.
    pub limits: Limits,
    /// How many sessions one subject may have at once.
    pub subject_limit: Option<SubjectLimit>,
    /// What it accepts of what its users had before.
    pub migration: Option<Migration>,
}

impl App {
    /// Whether it has a key; if not, it has only null sessions.
    pub const fn has_keys(&self) -> bool {
        match &self.kind {
            Kind::Stored => self.keys.is_some(),
            Kind::Cookie(signer) => signer.is_some(),
        }
    }

    /// The public names of its keys, the signing one first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        match &self.kind {
            Kind::Stored => self.keys.iter().flat_map(KeyRing::ids).collect(),
            Kind::Cookie(signer) => signer.iter().flat_map(Signer::ids).collect(),
        }
    }

    /// Flask's `should_set_cookie`.
    pub const fn should_set_cookie(&self, modified: bool, permanent: bool) -> bool {
        modified || (permanent && self.refresh_each_request)
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

/// All apps of the service, by name.
#[derive(Clone, Debug, Default)]
pub struct Apps(BTreeMap<AppName, Arc<App>>);

impl Apps {
    /// The app of that name; an empty name means `default`.
    pub fn find(&self, name: &str) -> Option<&Arc<App>> {
        self.0.get(if name.is_empty() { AppName::DEFAULT } else { name })
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.0.values()
    }
}

impl FromIterator<App> for Apps {
    fn from_iter<I: IntoIterator<Item = App>>(apps: I) -> Self {
        Self(apps.into_iter().map(|app| (app.name.clone(), Arc::new(app))).collect())
    }
}
