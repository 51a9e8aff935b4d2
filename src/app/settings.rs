//! The settings of one app, and the app that they describe.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{App, CookieSettings, FlaskSettings, Kind, KindSetting, MigrationSettings, OnSessionLimit, SubjectLimit};
use crate::session::{self, Lifetimes, Limits, SubjectKey};
use crate::token::KeyRing;
use crate::types::{AppName, ConfigKey, Secret, SettingError, check_duration, duration, secret};

/// One `[apps.<name>]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How the app keeps its sessions: `stored`; `external`, for a framework that makes its ids and cookies itself; or
    /// `cookie`, which is Flask's own signed cookie.
    pub kind: KindSetting,
    /// Signing keys from `cloakroom keygen`, newest first: the first signs, all verify. Empty: only null sessions.
    ///
    /// For an app of kind `cookie`: the keys of its Flask application, text as it is, or bytes as `base64:...`. An app
    /// of kind `external` has none.
    #[serde(deserialize_with = "secret::list")]
    pub keys: Vec<Secret>,
    /// A file with one key on each line, newest first, instead of `keys`.
    pub keys_file: Option<PathBuf>,
    /// The cookie.
    pub cookie: CookieSettings,
    /// How Flask's own cookie is signed, besides the keys. For apps of kind `cookie`.
    pub flask: FlaskSettings,
    /// Send the cookie of a permanent session with every response, so that its expiry moves on.
    pub refresh_each_request: bool,
    /// How long a session lives without being used. 1 minute to `absolute_timeout`.
    ///
    /// For an app of kind `cookie`: how long after its signature a cookie opens. 1 minute to 400 days.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// How long a session lives however much it is used. 1 minute to 400 days. Not for apps of kind `cookie`.
    #[serde(with = "duration")]
    pub absolute_timeout: Duration,
    /// How long a token that a renewal replaced still opens its session. 0 to 1 hour.
    #[serde(with = "duration")]
    pub rotation_grace: Duration,
    /// The entry that holds the subject, such as `_user_id` with Flask-Login, or the path to it inside of an entry, such
    /// as `passport.user`. Empty: none; clients set the subject.
    pub subject_key: String,
    /// How long a session lives while it has no subject.
    pub anonymous: AnonymousSettings,
    /// The most sessions of one subject at once. 0 to 10000; 0: no limit. Not for apps of kind `cookie`.
    pub max_sessions_per_subject: u32,
    /// The effect of one login too many: end the session that authenticated longest ago, or refuse the login.
    ///
    /// Refusing is exact where one process keeps the sessions. With several replicas on one Redis, logins at the same
    /// moment can exceed the limit by a few. Evicting is exact everywhere.
    pub on_session_limit: OnSessionLimit,
    /// How large a session may be.
    pub limits: LimitSettings,
    /// Where legacy sessions are imported from, and until when.
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
            max_sessions_per_subject: 1000,
            on_session_limit: OnSessionLimit::Evict,
            limits: LimitSettings::default(),
            migrate: MigrationSettings::default(),
        }
    }
}

impl Settings {
    /// Builds the app that these settings describe.
    pub fn build(&self, name: &str) -> Result<App, SettingError> {
        self.check_kind()?;
        let lifetimes = self.lifetimes()?;
        let (kind, keys) = match self.kind {
            KindSetting::Stored => (Kind::Stored, self.key_ring()?),
            KindSetting::External => (Kind::External, None),
            KindSetting::Cookie => (Kind::Cookie(self.flask.signer(&self.keys)?), None),
        };
        Ok(App {
            name: AppName::parse(name).map_err(|error| SettingError::new(ConfigKey::default(), error))?,
            kind,
            keys,
            cookie: self.cookie.template().map_err(|error| error.under("cookie"))?,
            refresh_each_request: self.refresh_each_request,
            lifetimes,
            anonymous_lifetimes: self.anonymous.within(lifetimes).map_err(|error| error.under("anonymous"))?,
            rotation_grace: check_duration("rotation_grace", self.rotation_grace, Duration::ZERO..=HOUR)?,
            subject_key: self.subject_key()?,
            limits: self.limits.build().map_err(|error| error.under("limits"))?,
            subject_limit: self.subject_limit()?,
            migration: self.migrate.build().map_err(|error| error.under("migrate"))?,
        })
    }

