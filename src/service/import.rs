//! Importing: a legacy session becomes a session of the service, once.
//!
//! It is created at the id that its credential leads to, unless the store has a record there: the first request creates
//! it, all others find it. From then on it has the app's lifetimes, or its own where they are shorter. The app's size
//! limits apply from its next growth on, and no other session of its subject is evicted for it: no user loses anything
//! by the migration.

use std::time::Duration;

use super::call_counts::Found;
use super::index::subject_ref;
use super::stats::MigrationRefusal;
use super::{AppCall, Error, Service};
use crate::app::MigrationSource;
use crate::session::{
    Authority, EndReason, Entries, Head, ImportedFrom, Precondition, Record, RequestContext, Subject, Value, Version,
    subject_of,
};
use crate::store::{Created, Revocation, SessionKey, Write};
use crate::token::SplitToken;
use crate::types::Time;

/// The content of a legacy session, and its credential.
#[derive(Clone, Debug)]
pub(super) struct LegacySession<'r> {
    pub(super) entries: Entries,
    pub(super) permanent: Option<bool>,
    /// A shorter one than the app's, if the legacy session has one.
    pub(super) idle_timeout: Option<Duration>,
    /// An earlier one than the app's, if the legacy session has one.
    pub(super) deadline_time: Option<Time>,
    pub(super) imported_from: ImportedFrom,
    pub(super) context: Option<&'r RequestContext>,
}

impl<'r> LegacySession<'r> {
    /// A session that gets the lifetimes of its app.
    pub(super) const fn new(
        entries: Entries,
        permanent: Option<bool>,
        imported_from: ImportedFrom,
        context: Option<&'r RequestContext>,
    ) -> Self {
        Self { entries, permanent, idle_timeout: None, deadline_time: None, imported_from, context }
    }
}

impl Service {
    /// Creates the session of a legacy credential. Returns the token, if the credential opens a session then.
    pub(super) async fn import(
        &self,
        call: &AppCall<'_>,
        source: MigrationSource,
        token: SplitToken,
        legacy: LegacySession<'_>,
    ) -> Result<Option<SplitToken>, Error> {
        if legacy.entries.count() == 0 && legacy.permanent.is_none() {
            return Ok(None);
        }
        let Some(record) = call.imported_record(token, legacy) else {
            return Ok(call.refuse_credential(source, MigrationRefusal::Malformed));
        };
        let session_key = call.session_key(token);
        if let Some(subject) = &record.head.subject {
            self.add_to_index(&subject_ref(call.app, subject), &call.index_entry(token)).await?;
        }
        match self.store.create(&session_key, &record).await? {
            Created::Stored => {
                self.stats.count_created(&call.app.name);
                if !self.end_if_revoked(call, source, &session_key, &record.head).await? {
                    self.stats.count_imported(&call.app.name, source, call.now);
                    call.finding.note(Found::Imported);
                }
                Ok(Some(token))
            }
            Created::Occupied => Ok(self.is_imported(call, source, token).await?.then_some(token)),
            Created::Revoked => Ok(call.refuse_credential(source, MigrationRefusal::Revoked)),
        }
    }

    /// Ends an imported session whose subject was revoked after its credential was issued. Returns whether it was.
    ///
    /// A revocation is recorded before it lists the subject's sessions. An import adds its session to the index and
    /// creates it before it reads revocations here. So one of the two always meets the other.
    pub(super) async fn end_if_revoked(
        &self,
        call: &AppCall<'_>,
        source: MigrationSource,
        session_key: &SessionKey,
        head: &Head,
    ) -> Result<bool, Error> {
        let (Some(subject), Some(imported_from)) = (&head.subject, &head.imported_from) else { return Ok(false) };
        let revocation = self.store.load_revocation(&subject_ref(call.app, subject)).await?;
        if !revocation.is_some_and(|revocation| covers(&revocation, imported_from, session_key)) {
            return Ok(false);
        }
        let precondition = Precondition::unconditional(Authority::Subject(subject.clone()), call.now);
        self.apply(session_key, &precondition, &Write::End(EndReason::Revoked)).await?;
        call.refuse_credential(source, MigrationRefusal::Revoked);
        Ok(true)
    }
}

impl AppCall<'_> {
    /// Builds the record of a legacy session; `None` if it holds something that a session cannot hold.
    fn imported_record(&self, token: SplitToken, legacy: LegacySession<'_>) -> Option<Record> {
        let is_json =
            |stored: &[u8]| std::str::from_utf8(stored).is_ok_and(|text| Value::json(text.to_owned()).is_ok());
        let entries = legacy.entries;
        if !entries.iter().all(|(_, stored)| is_json(stored)) {
            return None;
        }
        let subject = self.subject_in(&entries);
        let lifetimes = if subject.is_some() { self.app.lifetimes } else { self.app.anonymous_lifetimes };
        let idle_timeout = legacy.idle_timeout.map_or(lifetimes.idle_timeout, |idle| idle.min(lifetimes.idle_timeout));
        let begun = Head::new(token.verifier_hash(&self.app.name), self.now, idle_timeout, lifetimes.absolute_timeout);
        // The authenticate time stays unknown: Flask signs its cookie anew at every change, and often without one.
        let head = Head {
            version: Version::NEW.next(),
            permanent: legacy.permanent,
            entry_count: entries.count(),
            entry_bytes: entries.bytes(),
            subject,
            context: legacy.context.cloned().unwrap_or_default(),
            imported_from: Some(legacy.imported_from),
            deadline_time: legacy.deadline_time.map_or(begun.deadline_time, |time| time.min(begun.deadline_time)),
            ..begun
        };
        Some(Record { head, entries })
    }

    /// The subject in the entries. With a value that is no valid subject the session is anonymous.
    fn subject_in(&self, entries: &Entries) -> Option<Subject> {
        match &self.app.subject_key {
            Some(key) => key.subject_of(entries),
            None => {
                let stored = self.app.migration.as_ref()?.subject_path.as_ref()?.find(entries)?;
                subject_of(stored.as_bytes()).ok().flatten()
            }
        }
    }
}

/// Whether a revocation ends an imported session. A credential without an issue time counts as older.
fn covers(revocation: &Revocation, imported_from: &ImportedFrom, session_key: &SessionKey) -> bool {
    revocation.except != Some(session_key.id) && imported_from.issued.is_none_or(|issued| issued <= revocation.time)
}
