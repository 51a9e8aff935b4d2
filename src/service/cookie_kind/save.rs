//! Saving: what the cookie held, with the changes, in a new cookie.
//!
//! The browser keeps the session, so of two saves at the same moment the later answer wins whole: as in Flask.

use super::{CookieCall, CookieSession};
use crate::cookie::TemplateError;
use crate::service::{Error, Header, Outcome, SaveRequest, Saved, SessionView};
use crate::session::{
    AuthenticationChange, Authority, Changes, Counters, Edit, EndReason, Entries, Head, LifetimeChange, Precondition,
    Record, Rotation, SubjectChange, WhenEmpty, WriteEffect, edit,
};
use crate::token::VerifierHash;

impl CookieCall<'_> {
    /// Applies what a request changed.
    pub(in crate::service) fn save(&self, save: SaveRequest<'_>) -> Result<Saved, Error> {
        check_save(&save)?;
        let session = self.claim(save.credential)?;
        let Some(changes) = save.changes else { return Ok(self.unchanged(session, save.accessed)) };
        let changes = changes.check(None)?;
        check_changes(&changes)?;

        let precondition = Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now: self.now };
        let edited = edit(&self.record(&session), &self.asked(changes), &precondition)
            .map_err(|edit_error| Error::refused(edit_error, self.app.limits))?;
        if edited.effect == WriteEffect::Deleted {
            let outcome = Outcome::Deleted(EndReason::Emptied);
            let (session, headers) = (None, Header::deleting(&self.cookie));
            return Ok(Saved { outcome, session, headers, counters: edited.counters });
        }
        let saved = self.signed(edited.record.entries, edited.record.head.permanent)?;
        let header = self.set_cookie(&saved).map_err(|error| match error {
            TemplateError::TooLarge { bytes } => Error::CookieTooLarge { bytes },
            other => Error::Cookie(other),
        })?;
        let outcome = if session.is_new() { Outcome::Created } else { Outcome::Updated };
        if outcome == Outcome::Created {
            self.stats.created(&self.app.name);
        }
        let headers = vec![header, Header::vary()];
        Ok(Saved { outcome, session: Some(self.without_entries(saved)), headers, counters: edited.counters })
    }

    /// Nothing to write: at most the expiry moves on.
    fn unchanged(&self, session: CookieSession, accessed: bool) -> Saved {
        let (session, header) = self.refreshed(session);
        let vary = (accessed || header.is_some()).then(Header::vary);
        let headers = header.into_iter().chain(vary).collect();
        let session = Some(self.without_entries(session));
        Saved { outcome: Outcome::Unchanged, session, headers, counters: Counters::new() }
    }

    fn without_entries(&self, session: CookieSession) -> SessionView {
        SessionView { entries: Entries::default(), ..self.view(session) }
    }

    /// What the cookie held as a record, so that changes and limits mean the same as where a store keeps it.
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

    /// The changes, with the app's limits.
    fn asked(&self, changes: Changes) -> Edit {
        Edit {
            changes: Some(changes),
            lifetime: None,
            lifetime_limits: None,
            rotation: Rotation::Keep,
            when_empty: WhenEmpty::Delete,
            limits: self.app.limits,
            context: None,
        }
    }
}

/// Refuses what only a store can do.
fn check_save(save: &SaveRequest<'_>) -> Result<(), Error> {
    let asked = [("rotate", save.rotate), ("keep_empty", save.keep_empty), ("etag", save.etag.is_some())];
    refuse(asked)
}

fn check_changes(changes: &Changes) -> Result<(), Error> {
    refuse([
        ("changes.subject", changes.subject != SubjectChange::Keep),
        ("changes.authenticated", changes.authentication != AuthenticationChange::Keep),
        ("changes.lifetime", changes.lifetime != LifetimeChange::Keep),
    ])
}

fn refuse<const N: usize>(asked: [(&'static str, bool); N]) -> Result<(), Error> {
    let found = asked.into_iter().find(|(_, is_asked)| *is_asked);
    found.map_or(Ok(()), |(what, _)| Err(Error::NotInCookieKind(what)))
}
