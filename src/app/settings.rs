//! The settings of one app, as a person writes them, and what is wrong with them.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    App, FlaskKeysError, FlaskSettings, Kind, KindSetting, Lifetimes, MigrationError, MigrationSettings,
    OnSessionLimit, SubjectLimit,
};
use crate::cookie::{self, SameSite};
use crate::session::{self, Limits};
use crate::token::{KeyRing, KeyRingError};
use crate::types::{AppName, AppNameError, Secret, duration, secret};

/// One `[apps.<name>]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How the app keeps its sessions: `stored`, or `cookie`, which is Flask's own signed cookie.
    pub kind: KindSetting,
    /// Signing keys, newest first: the first signs, all verify. From `cloakroom keygen`; of an app of kind `cookie`,
    /// what its Flask application has: text as it stands, or bytes as `base64:...`.
    #[serde(deserialize_with = "secret::list")]
    pub keys: Vec<Secret>,
    /// A file with one key a line, newest first, instead of `keys`.
    pub keys_file: Option<PathBuf>,
    /// The cookie.
    pub cookie: CookieSettings,
    /// What Flask's own cookie is signed with, besides the keys.
    pub flask: FlaskSettings,
    /// Send a permanent session's cookie with every response, so that its expiry moves on.
    pub refresh_each_request: bool,
    /// How long a session lives without being used. At least 1 minute.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long a session lives however much it is used. At most 400 days.
    #[serde(with = "duration")]
    pub absolute_timeout: Duration,
    /// How long a token that a renewal replaced still opens its session. At most 1 hour.
    #[serde(with = "duration")]
    pub rotation_grace: Duration,
    /// The entry that holds the subject, such as Flask-Login's `_user_id`. Empty: none.
    pub subject_key: String,
    /// How long a session lives while it has no subject.
    pub anonymous: AnonymousSettings,
    /// The most sessions of one subject at once. At most 10000; 0: no limit.
    pub max_sessions_per_subject: u32,
    /// `evict`: a login too many ends the session that authenticated longest ago. `refuse`: it is refused.
    ///
    /// Refusing is exact where one process keeps the sessions. With several replicas on one Redis, logins at the same
    /// moment can make a few more; evicting is exact everywhere.
    pub on_session_limit: OnSessionLimit,
    /// How large a session may be.
    pub limits: LimitSettings,
    /// What comes in, for a while, of the sessions from before.
    pub migrate: MigrationSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: KindSetting::Stored,
            keys: Vec::new(),
            keys_file: None,
            cookie: CookieSettings::default(),
            flask: FlaskSettings::default(),
            refresh_each_request: true,
            idle_timeout: 31 * DAY,
            absolute_timeout: 365 * DAY,
            rotation_grace: Duration::from_secs(30),
            subject_key: String::new(),
            anonymous: AnonymousSettings::default(),
            max_sessions_per_subject: 0,
            on_session_limit: OnSessionLimit::Evict,
            limits: LimitSettings::default(),
            migrate: MigrationSettings::default(),
        }
    }
}

impl Settings {
    /// The app that these settings describe.
    pub fn build(&self, name: &str) -> Result<App, SettingsError> {
        self.check_kind()?;
        let lifetimes = self.lifetimes()?;
        let (kind, keys) = match self.kind {
            KindSetting::Stored => (Kind::Stored, self.key_ring()?),
            KindSetting::Cookie => (Kind::Cookie(self.flask.signer(&self.keys)?), None),
        };
        Ok(App {
            name: AppName::parse(name)?,
            kind,
            keys,
            cookie: self.cookie.template()?,
            refresh_each_request: self.refresh_each_request,
            lifetimes,
            anonymous_lifetimes: self.anonymous.within(lifetimes)?,
            rotation_grace: within("rotation_grace", self.rotation_grace, Duration::ZERO, 3600 * SECOND)?,
            subject_key: self.subject_key()?,
            limits: self.limits.build()?,
            subject_limit: self.subject_limit()?,
            migration: self.migrate.build()?,
        })
    }

