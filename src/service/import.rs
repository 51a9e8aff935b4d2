//! Importing: an old session becomes one of the service's own, once.
//!
//! It is created at the place that its credential leads to, unless something is kept there: the first request makes it,
//! all others find it. Its lifetimes are the app's, from now on. Limits wait for its next growth, and no other session
//! of its subject gives way to it: nobody loses anything by the move.

use super::index::subject_ref;
use super::stats::MigrationRefusal;
use super::{AppCall, Error, Service};
use crate::app::MigrationSource;
use crate::session::{
    Authority, Context, EndReason, Entries, Generation, Head, IdempotencyRecords, ImportedFrom, Precondition, Record,
    Subject, Value, Version, subject_of,
};
use crate::store::{Created, Revocation, SessionKey, Write};
use crate::token::SplitToken;

/// What an old session holds, and what it was known by.
#[derive(Clone, Debug)]
pub(super) struct LegacySession<'r> {
    pub(super) entries: Entries,
    pub(super) permanent: Option<bool>,
    pub(super) imported_from: ImportedFrom,
    pub(super) context: Option<&'r Context>,
}

impl Service {
    /// Creates the session of an old credential that opens none yet. Answers its bearer, if there is one then.
    pub(super) async fn import(
        &self,
        call: &AppCall<'_>,
        source: MigrationSource,
        token: SplitToken,
        old: LegacySession<'_>,
    ) -> Result<Option<SplitToken>, Error> {
        if old.entries.count() == 0 && old.permanent.is_none() {
            return Ok(None);
        }
        let Some(record) = call.imported(token, old) else {
            return Ok(self.refuse(call, source, MigrationRefusal::Malformed));
        };
        let session_key = call.session_key(token);
        if let Some(subject) = &record.head.subject {
            self.enter(&subject_ref(call.app, subject), &call.entry(token)).await?;
        }
        match self.store.create(&session_key, &record).await? {
            Created::Stored => {
                self.stats.created(&call.app.name);
                if !self.end_if_revoked(call, source, &session_key, &record.head).await? {
                    self.stats.imported(&call.app.name, source, call.now);
                }
                Ok(Some(token))
            }
            Created::Occupied => Ok(self.known(call, source, token).await?.flatten()),
            Created::Revoked => Ok(self.refuse(call, source, MigrationRefusal::Revoked)),
        }
    }

    /// Ends an imported session whose subject was revoked after its credential was issued. Answers whether it was.
    ///
    /// A revocation lists the subject's sessions after it is written down. This looks after the session was entered and
    /// created: one of the two meets the other.
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
        let precondition = Precondition {
            authority: Authority::Subject(subject.clone()),
            etag: None,
            fingerprint: None,
            now: call.now,
        };
        self.apply(session_key, &precondition, &Write::End(EndReason::Revoked)).await?;
        self.refuse(call, source, MigrationRefusal::Revoked);
        Ok(true)
    }
}

impl AppCall<'_> {
    /// The record of an old session; nothing if it holds what no session can.
    fn imported(&self, token: SplitToken, old: LegacySession<'_>) -> Option<Record> {
        let is_json =
            |stored: &[u8]| std::str::from_utf8(stored).is_ok_and(|text| Value::json(text.to_owned()).is_ok());
        let entries = old.entries;
        if !entries.iter().all(|(_, stored)| is_json(stored)) {
            return None;
        }
        let subject = self.subject_in(&entries);
        let lifetimes = if subject.is_some() { self.app.lifetimes } else { self.app.anonymous_lifetimes };
        let head = Head {
            version: Version::NEW.next(),
            verifier_hash: token.verifier_hash(&self.app.name),
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
            idempotency: IdempotencyRecords::default(),
            context: old.context.cloned().unwrap_or_default(),
            end: None,
            imported_from: Some(old.imported_from),
        };
        Some(Record { head, entries })
    }

    /// Whose a session is by its entries. One whose entry is no subject is nobody's, as it could not be saved.
    fn subject_in(&self, entries: &Entries) -> Option<Subject> {
        let key = self.app.subject_key.as_deref()?;
        let (_, stored) = entries.iter().find(|(name, _)| *name == key)?;
        subject_of(stored).ok().flatten()
    }
}

/// Whether a revocation ends what was issued elsewhere. What does not say when it was issued may be older than any.
fn covers(revocation: &Revocation, imported_from: &ImportedFrom, session_key: &SessionKey) -> bool {
    revocation.except != Some(session_key.id) && imported_from.issued.is_none_or(|issued| issued <= revocation.time)
}
