//! Explaining: why a credential opens its session, or why it opens nothing.
//!
//! Judges as an open does, and changes nothing: it counts nothing, records no use and imports nothing.

use super::credential::TokenState;
use super::list::{SessionInfo, info};
use super::liveness::is_live;
use super::{AppCall, Credential, Error, Service, WithEntries};
use crate::app::Kind;
use crate::cookie::{self, CookieChanges};
use crate::session::{EndReason, Head};
use crate::token::{AcceptedText, KeyId, SessionId, SplitToken, TokenRejection, claimed_key, is_ticket, verify_token};
use crate::types::{AppName, Time};

/// A request for an explanation.
#[derive(Clone, Debug, Default)]
pub struct ExplainRequest<'r> {
    /// The app's name; empty means `default`.
    pub app: &'r str,
    pub credential: Credential<'r>,
    /// Overrides the name of the app's cookie.
    pub cookie_name: Option<&'r str>,
}

/// The explanation of one value of a credential.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub state: CredentialState,
    /// The key that it is signed with, as it claims itself.
    pub key_id: Option<KeyId>,
    /// The id of its session; `None` if it is rejected, and in an app of kind `cookie`.
    pub id: Option<SessionId>,
    /// When it ceased to open its session, or will; `None` if that is not known.
    pub end_time: Option<Time>,
    /// The session as the store has it, without its entries.
    pub session: Option<SessionInfo>,
    /// The other app that it verifies for.
    pub other_app: Option<AppName>,
}

/// The state of a value of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialState {
    /// It opens its session.
    Live,
    /// The session lives, but the token was replaced.
    Superseded,
    Ended(EndReason),
    /// The store does not know the session.
    Unknown,
    /// A ticket that was not used yet.
    Unused,
    /// It does not verify, for this reason.
    Rejected(&'static str),
}

impl Explanation {
    pub(super) const fn new(state: CredentialState) -> Self {
        Self { state, key_id: None, id: None, end_time: None, session: None, other_app: None }
    }
}

impl Service {
    /// Explains each value of a credential: the token or ticket, or the cookies of the app in their order.
    ///
    /// Fails without a credential, if the app is unknown or has no key, and if the store does not answer.
    pub async fn explain(&self, explain: ExplainRequest<'_>) -> Result<Vec<Explanation>, Error> {
        let app = self.app(explain.app)?;
        explain.credential.check(&app)?;
        let changes = CookieChanges::named(explain.cookie_name);
        if let Credential::Key(key) = explain.credential {
            let call = self.begin_call(&app, changes)?;
            return Ok(vec![self.explain_token(&call, SplitToken::of_key(&app.name, key), false).await?]);
        }
        let cookie = app.cookie.changed(&changes)?;
        let (values, is_cookie): (Vec<&str>, bool) = match explain.credential {
            Credential::Absent | Credential::Token("") | Credential::Key(_) => return Err(Error::TokenMissing),
            Credential::Token(text) => (vec![text], false),
            Credential::CookieHeader(header) => {
                (cookie::values(header, cookie.attributes().name.as_str()).collect(), true)
            }
        };
        if let Some(call) = self.begin_cookie_call(&app, changes)? {
            return Ok(values.into_iter().map(|value| call.explain(value)).collect());
        }
        let call = self.begin_call(&app, changes)?;
        let mut explanations = Vec::with_capacity(values.len());
        for value in values {
            let explanation = match call.verify_to_explain(value, is_cookie) {
                Ok(token) => self.explain_token(&call, token, is_ticket(value)).await?,
                Err(rejection) => {
                    let other_app = self.other_app(&call, value);
                    Explanation { other_app, ..Explanation::new(CredentialState::Rejected(rejection)) }
                }
            };
            explanations.push(Explanation { key_id: claimed_key(value), ..explanation });
        }
        Ok(explanations)
    }

    async fn explain_token(
        &self,
        call: &AppCall<'_>,
        token: SplitToken,
        is_ticket: bool,
    ) -> Result<Explanation, Error> {
        let session_key = call.session_key(token);
        let snapshot = self.store.load(&session_key).await?;
        let mut replaced = None;
        let state = match call.token_state(token, snapshot.clone()) {
            TokenState::Live { .. } => CredentialState::Live,
            TokenState::Superseded(superseded, EndReason::Superseded) => {
                replaced = Some(superseded.rotate_time);
                CredentialState::Superseded
            }
            TokenState::Superseded(_, reason) | TokenState::Gone(Some(reason)) => CredentialState::Ended(reason),
            TokenState::Gone(None) if is_ticket => CredentialState::Unused,
            TokenState::Gone(None) => CredentialState::Unknown,
        };
        let known = snapshot.filter(|_| !matches!(state, CredentialState::Unknown | CredentialState::Unused));
        let end_time = replaced.or_else(|| end_time(state, &known.as_ref()?.record.head));
        let session = known.map(|snapshot| {
            let reason = match state {
                CredentialState::Ended(reason) if !is_live(&snapshot, call.now) => Some(reason),
                _ => None,
            };
            info(session_key.id, snapshot.record, reason, WithEntries::No)
        });
        Ok(Explanation { id: Some(session_key.id), end_time, session, ..Explanation::new(state) })
    }

    /// Returns another app that a token or a ticket verifies for.
    fn other_app(&self, call: &AppCall<'_>, text: &str) -> Option<AppName> {
        let apps = self.apps.all();
        let mut others = apps.values().filter(|app| app.name != call.app.name && matches!(app.kind, Kind::Stored));
        let other = others.find(|app| app.verifies(text, call.now));
        other.map(|app| app.name.clone())
    }
}

impl AppCall<'_> {
    /// Verifies a token or a ticket without counting it. The error is the reason as in the counts of rejected tokens.
    fn verify_to_explain(&self, text: &str, is_cookie: bool) -> Result<SplitToken, &'static str> {
        let accept = if is_cookie { AcceptedText::Token } else { AcceptedText::TokenOrTicket { now: self.now } };
        let keys = self.keys().ok_or(TokenRejection::UnknownKey);
        let verified = keys.and_then(|keys| verify_token(keys, &self.app.name, text, accept));
        verified.map(|verified| verified.token).map_err(TokenRejection::as_str)
    }
}

/// When a token ceased to open its session, or will if the session is not used again.
fn end_time(state: CredentialState, head: &Head) -> Option<Time> {
    match state {
        CredentialState::Live => Some(head.expire_time(head.access_time)),
        // A revocation of the whole app leaves no time in the record.
        CredentialState::Ended(EndReason::Revoked) => head.end.map(|end| end.time),
        CredentialState::Ended(_) => Some(head.end.map_or_else(|| head.expire_time(head.access_time), |end| end.time)),
        CredentialState::Superseded
        | CredentialState::Unknown
        | CredentialState::Unused
        | CredentialState::Rejected(_) => None,
    }
}
