//! The text of tokens and tickets: `v1.<key id>.<random>.<mac>` and `t1.<key id>.<seconds>.<random>.<mac>`.
//!
//! Both may have a note about the cookie, a letter after the version, as in `v1s.` and `t1k.`. The signature covers it.
//!
//! The signature is checked, in constant time, before anything else is read. Only the canonical spelling is accepted,
//! so that no token can be written in two ways.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::key::KeyPurpose;
use super::{Key, KeyId, KeyRing, SplitToken, length_prefix};
use crate::types::{AppName, Time};

/// How long a ticket can be used.
pub const TICKET_LIFE: Duration = Duration::from_secs(15 * 60);

/// The note of an open to the save of the same request about the browser's cookie, in the text of a token or a ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieNote {
    /// Nothing: the browser has this very token, or no cookie leads to the new session of this ticket.
    #[default]
    None,
    /// The browser has another credential of this session. Every response sets the cookie.
    Set,
    /// The browser has another credential of this session, and may be about to get the cookie of a login. Only a
    /// response to a rotation sets the cookie.
    Keep,
}

/// A token or a ticket with a valid signature.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedToken {
    /// The token of the session; of a ticket the one that the session will have once it is stored.
    pub token: SplitToken,
    /// The note in the text. For a token of a key that signs no more it is at least [`CookieNote::Set`].
    pub note: CookieNote,
    pub is_ticket: bool,
}

/// The kinds of text that are accepted.
#[derive(Clone, Copy, Debug)]
pub enum AcceptedText {
    /// A token and no ticket, as in a cookie.
    Token,
    /// A token, or a ticket that is at most [`TICKET_LIFE`] old at `now`.
    TokenOrTicket { now: Time },
}

/// The claims that a signature covers, besides the key and the app.
#[derive(Clone, Copy)]
struct Claims {
    token: SplitToken,
    note: CookieNote,
    /// When a ticket was issued, in seconds since 1970; `None`: it is a token.
    issued: Option<u64>,
}

impl Claims {
    const fn purpose(&self) -> KeyPurpose {
        if self.issued.is_some() { KeyPurpose::Ticket } else { KeyPurpose::Token }
    }
}

/// Why a token or a ticket is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRejection {
    Malformed,
    /// It is signed with a key that the app does not have.
    UnknownKey,
    /// It is forged, or of another app.
    BadSignature,
    /// It is a ticket older than [`TICKET_LIFE`].
    TooOld,
}

impl TokenRejection {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Malformed, Self::UnknownKey, Self::BadSignature, Self::TooOld];

    /// The reason as programs read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::TooOld => "TOO_OLD",
        }
    }
}

impl fmt::Display for TokenRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not written as a token",
            Self::UnknownKey => "it is signed with a key that the app does not have",
            Self::BadSignature => "its signature is wrong: it is forged or of another app",
            Self::TooOld => "it is a ticket older than 15 minutes",
        })
    }
}

/// Whether a text begins like a token or a ticket, valid or not.
pub fn looks_like_token(text: &str) -> bool {
    split_version(text).is_some()
}

/// Whether a text begins like a ticket, valid or not.
pub fn is_ticket(text: &str) -> bool {
    split_version(text).is_some_and(|(purpose, ..)| purpose == KeyPurpose::Ticket)
}

/// Reads the id of the key in a token or a ticket, without a check of the signature.
pub fn claimed_key(text: &str) -> Option<KeyId> {
    let (_, _, rest) = split_version(text)?;
    rest.split('.').next().and_then(KeyId::parse)
}

/// Signs a token with the app's first key.
pub fn sign_token(ring: &KeyRing, app: &AppName, token: SplitToken) -> String {
    sign_noted_token(ring, app, token, CookieNote::None)
}

/// Signs a token and a note with the app's first key.
pub fn sign_noted_token(ring: &KeyRing, app: &AppName, token: SplitToken, note: CookieNote) -> String {
    sign(ring.signing(), app, &Claims { token, note, issued: None })
}

/// Signs a ticket for `token`, issued at `now`.
pub fn sign_ticket(ring: &KeyRing, app: &AppName, token: SplitToken, now: Time) -> String {
    sign_noted_ticket(ring, app, token, CookieNote::None, now)
}

/// Signs a ticket for `token` and a note, issued at `now`.
pub fn sign_noted_ticket(ring: &KeyRing, app: &AppName, token: SplitToken, note: CookieNote, now: Time) -> String {
    sign(ring.signing(), app, &Claims { token, note, issued: Some(now.seconds()) })
}

