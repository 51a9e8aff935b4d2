//! The secret keys of an application.

use sha2::{Digest as _, Sha256};

use crate::token::KeyId;

/// Checks a list of keys, and returns their public ids in the same order.
///
/// A key may have any length, because it is the application's. With a guessed key any session can be forged.
pub fn key_ids<K: AsRef<[u8]>>(keys: &[K]) -> Result<Vec<KeyId>, KeysError> {
    let mut ids = Vec::with_capacity(keys.len());
    for secret in keys.iter().map(AsRef::as_ref) {
        let id = key_id(secret);
        if secret.is_empty() {
            return Err(KeysError::EmptyKey);
        }
        if ids.contains(&id) {
            return Err(KeysError::Repeated { id });
        }
        ids.push(id);
    }
    if ids.is_empty() { Err(KeysError::Empty) } else { Ok(ids) }
}

/// Why a list of keys is not accepted. The message never contains a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("the list of keys is empty; it takes the application's SECRET_KEY")]
    Empty,
    #[error("a key is empty: anybody could sign with it")]
    EmptyKey,
    #[error("the key {id} is in the list twice; remove one")]
    Repeated { id: KeyId },
}

/// Computes a key's public id. Like every signed cookie, it lets a guess of the key be checked, and no more.
fn key_id(secret: &[u8]) -> KeyId {
    let hash = Sha256::new().chain_update(b"cloakroom/v1/flask-key-id").chain_update(secret).finalize();
    let mut id = [0; 6];
    id.copy_from_slice(&hash[..6]);
    KeyId::from_bytes(id)
}
