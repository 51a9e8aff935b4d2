//! Saving: signs a new cookie with the session of the old one and the changes.
//!
//! The session is in the browser. As in Flask, of two saves at the same moment the later response wins whole.

use super::{CookieCall, CookieSession};
use crate::cookie::TemplateError;
use crate::service::{Error, Header, Outcome, SaveRequest, Saved};
use crate::session::{
    AuthenticationChange, Authority, Changes, Counters, Edit, EndReason, Head, LifetimeChange, Precondition, Record,
    Rotation, SubjectChange, WhenEmpty, WriteEffect, edit,
};
use crate::token::VerifierHash;

impl CookieCall<'_> {
    /// Applies the changes of a request.
    pub(in crate::service) fn save(&self, save: SaveRequest<'_>) -> Result<Saved, Error> {
        check_save(&save)?;
        let session = self.resolve_credential(save.credential)?;
        let Some(changes) = save.changes else { return Ok(self.unchanged(session, save.accessed)) };
        let changes = changes.check(None)?;
        check_changes(&changes)?;

        let precondition = Precondition::unconditional(Authority::Admin, self.now);
        let (record, done) = edit(&self.record(&session), &self.edit(changes), &precondition)
            .map_err(|edit_error| Error::refused(edit_error, self.app.limits))?;
        if done.effect == WriteEffect::Deleted {
            let outcome = Outcome::Deleted(EndReason::Emptied);
            let (session, headers) = (None, Header::delete_cookie(&self.cookie));
            return Ok(Saved { outcome, session, headers, counters: done.counters });
        }
        let saved = self.sign(record.entries, record.head.permanent)?;
        let header = self.set_cookie(&saved).map_err(|error| match error {
            TemplateError::TooLarge { bytes } => Error::CookieTooLarge { bytes },
            other => Error::Cookie(other),
        })?;
        let outcome = if session.is_new() { Outcome::Created } else { Outcome::Updated };
        if outcome == Outcome::Created {
            self.stats.count_created(&self.app.name);
        }
        let headers = vec![header, Header::vary()];
        Ok(Saved { outcome, session: Some(self.view(saved)), headers, counters: done.counters })
    }

    /// Answers a save without changes: at most the expiry moves on.
    fn unchanged(&self, session: CookieSession, accessed: bool) -> Saved {
        let (session, header) = self.refresh(session);
        let vary = (accessed || header.is_some()).then(Header::vary);
        let headers = header.into_iter().chain(vary).collect();
        let session = Some(self.view(session));
        Saved { outcome: Outcome::Unchanged, session, headers, counters: Counters::new() }
    }

    /// The session as a record, so that changes and limits mean the same as in an app of kind `stored`.
    fn record(&self, session: &CookieSession) -> Record {
        let lifetimes = self.app.lifetimes;
        let verifier_hash = VerifierHash::from_bytes([0; 16]);
        let head = Head {
            permanent: session.permanent,
            entry_count: session.entries.count(),
            entry_bytes: session.entries.bytes(),
            ..Head::new(verifier_hash, session.issued, lifetimes.idle_timeout, lifetimes.absolute_timeout)
        };
        Record { head, entries: session.entries.clone() }
    }

    fn edit(&self, changes: Changes) -> Edit {
        Edit {
            changes: Some(changes),
            lifetime: None,
            lifetime_limits: self.app.lifetime_limits(),
            rotation: Rotation::Keep,
            when_empty: WhenEmpty::Delete,
            limits: self.app.limits,
            context: None,
        }
    }
}

/// Refuses the fields of a request that need a store.
fn check_save(save: &SaveRequest<'_>) -> Result<(), Error> {
    refuse_set([("rotate", save.rotate), ("keep_empty", save.keep_empty), ("etag", save.etag.is_some())])
}

fn check_changes(changes: &Changes) -> Result<(), Error> {
    refuse_set([
        ("changes.subject", changes.subject != SubjectChange::Keep),
        ("changes.authenticated", changes.authentication != AuthenticationChange::Keep),
        ("changes.lifetime", changes.lifetime != LifetimeChange::Keep),
    ])
}

/// Refuses the first of these fields that is set.
fn refuse_set<const N: usize>(fields: [(&'static str, bool); N]) -> Result<(), Error> {
    let set = fields.into_iter().find(|(_, is_set)| *is_set);
    set.map_or(Ok(()), |(field, _)| Err(Error::NotInCookieKind(field)))
}
