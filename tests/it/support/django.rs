//! Signs as Django does. `tests/it/django/vectors.rs` compares it with the real Django.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::django::{COOKIE_SALT, ROW_SALT};
use cloakroom::types::Time;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// A cookie of the backend `signed_cookies`, with this JSON.
pub(crate) fn cookie(key: &str, json: &str, at: Time) -> String {
    sign(key, COOKIE_SALT, &URL_SAFE_NO_PAD.encode(json), at)
}

/// What the backend `db` stores in a row, with this JSON.
pub(crate) fn row(key: &str, json: &str, at: Time) -> String {
    sign(key, ROW_SALT, &URL_SAFE_NO_PAD.encode(json), at)
}

/// Signs a payload that is encoded already.
pub(crate) fn sign(key: &str, salt: &str, payload: &str, at: Time) -> String {
    let derived = Sha256::new().chain_update(salt).chain_update("signer").chain_update(key).finalize();
    let signed = format!("{payload}:{}", base62(at.seconds()));
    let mac = Hmac::<Sha256>::new_from_slice(&derived).unwrap().chain_update(&signed).finalize();
    format!("{signed}:{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()))
}

fn base62(mut number: u64) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    while number > 0 || text.is_empty() {
        text.insert(0, char::from(digits[usize::try_from(number % 62).unwrap()]));
        number /= 62;
    }
    text.into_iter().collect()
}