    /// Refuses what would do nothing in an app of this kind.
    fn check_kind(&self) -> Result<(), SettingsError> {
        let AnonymousSettings { idle_timeout, absolute_timeout } = self.anonymous;
        let needs_a_store = [
            ("subject_key", !self.subject_key.is_empty()),
            ("max_sessions_per_subject", self.max_sessions_per_subject > 0),
            ("anonymous.idle_timeout", idle_timeout.is_some()),
            ("anonymous.absolute_timeout", absolute_timeout.is_some()),
            ("absolute_timeout", self.absolute_timeout != Self::default().absolute_timeout),
            ("migrate.until", self.migrate.is_set()),
        ];
        match self.kind {
            KindSetting::Stored if self.flask != FlaskSettings::default() => Err(SettingsError::FlaskOfStored),
            KindSetting::Stored => Ok(()),
            KindSetting::Cookie => match needs_a_store.into_iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => Err(SettingsError::NotInCookieKind { key }),
                None => Ok(()),
            },
        }
    }

    fn key_ring(&self) -> Result<Option<KeyRing>, SettingsError> {
        let texts = self.keys.iter().map(Secret::expose).collect::<Vec<_>>();
        if texts.is_empty() { Ok(None) } else { Ok(Some(KeyRing::parse(&texts)?)) }
    }

    fn lifetimes(&self) -> Result<Lifetimes, SettingsError> {
        let idle_timeout = within("idle_timeout", self.idle_timeout, MINUTE, 400 * DAY)?;
        if self.kind == KindSetting::Cookie {
            // Nothing knows when such a session began: its cookie says when it was signed last.
            return Ok(Lifetimes { idle_timeout, absolute_timeout: idle_timeout });
        }
        let absolute_timeout = within("absolute_timeout", self.absolute_timeout, MINUTE, 400 * DAY)?;
        if idle_timeout > absolute_timeout {
            return Err(SettingsError::IdleOverAbsolute { idle_timeout, absolute_timeout });
        }
        Ok(Lifetimes { idle_timeout, absolute_timeout })
    }

    fn subject_limit(&self) -> Result<Option<SubjectLimit>, SettingsError> {
        if self.max_sessions_per_subject > MOST_SESSIONS {
            return Err(SettingsError::Limit { key: "max_sessions_per_subject", least: 0, most: MOST_SESSIONS });
        }
        let max_sessions = NonZeroU32::new(self.max_sessions_per_subject);
        Ok(max_sessions.map(|max_sessions| SubjectLimit { max_sessions, on_session_limit: self.on_session_limit }))
    }

    fn subject_key(&self) -> Result<Option<Box<str>>, SettingsError> {
        match self.subject_key.as_str() {
            "" => Ok(None),
            "_permanent" => Err(SettingsError::SubjectKey),
            key if key.len() > session::MAX_NAME_BYTES => Err(SettingsError::SubjectKey),
            key => Ok(Some(key.into())),
        }
    }
}

/// The `[apps.<name>.cookie]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CookieSettings {
    /// The cookie's name. A `__Host-` or `__Secure-` prefix has to fit the rest.
    pub name: String,
    /// The domain; empty: the host alone. A change needs another name.
    pub domain: String,
    /// The path. A change needs another name.
    pub path: String,
    /// Keep the cookie from scripts.
    pub httponly: bool,
    /// Send the cookie over TLS alone. Switch it on wherever users come by https.
    pub secure: bool,
    /// `Strict`, `Lax`, `None`, or empty for no attribute.
    pub samesite: SameSiteSetting,
    /// Keep the cookie apart for each site that embeds this one (CHIPS). Needs `secure`.
    pub partitioned: bool,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self {
            name: "session".to_owned(),
            domain: String::new(),
            path: "/".to_owned(),
            httponly: true,
            secure: false,
            samesite: SameSiteSetting::Lax,
            partitioned: false,
        }
    }
}

