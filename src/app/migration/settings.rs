//! The `[apps.<name>.migrate]` tables: where legacy sessions are imported from, and until when.

use serde::{Deserialize, Serialize};

use super::{
    DjangoCookieSettings, DjangoSessionSettings, ExpressSessionSettings, FlaskCookieSettings, FlaskSessionSettings,
    Migration, MigrationSource, ScsSettings, SubjectPath,
};
use crate::types::{SettingError, Time, timestamp};

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

const NO_END: &str = "it has to say when the migration ends, such as \"2027-01-31\"";
