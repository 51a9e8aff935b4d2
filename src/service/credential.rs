//! What a request claims: which sessions its credential names, and whether they live.

use super::error::Error;
use super::view::CookieAction;
use super::{AppCall, Service};
use crate::cookie;
use crate::session::{Authority, Context, Denial, EndReason, Precondition, PreviousToken, Record, judge};
use crate::store::{SessionKey, Snapshot};
use crate::token::{SplitToken, VerifiedToken, is_shaped, is_ticket, next_token, verify_ticket, verify_token};

/// What a request shows.
#[derive(Clone, Copy, Debug, Default)]
pub enum Credential<'r> {
    /// Nothing.
    #[default]
    Absent,
    /// The whole `Cookie` header.
    CookieHeader(&'r str),
    /// A token or a ticket by itself.
    Token(&'r str),
}

impl Credential<'_> {
    /// Refuses what is too long to be looked at.
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self::CookieHeader(header) = self else { return Ok(()) };
        // Read as Latin-1, each byte that the browser sent is one character.
        let too_large = header.len() > cookie::MAX_HEADER_BYTES && header.chars().count() > cookie::MAX_HEADER_BYTES;
        if too_large { Err(Error::CookieHeaderTooLarge { bytes: header.chars().count() }) } else { Ok(()) }
    }
}

/// A session that a request names: by a token, or by an old credential that leads to one.
#[derive(Clone, Copy, Debug)]
pub(super) struct PresentedToken<'r> {
    pub(super) token: SplitToken,
    /// The token as it was shown; none, if it was no token.
    pub(super) text: Option<&'r str>,
    /// What the browser has to be given if the session's bearer stays this one.
    pub(super) cookie_action: CookieAction,
}

/// A bearer whose signature was right, and what to make of it in a write.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedCredential {
    pub(super) token: SplitToken,
    pub(super) kind: CredentialKind,
    /// Set: it is signed with a key that no longer signs, or is no token at all.
    pub(super) cookie_action: CookieAction,
}

impl ResolvedCredential {
    /// For a request without a session: the ticket that an open would have given.
    pub(super) fn anonymous() -> Self {
        Self::ticket(SplitToken::random())
    }

    const fn shown(shown: PresentedToken<'_>, kind: CredentialKind) -> Self {
        Self { token: shown.token, kind, cookie_action: shown.cookie_action }
    }

    const fn ticket(token: SplitToken) -> Self {
        Self { token, kind: CredentialKind::Ticket, cookie_action: CookieAction::Keep }
    }

    /// What the browser has to be given if the session's bearer is `bearer` after a write.
    pub(super) fn cookie_action_for(&self, token: SplitToken) -> CookieAction {
        // A ticket is in no cookie yet.
        if self.kind == CredentialKind::Ticket || self.token != token { CookieAction::Set } else { self.cookie_action }
    }
}

/// How a bearer was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialKind {
    /// As a ticket: the session may not exist yet.
    Ticket,
    /// As a token by itself.
    Token,
    /// As a cookie: a session that nobody remembers is a new one.
    Cookie,
}

/// What a bearer is to its session, judged on a snapshot.
#[derive(Clone, Debug)]
pub(super) enum TokenState {
    /// It opens the session, itself or as this successor.
    Live { record: Box<Record>, token: SplitToken },
    /// The session lives, but this token was replaced.
    Superseded,
    /// There is no such session, or it has ended.
    Dead(Option<EndReason>),
}

/// How much a write can learn from one of several cookies.
///
/// A forgotten session weighs least: a write on it begins a new one, whose cookie would overwrite the other's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Forgotten,
    Ended,
    Superseded,
    Live,
}

impl TokenState {
    const fn weight(&self) -> Weight {
        match self {
            Self::Dead(None) => Weight::Forgotten,
            Self::Dead(Some(_)) => Weight::Ended,
            Self::Superseded => Weight::Superseded,
            Self::Live { .. } => Weight::Live,
        }
    }
}