impl CookieSettings {
    fn template(&self) -> Result<cookie::Template, cookie::TemplateError> {
        cookie::Template::new(cookie::Attributes {
            name: cookie::Name::parse(&self.name)?,
            domain: Some(self.domain.clone()).filter(|domain| !domain.is_empty()),
            path: self.path.clone(),
            httponly: self.httponly,
            secure: self.secure,
            samesite: self.samesite.into(),
            partitioned: self.partitioned,
        })
    }
}

/// The `SameSite` attribute as it is written in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SameSiteSetting {
    /// No attribute.
    #[serde(rename = "")]
    Absent,
    /// `SameSite=Strict`.
    #[serde(alias = "strict")]
    Strict,
    /// `SameSite=Lax`.
    #[serde(alias = "lax")]
    Lax,
    /// `SameSite=None`.
    #[serde(alias = "none")]
    None,
}

impl From<SameSiteSetting> for Option<SameSite> {
    fn from(setting: SameSiteSetting) -> Self {
        match setting {
            SameSiteSetting::Absent => None,
            SameSiteSetting::Strict => Some(SameSite::Strict),
            SameSiteSetting::Lax => Some(SameSite::Lax),
            SameSiteSetting::None => Some(SameSite::None),
        }
    }
}

/// The `[apps.<name>.anonymous]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnonymousSettings {
    /// How long such a session lives without being used. At least 1 minute; the app's, if it is not set.
    #[serde(with = "duration::option")]
    pub idle_timeout: Option<Duration>,
    /// How long such a session lives however much it is used. At least 1 minute; the app's, if it is not set.
    #[serde(with = "duration::option")]
    pub absolute_timeout: Option<Duration>,
}

impl AnonymousSettings {
    /// The lifetimes, where the app's own are these. One that is not set is the app's, or the other if that is shorter.
    fn within(&self, app: Lifetimes) -> Result<Lifetimes, SettingsError> {
        let shorter = |key, value: Option<Duration>, most| match value {
            Some(value) if value > most => Err(SettingsError::AnonymousOverApp { key, value, most }),
            Some(value) => within(key, value, MINUTE, most),
            None => Ok(most),
        };
        let idle_timeout = shorter("anonymous.idle_timeout", self.idle_timeout, app.idle_timeout)?;
        let absolute_timeout = shorter("anonymous.absolute_timeout", self.absolute_timeout, app.absolute_timeout)?;
        match self.idle_timeout {
            Some(_) if idle_timeout > absolute_timeout => {
                Err(SettingsError::AnonymousIdleOverAbsolute { idle_timeout, absolute_timeout })
            }
            _ => Ok(Lifetimes { idle_timeout: idle_timeout.min(absolute_timeout), absolute_timeout }),
        }
    }
}

/// The `[apps.<name>.limits]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// The most entries of a session. 1 to 4096.
    pub max_entries: u32,
    /// The most bytes of names and values together. 1 KiB to 1 MiB.
    pub max_session_bytes: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { max_entries: 256, max_session_bytes: 64 * 1024 }
    }
}

impl LimitSettings {
    fn build(&self) -> Result<Limits, SettingsError> {
        if !(1..=4096).contains(&self.max_entries) {
            return Err(SettingsError::Limit { key: "limits.max_entries", least: 1, most: 4096 });
        }
        if !(1024..=1024 * 1024).contains(&self.max_session_bytes) {
            return Err(SettingsError::Limit { key: "limits.max_session_bytes", least: 1024, most: 1024 * 1024 });
        }
        Ok(Limits { max_entries: self.max_entries, max_bytes: self.max_session_bytes })
    }
}

