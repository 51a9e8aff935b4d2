//! The `[apps.<name>.migrate]` tables: where legacy sessions are imported from, and until when.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{
    DjangoCookieSettings, DjangoSessionSettings, ExpressSessionSettings, FlaskCookieSettings, FlaskSessionSettings,
    Migration, MigrationSource, ScsSettings, SubjectPath,
};
use crate::cookie;
use crate::types::{Secret, SettingError, Time, timestamp};

/// The `[apps.<name>.migrate]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MigrationSettings {
    /// When the migration ends: a date, from its first moment (UTC), or an RFC 3339 time. Required with a source.
    #[serde(with = "timestamp::option")]
    pub until: Option<Time>,
    /// Where imported sessions have their subject, such as `passport.user`, if the app has no `subject_key`.
    pub subject_path: String,
    /// Flask's own signed cookies.
    pub flask_cookie: FlaskCookieSettings,
    /// The sessions that Flask-Session keeps in Redis.
    pub flask_session: FlaskSessionSettings,
    /// Django's signed cookies.
    pub django_cookie: DjangoCookieSettings,
    /// Django's sessions that are found by a session key.
    pub django_session: DjangoSessionSettings,
    /// The sessions that express-session keeps in Redis, by connect-redis.
    pub express_session: ExpressSessionSettings,
    /// The sessions that scs, for Go, keeps in Redis.
    pub scs: ScsSettings,
}

impl MigrationSettings {
    /// Builds the migration. `None` without a source.
    pub(in crate::app) fn build(&self) -> Result<Option<Migration>, SettingError> {
        let under = |source: MigrationSource| move |error: SettingError| error.under(source.as_str());
        let mut migration = Migration {
            until: Time::default(),
            subject_path: SubjectPath::parse(&self.subject_path)?,
            flask_cookie: self.flask_cookie.build().map_err(under(MigrationSource::FlaskCookie))?,
            flask_session: self.flask_session.build().map_err(under(MigrationSource::FlaskSession))?,
            django_cookie: self.django_cookie.build().map_err(under(MigrationSource::DjangoCookie))?,
            django_session: self.django_session.build().map_err(under(MigrationSource::DjangoSession))?,
            express_session: self.express_session.build().map_err(under(MigrationSource::ExpressSession))?,
            scs: self.scs.build().map_err(under(MigrationSource::Scs))?,
        };
        if migration.sources().next().is_none() {
            return Ok(None);
        }
        migration.until = self.until.ok_or_else(|| SettingError::new("until", NO_END))?;
        Ok(Some(migration))
    }
}

/// Returns the bytes of keys: text stands for its UTF-8 bytes, other bytes are written `base64:...`.
pub(super) fn key_bytes(setting: &str, keys: &[Secret]) -> Result<Vec<Vec<u8>>, SettingError> {
    let bytes = |key: &Secret| match key.expose().strip_prefix("base64:") {
        _ if key.expose().is_empty() => Err(SettingError::new(setting, "a key is empty: anybody could sign with it")),
        Some(text) => {
            STANDARD.decode(text).map_err(|_| SettingError::new(setting, "a key after `base64:` is not base64"))
        }
        None => Ok(key.expose().as_bytes().to_vec()),
    };
    keys.iter().map(bytes).collect()
}

pub(super) fn cookie_name(name: &str) -> Result<Option<cookie::Name>, SettingError> {
    if name.is_empty() {
        return Ok(None);
    }
    cookie::Name::parse(name).map(Some).map_err(|error| SettingError::new("cookie_name", error))
}

const NO_END: &str = "it has to say when the migration ends, such as \"2027-01-31\"";
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
