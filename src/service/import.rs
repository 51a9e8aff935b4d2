//! Importing: an old session becomes one of the service's own, once.
//!
//! It is created at the place that its credential leads to, unless something is kept there: the first request makes it,
//! all others find it. Its lifetimes are the app's, from now on. Limits wait for its next growth, and no other session
//! of its subject gives way to it: nobody loses anything by the move.

use super::index::owner;
use super::stats::Refused;
use super::{Call, Error, Service};
use crate::app::Door;
use crate::session::{
    By, Context, EndReason, Entries, Generation, Guard, Head, Marks, Origin, Record, Subject, Value, Version,
    subject_of,
};
use crate::store::{Created, Place, Revocation, Store, Write};
use crate::token::Bearer;

/// What an old session holds, and what it was known by.
#[derive(Clone, Debug)]
pub(super) struct Old<'r> {
    pub(super) entries: Entries,
    pub(super) permanent: Option<bool>,
    pub(super) origin: Origin,
    pub(super) context: Option<&'r Context>,
}

impl<S: Store> Service<S> {
    /// Creates the session of an old credential that opens none yet. Answers its bearer, if there is one then.
    pub(super) async fn import(
        &self,
        call: &Call<'_>,
        door: Door,
        bearer: Bearer,
        old: Old<'_>,
    ) -> Result<Option<Bearer>, Error> {
        if old.entries.count() == 0 && old.permanent.is_none() {
            return Ok(None);
        }
        let Some(record) = call.imported(bearer, old) else { return Ok(self.refuse(call, door, Refused::Malformed)) };
        let place = call.place(bearer);
        if let Some(subject) = &record.head.subject {
            self.enter(&owner(call.app, subject), &call.entry(bearer)).await?;
        }
        match self.store.create(&place, &record).await? {
            Created::Stored => {
                self.stats.created(&call.app.name);
                if !self.end_if_revoked(call, door, &place, &record.head).await? {
                    self.stats.imported(&call.app.name, door, call.now);
                }
                Ok(Some(bearer))
            }
            Created::Occupied => Ok(self.known(call, door, bearer).await?.flatten()),
            Created::Revoked => Ok(self.refuse(call, door, Refused::Revoked)),
        }
    }

    /// Ends an imported session whose subject was revoked after its credential was issued. Answers whether it was.
    ///
    /// A revocation lists the subject's sessions after it is written down. This looks after the session was entered and
    /// created: one of the two meets the other.
    pub(super) async fn end_if_revoked(
        &self,
        call: &Call<'_>,
        door: Door,
        place: &Place,
        head: &Head,
    ) -> Result<bool, Error> {
        let (Some(subject), Some(origin)) = (&head.subject, &head.origin) else { return Ok(false) };
        let revocation = self.store.revocation(&owner(call.app, subject)).await?;
        if !revocation.is_some_and(|revocation| covers(&revocation, origin, place)) {
            return Ok(false);
        }
        let guard = Guard { by: By::Subject(subject.clone()), etag: None, fingerprint: None, now: call.now };
        self.apply(place, &guard, &Write::End(EndReason::Revoked)).await?;
        self.refuse(call, door, Refused::Revoked);
        Ok(true)
    }
}

impl Call<'_> {
    /// The record of an old session; nothing if it holds what no session can.
    fn imported(&self, bearer: Bearer, old: Old<'_>) -> Option<Record> {
        let is_json = |kept: &[u8]| std::str::from_utf8(kept).is_ok_and(|text| Value::json(text.to_owned()).is_ok());
        let entries = old.entries;
        if !entries.iter().all(|(_, kept)| is_json(kept)) {
            return None;
        }
        let subject = self.subject_in(&entries);
        let lifetimes = if subject.is_some() { self.app.lifetimes } else { self.app.anonymous_lifetimes };
        let head = Head {
            version: Version::NEW.next(),
            proof: bearer.proof(&self.app.name),
            create_time: self.now,
            access_time: self.now,
            // Nobody knows: Flask signs its cookie anew whenever something changes, and often when nothing does.
            authenticate_time: None,
            idle_timeout: lifetimes.idle_timeout,
            deadline_time: self.now + lifetimes.absolute_timeout,
            permanent: old.permanent,
            generation: Generation::default(),
            entry_count: entries.count(),
            entry_bytes: entries.bytes(),
            subject,
            previous: None,
            marks: Marks::default(),
            context: old.context.cloned().unwrap_or_default(),
            end: None,
            origin: Some(old.origin),
        };
        Some(Record { head, entries })
    }

    /// Whose a session is by its entries. One whose entry is no subject is nobody's, as it could not be saved.
    fn subject_in(&self, entries: &Entries) -> Option<Subject> {
        let key = self.app.subject_key.as_deref()?;
        let (_, kept) = entries.iter().find(|(name, _)| *name == key)?;
        subject_of(kept).ok().flatten()
    }
}

/// Whether a revocation ends what was issued elsewhere. What does not say when it was issued may be older than any.
fn covers(revocation: &Revocation, origin: &Origin, place: &Place) -> bool {
    revocation.except != Some(place.id) && origin.issued.is_none_or(|issued| issued <= revocation.time)
}
