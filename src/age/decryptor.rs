//! Decrypts what is read from it.

use std::fmt;
use std::io::{self, BufRead, Read};

use super::header;
use super::payload::{CHUNK, Chunks, NONCE_BYTES, Position, TAG};
use super::{Error, Identity};

/// Decrypts a file while it is read. It gives out no byte of a chunk that is not checked.
///
/// Reading fails with [`io::ErrorKind::UnexpectedEof`] if chunks are missing at the end, and with
/// [`io::ErrorKind::InvalidData`] if a chunk is damaged or cut.
pub struct Decryptor<R> {
    input: R,
    chunks: Chunks,
    /// The chunk that was decrypted last, and how much of it was read.
    chunk: Vec<u8>,
    read: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    First,
    Next,
    End,
    Failed,
}

impl<R: BufRead> Decryptor<R> {
    /// Reads the header, and begins to decrypt with one of these identities.
    pub fn new(mut input: R, identities: &[Identity]) -> Result<Self, Error> {
        let file_key = header::read(&mut input, identities)?;
        let mut nonce = [0; NONCE_BYTES];
        input.read_exact(&mut nonce).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Header,
            _ => Error::Input(error),
        })?;
        let (chunks, chunk) = (Chunks::new(&file_key, &nonce), Vec::with_capacity(CHUNK + TAG));
        Ok(Self { input, chunks, chunk, read: 0, state: State::First })
    }

    /// Reads and decrypts the next chunk.
    fn advance(&mut self) -> io::Result<()> {
        let is_first = self.state == State::First;
        self.state = State::Failed;
        self.chunk.clear();
        self.read = 0;
        let limit = CHUNK + TAG;
        self.input.by_ref().take(limit as u64).read_to_end(&mut self.chunk)?;
        let is_last = self.chunk.len() < limit || self.input.fill_buf()?.is_empty();
        if !is_last {
            self.state = State::Next;
            return if self.chunks.open(&mut self.chunk, Position::Middle) { Ok(()) } else { Err(self.fail(DAMAGED)) };
        }
        let sealed = self.chunk.clone();
        if self.chunks.open(&mut self.chunk, Position::Last) {
            // Only a file without content ends with an empty chunk.
            if self.chunk.is_empty() && !is_first {
                return Err(self.fail(DAMAGED));
            }
            self.state = State::End;
            return Ok(());
        }
        self.chunk = sealed;
        let is_cut = self.chunk.is_empty() || self.chunks.open(&mut self.chunk, Position::Middle);
        Err(self.fail(if is_cut { CUT } else { DAMAGED }))
    }

    fn fail(&mut self, (kind, why): (io::ErrorKind, &'static str)) -> io::Error {
        self.state = State::Failed;
        self.chunk.clear();
        io::Error::new(kind, why)
    }
}

impl<R: BufRead> BufRead for Decryptor<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.chunk.len() {
            match self.state {
                State::First | State::Next => self.advance()?,
                State::End => {}
                State::Failed => return Err(self.fail(DAMAGED)),
            }
        }
        Ok(&self.chunk[self.read..])
    }

    fn consume(&mut self, count: usize) {
        self.read = (self.read + count).min(self.chunk.len());
    }
}

impl<R: BufRead> Read for Decryptor<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(bytes)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R> fmt::Debug for Decryptor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decryptor(..)")
    }
}

const CUT: (io::ErrorKind, &str) = (io::ErrorKind::UnexpectedEof, "the encrypted file ends in the middle");

/// A chunk that is cut looks the same as one that is damaged.
const DAMAGED: (io::ErrorKind, &str) =
    (io::ErrorKind::InvalidData, "the encrypted file is damaged or cut; copy it again, or take another one");
