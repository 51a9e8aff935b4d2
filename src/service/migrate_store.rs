//! Moving the sessions of the previous store to the present one, while both are in use.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::yield_now;

use super::{Error, Service};
use crate::app::Kind;
use crate::store::{ImportApp, MoveMode, MoveReport, Mover};

/// A move of the service's sessions. It goes on only when its next step is asked for.
#[derive(Debug)]
pub struct StoreMigration {
    mover: Mover,
    _permit: OwnedSemaphorePermit,
}

impl Service {
    /// Begins a move of the sessions of all apps.
    ///
    /// Fails with [`Error::NoPreviousStore`] and [`Error::StoreMigrates`].
    pub fn migrate_store(&self, mode: MoveMode) -> Result<StoreMigration, Error> {
        let moving = self.store.moving().filter(|moving| moving.creates_in_new()).ok_or(Error::NoPreviousStore)?;
        let permit = Arc::clone(&self.store_migrations).try_acquire_owned().map_err(|_| Error::StoreMigrates)?;
        let apps = self.apps();
        let apps = apps.iter().filter(|app| !matches!(app.kind, Kind::Cookie(_)));
        let apps = apps.map(|app| (app.name.clone(), ImportApp { absolute_timeout: app.lifetimes.absolute_timeout }));
        let mover = Mover::new(Arc::clone(moving), Arc::clone(&self.clock), apps.collect(), mode);
        Ok(StoreMigration { mover, _permit: permit })
    }
}

impl StoreMigration {
    /// Makes the next step, and returns what was done so far; `None` after the last one.
    ///
    /// Fails if a store does not answer. What was done until then stays as it is, and another move goes on.
    pub async fn next(&mut self) -> Result<Option<&MoveReport>, Error> {
        // The embedded store answers without waiting, and the thread has other calls.
        yield_now().await;
        Ok(if self.mover.advance().await? { Some(self.mover.report()) } else { None })
    }
}
