//! The operations on sessions.

use super::{
    AuthoritativeStore, CreatesIn, InOld, MAX_ATTEMPTS, MoveMark, Moving, RecordReplacement, changes_again_and_again,
    has_mark, mark_of, moved,
};
use crate::session::{Denial, EndReason, Precondition, Record};
use crate::store::{
    Applied, Created, Cursor, Error, ExportSource as _, Page, SessionKey, Snapshot, Store, Touch, Write,
};
use crate::types::{AppName, Time};

impl Store for Moving {
    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        match AuthoritativeStore::of(self.load_from_old(session_key).await?) {
            AuthoritativeStore::Old(snapshot) => Ok(Some(*snapshot)),
            AuthoritativeStore::New(in_old) => self.load_from_new(session_key, in_old).await,
        }
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        match self.creates_in {
            CreatesIn::Old => self.create_in_old(session_key, record).await,
            CreatesIn::New => self.create_in_new(session_key, record).await,
        }
    }

    async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let in_old = match AuthoritativeStore::of(self.load_from_old(session_key).await?) {
                AuthoritativeStore::New(in_old) => in_old,
                AuthoritativeStore::Old(_) => match self.old.apply(session_key, precondition, write).await? {
                    // It has moved since it was read.
                    applied if denied_by(&applied).is_some() => continue,
                    applied => return Ok(applied),
                },
            };
            if in_old == InOld::Moved {
                let applied = self.new.apply(session_key, precondition, write).await?;
                if denied_by(&applied).is_none() && applied != Applied::Denied(Denial::Gone(None)) {
                    return Ok(applied);
                }
            }
            if self.load_from_new(session_key, in_old).await?.is_none() {
                return Ok(Applied::Missing);
            }
            let applied = self.new.apply(session_key, precondition, write).await?;
            if denied_by(&applied).is_none() {
                return Ok(applied);
            }
        }
        Err(changes_again_and_again())
    }

    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        if let AuthoritativeStore::Old(_) = AuthoritativeStore::of(self.load_from_old(session_key).await?) {
            self.old.touch(session_key, touch).await?;
        }
        // It may have moved since it was read.
        if let AuthoritativeStore::New(in_old) = AuthoritativeStore::of(self.load_from_old(session_key).await?)
            && self.load_from_new(session_key, in_old).await?.is_some()
        {
            self.new.touch(session_key, touch).await?;
        }
        Ok(())
    }

    /// Revokes in the old store first, so that no session escapes by a move: what moves before is revoked in the new one,
    /// and what would move after is not moved alive.
    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        // Each of them, whether the other one answers or not.
        let revoked = [self.old.revoke_app(app, now).await, self.new.revoke_app(app, now).await];
        let (mut done, mut all) = (0, 0);
        for store in &revoked {
            let (store_done, store_all) = match store {
                Ok(()) | Err(Error::NotAcknowledged { .. }) => (1, 1),
                Err(Error::RevokedInPart { done, all, .. }) => (*done, *all),
                Err(_) => (0, 1),
            };
            (done, all) = (done + store_done, all + store_all);
        }
        let errors = revoked.into_iter().filter_map(Result::err);
        // Writes that are not acknowledged are done, so another error says more.
        let Some(error) = errors.min_by_key(|error| matches!(error, Error::NotAcknowledged { .. })) else {
            return Ok(());
        };
        match error {
            error if done == 0 || done == all => Err(error),
            Error::RevokedInPart { cause, .. } => Err(Error::RevokedInPart { done, all, cause }),
            error => Err(Error::RevokedInPart { done, all, cause: Box::new(error) }),
        }
    }

    /// Reads the old store first, so that a session that moves during the scan is found.
    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        Ok(self.export_page(app, from, limit).await?.into_page(app))
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        // Each of them, whether the other one answers or not.
        let (old, new) = (self.old.sweep(now).await, self.new.sweep(now).await);
        Ok(old? + new?)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.old.ping().await?;
        self.new.ping().await?;
        self.check_places().await
    }
}

