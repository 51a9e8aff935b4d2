//! Credentials of a request: which sessions they name, and what their tokens are to these sessions.

use super::call_counts::Found;
use super::error::Error;
use super::headers::CookieAction;
use super::{AppCall, Service, Tokens};
use crate::app::{App, Kind};
use crate::cookie;
use crate::session::{
    Authority, Denial, EndReason, Fingerprint, Head, Precondition, Record, RequestContext, TokenMatch, judge,
    match_token,
};
use crate::store::Snapshot;
use crate::token::{
    AcceptedText, CookieNote, MAX_KEY_BYTES, MIN_KEY_BYTES, SplitToken, TokenRejection, VerifiedToken,
    looks_like_token, verify_token,
};
use crate::types::Time;

/// The credential by which a request names its session.
#[derive(Clone, Copy, Debug, Default)]
pub enum Credential<'r> {
    #[default]
    Absent,
    /// The whole `Cookie` header, of at most 1 MiB.
    CookieHeader(&'r str),
    /// A token or a ticket by itself; empty: as if absent.
    Token(&'r str),
    /// The secret with which an app's own framework names the session.
    Key(&'r [u8]),
}

impl Credential<'_> {
    /// Refuses a credential of another kind of app, and one that is too long or too short.
    pub(super) fn check(&self, app: &App) -> Result<(), Error> {
        let is_external = matches!(app.kind, Kind::External);
        match self {
            Self::Key(_) if !is_external => Err(Error::KeyNotAccepted),
            Self::Key(key) if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&key.len()) => {
                Err(Error::KeyInvalid { bytes: key.len() })
            }
            Self::Absent if is_external => Err(Error::KeyInvalid { bytes: 0 }),
            Self::Token(_) if is_external => Err(Error::KeyNeeded("token")),
            Self::CookieHeader(_) if is_external => Err(Error::KeyNeeded("cookie_header")),
            Self::CookieHeader(header) => check_header(header),
            Self::Absent | Self::Token(_) | Self::Key(_) => Ok(()),
        }
    }
}

/// Refuses a header that is too long.
fn check_header(header: &str) -> Result<(), Error> {
    // Read as Latin-1, each byte that the browser sent is one character.
    let too_large = header.len() > cookie::MAX_HEADER_BYTES && header.chars().count() > cookie::MAX_HEADER_BYTES;
    if too_large { Err(Error::CookieHeaderTooLarge { bytes: header.chars().count() }) } else { Ok(()) }
}

/// A token that a request presents, or the token that its legacy credential leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct PresentedToken<'r> {
    pub(super) token: SplitToken,
    /// The text of the token; `None` for a legacy credential.
    pub(super) text: Option<&'r str>,
    /// [`CookieNote::Set`] if the browser should get another text.
    pub(super) note: CookieNote,
}

/// The token of a verified credential, and how a write treats it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedCredential<'r> {
    pub(super) token: SplitToken,
    /// The text that was verified, if signing the token would give the same; `None`: signing it would give another text.
    pub(super) text: Option<&'r str>,
    pub(super) kind: CredentialKind,
    pub(super) note: CookieNote,
}

/// How a token was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialKind {
    /// As a ticket, or as the key of a framework: the session may not exist yet.
    Ticket,
    /// As a token by itself.
    Token,
    /// As a cookie: a session that the store does not remember is a new one.
    Cookie,
}

impl ResolvedCredential<'_> {
    pub(super) const fn ticket(token: SplitToken, note: CookieNote) -> Self {
        Self { token, text: None, kind: CredentialKind::Ticket, note }
    }

    /// The action of a response on the cookie if the session's token is `token` now, and no write of this call set it.
    pub(super) fn cookie_action_for(&self, token: SplitToken) -> CookieAction {
        match self.note {
            CookieNote::Keep => CookieAction::Keep,
            CookieNote::Set => CookieAction::Set,
            // A ticket is in no cookie yet.
            CookieNote::None if self.kind == CredentialKind::Ticket || self.token != token => CookieAction::Set,
            CookieNote::None => CookieAction::Keep,
        }
    }
}

/// The state of a token, judged on a snapshot of its session.
#[derive(Clone, Debug)]
pub(super) enum TokenState {
    /// It opens the session. `token` is the token itself, or in its grace the next one.
    Live { record: Box<Record>, token: SplitToken },
    /// Another token has replaced this one. With the reason why it opens nothing: the session may have ended since.
    Superseded(SupersededToken, EndReason),
    /// There is no such session, or it has ended. Without a reason: the store does not remember it.
    Gone(Option<EndReason>),
}