/// What is wrong with an app's settings, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The app's name.
    #[error(transparent)]
    Name(#[from] AppNameError),
    /// `keys` or `keys_file`.
    #[error("keys: {0}")]
    Keys(#[from] KeyRingError),
    /// `keys` or `keys_file` of an app of kind `cookie`.
    #[error("keys: {0}")]
    FlaskKeys(#[from] FlaskKeysError),
    /// Something that only a store can do.
    #[error("{key}: it needs a store, and an app of kind \"cookie\" has none; leave it out, or set kind = \"stored\"")]
    NotInCookieKind {
        /// Which.
        key: &'static str,
    },
    /// The signature of a cookie that the app does not have.
    #[error("flask: it is for apps of kind = \"cookie\", and this one's sessions are stored; leave it out")]
    FlaskOfStored,
    /// The cookie.
    #[error("cookie.{0}")]
    Cookie(#[from] cookie::TemplateError),
    /// A time span out of its bounds.
    #[error("{key}: {} is not between {} and {}", duration::text(*.value), duration::text(*.least), duration::text(*.most))]
    Span {
        /// Which.
        key: &'static str,
        /// What it is.
        value: Duration,
        /// The least it may be.
        least: Duration,
        /// The most it may be.
        most: Duration,
    },
    /// A session that would end before it is idle.
    #[error(
        "idle_timeout: {} is longer than absolute_timeout, {}; shorten it or lengthen the other",
        duration::text(*.idle_timeout), duration::text(*.absolute_timeout)
    )]
    IdleOverAbsolute {
        /// The one.
        idle_timeout: Duration,
        /// The other.
        absolute_timeout: Duration,
    },
    /// A session of nobody's that would live longer than somebody's.
    #[error(
        "{key}: {} is longer than the app's own, {}; shorten it or lengthen the other",
        duration::text(*.value), duration::text(*.most)
    )]
    AnonymousOverApp {
        /// Which.
        key: &'static str,
        /// What it is.
        value: Duration,
        /// The app's.
        most: Duration,
    },
    /// An anonymous session that would end before it is idle.
    #[error(
        "anonymous.idle_timeout: {} is longer than anonymous.absolute_timeout, {}; shorten it or lengthen the other",
        duration::text(*.idle_timeout), duration::text(*.absolute_timeout)
    )]
    AnonymousIdleOverAbsolute {
        /// The one.
        idle_timeout: Duration,
        /// The other.
        absolute_timeout: Duration,
    },
    /// A number out of its bounds.
    #[error("{key}: it has to be from {least} to {most}")]
    Limit {
        /// Which.
        key: &'static str,
        /// The least it may be.
        least: u32,
        /// The most it may be.
        most: u32,
    },
    /// What is accepted.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// `subject_key` names no entry.
    #[error("subject_key: it has to name an entry: 1 to 256 bytes, and not `_permanent`")]
    SubjectKey,
}

impl SettingsError {
    /// The settings to look at, below the app's table, the first to blame first. None: the app's name.
    pub fn keys(&self) -> Vec<String> {
        let keys: &[&str] = match self {
            Self::Name(_) => &[],
            Self::Keys(_) | Self::FlaskKeys(_) => &["keys"],
            Self::NotInCookieKind { key } => &[key, "kind"],
            Self::FlaskOfStored => &["flask", "flask.salt", "flask.digest"],
            Self::Cookie(error) => return vec![format!("cookie.{}", error.attribute())],
            Self::IdleOverAbsolute { .. } => &["idle_timeout", "absolute_timeout"],
            Self::AnonymousIdleOverAbsolute { .. } => &["anonymous.idle_timeout", "anonymous.absolute_timeout"],
            Self::AnonymousOverApp { key, .. } => &[key, key.trim_start_matches("anonymous.")],
            Self::Span { key, .. } | Self::Limit { key, .. } => &[key],
            Self::SubjectKey => &["subject_key"],
            Self::Migration(error) => return vec![error.key()],
        };
        keys.iter().map(|key| (*key).to_owned()).collect()
    }
}

fn within(key: &'static str, value: Duration, least: Duration, most: Duration) -> Result<Duration, SettingsError> {
    if (least..=most).contains(&value) { Ok(value) } else { Err(SettingsError::Span { key, value, least, most }) }
}

/// Every login of a subject at its limit looks at so many sessions.
const MOST_SESSIONS: u32 = 10_000;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