/// Reads a token or a ticket, whatever is accepted, and checks its signature.
pub fn verify_token(
    ring: &KeyRing,
    app: &AppName,
    text: &str,
    accept: AcceptedText,
) -> Result<VerifiedToken, TokenRejection> {
    let (purpose, note, rest) = split_version(text).ok_or(TokenRejection::Malformed)?;
    if rest.len() > MAX_TEXT {
        return Err(TokenRejection::Malformed);
    }
    let mut parts = rest.split('.');
    let mut part = || parts.next().ok_or(TokenRejection::Malformed);
    let key_id = KeyId::parse(part()?).ok_or(TokenRejection::Malformed)?;
    let times = match (purpose, accept) {
        (KeyPurpose::Token | KeyPurpose::Rotation, _) => None,
        (KeyPurpose::Ticket, AcceptedText::Token) => return Err(TokenRejection::Malformed),
        (KeyPurpose::Ticket, AcceptedText::TokenOrTicket { now }) => {
            Some((canonical_number(part()?).ok_or(TokenRejection::Malformed)?, now))
        }
    };
    let (random, signature) = (decode(part()?)?, decode(part()?)?);
    if part().is_ok() {
        return Err(TokenRejection::Malformed);
    }
    let key = ring.find(key_id).ok_or(TokenRejection::UnknownKey)?;
    let claims = Claims { token: SplitToken::from_bytes(random), note, issued: times.map(|(issued, _)| issued) };
    mac(key, app, &claims).verify_slice(&signature).map_err(|_| TokenRejection::BadSignature)?;
    if times.is_some_and(|(issued, now)| now.seconds().saturating_sub(issued) > TICKET_LIFE.as_secs()) {
        return Err(TokenRejection::TooOld);
    }
    let is_ticket = times.is_some();
    // A token of a key that signs no more is issued anew.
    let is_outdated = !is_ticket && key_id != ring.signing().id();
    let note = if is_outdated && note == CookieNote::None { CookieNote::Set } else { note };
    Ok(VerifiedToken { token: claims.token, note, is_ticket })
}

fn sign(key: &Key, app: &AppName, claims: &Claims) -> String {
    let mac = mac(key, app, claims).finalize().into_bytes();
    let mut text = String::with_capacity(MAX_TEXT);
    text.push_str(version(claims.purpose(), claims.note));
    URL_SAFE_NO_PAD.encode_string(key.id().as_bytes(), &mut text);
    text.push('.');
    if let Some(seconds) = claims.issued {
        text.push_str(&seconds.to_string());
        text.push('.');
    }
    URL_SAFE_NO_PAD.encode_string(claims.token.to_bytes(), &mut text);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(mac, &mut text);
    text
}

/// Computes the signature over version and purpose, key id, app, time of issue, the random part and the note.
fn mac(key: &Key, app: &AppName, claims: &Claims) -> Hmac<Sha256> {
    let purpose = claims.purpose();
    let mut mac = key.mac(purpose);
    let mut add = |part: &[u8]| {
        mac.update(&length_prefix(part));
        mac.update(part);
    };
    add(purpose.label());
    add(key.id().as_bytes());
    add(app.as_bytes());
    if let Some(seconds) = claims.issued {
        add(&seconds.to_be_bytes());
    }
    add(&claims.token.to_bytes());
    match claims.note {
        CookieNote::None => {}
        CookieNote::Set => add(b"set"),
        CookieNote::Keep => add(b"keep"),
    }
    mac
}

fn decode(text: &str) -> Result<[u8; 32], TokenRejection> {
    let mut buffer = [0; 33];
    // The engine refuses unused bits that are not zero, so each value has one spelling.
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).map_err(|_| TokenRejection::Malformed)?;
    <[u8; 32]>::try_from(&buffer[..length]).map_err(|_| TokenRejection::Malformed)
}

fn canonical_number(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// How the text of a token or a ticket with this note begins.
const fn version(purpose: KeyPurpose, note: CookieNote) -> &'static str {
    match (purpose, note) {
        (KeyPurpose::Ticket, CookieNote::None) => "t1.",
        (KeyPurpose::Ticket, CookieNote::Set) => "t1s.",
        (KeyPurpose::Ticket, CookieNote::Keep) => "t1k.",
        (KeyPurpose::Token | KeyPurpose::Rotation, CookieNote::None) => "v1.",
        (KeyPurpose::Token | KeyPurpose::Rotation, CookieNote::Set) => "v1s.",
        (KeyPurpose::Token | KeyPurpose::Rotation, CookieNote::Keep) => "v1k.",
    }
}

/// Reads how a text begins, as [`version`] writes it. Returns what the text claims to be, and the rest.
///
/// `None`: it is neither a token nor a ticket.
fn split_version(text: &str) -> Option<(KeyPurpose, CookieNote, &str)> {
    let (version, rest) = text.split_once('.')?;
    let (purpose, note) = match version {
        "t1" => (KeyPurpose::Ticket, CookieNote::None),
        "t1s" => (KeyPurpose::Ticket, CookieNote::Set),
        "t1k" => (KeyPurpose::Ticket, CookieNote::Keep),
        "v1" => (KeyPurpose::Token, CookieNote::None),
        "v1s" => (KeyPurpose::Token, CookieNote::Set),
        "v1k" => (KeyPurpose::Token, CookieNote::Keep),
        _ => return None,
    };
    Some((purpose, note, rest))
}

const MAX_TEXT: usize = 4 + 8 + 1 + 20 + 1 + 43 + 1 + 43;