/// A token that another one has replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct SupersededToken {
    pub(super) token: SplitToken,
    /// When its session's token was replaced for the last time.
    pub(super) rotate_time: Time,
}

/// How much a write can learn from one of several cookies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relevance {
    Forgotten,
    Ended,
    Superseded,
    Live,
}

impl TokenState {
    /// Why the token opens nothing; `None`: it opens its session, or the store does not remember why.
    pub(super) const fn reason(&self) -> Option<EndReason> {
        match self {
            Self::Live { .. } => None,
            Self::Superseded(_, reason) => Some(*reason),
            Self::Gone(reason) => *reason,
        }
    }

    const fn relevance(&self) -> Relevance {
        match self {
            Self::Gone(None) => Relevance::Forgotten,
            Self::Gone(Some(_)) => Relevance::Ended,
            Self::Superseded(..) => Relevance::Superseded,
            Self::Live { .. } => Relevance::Live,
        }
    }
}

impl AppCall<'_> {
    /// Verifies a token that a browser shows; `None` if its signature is wrong, which is counted.
    pub(super) fn verify_or_count<'t>(&self, text: &'t str) -> Option<PresentedToken<'t>> {
        let keys = self.keys().ok_or(TokenRejection::UnknownKey);
        let verified = keys.and_then(|keys| verify_token(keys, &self.app.name, text, AcceptedText::Token));
        // A text that may be a legacy credential is no failed attempt at a token.
        if let Err(rejection) = verified
            && (looks_like_token(text) || self.open_migration().is_none())
        {
            self.stats.count_rejected_token(&self.app.name, rejection);
            self.finding.note(Found::Rejected);
        }
        let VerifiedToken { token, note, .. } = verified.ok()?;
        // A note is for the request of the open. In a cookie it is another spelling, which the response replaces.
        let note = if note == CookieNote::None { note } else { CookieNote::Set };
        Some(PresentedToken { token, text: Some(text), note })
    }

    /// Judges what a token is to the session in the snapshot; `None`: the store has none.
    pub(super) fn token_state(&self, token: SplitToken, snapshot: Option<Snapshot>) -> TokenState {
        let Some(Snapshot { record, generation }) = snapshot else { return TokenState::Gone(None) };
        let authority = Authority::Token(token.verifier_hash(&self.app.name));
        match judge(&record.head, generation, &Precondition::unconditional(authority, self.now)) {
            Err(Denial::Gone(Some(reason))) => match self.superseded(token, &record.head) {
                Some(superseded) => TokenState::Superseded(superseded, reason),
                None => TokenState::Gone(Some(reason)),
            },
            Err(Denial::Gone(None)) => TokenState::Gone(None),
            Err(Denial::Grace(previous)) => match self.find_next_token(token, &previous) {
                Some(next) if next.verifier_hash(&self.app.name) == record.head.verifier_hash => {
                    TokenState::Live { record: Box::new(record), token: next }
                }
                _ => {
                    let superseded = SupersededToken { token, rotate_time: previous.time };
                    TokenState::Superseded(superseded, EndReason::Superseded)
                }
            },
            Ok(()) | Err(Denial::Replay(_) | Denial::EtagMismatch | Denial::RequestIdReused) => {
                TokenState::Live { record: Box::new(record), token }
            }
        }
    }

    /// The token as a superseded one; `None` if it opened the session until its end.
    fn superseded(&self, token: SplitToken, head: &Head) -> Option<SupersededToken> {
        match match_token(head, token.verifier_hash(&self.app.name), self.now) {
            TokenMatch::Current => None,
            TokenMatch::Previous(previous) if previous.is_in_grace(self.now) => None,
            TokenMatch::Previous(_) | TokenMatch::Replaced | TokenMatch::Unknown => {
                // Without a rotation, this record took the place of the one that the token was made for.
                let rotate_time = head.previous.as_ref().map_or(head.create_time, |previous| previous.time);
                Some(SupersededToken { token, rotate_time })
            }
        }
    }
}

