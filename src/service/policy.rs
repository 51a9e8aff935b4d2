//! What is asked of an app alone: no session, no store.

use super::{Error, NullReason, Service};
use crate::types::Time;

impl Service {
    /// Flask's `get_expiration_time`: when a cookie that is sent now expires, if it does.
    pub fn expiration_time(&self, app: &str, permanent: bool) -> Result<Option<Time>, Error> {
        let app = self.app(app)?;
        Ok(permanent.then(|| self.clock.now() + app.lifetimes.idle_timeout))
    }

    /// Flask's `make_null_session`: why an app's sessions are null sessions.
    pub fn null_reason(&self, app: &str) -> Result<NullReason, Error> {
        let app = self.app(app)?;
        Ok(if app.has_keys() { NullReason::NotNeeded } else { NullReason::NoKey })
    }
}
