//! Encrypts what is written to it.

use std::io::{self, Write};
use std::{fmt, mem};

use super::Recipient;
use super::header::{self, FileKey};
use super::payload::{CHUNK, Chunks, NONCE_BYTES, Position, TAG};
use crate::types::random;

/// Encrypts what is written to it, to some recipients. What it has written is whole only after [`Self::finish`].
pub struct Encryptor<W> {
    output: W,
    chunks: Chunks,
    /// The chunk that is not encrypted yet. It may be the last one, so it is kept until something follows it.
    chunk: Vec<u8>,
}

impl<W: Write> Encryptor<W> {
    /// Begins to encrypt, and writes the header. Without recipients nobody can decrypt it.
    pub fn new(mut output: W, recipients: &[Recipient]) -> io::Result<Self> {
        let file_key = FileKey::generate();
        let nonce = random::bytes::<NONCE_BYTES>();
        output.write_all(&header::write(&file_key, recipients))?;
        output.write_all(&nonce)?;
        let (chunks, chunk) = (Chunks::new(&file_key, &nonce), Vec::with_capacity(CHUNK + TAG));
        Ok(Self { output, chunks, chunk })
    }

    /// Encrypts these bytes. The last of them are written later.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK {
                self.write_chunk(Position::Middle)?;
            }
            let (fits, rest) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(fits);
            bytes = rest;
        }
        Ok(())
    }

    /// Writes the last chunk. Returns what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(Position::Last)?;
        Ok(self.output)
    }

    fn write_chunk(&mut self, position: Position) -> io::Result<()> {
        let mut chunk = mem::take(&mut self.chunk);
        self.chunks.seal(&mut chunk, position);
        self.output.write_all(&chunk)?;
        chunk.clear();
        self.chunk = chunk;
        Ok(())
    }
}

impl<W> fmt::Debug for Encryptor<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encryptor(..)")
    }
}
