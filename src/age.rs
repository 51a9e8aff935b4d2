//! Encrypted files in age's format, for X25519 keys: <https://age-encryption.org/v1>.
//!
//! The crate `age` does it. Here are the kinds of keys that exports have, and errors that say what to do. Passphrases, SSH
//! keys, plugins and armor are left to the program `age`.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use age::secrecy::ExposeSecret as _;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, x25519};

/// A public key, which encrypts and does nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl Recipient {
    /// Reads `age1…`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if is_secret(text) {
            return Err(KeyError::IdentityAsRecipient);
        }
        if is_key(text, RECIPIENT) {
            return text.parse().map(Self).map_err(|_| KeyError::Checksum);
        }
        // Such as age1pq1…, age1yubikey1… and keys of SSH. The data of a key has no 1.
        let is_other = text.strip_prefix(RECIPIENT).is_some_and(|data| data.contains('1')) || text.starts_with("ssh-");
        Err(if is_other { KeyError::Unsupported } else { KeyError::NoRecipient })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A secret key, which decrypts what is encrypted to its recipient.
#[derive(Clone)]
pub struct Identity(x25519::Identity);

impl Identity {
    /// Makes a new one.
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Reads `AGE-SECRET-KEY-1…`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(RECIPIENT) {
            return Err(KeyError::RecipientAsIdentity);
        }
        if is_key(text, IDENTITY) {
            return text.parse().map(Self).map_err(|_| KeyError::Checksum);
        }
        let is_other = text.starts_with("AGE-PLUGIN-") || text.starts_with("AGE-SECRET-KEY-PQ-");
        Err(if is_other || text.contains("PRIVATE KEY-----") { KeyError::Unsupported } else { KeyError::NoIdentity })
    }

    /// The public key of it.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// The text that [`Self::parse`] reads.
    pub fn expose(&self) -> String {
        self.0.to_string().expose_secret().to_owned()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

fn is_secret(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    text.starts_with("AGE-SECRET-KEY-") || text.starts_with("AGE-PLUGIN-")
}

fn is_key(text: &str, prefix: &str) -> bool {
    text.starts_with(prefix) && text.len() == prefix.len() + DATA_LENGTH
}

/// Encrypts what is written to it, to some recipients. What it has written is whole only after [`Self::finish`].
pub struct Encryptor<W: Write>(StreamWriter<W>);

impl<W: Write> Encryptor<W> {
    /// Begins to encrypt, and writes the header. Fails without recipients, for nobody could decrypt it.
    pub fn new(output: W, recipients: &[Recipient]) -> io::Result<Self> {
        let recipients = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        encryptor.wrap_output(output).map(Self)
    }

    /// Encrypts these bytes. The last of them are written later.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Writes the last bytes. Returns what was written to.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> fmt::Debug for Encryptor<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encryptor(..)")
    }
}

/// Decrypts a file while it is read. It gives out no byte that is not checked.
///
/// Reading fails with [`io::ErrorKind::UnexpectedEof`] if the file ends in the middle, and with
/// [`io::ErrorKind::InvalidData`] if it is damaged, or cut at another place.
pub struct Decryptor<R>(StreamReader<R>);

impl<R: BufRead> Decryptor<R> {
    /// Reads the header, and begins to decrypt with one of these identities.
    pub fn new(mut input: R, identities: &[Identity]) -> Result<Self, Error> {
        // The crate takes a damaged header of this version for one of another version.
        let is_known = input.fill_buf().map_err(Error::Input)?.starts_with(FIRST_LINE);
        let decryptor = age::Decryptor::new_buffered(input).map_err(|error| match error {
            DecryptError::UnknownFormat if !is_known => Error::Version,
            error => error.into(),
        })?;
        if decryptor.is_scrypt() {
            return Err(Error::Passphrase);
        }
        let identities = identities.iter().map(|identity| &identity.0 as &dyn age::Identity);
        Ok(Self(decryptor.decrypt(identities)?))
    }
}

impl<R: Read> Read for Decryptor<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes).map_err(|error| match error.kind() {
            kind @ io::ErrorKind::UnexpectedEof => io::Error::new(kind, "the encrypted file ends in the middle"),
            kind @ io::ErrorKind::InvalidData => {
                let why = "the encrypted file is damaged or cut; copy it again, or take another one";
                io::Error::new(kind, why)
            }
            _ => error,
        })
    }
}

impl<R> fmt::Debug for Decryptor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decryptor(..)")
    }
}

/// Why a file cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("it cannot be read")]
    Input(#[source] io::Error),
    /// Its header is not that of an encrypted file, or not whole.
    #[error("it is encrypted, and its header is damaged or cut; copy it again, or take another one")]
    Header,
    /// Its version is not known here.
    #[error("it is encrypted by a version of age that this program does not know")]
    Version,
    /// It is encrypted with a passphrase.
    #[error("it is encrypted with a passphrase")]
    Passphrase,
    /// It is encrypted to other recipients.
    #[error("it is encrypted to others: no identity that was given opens it; give the identity of a recipient")]
    NoMatch,
}

impl From<DecryptError> for Error {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => Self::Input(error),
            DecryptError::NoMatchingKeys => Self::NoMatch,
            _ => Self::Header,
        }
    }
}

/// Why a text is no recipient, or no identity. Never has the text, which may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("this is an identity, which is secret, and no recipient; give its public key, age1…")]
    IdentityAsRecipient,
    #[error("this is a recipient, and no identity; give the secret key of it, AGE-SECRET-KEY-1…")]
    RecipientAsIdentity,
    #[error(
        "keys of this kind are for `age` itself; give an X25519 key, age1…, or send the file through a pipe to `age`"
    )]
    Unsupported,
    #[error("this is no recipient; a recipient is age1… and has 62 characters")]
    NoRecipient,
    #[error("this is no identity; an identity is AGE-SECRET-KEY-1… and has 74 characters")]
    NoIdentity,
    #[error("it has a mistake: its checksum is wrong; copy the whole key again")]
    Checksum,
}

/// How each file of this version begins.
const FIRST_LINE: &[u8] = b"age-encryption.org/v1\n";

const RECIPIENT: &str = "age1";
const IDENTITY: &str = "AGE-SECRET-KEY-1";

/// The characters after the prefix: 52 for the key, 6 for a checksum.
const DATA_LENGTH: usize = 58;
