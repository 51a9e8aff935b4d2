//! Reads an export, and checks each block before anything of it is used.
//!
//! The first line says what the file is, and its format. After that come blocks: a length and a checksum in four bytes
//! each, and items. The checksum includes the number of the block, so that none can be missing, repeated or moved.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, Read as _};

use super::item::{Counts, ExportedApp, Item};
use crate::types::{AppName, counted};

/// Reads the items of an export.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// The number of the next block.
    block: u64,
    /// Those of the last block that was read.
    items: VecDeque<Item>,
    counts: Counts,
    /// The version of the program that wrote the file, when it is known.
    program: Option<String>,
    has_ended: bool,
}

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("it cannot be read")]
    Input(#[from] io::Error),
    #[error("it is no export of cloakroom; if it is encrypted or compressed, undo that first, and import from stdin")]
    Foreign,
    #[error("it has format {0}, and this program reads format {FORMAT}; use a newer cloakroom")]
    NewerFormat(String),
    #[error("it has something that this program does not know; use the cloakroom that wrote it, {0}, or a newer one")]
    Unknown(String),
    #[error(
        "it ends in the middle, after {}: the export did not finish, or the copy is not complete; copy it again, or take \
         another export",
        counted(*.sessions, "session", "sessions")
    )]
    Truncated { sessions: u64 },
    #[error(
        "it is damaged, after {}: a checksum is wrong; copy it again, or take another export",
        counted(*.sessions, "session", "sessions")
    )]
    Damaged { sessions: u64 },
}

impl<R: BufRead> Reader<R> {
    /// Begins to read, and checks that this is an export that the program can read.
    pub fn new(mut input: R) -> Result<Self, FileError> {
        let mut line = Vec::new();
        input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| unreadable(error, 0))?;
        let format = line.strip_prefix(FIRST_WORDS.as_bytes()).ok_or(FileError::Foreign)?;
        let format = std::str::from_utf8(format).map_err(|_| FileError::Foreign)?.trim_end();
        if format.parse::<u32>().is_err() {
            return Err(FileError::Foreign);
        }
        if format != FORMAT.to_string() {
            return Err(FileError::NewerFormat(format.to_owned()));
        }
        let (items, counts) = (VecDeque::new(), Counts::default());
        Ok(Self { input, block: 0, items, counts, program: None, has_ended: false })
    }

    /// Reads the next item; `None` at the end of a complete file.
    pub(in crate::store) fn next(&mut self) -> Result<Option<Item>, FileError> {
        loop {
            if let Some(item) = self.items.pop_front() {
                self.check(&item)?;
                self.counts.add(&item);
                return Ok(Some(item));
            }
            if self.has_ended {
                return Ok(None);
            }
            self.read_block()?;
        }
    }

    /// Reads to the end. Returns the apps of the file, and how many sessions they have.
    pub fn check_all(mut self) -> Result<BTreeMap<AppName, u64>, FileError> {
        let (mut apps, mut app) = (BTreeMap::new(), None);
        while let Some(item) = self.next()? {
            match (item, &app) {
                (Item::App(ExportedApp { name, .. }), _) => app = Some(name),
                (Item::Session { .. }, Some(app)) => *apps.entry(AppName::clone(app)).or_default() += 1,
                _ => {}
            }
        }
        Ok(apps)
    }

    fn check(&mut self, item: &Item) -> Result<(), FileError> {
        match item {
            Item::Program(version) => self.program = Some(version.clone()),
            Item::End(counts) if *counts != self.counts || !self.items.is_empty() => return Err(self.damaged()),
            Item::End(_) => {
                self.has_ended = true;
                if self.input.read(&mut [0])? > 0 {
                    return Err(self.damaged());
                }
            }
            Item::App(_) | Item::Session { .. } | Item::Revocation(_) => {}
        }
        Ok(())
    }

    fn read_block(&mut self) -> Result<(), FileError> {
        let (mut length, mut checksum) = ([0; 4], [0; 4]);
        self.fill(&mut length)?;
        self.fill(&mut checksum)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_BLOCK {
            return Err(self.damaged());
        }
        let mut block = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.fill(&mut block)?;
        if checksum != self::checksum(self.block, &block) {
            return Err(self.damaged());
        }
        let unknown = || {
            let program = self.program.clone();
            FileError::Unknown(program.unwrap_or_else(|| "whose version is not in it".to_owned()))
        };
        self.items = Item::decode_all(&block).ok_or_else(unknown)?.into();
        self.block += 1;
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), FileError> {
        self.input.read_exact(bytes).map_err(|error| unreadable(error, self.counts.sessions))
    }

    const fn damaged(&self) -> FileError {
        FileError::Damaged { sessions: self.counts.sessions }
    }
}

/// An encrypted file that is cut fails as one that ends too early.
fn unreadable(error: io::Error, sessions: u64) -> FileError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => FileError::Truncated { sessions },
        _ => FileError::Input(error),
    }
}

/// Makes a block of the file from items.
pub(in crate::store) fn block(number: u64, items: &[u8]) -> Vec<u8> {
    let length = u32::try_from(items.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length, &checksum(number, items), items].concat()
}

/// The first line of the file.
pub(in crate::store) fn first_line() -> Vec<u8> {
    format!("{FIRST_WORDS}{FORMAT}\n").into_bytes()
}

fn checksum(number: u64, items: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_be_bytes());
    hasher.update(items);
    hasher.finalize().to_be_bytes()
}

const FIRST_WORDS: &str = "cloakroom export, format ";

/// Grows when an older program could not read the file, or would read it wrongly.
const FORMAT: u32 = 1;

/// The most bytes that the first line is looked for in.
const MAX_LINE: u64 = 64;

/// The most bytes of a block: one session may be large, and a damaged length must not take all memory.
const MAX_BLOCK: u32 = 256 * 1024 * 1024;
