//! The header: the key of the file, encrypted to each recipient, and a MAC of all of it.

use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::hmac;
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};

use super::payload::{Cipher, derive_key};
use super::{Error, Identity, Recipient};
use crate::types::random;

/// The first line of each file.
const FIRST_LINE: &str = "age-encryption.org/v1\n";

/// The key that the other keys of a file come from.
#[derive(Clone)]
pub(super) struct FileKey([u8; 16]);

impl FileKey {
    pub(super) fn generate() -> Self {
        Self(random::bytes())
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn mac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &derive_key(&self.0, &[], b"header"))
    }
}

/// Makes the header of a file for these recipients.
pub(super) fn write(file_key: &FileKey, recipients: &[Recipient]) -> Vec<u8> {
    let mut header = FIRST_LINE.to_owned();
    for recipient in recipients {
        let ephemeral = StaticSecret::from(random::bytes::<32>());
        let share = PublicKey::from(&ephemeral);
        let secret = ephemeral.diffie_hellman(&recipient.0);
        let mut body = file_key.0.to_vec();
        wrapping_cipher(&secret, &share, &recipient.0).seal(&mut body);
        header += &format!("-> {X25519} {}\n{}\n", STANDARD_NO_PAD.encode(share), STANDARD_NO_PAD.encode(body));
    }
    header += FOOTER;
    let mac = hmac::sign(&file_key.mac_key(), header.as_bytes());
    header += &format!(" {}\n", STANDARD_NO_PAD.encode(mac));
    header.into_bytes()
}

/// Reads a header, and finds the key of the file with one of these identities.
pub(super) fn read(input: &mut impl BufRead, identities: &[Identity]) -> Result<FileKey, Error> {
    let text = read_text(input)?;
    let mut lines = text.split('\n').skip(1);
    let (mut stanzas, mut footer) = (Vec::new(), "");
    while let Some(line) = lines.next() {
        if line.starts_with(FOOTER) {
            footer = line;
            break;
        }
        stanzas.push(Stanza::parse(line, &mut lines).ok_or(Error::Header)?);
    }
    let mac = footer.strip_prefix(FOOTER).and_then(|rest| decode(rest.strip_prefix(' ')?)).ok_or(Error::Header)?;
    let file_key = find_key(&stanzas, identities)?;
    let authenticated = &text[..text.len() - footer.len() - 1 + FOOTER.len()];
    hmac::verify(&file_key.mac_key(), authenticated.as_bytes(), &mac).map_err(|_| Error::Header)?;
    Ok(file_key)
}

/// Reads the lines of a header, up to the one with the MAC.
fn read_text(input: &mut impl BufRead) -> Result<String, Error> {
    let mut input = input.take(MAX_BYTES);
    let mut text = Vec::new();
    input.read_until(b'\n', &mut text)?;
    if text != FIRST_LINE.as_bytes() {
        return Err(if text.starts_with(b"age-encryption.org/") { Error::Version } else { Error::Header });
    }
    loop {
        let begin = text.len();
        input.read_until(b'\n', &mut text)?;
        if text.last() != Some(&b'\n') || text.len() == begin {
            return Err(Error::Header);
        }
        if text[begin..].starts_with(FOOTER.as_bytes()) {
            return String::from_utf8(text).map_err(|_| Error::Header);
        }
    }
}

fn find_key(stanzas: &[Stanza<'_>], identities: &[Identity]) -> Result<FileKey, Error> {
    if stanzas.iter().any(|stanza| stanza.arguments[0] == SCRYPT) {
        // A passphrase and recipients together are forbidden: everybody who knows it could make such a file.
        return Err(if stanzas.len() == 1 { Error::Passphrase } else { Error::Header });
    }
    let shares = stanzas.iter().filter(|stanza| stanza.arguments[0] == X25519);
    let shares =
        shares.map(|stanza| X25519Stanza::parse(stanza).ok_or(Error::Header)).collect::<Result<Vec<_>, _>>()?;
    for share in &shares {
        for identity in identities {
            if let Some(key) = share.unwrap(identity)? {
                return Ok(key);
            }
        }
    }
    Err(Error::NoMatch)
}

/// What the header has for one recipient, of any kind.
struct Stanza<'t> {
    /// At least one: the first says of which kind it is.
    arguments: Vec<&'t str>,
    body: Vec<u8>,
}

impl<'t> Stanza<'t> {
    /// Reads one from its first line, and from those that follow.
    fn parse(line: &'t str, lines: &mut impl Iterator<Item = &'t str>) -> Option<Self> {
        let arguments: Vec<&str> = line.strip_prefix("-> ")?.split(' ').collect();
        let is_argument = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !arguments.iter().all(is_argument) {
            return None;
        }
        let mut body = Vec::new();
        loop {
            let line = lines.next()?;
            body.extend(decode(line).filter(|_| line.len() <= COLUMNS)?);
            // The last one is shorter, or empty.
            if line.len() < COLUMNS {
                return Some(Self { arguments, body });
            }
        }
    }
}

/// The key of the file, encrypted to an X25519 key.
struct X25519Stanza {
    share: PublicKey,
    /// 16 bytes of the key, and 16 of its authentication.
    body: [u8; 32],
}

impl X25519Stanza {
    fn parse(stanza: &Stanza<'_>) -> Option<Self> {
        let [_, share] = stanza.arguments[..] else { return None };
        let share: [u8; 32] = decode(share)?.try_into().ok()?;
        Some(Self { share: PublicKey::from(share), body: stanza.body.clone().try_into().ok()? })
    }

    /// Decrypts the key; `None`: it is encrypted to another recipient.
    fn unwrap(&self, identity: &Identity) -> Result<Option<FileKey>, Error> {
        let secret = identity.0.diffie_hellman(&self.share);
        if !secret.was_contributory() {
            return Err(Error::Header);
        }
        let mut body = self.body.to_vec();
        let key = wrapping_cipher(&secret, &self.share, &PublicKey::from(&identity.0)).open(&mut body);
        Ok(key.and_then(|key| key.try_into().ok()).map(FileKey))
    }
}

fn wrapping_cipher(secret: &SharedSecret, share: &PublicKey, recipient: &PublicKey) -> Cipher {
    let salt = [*share.as_bytes(), *recipient.as_bytes()].concat();
    Cipher::new(derive_key(secret.as_bytes(), &salt, b"age-encryption.org/v1/X25519"), [0; 12])
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

const X25519: &str = "X25519";
const SCRYPT: &str = "scrypt";
const FOOTER: &str = "---";

/// The length of a full line of a body.
const COLUMNS: usize = 64;

/// The most bytes of a header, which are enough for thousands of recipients.
const MAX_BYTES: u64 = 1024 * 1024;
