//! Saving: what the cookie held, with the changes, in a new cookie.
//!
//! The browser keeps the session, so of two saves at the same moment the later answer wins whole: as in Flask.

use super::{CookieCall, Held};
use crate::cookie::TemplateError;
use crate::service::{Error, Fate, Header, Save, Saved, View};
use crate::session::{
    AuthenticationChange, By, Changes, Counters, Edit, EndReason, Entries, Guard, Head, LifetimeChange, Outcome,
    Record, Rotation, SubjectChange, WhenEmpty, edit,
};
use crate::token::Proof;

impl CookieCall<'_> {
    /// Applies what a request changed.
    pub(in crate::service) fn save(&self, save: Save<'_>) -> Result<Saved, Error> {
        check_save(&save)?;
        let held = self.claim(save.credential)?;
        let Some(changes) = save.changes else { return Ok(self.unchanged(held, save.accessed)) };
        let changes = changes.check(None)?;
        check_changes(&changes)?;

        let guard = Guard { by: By::Admin, etag: None, fingerprint: None, now: self.now };
        let edited = edit(&self.record(&held), &self.asked(changes), &guard)
            .map_err(|refusal| Error::refused(refusal, self.app.limits))?;
        if edited.outcome == Outcome::Deleted {
            let fate = Fate::Deleted(EndReason::Emptied);
            let (session, headers) = (None, Header::deleting(&self.cookie));
            return Ok(Saved { fate, session, headers, counters: edited.counters });
        }
        let saved = self.sealed(edited.record.entries, edited.record.head.permanent)?;
        let header = self.set_cookie(&saved).map_err(|error| match error {
            TemplateError::TooLarge { bytes } => Error::CookieTooLarge { bytes },
            other => Error::Cookie(other),
        })?;
        let fate = if held.is_new() { Fate::Created } else { Fate::Updated };
        if fate == Fate::Created {
            self.stats.created(&self.app.name);
        }
        let headers = vec![header, Header::vary()];
        Ok(Saved { fate, session: Some(self.without_entries(saved)), headers, counters: edited.counters })
    }

    /// Nothing to write: at most the expiry moves on.
    fn unchanged(&self, held: Held, accessed: bool) -> Saved {
        let (held, header) = self.refreshed(held);
        let vary = (accessed || header.is_some()).then(Header::vary);
        let headers = header.into_iter().chain(vary).collect();
        let session = Some(self.without_entries(held));
        Saved { fate: Fate::Unchanged, session, headers, counters: Counters::new() }
    }

    fn without_entries(&self, held: Held) -> View {
        View { entries: Entries::default(), ..self.view(held) }
    }

    /// What the cookie held as a record, so that changes and limits mean the same as where a store keeps it.
    fn record(&self, held: &Held) -> Record {
        let lifetimes = self.app.lifetimes;
        let proof = Proof::from_bytes([0; 16]);
        let head = Head {
            permanent: held.permanent,
            entry_count: held.entries.count(),
            entry_bytes: held.entries.bytes(),
            ..Head::new(proof, held.issued, lifetimes.idle_timeout, lifetimes.absolute_timeout)
        };
        Record { head, entries: held.entries.clone() }
    }

    /// The changes, with the app's limits.
    fn asked(&self, changes: Changes) -> Edit {
        Edit {
            changes: Some(changes),
            lifetime: None,
            lifespans: None,
            rotation: Rotation::Keep,
            when_empty: WhenEmpty::Delete,
            limits: self.app.limits,
            context: None,
        }
    }
}

/// Refuses what only a store can do.
fn check_save(save: &Save<'_>) -> Result<(), Error> {
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
