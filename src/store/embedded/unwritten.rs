//! The data file while the disk refuses writes: what the database writes stays in memory.
//!
//! The database writes whenever it opens a file, if only to note that it did. With this it can be read all the same.
//! Nothing that is written here outlives the database, so nothing may be acknowledged for it.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, Range};

use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// A file, and what would be written to it.
#[derive(Debug)]
pub(super) struct Unwritten {
    file: FileBackend,
    writes: Mutex<Writes>,
}

#[derive(Debug)]
struct Writes {
    /// By number: the first has the first [`BLOCK`] bytes of the file.
    blocks: BTreeMap<u64, Vec<u8>>,
    length: u64,
    /// How much of the file was never cut off.
    file_length: u64,
}

impl Unwritten {
    pub(super) fn new(file: FileBackend) -> io::Result<Self> {
        let length = file.len()?;
        Ok(Self { file, writes: Mutex::new(Writes { blocks: BTreeMap::new(), length, file_length: length }) })
    }

    /// Reads what the file has. There are zeros behind its end.
    fn read_file(&self, file_length: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let rest = usize::try_from(file_length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (inside, behind) = out.split_at_mut(rest.min(out.len()));
        behind.fill(0);
        if inside.is_empty() { Ok(()) } else { self.file.read(offset, inside) }
    }
}

impl StorageBackend for Unwritten {
    fn len(&self) -> io::Result<u64> {
        Ok(self.writes.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let writes = self.writes.lock();
        if offset + out.len() as u64 > writes.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(writes.file_length, offset, out)?;
        for (number, in_block, in_out) in parts(offset, out.len()) {
            if let Some(block) = writes.blocks.get(&number) {
                out[in_out].copy_from_slice(&block[in_block]);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut writes = self.writes.lock();
        if length < writes.length {
            // What is cut off must not appear again if the file grows: its blocks become zeros.
            let first_cut = length.div_ceil(BLOCK as u64);
            writes.blocks.retain(|number, _| *number < first_cut);
            if let Some(last) = writes.blocks.get_mut(&(length / BLOCK as u64)) {
                last[offset_in_block(length)..].fill(0);
            }
            writes.file_length = writes.file_length.min(length);
        }
        writes.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut writes = self.writes.lock();
        for (number, in_block, in_data) in parts(offset, data.len()) {
            if !writes.blocks.contains_key(&number) {
                let mut block = vec![0; BLOCK];
                self.read_file(writes.file_length, number * BLOCK as u64, &mut block)?;
                writes.blocks.insert(number, block);
            }
            if let Some(block) = writes.blocks.get_mut(&number) {
                block[in_block].copy_from_slice(&data[in_data]);
            }
        }
        writes.length = writes.length.max(offset + data.len() as u64);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    // The file is locked as by a database that writes to it.

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// Cuts bytes at this offset into blocks: the number of each, and its part in the block and in the bytes.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let in_block = offset_in_block(at);
        let count = (BLOCK - in_block).min(length - done);
        done += count;
        (count > 0).then(|| (at / BLOCK as u64, in_block..in_block + count, done - count..done))
    })
}

fn offset_in_block(offset: u64) -> usize {
    usize::try_from(offset % BLOCK as u64).expect("it is less than a block")
}

const BLOCK: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn it_reads_what_was_written_and_the_file_stays_as_it_was() {
        let before = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect::<Vec<_>>();
        let mut named = tempfile::NamedTempFile::new().unwrap();
        named.write_all(&before).unwrap();
        let unwritten = Unwritten::new(FileBackend::new(named.reopen().unwrap()).unwrap()).unwrap();
        let mut expected = before.clone();
        let read_all = || {
            let mut all = vec![1; usize::try_from(unwritten.len().unwrap()).unwrap()];
            unwritten.read(0, &mut all).unwrap();
            all
        };

        for (offset, length) in [(4000, 200), (0, 1), (8191, 4098), (20_000, 10)] {
            unwritten.write(offset as u64, &vec![0xee; length]).unwrap();
            expected.resize(expected.len().max(offset + length), 0);
            expected[offset..offset + length].fill(0xee);
            assert_eq!(read_all(), expected);
        }
        for length in [9000, 15_000, 4100, 12_000] {
            unwritten.set_len(length as u64).unwrap();
            expected.resize(length, 0);
            assert_eq!(read_all(), expected);
        }

        assert!(unwritten.read(11_999, &mut [0; 2]).is_err());
        unwritten.sync_data().unwrap();
        assert_eq!(std::fs::read(named.path()).unwrap(), before);
    }
}
