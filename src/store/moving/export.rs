//! The pages that scans and exports need: those of the old store, then those of the new one.

use super::cursor::ListPosition;
use super::{AuthoritativeStore, InOld, MoveMark, Moving, mark_of};
use crate::store::transfer::{AppRevocationState, ExportPage, RevocationPage};
use crate::store::{Cursor, Error, ExportSource, SessionKey, Snapshot};
use crate::types::AppName;

impl ExportSource for Moving {
    async fn load_app_revocation(&self, app: &AppName) -> Result<AppRevocationState, Error> {
        let states = [self.old.load_app_revocation(app).await?, self.new.load_app_revocation(app).await?];
        let times = states.iter().filter(|state| state.count > 0 || state.time.is_some()).map(|state| state.time);
        // Where one time is unknown, that of the last revocation is.
        let time = times.collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().max());
        Ok(AppRevocationState { count: states.iter().map(|state| state.count).sum(), time })
    }

    /// A session that moves during the export is in it, and may be there twice.
    async fn export_page(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<ExportPage, Error> {
        let position = ListPosition::parse(from);
        let ExportPage { sessions, next } = match &position {
            ListPosition::Old(from) => self.old.export_page(app, from, limit).await?,
            ListPosition::New(from) => self.new.export_page(app, from, limit).await?,
        };
        let mut found = Vec::with_capacity(sessions.len());
        for (id, snapshot) in sessions {
            match (snapshot.as_ref().and_then(|snapshot| mark_of(&snapshot.record)), &position) {
                (None, _) => found.push((id, snapshot)),
                (Some(MoveMark::Arriving), position) => {
                    let arrived = self.arrived(&SessionKey { app: app.clone(), id }, position).await?;
                    found.extend(arrived.map(|snapshot| (id, Some(snapshot))));
                }
                (Some(MoveMark::Moved), _) => {}
            }
        }
        Ok(ExportPage { sessions: found, next: position.after(next) })
    }

    async fn list_revocations(&self, from: &Cursor) -> Result<RevocationPage, Error> {
        let position = ListPosition::parse(from);
        let page = match &position {
            ListPosition::Old(from) => self.old.list_revocations(from).await?,
            ListPosition::New(from) => self.new.list_revocations(from).await?,
        };
        Ok(RevocationPage { next: position.after(page.next), ..page })
    }
}

impl Moving {
    /// Loads the session of a copy that was found in one of the stores, if that store is authoritative for it.
    async fn arrived(&self, session_key: &SessionKey, position: &ListPosition) -> Result<Option<Snapshot>, Error> {
        match (AuthoritativeStore::of(self.load_from_old(session_key).await?), position) {
            (AuthoritativeStore::Old(snapshot), ListPosition::Old(_)) => Ok(Some(*snapshot)),
            (AuthoritativeStore::New(InOld::Moved), ListPosition::New(_)) => {
                self.load_from_new(session_key, InOld::Moved).await
            }
            (AuthoritativeStore::Old(_) | AuthoritativeStore::New(_), _) => Ok(None),
        }
    }
}
