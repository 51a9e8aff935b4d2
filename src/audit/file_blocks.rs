//! Reads a file of the audit log from its end to its begin, a block at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// The blocks of a file that were not read yet.
pub(super) struct FileBlocks {
    file: File,
    /// All bytes from here on were read.
    begin: u64,
    /// The end of a line whose begin was not read yet.
    line_end: Vec<u8>,
}

impl FileBlocks {
    pub(super) fn new(file: File) -> io::Result<Self> {
        Ok(Self { begin: file.metadata()?.len(), file, line_end: Vec::new() })
    }

    /// Returns the whole lines of the next block, in the order of the file. `None` at the begin of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.begin == 0 {
            return Ok(None);
        }
        let begin = self.begin.saturating_sub(BLOCK_BYTES);
        let length = usize::try_from(self.begin - begin).expect("a block fits in memory");
        let mut block = vec![0; length];
        self.file.read_exact_at(&mut block, begin)?;
        self.begin = begin;
        block.append(&mut self.line_end);
        if begin == 0 {
            return Ok(Some(block));
        }
        let first_end = block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |newline| newline + 1);
        let lines = block.split_off(first_end);
        // A longer one is damage, and what is left of it is not JSON.
        if block.len() <= MAX_LINE_BYTES {
            self.line_end = block;
        }
        Ok(Some(lines))
    }
}

const BLOCK_BYTES: u64 = 64 * 1024;

/// Far more than a line has. It bounds the memory for a file that is damaged.
const MAX_LINE_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Returns the lines of a file with this text, in the order of the file, without those that are too long.
    fn lines(text: &str) -> Vec<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut blocks = FileBlocks::new(file).unwrap();
        let mut lines = Vec::new();
        while let Some(block) = blocks.next().unwrap() {
            lines.splice(0..0, String::from_utf8(block).unwrap().lines().map(str::to_owned));
        }
        lines
    }

    #[test]
    fn every_line_is_read_once_and_whole_wherever_blocks_begin() {
        for length in [1, 99, 4095, 65_535, 65_536, 100_000] {
            let written: Vec<_> = (0..300_000 / length).map(|n| format!("{n}{}", "x".repeat(length))).collect();

            assert_eq!(lines(&written.join("\n")), written, "{length}");
            assert_eq!(lines(&(written.join("\n") + "\n")), written, "{length}");
        }
        assert_eq!(lines(""), [""; 0]);
    }

    #[test]
    fn a_line_that_is_far_too_long_does_not_fill_the_memory() {
        let damage = "x".repeat(1_000_000);

        let lines = lines(&format!("first\n{damage}\nlast\n"));

        assert_eq!((lines.first().unwrap().as_str(), lines.last().unwrap().as_str()), ("first", "last"));
        assert!(lines.iter().map(String::len).sum::<usize>() < 300_000);
    }
}
