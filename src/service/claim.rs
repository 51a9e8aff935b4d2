//! What a request claims: which sessions its credential names, and whether they live.

use super::error::Error;
use super::view::Carry;
use super::{Call, Service};
use crate::cookie;
use crate::session::{By, Context, EndReason, Guard, Previous, Record, Verdict, judge};
use crate::store::{Kept, Place, Store};
use crate::token::{Bearer, Issued, is_shaped, is_ticket, open_ticket, open_token, successor};

/// What a request shows.
#[derive(Clone, Copy, Debug, Default)]
pub enum Credential<'r> {
    /// Nothing.
    #[default]
    None,
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
pub(super) struct Shown<'r> {
    pub(super) bearer: Bearer,
    /// The token as it was shown; none, if it was no token.
    pub(super) text: Option<&'r str>,
    /// What the browser has to be given if the session's bearer stays this one.
    pub(super) carry: Carry,
}

/// A bearer whose signature was right, and what to make of it in a write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) bearer: Bearer,
    pub(super) kind: ClaimKind,
    /// Set: it is signed with a key that no longer signs, or is no token at all.
    pub(super) carry: Carry,
}

impl Claim {
    /// For a request without a session: the ticket that an open would have given.
    pub(super) fn nobody() -> Self {
        Self::ticket(Bearer::random())
    }

    const fn shown(shown: Shown<'_>, kind: ClaimKind) -> Self {
        Self { bearer: shown.bearer, kind, carry: shown.carry }
    }

    const fn ticket(bearer: Bearer) -> Self {
        Self { bearer, kind: ClaimKind::Ticket, carry: Carry::Keep }
    }

    /// What the browser has to be given if the session's bearer is `bearer` after a write.
    pub(super) fn carry_of(&self, bearer: Bearer) -> Carry {
        // A ticket is in no cookie yet.
        if self.kind == ClaimKind::Ticket || self.bearer != bearer { Carry::Set } else { self.carry }
    }
}

/// How a bearer was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimKind {
    /// As a ticket: the session may not exist yet.
    Ticket,
    /// As a token by itself.
    Token,
    /// As a cookie: a session that nobody remembers is a new one.
    Cookie,
}

/// What a bearer is to its session, judged on a snapshot.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// It opens the session, itself or as this successor.
    Live { record: Box<Record>, bearer: Bearer },
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

impl Standing {
    const fn weight(&self) -> Weight {
        match self {
            Self::Dead(None) => Weight::Forgotten,
            Self::Dead(Some(_)) => Weight::Ended,
            Self::Superseded => Weight::Superseded,
            Self::Live { .. } => Weight::Live,
        }
    }
}

impl Call<'_> {
    /// The tokens among the cookies of the app's name whose signature is right, each session's apart.
    fn issued<'h>(&self, header: &'h str) -> Vec<Shown<'h>> {
        let name = self.cookie.attributes().name.as_str();
        let mut issued: Vec<Shown<'h>> = Vec::new();
        for token in cookie::values(header, name).filter_map(|value| self.token(value)) {
            match issued.iter_mut().find(|other| other.bearer == token.bearer) {
                None => issued.push(token),
                // Of one token under two keys the one that the browser can keep.
                Some(other) if token.carry == Carry::Keep => *other = token,
                Some(_) => {}
            }
        }
        issued
    }

    /// A token by itself, if its signature is right.
    pub(super) fn token<'t>(&self, text: &'t str) -> Option<Shown<'t>> {
        let opened = open_token(self.keys, &self.app.name, text);
        // What an old door may be for is no attempt to be a token.
        let counts = is_shaped(text) || self.open_doors().is_none();
        let issued = if counts { self.verified(opened) } else { opened };
        Some(self.shown_as(&issued.ok()?, text))
    }

    fn shown_as<'t>(&self, issued: &Issued, text: &'t str) -> Shown<'t> {
        Shown { bearer: issued.bearer, text: Some(text), carry: self.carry(issued) }
    }

    /// Whether a token can stay in the browser: one under a key that no longer signs is issued anew.
    fn carry(&self, issued: &Issued) -> Carry {
        if issued.key_id == self.keys.signing().id() { Carry::Keep } else { Carry::Set }
    }

    /// The successor that the last rotation put in a token's place, if its key is still there.
    pub(super) fn successor(&self, old: Bearer, previous: &Previous) -> Option<Bearer> {
        self.keys.find(previous.key_id).map(|key| successor(key, old, previous.nonce))
    }

    /// What the bearer is to what is kept.
    pub(super) fn standing(&self, bearer: Bearer, kept: Option<Kept>) -> Standing {
        let Some(Kept { record, generation }) = kept else { return Standing::Dead(None) };
        let by = By::Proof(bearer.proof(&self.app.name));
        let guard = Guard { by, etag: None, fingerprint: None, now: self.now };
        match judge(&record.head, generation, &guard) {
            Verdict::Gone(Some(EndReason::Superseded)) => Standing::Superseded,
            Verdict::Gone(reason) => Standing::Dead(reason),
            Verdict::Grace(previous) => match self.successor(bearer, &previous) {
                Some(next) if next.proof(&self.app.name) == record.head.proof => {
                    Standing::Live { record: Box::new(record), bearer: next }
                }
                _ => Standing::Superseded,
            },
            Verdict::Go | Verdict::Replay(_) | Verdict::Stale | Verdict::MarkReused => {
                Standing::Live { record: Box::new(record), bearer }
            }
        }
    }
}

