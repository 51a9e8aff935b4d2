//! Answers from an app's settings alone, without a session or a store.

use super::{Error, NullReason, Service};
use crate::types::Time;

impl Service {
    /// Returns when a cookie that is sent now expires: Flask's `get_expiration_time`.
    ///
    /// `None`: with the browser, for the session is not permanent. Fails if the app is unknown.
    pub fn expiration_time(&self, app: &str, permanent: bool) -> Result<Option<Time>, Error> {
        let app = self.app(app)?;
        Ok(permanent.then(|| self.clock.now() + app.lifetimes.idle_timeout))
    }

    /// Returns the reason of a null session of the app: Flask's `make_null_session`. Fails if the app is unknown.
    pub fn null_reason(&self, app: &str) -> Result<NullReason, Error> {
        let app = self.app(app)?;
        Ok(if app.has_keys() { NullReason::NotNeeded } else { NullReason::NoKey })
    }
}
