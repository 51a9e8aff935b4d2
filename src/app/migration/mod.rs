//! Migration: an app imports the sessions of another session library for a while.

mod checks;
mod django_cookie;
mod django_session;
mod express_session;
mod flask_cookie;
mod flask_session;
mod legacy_redis;
mod scs;
mod settings;
mod source;
mod subject_path;

pub use django_cookie::{DjangoCookie, DjangoCookieSettings};
pub use django_session::{DjangoSession, DjangoSessionSettings};
pub use express_session::{ExpressSession, ExpressSessionSettings};
pub use flask_cookie::{FlaskCookie, FlaskCookieSettings};
pub use flask_session::{FlaskSession, FlaskSessionSettings};
pub use legacy_redis::{LegacyRedis, LegacyRedisAccess};
pub use scs::{Scs, ScsSettings};
pub use settings::MigrationSettings;
pub use source::MigrationSource;
pub use subject_path::SubjectPath;

use self::checks::DAY;
use crate::cookie;
use crate::types::Time;

/// The migration of an app. It has at least one source.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The time from which nothing is imported any more.
    pub until: Time,
    /// Where imported sessions have their subject, if the app has no subject key. `None`: they have none.
    pub subject_path: Option<SubjectPath>,
    /// Flask's signed cookies.
    pub flask_cookie: Option<FlaskCookie>,
    /// The sessions that Flask-Session keeps in Redis.
    pub flask_session: Option<FlaskSession>,
    /// Django's signed cookies.
    pub django_cookie: Option<DjangoCookie>,
    /// Django's sessions that are found by a session key.
    pub django_session: Option<DjangoSession>,
    /// The sessions that express-session keeps in Redis.
    pub express_session: Option<ExpressSession>,
    /// The sessions that scs keeps in Redis.
    pub scs: Option<Scs>,
}

impl Migration {
    /// Until when a revocation is remembered that is made now, and the end of a session whose record never expires.
    ///
    /// Not only until the end of the migration, which may be moved to a later day: as long as the oldest cookie is good.
    pub fn remembered_until(&self, now: Time) -> Time {
        self.until.max(now + 400 * DAY)
    }

    /// Returns the sources that the app has.
    pub fn sources(&self) -> impl Iterator<Item = MigrationSource> {
        let has = |source: &MigrationSource| match source {
            MigrationSource::FlaskCookie => self.flask_cookie.is_some(),
            MigrationSource::FlaskSession => self.flask_session.is_some(),
            MigrationSource::DjangoCookie => self.django_cookie.is_some(),
            MigrationSource::DjangoSession => self.django_session.is_some(),
            MigrationSource::ExpressSession => self.express_session.is_some(),
            MigrationSource::Scs => self.scs.is_some(),
        };
        MigrationSource::ALL.into_iter().filter(has)
    }

    /// Returns the cookie name of a source. `None`: the name of the app's cookie.
    pub fn cookie_name(&self, source: MigrationSource) -> Option<&cookie::Name> {
        match source {
            MigrationSource::FlaskCookie => self.flask_cookie.as_ref()?.cookie_name.as_ref(),
            MigrationSource::FlaskSession => self.flask_session.as_ref()?.cookie_name.as_ref(),
            MigrationSource::DjangoCookie => self.django_cookie.as_ref()?.cookie_name.as_ref(),
            MigrationSource::DjangoSession => self.django_session.as_ref()?.cookie_name.as_ref(),
            MigrationSource::ExpressSession => self.express_session.as_ref()?.cookie_name.as_ref(),
            MigrationSource::Scs => self.scs.as_ref()?.cookie_name.as_ref(),
        }
    }

    /// Returns the Redis of a source; `None` if the app does not have the source, or if it needs no Redis.
    pub fn redis(&self, source: MigrationSource) -> Option<&LegacyRedis> {
        match source {
            MigrationSource::FlaskCookie | MigrationSource::DjangoCookie => None,
            MigrationSource::FlaskSession => self.flask_session.as_ref().map(|source| &source.redis),
            MigrationSource::DjangoSession => self.django_session.as_ref().map(|source| &source.redis),
            MigrationSource::ExpressSession => self.express_session.as_ref().map(|source| &source.redis),
            MigrationSource::Scs => self.scs.as_ref().map(|source| &source.redis),
        }
    }
}