    /// Refuses settings that would have no effect in an app of this kind.
    fn check_kind(&self) -> Result<(), SettingError> {
        let needs_a_store = [
            ("subject_key", !self.subject_key.is_empty()),
            (
                "max_sessions_per_subject",
                ![0, Self::default().max_sessions_per_subject].contains(&self.max_sessions_per_subject),
            ),
            ("on_session_limit", self.on_session_limit != Self::default().on_session_limit),
            ("rotation_grace", self.rotation_grace != Self::default().rotation_grace),
            ("anonymous.idle_timeout", self.anonymous.idle_timeout.is_some()),
            ("anonymous.absolute_timeout", self.anonymous.absolute_timeout.is_some()),
            ("absolute_timeout", self.absolute_timeout != Self::default().absolute_timeout),
            ("migrate.until", self.migrate.until.is_some()),
        ];
        let needs_a_token = [
            ("keys", !self.keys.is_empty()),
            ("cookie", self.cookie != CookieSettings::default()),
            ("flask", self.flask != FlaskSettings::default()),
            ("refresh_each_request", !self.refresh_each_request),
            ("rotation_grace", self.rotation_grace != Self::default().rotation_grace),
            ("migrate.until", self.migrate.until.is_some()),
        ];
        match self.kind {
            KindSetting::Stored if self.flask != FlaskSettings::default() => {
                Err(SettingError::new("flask", FLASK_OF_STORED).caused_by(&["flask.salt", "flask.digest"]))
            }
            KindSetting::Stored if !self.subject_key.is_empty() && !self.migrate.subject_path.is_empty() => {
                Err(SettingError::new("migrate.subject_path", TWO_SUBJECTS))
            }
            KindSetting::Stored => Ok(()),
            KindSetting::External => match needs_a_token.into_iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => Err(SettingError::new(key, NEEDS_A_TOKEN)),
                None => Ok(()),
            },
            KindSetting::Cookie => match needs_a_store.into_iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => Err(SettingError::new(key, NEEDS_A_STORE)),
                None => Ok(()),
            },
        }
    }

    fn key_ring(&self) -> Result<Option<KeyRing>, SettingError> {
        let texts = self.keys.iter().map(Secret::expose).collect::<Vec<_>>();
        if texts.is_empty() {
            return Ok(None);
        }
        KeyRing::parse(&texts).map(Some).map_err(|error| SettingError::new("keys", error))
    }

    fn lifetimes(&self) -> Result<Lifetimes, SettingError> {
        let idle_timeout = check_duration("idle_timeout", self.idle_timeout, MINUTE..=400 * DAY)?;
        if self.kind == KindSetting::Cookie {
            // The beginning of such a session is not known: its cookie says only when it was last signed.
            return Ok(Lifetimes { idle_timeout, absolute_timeout: idle_timeout });
        }
        let absolute_timeout = check_duration("absolute_timeout", self.absolute_timeout, MINUTE..=400 * DAY)?;
        if idle_timeout > absolute_timeout {
            let error = too_long("idle_timeout", idle_timeout, "absolute_timeout", absolute_timeout);
            return Err(error.caused_by(&["absolute_timeout"]));
        }
        Ok(Lifetimes { idle_timeout, absolute_timeout })
    }

    fn subject_limit(&self) -> Result<Option<SubjectLimit>, SettingError> {
        if self.max_sessions_per_subject > MAX_SESSIONS_PER_SUBJECT {
            let message = format!("it has to be from 0 to {MAX_SESSIONS_PER_SUBJECT}");
            return Err(SettingError::new("max_sessions_per_subject", message));
        }
        let max_sessions = NonZeroU32::new(self.max_sessions_per_subject);
        Ok(max_sessions.map(|max_sessions| SubjectLimit { max_sessions, on_session_limit: self.on_session_limit }))
    }

    fn subject_key(&self) -> Result<Option<SubjectKey>, SettingError> {
        match self.subject_key.as_str() {
            "" => Ok(None),
            key if key == "_permanent" || key.len() > session::MAX_NAME_BYTES => {
                let message = "it has to name an entry: 1 to 256 bytes, and not `_permanent`";
                Err(SettingError::new("subject_key", message))
            }
            key => Ok(Some(SubjectKey::new(key))),
        }
    }
}

