//! Why a file cannot be decrypted, and why a text is no key.

use std::io;

/// Why a file cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it cannot be read")]
    Input(#[from] io::Error),
    #[error("it is encrypted, and its header is damaged or cut; copy it again, or take another one")]
    Header,
    #[error("it is encrypted by a version of age that this program does not know; decrypt it with `age --decrypt`")]
    Version,
    #[error("it is encrypted with a passphrase; decrypt it with `age --decrypt`")]
    Passphrase,
    #[error("it is encrypted to others: no identity that was given opens it; give the identity of a recipient")]
    NoMatch,
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
