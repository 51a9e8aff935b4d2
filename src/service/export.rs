//! Exporting: the sessions of apps as the bytes of a file, while they are in use.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::yield_now;

use super::{Error, Service};
use crate::app::Kind;
use crate::store::{Export, ExportError, ExportPart};
use crate::types::AppName;

/// An export of the service's store. It reads the store only when its next part is asked for.
#[derive(Debug)]
pub struct SessionExport {
    export: Export,
    _permit: OwnedSemaphorePermit,
}

impl Service {
    /// Begins an export of these apps; without any, of all that have sessions in the store.
    ///
    /// Fails if an app is unknown or of kind `cookie`, and with [`Error::TooManyExports`].
    pub fn export(&self, apps: &[String]) -> Result<SessionExport, Error> {
        let apps = self.exported_apps(apps)?;
        let permit = Arc::clone(&self.exports).try_acquire_owned().map_err(|_| Error::TooManyExports)?;
        let export = Export::new(self.store.clone(), Arc::clone(&self.clock), apps);
        Ok(SessionExport { export, _permit: permit })
    }

    fn exported_apps(&self, names: &[String]) -> Result<BTreeSet<AppName>, Error> {
        if names.is_empty() {
            let apps = self.apps();
            return Ok(apps
                .iter()
                .filter(|app| !matches!(app.kind, Kind::Cookie(_)))
                .map(|app| app.name.clone())
                .collect());
        }
        names.iter().map(|name| Ok(self.stored_app(name, "ExportSessions")?.name.clone())).collect()
    }
}

impl SessionExport {
    /// Makes the next part of the file, which may have no bytes yet; `None` after the last one.
    ///
    /// Fails with [`Error::AppRevoked`] if all sessions of an app were revoked since the export began, and if the store
    /// does not answer. What was made until then is of no use.
    pub async fn next(&mut self) -> Result<Option<ExportPart>, Error> {
        // The embedded store answers without waiting, and the thread has other calls.
        yield_now().await;
        self.export.next().await.map_err(|error| match error {
            ExportError::Store(error) => error.into(),
            ExportError::RevokedMeanwhile(app) => Error::AppRevoked(app),
        })
    }

    /// How many sessions were exported so far.
    pub const fn sessions(&self) -> u64 {
        self.export.sessions()
    }
}

/// How many exports run at once: one, and another whose reader is gone and not noticed yet.
pub(super) const MAX_EXPORTS: usize = 2;