/// The `[apps.<name>.anonymous]` table: timeouts of sessions without a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnonymousSettings {
    /// How long such a session lives without being used. 1 minute to the app's.
    ///
    /// Not set: the app's, or `absolute_timeout` of this table if that is shorter.
    #[serde(with = "duration::option")]
    pub idle_timeout: Option<Duration>,
    /// How long such a session lives however much it is used. 1 minute to the app's. Not set: the app's.
    #[serde(with = "duration::option")]
    pub absolute_timeout: Option<Duration>,
}

impl AnonymousSettings {
    /// Returns the lifetimes of anonymous sessions in an app with these lifetimes.
    fn within(&self, app: Lifetimes) -> Result<Lifetimes, SettingError> {
        let at_most = |key, value: Option<Duration>, most| match value {
            Some(value) if value > most => Err(too_long(key, value, "the app's own", most)),
            Some(value) => check_duration(key, value, MINUTE..=most),
            None => Ok(most),
        };
        let idle_timeout = at_most("idle_timeout", self.idle_timeout, app.idle_timeout)?;
        let absolute_timeout = at_most("absolute_timeout", self.absolute_timeout, app.absolute_timeout)?;
        if self.idle_timeout.is_some() && idle_timeout > absolute_timeout {
            return Err(too_long("idle_timeout", idle_timeout, "anonymous.absolute_timeout", absolute_timeout));
        }
        Ok(Lifetimes { idle_timeout: idle_timeout.min(absolute_timeout), absolute_timeout })
    }
}

/// The `[apps.<name>.limits]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// The most entries of a session. 1 to 4096.
    pub max_entries: u32,
    /// The most bytes of names and values of a session together. 1 KiB to 1 MiB.
    pub max_session_bytes: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self { max_entries: 256, max_session_bytes: 64 * 1024 }
    }
}

impl LimitSettings {
    fn build(&self) -> Result<Limits, SettingError> {
        if !(1..=4096).contains(&self.max_entries) {
            return Err(SettingError::new("max_entries", "it has to be from 1 to 4096"));
        }
        if !(1024..=1024 * 1024).contains(&self.max_session_bytes) {
            return Err(SettingError::new("max_session_bytes", "it has to be from 1024 to 1048576"));
        }
        Ok(Limits { max_entries: self.max_entries, max_bytes: self.max_session_bytes })
    }
}

/// The error of a timeout that is longer than another one.
fn too_long(key: &str, value: Duration, other: &str, most: Duration) -> SettingError {
    let [value, most] = [value, most].map(duration::text);
    SettingError::new(key, format!("{value} is longer than {other}, {most}; shorten it or lengthen the other"))
}

const NEEDS_A_STORE: &str =
    "it needs a store, and an app of kind \"cookie\" has none; leave it out, or set kind = \"stored\"";
const TWO_SUBJECTS: &str =
    "the app has a subject_key, which sets the subject of imported sessions too; remove one of the two";
const NEEDS_A_TOKEN: &str =
    "it is about Cloakroom's tokens and cookies, and an app of kind \"external\" has its framework's; leave it out";
const FLASK_OF_STORED: &str = "it is for apps of kind = \"cookie\", and this one's sessions are stored; leave it out";
/// A login of a subject that is at its limit reads this many sessions.
const MAX_SESSIONS_PER_SUBJECT: u32 = 10_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
