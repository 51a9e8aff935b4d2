//! Rotating: a new token for the same session.

use super::credential::{CredentialKind, TokenState};
use super::prepared_save::fingerprint;
use super::view::{CookieAction, Outcome};
use super::write::{Attempted, PreparedWrite, WriteResult};
use super::{AppCall, Credential, Error, Saved, Service};
use crate::session::{Context, Counters, Edit, EndReason, Head, ReplacementCause, Rotation, WhenEmpty};
use crate::store::Write;
use crate::token::SplitToken;

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

impl Service {
    /// Gives a session a new token. Its answer is that of a save without changes.
    pub async fn rotate(&self, rotate: RotateRequest<'_>) -> Result<Saved, Error> {
        rotate.credential.check()?;
        let app = self.stored_app(rotate.app, "RotateSession")?;
        let call = self.call(&app, rotate.cookie_name)?;
        let Some(claim) = self.claim(&call, rotate.credential).await? else { return Ok(Saved::gone(None, false)) };
        let cause = match rotate.cause {
            RotationCause::Privilege => ReplacementCause::Privilege,
            RotationCause::Renewal => ReplacementCause::Renewal { grace: app.rotation_grace },
        };
        let content = || vec![b'r', u8::from(rotate.cause == RotationCause::Renewal)];
        let fingerprint = fingerprint(rotate.request_id, content);
        let next = call.derive_next_token(claim.token, cause, fingerprint);
        let write = Write::Edit(Box::new(Edit {
            changes: None,
            lifetime: None,
            lifetime_limits: None,
            rotation: Rotation::Always(next.replacement),
            when_empty: WhenEmpty::Keep,
            limits: app.limits,
            context: rotate.context,
        }));
        let mut prepared = PreparedWrite { next: Some(next), ..call.prepare(claim.token, write) };
        prepared.precondition.fingerprint = fingerprint;
        let result = match rotate.cause {
            RotationCause::Privilege => self.write(&call, &prepared).await?,
            RotationCause::Renewal => match self.try_write(&call, &prepared, claim.token).await? {
                Attempted::Result(result) => result,
                Attempted::InGrace(next) => return self.renewed(&call, next).await,
            },
        };
        match result {
            WriteResult::Done { head: Some(head), token, outcome, .. } => {
                call.rotated(outcome, claim.token, &head, token)
            }
            // A repeated rotation whose session has ended since: the same outcome, but no cookie to set.
            WriteResult::Done { head: None, outcome, .. } => Ok(Saved { outcome, ..Saved::gone(None, false) }),
            WriteResult::Missing if claim.kind == CredentialKind::Ticket => {
                let (outcome, session) = (Outcome::Unchanged, Some(call.new_view(claim.token)));
                Ok(Saved { outcome, session, headers: Vec::new(), counters: Counters::new() })
            }
            WriteResult::Missing => Ok(Saved::gone(None, false)),
            WriteResult::Gone(reason) => Ok(Saved::gone(reason, false)),
        }
    }

    /// Answers a renewal that another call has made already: with the next token, if it is still the current one.
    ///
    /// A login may have replaced it since, whose cookie must not be overwritten.
    async fn renewed(&self, call: &AppCall<'_>, next: SplitToken) -> Result<Saved, Error> {
        match self.look(call, next).await?.1 {
            TokenState::Live { record, token } if token == next => {
                call.rotated(Outcome::Updated, next, &record.head, Some(next))
            }
            TokenState::Live { .. } | TokenState::Superseded => Ok(Saved::gone(Some(EndReason::Superseded), false)),
            TokenState::Dead(reason) => Ok(Saved::gone(reason, false)),
        }
    }
}

impl AppCall<'_> {
    /// The response to a rotation, with the token that this caller may get.
    fn rotated(
        &self,
        outcome: Outcome,
        of: SplitToken,
        head: &Head,
        token: Option<SplitToken>,
    ) -> Result<Saved, Error> {
        let session = self.view(of.id(&self.app.name), head, token);
        let headers = self.headers(&session, CookieAction::Set, false)?;
        Ok(Saved { outcome, session: Some(session), headers, counters: Counters::new() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::{self, Apps};
    use crate::service::SaveRequest;
    use crate::session::{Changes, Value};
    use crate::store::Memory;
    use crate::token::Key;
    use crate::types::{ManualClock, Time};

    #[tokio::test]
    async fn a_renewal_that_a_login_follows_gives_no_dead_cookie() {
        let settings = app::Settings { keys: vec![Key::generate().into()], ..app::Settings::default() };
        let apps = Apps::from_iter([settings.build("default").unwrap()]);
        let clock = Arc::new(ManualClock::new(Time::from_millis(1)));
        let service = Service::new(apps, Memory::new().into(), clock);
        let app = service.app("").unwrap();
        let ticket = service.open(Default::default()).await.unwrap().session.token;
        let set = [("a".to_owned(), Value::counter(1))].into();
        let changes = Some(Changes { set, ..Default::default() });
        let saved = SaveRequest { credential: Credential::Token(&ticket), changes, ..Default::default() };
        let old = service.save(&app, saved).await.unwrap().session.unwrap().token;
        let rotate = |token, cause| {
            service.rotate(RotateRequest { credential: Credential::Token(token), cause, ..Default::default() })
        };
        let next = rotate(&old, RotationCause::Renewal).await.unwrap().session.unwrap().token;

        // The login comes between the two steps of the second renewal: the write, and the look at the next token.
        rotate(&next, RotationCause::Privilege).await.unwrap();
        let call = service.call(&app, None).unwrap();
        let next = call.token_claim(&next).unwrap().token;
        let renewed = service.renewed(&call, next).await.unwrap();

        assert_eq!(renewed.outcome, Outcome::Gone(Some(EndReason::Superseded)));
        assert!(renewed.session.is_none() && renewed.headers.is_empty());
    }
}