impl Service {
    /// Reads the tokens in a `Cookie` header, each once. Only without any it looks for legacy credentials.
    pub(super) async fn read_cookie_header<'h>(
        &self,
        call: &AppCall<'_>,
        header: &'h str,
        context: Option<&RequestContext>,
    ) -> Result<Vec<PresentedToken<'h>>, Error> {
        let Some(Tokens { cookie, .. }) = &call.tokens else { return Ok(Vec::new()) };
        let name = cookie.attributes().name.as_str();
        let mut tokens: Vec<PresentedToken<'h>> = Vec::new();
        for presented in cookie::values(header, name).filter_map(|value| call.verify_or_count(value)) {
            match tokens.iter_mut().find(|other| other.token == presented.token) {
                None => tokens.push(presented),
                // Of two texts of one token, the one that the browser can keep.
                Some(other) if presented.note == CookieNote::None => *other = presented,
                Some(_) => {}
            }
        }
        // In a box, so that only the calls that import pay for so large a future.
        if tokens.is_empty() { Box::pin(self.import_legacy_sessions(call, header, context)).await } else { Ok(tokens) }
    }

    /// Finds the one token that a write is made with; `None`: the request has no session.
    pub(super) async fn resolve_credential<'r>(
        &self,
        call: &AppCall<'_>,
        credential: Credential<'r>,
        request_id: &str,
    ) -> Result<Option<ResolvedCredential<'r>>, Error> {
        match credential {
            Credential::Absent | Credential::Token("") => Err(Error::TokenMissing),
            Credential::Token(text) => {
                let (keys, accept) = (call.keys(), AcceptedText::TokenOrTicket { now: call.now });
                let verified = keys.ok_or(TokenRejection::UnknownKey);
                let verified = verified.and_then(|keys| verify_token(keys, &call.app.name, text, accept));
                let VerifiedToken { token, note, is_ticket } = verified.map_err(|rejection| {
                    self.stats.count_rejected_token(&call.app.name, rejection);
                    Error::TokenInvalid(rejection)
                })?;
                if is_ticket {
                    return Ok(Some(ResolvedCredential::ticket(token, note)));
                }
                let text = Some(text).filter(|_| note == CookieNote::None);
                Ok(Some(ResolvedCredential { token, text, kind: CredentialKind::Token, note }))
            }
            Credential::Key(key) => {
                let token = SplitToken::of_key(&call.app.name, key);
                Ok(Some(ResolvedCredential::ticket(token, CookieNote::None)))
            }
            Credential::CookieHeader(header) => {
                let presented = match *self.read_cookie_header(call, header, None).await? {
                    [] => None,
                    [presented] => Some(presented),
                    ref several => self.select_token(call, several, request_id).await?,
                };
                Ok(presented.map(|PresentedToken { token, text, note }| {
                    let text = text.filter(|_| note == CookieNote::None);
                    ResolvedCredential { token, text, kind: CredentialKind::Cookie, note }
                }))
            }
        }
    }

    /// Selects the token with the highest relevance. Fails if the tokens name two live sessions.
    ///
    /// Of several superseded tokens it is the one whose recovery session an open finds. A call that is repeated with its
    /// `request_id` gets the token of the session that it was done in.
    async fn select_token<'r>(
        &self,
        call: &AppCall<'_>,
        several: &[PresentedToken<'r>],
        request_id: &str,
    ) -> Result<Option<PresentedToken<'r>>, Error> {
        let request_id = (!request_id.is_empty()).then(|| Fingerprint::request_id(request_id.as_bytes()));
        let mut best: Option<(Relevance, PresentedToken<'r>)> = None;
        let mut superseded = Vec::new();
        for presented in several {
            let token = presented.token;
            let snapshot = self.store.load(&call.session_key(token)).await?;
            let has_done = |id| snapshot.as_ref()?.record.head.idempotency.find(&id, call.now);
            if request_id.and_then(has_done).is_some() {
                return Ok(Some(*presented));
            }
            let state = call.token_state(token, snapshot);
            let relevance = state.relevance();
            if let TokenState::Superseded(token, _) = state {
                superseded.push((token, *presented));
            }
            match &best {
                Some((Relevance::Live, other))
                    if relevance == Relevance::Live && other.token.selector != token.selector =>
                {
                    self.stats.count_ambiguous_cookies(&call.app.name);
                    return Err(Error::CookiesAmbiguous);
                }
                Some((highest, _)) if *highest >= relevance => {}
                _ => best = Some((relevance, *presented)),
            }
        }
        if superseded.len() > 1 && best.is_some_and(|(highest, _)| highest == Relevance::Superseded) {
            for (token, presented) in superseded {
                // In a box, because nearly no save does this.
                if Box::pin(self.find_recovery(call, token, request_id)).await?.record.is_some() {
                    return Ok(Some(presented));
                }
            }
        }
        Ok(best.map(|(_, presented)| presented))
    }
}
