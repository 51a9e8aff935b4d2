//! Rotating: gives a session a new token.

use super::credential::CredentialKind;
use super::headers::CookieAction;
use super::outcome::Outcome;
use super::write::{PreparedWrite, WriteResult, fingerprint};
use super::{AppCall, Credential, Error, SaveRequest, Saved, Service};
use crate::cookie::CookieChanges;
use crate::session::{
    Authority, Counters, Edit, Fingerprint, Head, Precondition, Record, Replacement, ReplacementCause, RequestContext,
    Rotation, WhenEmpty, judge,
};
use crate::store::{Snapshot, Write};
use crate::token::{CookieNote, SplitToken};

/// A request for a new token.
#[derive(Clone, Debug, Default)]
pub struct RotateRequest<'r> {
    /// The app's name; empty means `default`.
    pub app: &'r str,
    pub credential: Credential<'r>,
    pub cause: RotationCause,
    /// Gives a retry within 10 minutes the same new token; empty: no request id.
    pub request_id: &'r str,
    /// The changes of the request to the app's cookie.
    pub cookie: CookieChanges<'r>,
    /// Where the request came from; `None`: the frontend did not say.
    pub context: Option<RequestContext>,
}

/// Why a token is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RotationCause {
    /// The user's rights changed: the old token ends at once.
    #[default]
    Privilege,
    /// It is time for a new token: the old one opens the session for the app's `rotation_grace`.
    Renewal,
}

impl Service {
    /// Gives a session a new token. The answer is that of a save without changes.
    ///
    /// A session that has ended gets none: the outcome is [`Outcome::Gone`]. Fails without a credential, with a token
    /// that does not verify, with a `request_id` that was used for another call, in an app of kind `cookie`, and if the
    /// store does not answer.
    pub async fn rotate(&self, rotate: RotateRequest<'_>) -> Result<Saved, Error> {
        let app = self.stored_app(rotate.app, "RotateSession")?;
        rotate.credential.check(&app)?;
        let call = self.begin_call(&app, rotate.cookie)?;
        if call.tokens.is_none() {
            return Err(Error::NotInExternalKind("RotateSession"));
        }
        let content = || vec![b'r', u8::from(rotate.cause == RotationCause::Renewal)];
        let fingerprint = fingerprint(rotate.request_id, content);
        let Some(credential) = self.resolve_credential(&call, rotate.credential, rotate.request_id).await? else {
            return Ok(Saved::gone(None, false));
        };
        if rotate.cause == RotationCause::Renewal && credential.note == CookieNote::Keep {
            // The cookie of the renewal could replace that of a login.
            return self.save_unmodified(&call, credential, &SaveRequest::default()).await;
        }
        if rotate.cause == RotationCause::Renewal
            && let Some(head) = self.find_renewed(&call, credential.token, fingerprint).await?
        {
            if head.touch_is_due(call.now) {
                self.touch(&call, &call.session_key(credential.token), &head, rotate.context).await;
            }
            return call.rotated(Outcome::Updated, credential.token, &head, Some(credential.token));
        }
        let cause = match rotate.cause {
            RotationCause::Privilege => ReplacementCause::Privilege,
            RotationCause::Renewal => ReplacementCause::Renewal { grace: app.rotation_grace },
        };
        let write = Write::Edit(Box::new(Edit {
            changes: None,
            lifetime: None,
            lifetime_limits: app.lifetime_limits(),
            rotation: Rotation::Keep,
            when_empty: WhenEmpty::Keep,
            limits: app.limits,
            context: rotate.context,
        }));
        let rotation: Option<fn(Replacement) -> Rotation> = Some(Rotation::Always);
        let mut prepared = PreparedWrite { rotation, cause, fingerprint, ..PreparedWrite::new(credential, write) };
        let prepared = prepared.for_existing(&call);
        match self.write(&call, prepared).await? {
            WriteResult::Done { head: Some(head), token, outcome, .. } => {
                call.rotated(outcome, credential.token, &head, token)
            }
            // A repeated rotation whose session has ended since: the same outcome, but no cookie to set.
            WriteResult::Done { head: None, outcome, .. } => Ok(Saved { outcome, ..Saved::gone(None, false) }),
            WriteResult::Missing if credential.kind == CredentialKind::Ticket => {
                let (outcome, session) = (Outcome::Unchanged, Some(call.new_view(credential.token, credential.note)));
                Ok(Saved { outcome, session, headers: Vec::new(), counters: Counters::new() })
            }
            WriteResult::Missing => Ok(Saved::gone(None, false)),
            WriteResult::Gone(reason) => Ok(Saved::gone(reason, false)),
        }
    }
}

impl Service {
    /// Returns the head of the session if a renewal has made this its token, and the token before is still in its grace.
    ///
    /// Another renewal would end that grace, and with it the requests under way that have the token before. This token
    /// exists since the renewal was stored, so this look cannot come too early.
    async fn find_renewed(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Option<Box<Head>>, Error> {
        let Some(Snapshot { record: Record { head, .. }, generation }) =
            self.store.load(&call.session_key(token)).await?
        else {
            return Ok(None);
        };
        let authority = Authority::Token(token.verifier_hash(&call.app.name));
        let precondition = Precondition { fingerprint, ..Precondition::unconditional(authority, call.now) };
        let is_current = judge(&head, generation, &precondition).is_ok();
        let is_in_grace = head.previous.as_ref().is_some_and(|previous| previous.is_in_grace(call.now));
        Ok((is_current && is_in_grace).then(|| Box::new(head)))
    }
}

impl AppCall<'_> {
    /// The response to a rotation that was made with `old`. `token` is the one that this caller may get.
    fn rotated(
        &self,
        outcome: Outcome,
        old: SplitToken,
        head: &Head,
        token: Option<SplitToken>,
    ) -> Result<Saved, Error> {
        let token = token.map(|token| self.sign(token, CookieNote::None)).unwrap_or_default();
        let session = self.view(old.id(&self.app.name), head, token, self.now);
        let headers = self.headers(&session, CookieAction::Set, false)?;
        Ok(Saved { outcome, session: Some(session), headers, counters: Counters::new() })
    }
}
