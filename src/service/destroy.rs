//! Destroying: a user logs out.

use super::credential::{CredentialKind, PresentedToken, ResolvedCredential};
use super::outcome::Outcome;
use super::write::{PreparedWrite, WriteResult, fingerprint};
use super::{AppCall, Credential, Error, Header, Service};
use crate::cookie::CookieChanges;
use crate::session::{EndReason, Fingerprint};
use crate::store::Write;
use crate::token::{CookieNote, SplitToken};

/// A request to end the session that a credential names.
#[derive(Clone, Debug, Default)]
pub struct DestroyRequest<'r> {
    /// The app's name; empty means `default`.
    pub app: &'r str,
    pub credential: Credential<'r>,
    /// Gives a retry within 10 minutes the same outcome; empty: no request id.
    pub request_id: &'r str,
    /// The changes of the request to the app's cookie.
    pub cookie: CookieChanges<'r>,
}

/// The response to a destroy.
#[derive(Clone, Debug)]
pub struct Destroyed {
    /// [`Outcome::Deleted`] or [`Outcome::Gone`].
    pub outcome: Outcome,
    /// The headers for the response to the browser.
    pub headers: Vec<Header>,
}

impl Service {
    /// Ends the session that a request's credential names; all, if its cookies name several.
    ///
    /// To end a session twice is no error. Fails without a credential, with a token that does not verify, with a
    /// `request_id` that was used for another call, and if the store does not answer.
    pub async fn destroy(&self, destroy: DestroyRequest<'_>) -> Result<Destroyed, Error> {
        let app = self.app(destroy.app)?;
        destroy.credential.check(&app)?;
        if let Some(call) = self.begin_cookie_call(&app, destroy.cookie)? {
            return call.destroy(&destroy);
        }
        let call = self.begin_call(&app, destroy.cookie)?;
        let fingerprint = fingerprint(destroy.request_id, || vec![b'd']);
        let (outcome, note) = match destroy.credential {
            Credential::CookieHeader(header) => (self.destroy_all(&call, header, fingerprint).await?, CookieNote::None),
            credential => match self.resolve_credential(&call, credential, "").await? {
                Some(ResolvedCredential { token, note, .. }) => {
                    (self.destroy_one(&call, token, fingerprint).await?.0, note)
                }
                None => (Outcome::Gone(None), CookieNote::None),
            },
        };
        let headers = match destroy.credential {
            // The browser may hold the current token in a cookie of the same name, which must stay.
            _ if outcome == Outcome::Gone(Some(EndReason::Superseded)) => Vec::new(),
            // The browser may be about to get the cookie of a login.
            _ if note == CookieNote::Keep => Vec::new(),
            Credential::CookieHeader(header) => call.delete_cookie_headers(header),
            Credential::Absent | Credential::Token(_) | Credential::Key(_) => call.delete_cookie(),
        };
        Ok(Destroyed { outcome, headers })
    }

    /// Ends all sessions that a header names, those of legacy credentials among them, and the recovery sessions of its
    /// superseded tokens.
    pub(super) async fn destroy_all(
        &self,
        call: &AppCall<'_>,
        header: &str,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Outcome, Error> {
        let mut outcome = Outcome::Gone(None);
        // The answer prefers a session that this call ended, and a reason to none.
        let mut add = |ended: Outcome| {
            if !matches!(outcome, Outcome::Deleted(_)) && ended != Outcome::Gone(None) {
                outcome = ended;
            }
        };
        let presented = self.read_cookie_header(call, header, None).await?;
        let imports = presented.iter().any(|presented| presented.text.is_some()) && call.has_legacy_credential(header);
        for PresentedToken { token, .. } in presented {
            let (ended, is_current) = self.destroy_one(call, token, fingerprint).await?;
            add(ended);
            // A token that was superseded a short time ago still ends its session, and leads to a recovery session as well.
            if ended != Outcome::Gone(None)
                && !is_current
                && let Some(recovery) = self.recovery_credential(call, token).await?
            {
                add(self.destroy_one(call, recovery.token, fingerprint).await?.0);
            }
        }
        // Beside a token nothing is imported, and after this logout there is none beside the legacy credentials. This comes
        // last, for the other Redis may hang or be down.
        if imports {
            for PresentedToken { token, .. } in Box::pin(self.import_legacy_sessions(call, header, None)).await? {
                add(self.destroy_one(call, token, fingerprint).await?.0);
            }
        }
        Ok(outcome)
    }

    /// Ends the session of a token. Returns also whether the token was the session's current one.
    async fn destroy_one(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        fingerprint: Option<Fingerprint>,
    ) -> Result<(Outcome, bool), Error> {
        let write = Write::End(EndReason::Destroyed);
        let credential = ResolvedCredential { token, text: None, kind: CredentialKind::Token, note: CookieNote::None };
        let prepared = PreparedWrite { fingerprint, ..PreparedWrite::new(credential, write) };
        Ok(match self.write(call, &prepared).await? {
            WriteResult::Done { outcome, token: current, .. } => {
                call.ended.lock().push(token.id(&call.app.name));
                (outcome, current == Some(token))
            }
            WriteResult::Gone(reason) => (Outcome::Gone(reason), false),
            WriteResult::Missing => (Outcome::Gone(None), false),
        })
    }
}
