//! The content: chunks of 64 KiB, each encrypted with its number, and with whether it is the last.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use super::header::FileKey;

/// ChaCha20-Poly1305 with a key and a nonce, which are used once.
pub(super) struct Cipher {
    key: LessSafeKey,
    nonce: [u8; NONCE_LEN],
}

impl Cipher {
    pub(super) fn new(key: [u8; 32], nonce: [u8; NONCE_LEN]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("a key has 32 bytes");
        Self { key: LessSafeKey::new(key), nonce }
    }

    /// Encrypts in place, and appends 16 bytes.
    pub(super) fn seal(&self, bytes: &mut Vec<u8>) {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), bytes);
        sealed.expect("a chunk is far below the limit of the cipher");
    }

    /// Decrypts in place; `None` if it was encrypted by another key or nonce, or was changed. Then the bytes are of no use.
    pub(super) fn open<'b>(&self, bytes: &'b mut [u8]) -> Option<&'b [u8]> {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        self.key.open_in_place(nonce, Aad::empty(), bytes).ok().map(|opened| &*opened)
    }
}

/// The cipher of the content, at its next chunk.
pub(super) struct Chunks {
    cipher: Cipher,
    /// The number of the next chunk.
    number: u64,
}

/// Whether a chunk is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Middle,
    Last,
}

impl Chunks {
    /// `nonce` is what stands before the first chunk.
    pub(super) fn new(file_key: &FileKey, nonce: &[u8; NONCE_BYTES]) -> Self {
        let key = derive_key(file_key.as_bytes(), nonce, b"payload");
        Self { cipher: Cipher::new(key, [0; NONCE_LEN]), number: 0 }
    }

    /// Encrypts the next chunk in place.
    pub(super) fn seal(&mut self, chunk: &mut Vec<u8>, position: Position) {
        self.set_nonce(position);
        self.cipher.seal(chunk);
        self.number += 1;
    }

    /// Decrypts the next chunk, and cuts off its authentication. Returns whether it is the chunk of this position.
    ///
    /// If not, the bytes are of no use any more.
    pub(super) fn open(&mut self, chunk: &mut Vec<u8>, position: Position) -> bool {
        self.set_nonce(position);
        let Some(length) = self.cipher.open(chunk).map(<[u8]>::len) else { return false };
        chunk.truncate(length);
        self.number += 1;
        true
    }

    fn set_nonce(&mut self, position: Position) {
        self.cipher.nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        self.cipher.nonce[11] = u8::from(position == Position::Last);
    }
}

/// Derives a key by HKDF-SHA256.
pub(super) fn derive_key(secret: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(secret);
    let filled = pseudorandom.expand(&[info], HKDF_SHA256).and_then(|output| output.fill(&mut key));
    filled.expect("32 bytes are what was asked for");
    key
}

/// The bytes before the first chunk.
pub(super) const NONCE_BYTES: usize = 16;

/// The bytes of a chunk before it is encrypted. Only the last one has fewer.
pub(super) const CHUNK: usize = 64 * 1024;

/// The bytes of authentication at the end of each chunk.
pub(super) const TAG: usize = 16;
