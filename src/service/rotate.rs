//! Rotating: a new token for the same session.

use super::credential::{CredentialKind, TokenState};
use super::prepared_save::fingerprint;
use super::view::{CookieAction, Outcome};
use super::write::{CompletedWrite, Conditions, InGrace, WriteAttempt, WriteResult};
use super::{Credential, Error, Saved, Service};
use crate::session::{Context, Counters, Edit, EndReason, ReplacementCause, Rotation, WhenEmpty};
use crate::store::{Store, Write};

/// Asks for a new token.
#[derive(Clone, Debug, Default)]
pub struct RotateRequest<'r> {
    /// The app; empty means `default`.
    pub app: &'r str,
    /// What the request shows.
    pub credential: Credential<'r>,
    /// Why.
    pub cause: RotationCause,
    /// Makes a retry harmless; empty: none.
    pub request_id: &'r str,
    /// Another name for the app's cookie.
    pub cookie_name: Option<&'r str>,
    /// Where the request came from, if the frontend tells.
    pub context: Option<Context>,
}

/// Why a token is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RotationCause {
    /// The user's rights changed: the old token is dead at once.
    #[default]
    Privilege,
    /// It was time: the old token opens for the app's grace.
    Renewal,
}

impl<S: Store> Service<S> {
    /// Gives a session a new token. Its answer is that of a save without changes.
    pub async fn rotate(&self, rotate: RotateRequest<'_>) -> Result<Saved, Error> {
        rotate.credential.check()?;
        let app = self.stored_app(rotate.app, "RotateSession")?;
        let call = self.call(&app, rotate.cookie_name)?;
        let Some(claim) = self.claim(&call, rotate.credential).await? else { return Ok(Saved::gone(None, false)) };
        let (cause, in_grace) = match rotate.cause {
            RotationCause::Privilege => (ReplacementCause::Privilege, InGrace::Write),
            RotationCause::Renewal => (ReplacementCause::Renewal { grace: app.rotation_grace }, InGrace::Answer),
        };
        let prepared = || vec![b'r', u8::from(rotate.cause == RotationCause::Renewal)];
        let terms = Conditions { etag: None, fingerprint: fingerprint(rotate.request_id, prepared) };
        let next_token = call.derive_next_token(claim.token, cause, terms);
        let write = Write::Edit(Box::new(Edit {
            changes: None,
            lifetime: None,
            lifetime_limits: None,
            rotation: Rotation::Always(next_token.replacement),
            when_empty: WhenEmpty::Keep,
            limits: app.limits,
            context: rotate.context,
        }));
        let session_key = call.session_key(claim.token);
        let attempt = WriteAttempt { write: &write, next_token: Some(next_token), in_grace };
        let (outcome, head, token) = match self.write(&call, claim.token, terms, attempt).await? {
            WriteResult::Done(finished) => {
                let CompletedWrite { outcome, head, token, .. } = *finished;
                // A repeated rotation whose session has ended since: the outcome as it was, but nothing to set.
                let Some(head) = head else { return Ok(Saved { outcome, ..Saved::gone(None, false) }) };
                (outcome, head, token)
            }
            // Judged again: by now the successor may have been replaced by a login, whose cookie must not be put over.
            WriteResult::Renewed(next) => match self.look(&call, next).await?.1 {
                TokenState::Live { record, token } if token == next => (Outcome::Updated, record.head, Some(next)),
                TokenState::Live { .. } | TokenState::Superseded => {
                    return Ok(Saved::gone(Some(EndReason::Superseded), false));
                }
                TokenState::Dead(reason) => return Ok(Saved::gone(reason, false)),
            },
            WriteResult::Missing if claim.kind == CredentialKind::Ticket => {
                let session = Some(call.new_view(claim.token));
                return Ok(Saved {
                    outcome: Outcome::Unchanged,
                    session,
                    headers: Vec::new(),
                    counters: Counters::new(),
                });
            }
            WriteResult::Missing | WriteResult::Nothing => return Ok(Saved::gone(None, false)),
            WriteResult::Gone(reason) => return Ok(Saved::gone(reason, false)),
        };
        let session = call.view(session_key.id, &head, token);
        let headers = call.headers(&session, CookieAction::Set, false)?;
        Ok(Saved { outcome, session: Some(session), headers, counters: Counters::new() })
    }
}