impl<S: Store> Service<S> {
    /// What a bearer is to its session now.
    pub(super) async fn look(&self, call: &Call<'_>, bearer: Bearer) -> Result<(Place, Standing), Error> {
        let place = call.place(bearer);
        let kept = self.store.load(&place).await?;
        let standing = call.standing(bearer, kept);
        Ok((place, standing))
    }

    /// The sessions that a `Cookie` header names. Only where no token does, old credentials are looked for.
    pub(super) async fn shown<'h>(
        &self,
        call: &Call<'_>,
        header: &'h str,
        context: Option<&Context>,
    ) -> Result<Vec<Shown<'h>>, Error> {
        let issued = call.issued(header);
        // In a box, so that only those who need it pay for so large a future.
        if issued.is_empty() { Box::pin(self.accepted(call, header, context)).await } else { Ok(issued) }
    }

    /// The one claim that a write rests on; none: a request without a session.
    pub(super) async fn claim(&self, call: &Call<'_>, credential: Credential<'_>) -> Result<Option<Claim>, Error> {
        match credential {
            Credential::None | Credential::Token("") => Err(Error::TokenMissing),
            Credential::Token(text) => call.token_claim(text).map(Some),
            Credential::CookieHeader(header) => {
                let shown = match *self.shown(call, header, None).await? {
                    [] => None,
                    [shown] => Some(shown),
                    ref several => self.choose(call, several).await?,
                };
                Ok(shown.map(|shown| Claim::shown(shown, ClaimKind::Cookie)))
            }
        }
    }

    /// Of several cookies the one that says most about its session: best of all, that it lives.
    async fn choose<'r>(&self, call: &Call<'_>, several: &[Shown<'r>]) -> Result<Option<Shown<'r>>, Error> {
        let mut best: Option<(Weight, Shown<'r>)> = None;
        for shown in several {
            let (_, standing) = self.look(call, shown.bearer).await?;
            match (&best, standing.weight()) {
                (Some((Weight::Live, other)), Weight::Live) if other.bearer.locator != shown.bearer.locator => {
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

impl Call<'_> {
    pub(super) fn token_claim(&self, text: &str) -> Result<Claim, Error> {
        if is_ticket(text) {
            let ticket = open_ticket(self.keys, &self.app.name, text, self.now);
            let ticket = self.verified(ticket).map_err(Error::TokenInvalid)?;
            return Ok(Claim::ticket(ticket.bearer));
        }
        let issued = self.verified(open_token(self.keys, &self.app.name, text)).map_err(Error::TokenInvalid)?;
        Ok(Claim::shown(self.shown_as(&issued, text), ClaimKind::Token))
    }
}
