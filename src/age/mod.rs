//! Encrypted files in age's format, version 1, for X25519 keys: <https://c2sp.org/age>.
//!
//! A header has the file's key, encrypted to each recipient. After that comes the content in chunks, each of them
//! authenticated, so that neither a change nor a cut stays unnoticed. Knows nothing of what it encrypts. The crate `age`
//! does the same, and brings 92 others. This is checked against the test vectors of the format, and against `age` itself.
//!
//! Passphrases, SSH keys, plugins and armor are left to `age`.

mod decryptor;
mod encryptor;
mod error;
mod header;
mod key;
mod payload;

pub use decryptor::Decryptor;
pub use encryptor::Encryptor;
pub use error::{Error, KeyError};
pub use key::{Identity, Recipient};