impl AppCall<'_> {
    /// The tokens among the cookies of the app's name whose signature is right, each session's apart.
    fn issued<'h>(&self, header: &'h str) -> Vec<PresentedToken<'h>> {
        let name = self.cookie.attributes().name.as_str();
        let mut issued: Vec<PresentedToken<'h>> = Vec::new();
        for token in cookie::values(header, name).filter_map(|value| self.token(value)) {
            match issued.iter_mut().find(|other| other.token == token.token) {
                None => issued.push(token),
                // Of one token under two keys the one that the browser can keep.
                Some(other) if token.cookie_action == CookieAction::Keep => *other = token,
                Some(_) => {}
            }
        }
        issued
    }

    /// A token by itself, if its signature is right.
    pub(super) fn token<'t>(&self, text: &'t str) -> Option<PresentedToken<'t>> {
        let opened = verify_token(self.keys, &self.app.name, text);
        // What an old door may be for is no attempt to be a token.
        let counts = is_shaped(text) || self.open_migration().is_none();
        let issued = if counts { self.verified(opened) } else { opened };
        Some(self.shown_as(&issued.ok()?, text))
    }

    fn shown_as<'t>(&self, issued: &VerifiedToken, text: &'t str) -> PresentedToken<'t> {
        PresentedToken { token: issued.token, text: Some(text), cookie_action: self.cookie_action(issued) }
    }

    /// Whether a token can stay in the browser: one under a key that no longer signs is issued anew.
    fn cookie_action(&self, issued: &VerifiedToken) -> CookieAction {
        if issued.key_id == self.keys.signing().id() { CookieAction::Keep } else { CookieAction::Set }
    }

    /// The successor that the last rotation put in a token's place, if its key is still there.
    pub(super) fn find_next_token(&self, old: SplitToken, previous: &PreviousToken) -> Option<SplitToken> {
        self.keys.find(previous.key_id).map(|key| next_token(key, old, previous.nonce))
    }

    /// What the bearer is to what is kept.
    pub(super) fn token_state(&self, token: SplitToken, snapshot: Option<Snapshot>) -> TokenState {
        let Some(Snapshot { record, generation }) = snapshot else { return TokenState::Dead(None) };
        let authority = Authority::Token(token.verifier_hash(&self.app.name));
        let precondition = Precondition { authority, etag: None, fingerprint: None, now: self.now };
        match judge(&record.head, generation, &precondition) {
            Err(Denial::Gone(Some(EndReason::Superseded))) => TokenState::Superseded,
            Err(Denial::Gone(reason)) => TokenState::Dead(reason),
            Err(Denial::Grace(previous)) => match self.find_next_token(token, &previous) {
                Some(next) if next.verifier_hash(&self.app.name) == record.head.verifier_hash => {
                    TokenState::Live { record: Box::new(record), token: next }
                }
                _ => TokenState::Superseded,
            },
            Ok(()) | Err(Denial::Replay(_) | Denial::EtagMismatch | Denial::RequestIdReused) => {
                TokenState::Live { record: Box::new(record), token }
            }
        }
    }
}

impl Service {
    /// What a bearer is to its session now.
    pub(super) async fn look(&self, call: &AppCall<'_>, token: SplitToken) -> Result<(SessionKey, TokenState), Error> {
        let session_key = call.session_key(token);
        let snapshot = self.store.load(&session_key).await?;
        let token_state = call.token_state(token, snapshot);
        Ok((session_key, token_state))
    }

    /// The sessions that a `Cookie` header names. Only where no token does, old credentials are looked for.
    pub(super) async fn shown<'h>(
        &self,
        call: &AppCall<'_>,
        header: &'h str,
        context: Option<&Context>,
    ) -> Result<Vec<PresentedToken<'h>>, Error> {
        let issued = call.issued(header);
        // In a box, so that only those who need it pay for so large a future.
        if issued.is_empty() { Box::pin(self.accepted(call, header, context)).await } else { Ok(issued) }
    }

    /// The one claim that a write rests on; none: a request without a session.
    pub(super) async fn claim(
        &self,
        call: &AppCall<'_>,
        credential: Credential<'_>,
    ) -> Result<Option<ResolvedCredential>, Error> {
        match credential {
            Credential::Absent | Credential::Token("") => Err(Error::TokenMissing),
            Credential::Token(text) => call.token_claim(text).map(Some),
            Credential::CookieHeader(header) => {
                let shown = match *self.shown(call, header, None).await? {
                    [] => None,
                    [shown] => Some(shown),
                    ref several => self.choose(call, several).await?,
                };
                Ok(shown.map(|shown| ResolvedCredential::shown(shown, CredentialKind::Cookie)))
            }
        }
    }

    /// Of several cookies the one that says most about its session: best of all, that it lives.
    async fn choose<'r>(
        &self,
        call: &AppCall<'_>,
        several: &[PresentedToken<'r>],
    ) -> Result<Option<PresentedToken<'r>>, Error> {
        let mut best: Option<(Weight, PresentedToken<'r>)> = None;
        for shown in several {
            let (_, token_state) = self.look(call, shown.token).await?;
            match (&best, token_state.weight()) {
                (Some((Weight::Live, other)), Weight::Live) if other.token.selector != shown.token.selector => {
                    self.stats.suspicious(&call.app.name);
                    return Err(Error::CookiesAmbiguous);
                }
                (Some((most, _)), weight) if *most >= weight => {}
                (_, weight) => best = Some((weight, *shown)),
            }
        }
        Ok(best.map(|(_, shown)| shown))
    }
}

impl AppCall<'_> {
    pub(super) fn token_claim(&self, text: &str) -> Result<ResolvedCredential, Error> {
        if is_ticket(text) {
            let ticket = verify_ticket(self.keys, &self.app.name, text, self.now);
            let ticket = self.verified(ticket).map_err(Error::TokenInvalid)?;
            return Ok(ResolvedCredential::ticket(ticket.token));
        }
        let issued = self.verified(verify_token(self.keys, &self.app.name, text)).map_err(Error::TokenInvalid)?;
        Ok(ResolvedCredential::shown(self.shown_as(&issued, text), CredentialKind::Token))
    }
}
