//! Apps: one for each frontend application, with its keys, its cookie and its lifetimes.
//!
//! An [`App`] has been checked: it can be served. Nothing here reads a store.

mod cookie_settings;
mod flask;
mod kind;
mod migration;
mod settings;
mod subject_limit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use cookie_settings::{CookieSettings, SameSiteSetting};
pub use flask::FlaskSettings;
pub use kind::{Kind, KindSetting};
pub use migration::{
    DjangoCookie, DjangoCookieSettings, DjangoSession, DjangoSessionSettings, ExpressSession, ExpressSessionSettings,
    FlaskCookie, FlaskCookieSettings, FlaskSession, FlaskSessionSettings, LegacyRedis, LegacyRedisAccess, Migration,
    MigrationSettings, MigrationSource, Scs, ScsSettings, SubjectPath,
};
pub use settings::{AnonymousSettings, LimitSettings, Settings};
pub use subject_limit::{OnSessionLimit, SubjectLimit};

use crate::cookie;
use crate::flask::Signer;
use crate::session::{LifetimeLimits, Lifetimes, Limits, SubjectKey};
use crate::token::{AcceptedText, KeyId, KeyRing, verify_token};
use crate::types::{AppName, Time};

/// One frontend application.
#[derive(Clone, Debug)]
pub struct App {
    /// The name.
    pub name: AppName,
    /// How it keeps its sessions.
    pub kind: Kind,
    /// The keys of an app of kind `stored`. `None`: it has only null sessions.
    pub keys: Option<KeyRing>,
    /// Writes its cookie.
    pub cookie: cookie::Template,
    /// Flask's `SESSION_REFRESH_EACH_REQUEST`.
    pub refresh_each_request: bool,
    /// How long its sessions live.
    pub lifetimes: Lifetimes,
    /// How long its sessions without a subject live. Neither timeout is longer than in `lifetimes`.
    pub anonymous_lifetimes: Lifetimes,
    /// How long a token that a renewal replaced still opens its session.
    pub rotation_grace: Duration,
    /// Where the entries have the subject. `None`: clients set the subject.
    pub subject_key: Option<SubjectKey>,
    /// How large its sessions may be.
    pub limits: Limits,
    /// How many sessions one subject may have at once. `None`: no limit.
    pub subject_limit: Option<SubjectLimit>,
    /// Where it imports legacy sessions from. `None`: nowhere.
    pub migration: Option<Migration>,
}

impl App {
    /// Whether the app has the keys that it needs. Without them it has only null sessions.
    pub const fn has_keys(&self) -> bool {
        match &self.kind {
            Kind::Stored => self.keys.is_some(),
            // Its framework makes the secrets, so there is nothing to sign.
            Kind::External => true,
            Kind::Cookie(signer) => signer.is_some(),
        }
    }

    /// Whether a text is a token or a ticket of this app, which may have ended.
    pub fn verifies(&self, text: &str, now: Time) -> bool {
        let accept = AcceptedText::TokenOrTicket { now };
        self.keys.as_ref().is_some_and(|keys| verify_token(keys, &self.name, text, accept).is_ok())
    }

    /// Returns the public names of its keys, the signing one first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        match &self.kind {
            Kind::Stored | Kind::External => self.keys.iter().flat_map(KeyRing::ids).collect(),
            Kind::Cookie(signer) => signer.iter().flat_map(Signer::ids).collect(),
        }
    }

    /// The limits of the lifetimes that saves may set.
    pub const fn lifetime_limits(&self) -> LifetimeLimits {
        LifetimeLimits { authenticated: self.lifetimes, anonymous: self.anonymous_lifetimes }
    }

    /// Flask's `should_set_cookie`.
    pub const fn should_set_cookie(&self, modified: bool, permanent: bool) -> bool {
        modified || (permanent && self.refresh_each_request)
    }
}

/// All apps of the service, by name.
#[derive(Clone, Debug, Default)]
pub struct Apps(BTreeMap<AppName, Arc<App>>);

impl Apps {
    /// Finds an app by its name. An empty name means `default`.
    pub fn find(&self, name: &str) -> Option<&Arc<App>> {
        self.0.get(if name.is_empty() { AppName::DEFAULT } else { name })
    }

    /// Returns all apps, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.0.values()
    }
}

impl FromIterator<App> for Apps {
    fn from_iter<I: IntoIterator<Item = App>>(apps: I) -> Self {
        Self(apps.into_iter().map(|app| (app.name.clone(), Arc::new(app))).collect())
    }
}
