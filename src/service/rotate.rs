//! Rotating: a new token for the same session.

use super::asked::fingerprint;
use super::claim::{ClaimKind, Standing};
use super::view::{Carry, Fate};
use super::write::{Attempt, Finished, InGrace, Terms, Written};
use super::{Credential, Error, Saved, Service};
use crate::session::{Cause, Context, Counters, Edit, EndReason, Rotation, WhenEmpty};
use crate::store::{Store, Write};

/// Asks for a new token.
#[derive(Clone, Debug, Default)]
pub struct Rotate<'r> {
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
    pub async fn rotate(&self, rotate: Rotate<'_>) -> Result<Saved, Error> {
        rotate.credential.check()?;
        let app = self.stored_app(rotate.app, "RotateSession")?;
        let call = self.call(&app, rotate.cookie_name)?;
        let Some(claim) = self.claim(&call, rotate.credential).await? else { return Ok(Saved::gone(None, false)) };
        let (cause, in_grace) = match rotate.cause {
            RotationCause::Privilege => (Cause::Privilege, InGrace::Write),
            RotationCause::Renewal => (Cause::Renewal { grace: app.rotation_grace }, InGrace::Answer),
        };
        let asked = || vec![b'r', u8::from(rotate.cause == RotationCause::Renewal)];
        let terms = Terms { etag: None, fingerprint: fingerprint(rotate.request_id, asked) };
        let offer = call.offer(claim.bearer, cause, terms);
        let write = Write::Edit(Box::new(Edit {
            changes: None,
            lifetime: None,
            lifespans: None,
            rotation: Rotation::Always(offer.replacement),
            when_empty: WhenEmpty::Keep,
            limits: app.limits,
            context: rotate.context,
        }));
        let place = call.place(claim.bearer);
        let attempt = Attempt { write: &write, offer: Some(offer), in_grace };
        let (fate, head, bearer) = match self.write(&call, claim.bearer, terms, attempt).await? {
            Written::Done(finished) => {
                let Finished { fate, head, bearer, .. } = *finished;
                // A repeated rotation whose session has ended since: the outcome as it was, but nothing to set.
                let Some(head) = head else { return Ok(Saved { fate, ..Saved::gone(None, false) }) };
                (fate, head, bearer)
            }
            // Judged again: by now the successor may have been replaced by a login, whose cookie must not be put over.
            Written::Renewed(next) => match self.look(&call, next).await?.1 {
                Standing::Live { record, bearer } if bearer == next => (Fate::Updated, record.head, Some(next)),
                Standing::Live { .. } | Standing::Superseded => {
                    return Ok(Saved::gone(Some(EndReason::Superseded), false));
                }
                Standing::Dead(reason) => return Ok(Saved::gone(reason, false)),
            },
            Written::Missing if claim.kind == ClaimKind::Ticket => {
                let session = Some(call.new_view(claim.bearer));
                return Ok(Saved { fate: Fate::Unchanged, session, headers: Vec::new(), counters: Counters::new() });
            }
            Written::Missing | Written::Nothing => return Ok(Saved::gone(None, false)),
            Written::Gone(reason) => return Ok(Saved::gone(reason, false)),
        };
        let session = call.view(place.id, &head, bearer);
        let headers = call.headers(&session, Carry::Set, false)?;
        Ok(Saved { fate, session: Some(session), headers, counters: Counters::new() })
    }
}
