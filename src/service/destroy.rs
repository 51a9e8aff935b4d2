//! Destroying: a user's logout.

use super::prepared_save::fingerprint;
use super::view::Outcome;
use super::write::WriteResult;
use super::{AppCall, Credential, Error, Header, Service};
use crate::session::{EndReason, Fingerprint};
use crate::store::Write;
use crate::token::SplitToken;

/// Asks to end the session of a request.
#[derive(Clone, Debug, Default)]
pub struct DestroyRequest<'r> {
    /// The app; empty means `default`.
    pub app: &'r str,
    /// What the request shows.
    pub credential: Credential<'r>,
    /// Makes the answer to a retry equal; empty: none.
    pub request_id: &'r str,
    /// Another name for the app's cookie.
    pub cookie_name: Option<&'r str>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Destroyed {
    /// [`Outcome::Deleted`] or [`Outcome::Gone`].
    pub outcome: Outcome,
    /// The headers to send.
    pub headers: Vec<Header>,
}

impl Service {
    /// Ends the session that a request shows; of several that its cookies name, all.
    pub async fn destroy(&self, destroy: DestroyRequest<'_>) -> Result<Destroyed, Error> {
        destroy.credential.check()?;
        let app = self.app(destroy.app)?;
        if let Some(call) = self.cookie_call(&app, destroy.cookie_name)? {
            return call.destroy(&destroy);
        }
        let call = self.call(&app, destroy.cookie_name)?;
        let tokens: Vec<SplitToken> = match destroy.credential {
            Credential::Absent | Credential::Token("") => return Err(Error::TokenMissing),
            Credential::Token(text) => vec![call.token_claim(text)?.token],
            Credential::CookieHeader(header) => {
                self.shown(&call, header, None).await?.iter().map(|shown| shown.token).collect()
            }
        };
        let fingerprint = fingerprint(destroy.request_id, || vec![b'd']);
        let mut outcome = Outcome::Gone(None);
        for token in tokens {
            let ended = self.end(&call, token, fingerprint).await?;
            // What was ended is told before what had ended, and a reason before none.
            if !matches!(outcome, Outcome::Deleted(_)) && ended != Outcome::Gone(None) {
                outcome = ended;
            }
        }
        // An older token is in no browser that holds the current one, whose cookie has the same name.
        let stays = outcome == Outcome::Gone(Some(EndReason::Superseded));
        let headers = match destroy.credential {
            _ if stays => Vec::new(),
            Credential::CookieHeader(header) => call.deleting_headers_of(header),
            Credential::Absent | Credential::Token(_) => Header::deleting(&call.cookie),
        };
        Ok(Destroyed { outcome, headers })
    }

    async fn end(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        fingerprint: Option<Fingerprint>,
    ) -> Result<Outcome, Error> {
        let mut prepared = call.prepare(token, Write::End(EndReason::Destroyed));
        prepared.precondition.fingerprint = fingerprint;
        Ok(match self.write(call, &prepared).await? {
            WriteResult::Done { outcome, .. } => outcome,
            WriteResult::Gone(reason) => Outcome::Gone(reason),
            WriteResult::Missing => Outcome::Gone(None),
        })
    }
}