impl Moving {
    async fn create_in_old(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        for _ in 0..MAX_ATTEMPTS {
            // A move in the other direction may have left sessions in the new store. Others have a mark in the old one.
            if self.load_from_new(session_key, InOld::Nothing).await?.is_some() {
                return Ok(Created::Occupied);
            }
            let created = self.old.create(session_key, record).await?;
            if created != Created::Occupied {
                return Ok(created);
            }
            let Some(found) = self.load_from_old(session_key).await? else { continue };
            match mark_of(&found.record) {
                None => return Ok(Created::Occupied),
                Some(MoveMark::Moved) => {
                    if let Some(created) = self.create_beside_mark(session_key, record).await? {
                        return Ok(created);
                    }
                }
                Some(MoveMark::Arriving) => {
                    _ = self.old.replace(session_key, Some(&found), RecordReplacement::Nothing).await?
                }
            }
        }
        Err(changes_again_and_again())
    }

    /// Marks the session as moved in the old store, then creates it in the new one.
    ///
    /// Without the mark, a replica that still creates sessions in the old store could create the same one there.
    async fn create_in_new(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        for _ in 0..MAX_ATTEMPTS {
            let found = self.load_from_old(session_key).await?;
            let is_marked = match AuthoritativeStore::of(found.clone()) {
                AuthoritativeStore::Old(_) => return Ok(Created::Occupied),
                AuthoritativeStore::New(InOld::Moved) => true,
                AuthoritativeStore::New(InOld::Nothing) => {
                    self.remove_marked_copy(session_key).await?;
                    let mark = RecordReplacement::Record(moved(record));
                    match self.old.replace(session_key, found.as_ref(), mark).await {
                        // A file has no other replica, so that nobody else creates sessions there.
                        Err(Error::Full(_)) if self.old.redis().is_none() => true,
                        marked => marked?,
                    }
                }
            };
            if is_marked && let Some(created) = self.create_beside_mark(session_key, record).await? {
                return Ok(created);
            }
        }
        Err(changes_again_and_again())
    }

    /// Creates a session in the new store. The old one has a mark that says so. `None`: begin anew.
    async fn create_beside_mark(&self, session_key: &SessionKey, record: &Record) -> Result<Option<Created>, Error> {
        if record.head.imported_from.is_some() {
            self.bring_app_revocation(&session_key.app, record.head.access_time).await?;
        }
        for _ in 0..MAX_ATTEMPTS {
            let created = self.new.create(session_key, record).await?;
            if created != Created::Occupied {
                return Ok(Some(created));
            }
            match self.new.load(session_key).await? {
                Some(found) if mark_of(&found.record) == Some(MoveMark::Moved) => {
                    self.new.replace(session_key, Some(&found), RecordReplacement::Nothing).await?;
                    // A replica that moves sessions in the other direction may have created this one there, or may do so.
                    if !has_mark(self.load_from_old(session_key).await?.as_ref(), MoveMark::Moved) {
                        return Ok(None);
                    }
                }
                Some(_) => return Ok(Some(Created::Occupied)),
                None => {}
            }
        }
        Err(changes_again_and_again())
    }

    /// Removes the copy of an earlier session of this id that never moved. The mark would make it count.
    async fn remove_marked_copy(&self, session_key: &SessionKey) -> Result<(), Error> {
        if let Some(found) = self.new.load(session_key).await?
            && mark_of(&found.record) == Some(MoveMark::Arriving)
        {
            self.new.replace(session_key, Some(&found), RecordReplacement::Nothing).await?;
        }
        Ok(())
    }

    /// Brings the time of an app's last revocation to the new store, where imported sessions have to know it.
    ///
    /// Later revocations are stored in both. One of an unknown time counts as one of now.
    pub(super) async fn bring_app_revocation(&self, app: &AppName, now: Time) -> Result<(), Error> {
        if self.revocations_known.lock().contains(app) {
            return Ok(());
        }
        let revocation = self.old.load_app_revocation(app).await?;
        if revocation.count > 0 || revocation.time.is_some() {
            self.new.restore_app_revocation(app, revocation.time.unwrap_or(now)).await?;
        }
        self.revocations_known.lock().insert(app.clone());
        Ok(())
    }
}

/// The mark that a write was denied by.
fn denied_by(applied: &Applied) -> Option<MoveMark> {
    match applied {
        Applied::Denied(Denial::Gone(Some(EndReason::Moved))) => Some(MoveMark::Moved),
        Applied::Denied(Denial::Gone(Some(EndReason::Arriving))) => Some(MoveMark::Arriving),
        _ => None,
    }
}
