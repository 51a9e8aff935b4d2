//! Destroying: a user's logout.

use super::asked::fingerprint;
use super::view::Fate;
use super::write::{Attempt, InGrace, Terms, Written};
use super::{Call, Credential, Error, Header, Service};
use crate::session::EndReason;
use crate::store::{Store, Write};
use crate::token::Bearer;

/// Asks to end the session of a request.
#[derive(Clone, Debug, Default)]
pub struct Destroy<'r> {
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
    /// [`Fate::Deleted`] or [`Fate::Gone`].
    pub fate: Fate,
    /// The headers to send.
    pub headers: Vec<Header>,
}

impl<S: Store> Service<S> {
    /// Ends the session that a request shows; of several that its cookies name, all.
    pub async fn destroy(&self, destroy: Destroy<'_>) -> Result<Destroyed, Error> {
        destroy.credential.check()?;
        let app = self.app(destroy.app)?;
        if let Some(call) = self.cookie_call(&app, destroy.cookie_name)? {
            return call.destroy(&destroy);
        }
        let call = self.call(&app, destroy.cookie_name)?;
        let bearers: Vec<Bearer> = match destroy.credential {
            Credential::None | Credential::Token("") => return Err(Error::TokenMissing),
            Credential::Token(text) => vec![call.token_claim(text)?.bearer],
            Credential::CookieHeader(header) => {
                self.shown(&call, header, None).await?.iter().map(|shown| shown.bearer).collect()
            }
        };
        let terms = Terms { etag: None, fingerprint: fingerprint(destroy.request_id, || vec![b'd']) };
        let mut fate = Fate::Gone(None);
        for bearer in bearers {
            let ended = self.end(&call, bearer, terms).await?;
            // What was ended is told before what had ended, and a reason before none.
            if !matches!(fate, Fate::Deleted(_)) && ended != Fate::Gone(None) {
                fate = ended;
            }
        }
        // An older token is in no browser that holds the current one, whose cookie has the same name.
        let stays = fate == Fate::Gone(Some(EndReason::Superseded));
        let headers = match destroy.credential {
            _ if stays => Vec::new(),
            Credential::CookieHeader(header) => call.deleting_headers_of(header),
            Credential::None | Credential::Token(_) => Header::deleting(&call.cookie),
        };
        Ok(Destroyed { fate, headers })
    }

    async fn end(&self, call: &Call<'_>, bearer: Bearer, terms: Terms) -> Result<Fate, Error> {
        let write = Write::End(EndReason::Destroyed);
        let attempt = Attempt { write: &write, offer: None, in_grace: InGrace::Write };
        Ok(match self.write(call, bearer, terms, attempt).await? {
            Written::Done(finished) => finished.fate,
            Written::Gone(reason) => Fate::Gone(reason),
            Written::Missing | Written::Nothing | Written::Renewed(_) => Fate::Gone(None),
        })
    }
}
