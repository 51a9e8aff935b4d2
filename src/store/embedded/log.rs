//! The log: each batch of changes as one checksummed frame, on disk before its calls are answered.
//!
//! There are two files of which one is written to, and each is begun again once the data file has all of its frames.
//! Room is written ahead with zeros: a frame then changes no length and no allocation, so that it costs one short write,
//! and what is written ahead is a reserve. Only frames that end sessions may use the last of it.
//!
//! A frame is: the length of its body in four bytes, its number in eight, a checksum in four, and the body. Numbers go
//! up by one. The checksum also covers the identity of the data file and the number, so that neither a frame of another
//! file nor one of an earlier use of this file is taken for the next.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::rows::RowChanges;

/// The two files of the log.
#[derive(Debug)]
pub(super) struct Log {
    segments: [Segment; 2],
    /// The index of the one that is written to.
    active: usize,
    identity: Vec<u8>,
    /// The number of the last frame.
    number: u64,
    /// Whether a frame failed after the last one. It may be on disk.
    has_failed: bool,
    /// How many bytes of each file only frames may use that end sessions, or remove what has expired.
    reserve: u64,
    /// The zeros that are written ahead.
    zeros: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    /// Where the next frame begins.
    used: u64,
    /// How long the file is.
    allocated: u64,
    /// How long it is after a loss of power.
    synced: u64,
}

/// The kind of write that needs room in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WritePurpose {
    /// A write that is refused when the disk is full.
    Ordinary,
    /// The removal of what has expired. It leaves half of the reserve to the ends of sessions.
    Cleanup,
    /// The end of sessions.
    Ending,
}

/// The facts that the data file states about its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogFacts<'f> {
    /// Identifies the data file.
    pub(super) identity: &'f [u8],
    /// The number of the last frame that the data file has.
    pub(super) committed: u64,
    /// Each file of the log has at least so many bytes, unless somebody has cut it.
    pub(super) least_bytes: u64,
}

/// Changes from the log that the data file does not have yet.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// Of the file that was written to before, with the number of its last frame. `None`: the data file has them.
    pub(super) older: Option<(RowChanges, u64)>,
    pub(super) newer: RowChanges,
}

/// Why the log cannot be used.
#[derive(Debug)]
pub(super) enum LogError {
    Io(PathBuf, io::Error),
    /// Another process has the log open.
    InUse(PathBuf),
    /// A frame is damaged or missing that the data file does not have.
    Damaged(PathBuf),
}

impl Log {
    /// Opens the log, and reads the changes of the frames that the data file does not have.
    ///
    /// The larger the data file, the larger the reserve: more sessions may have to be ended.
    pub(super) fn open(folder: &Path, facts: LogFacts<'_>, data_bytes: u64) -> Result<(Self, Replayed), LogError> {
        let LogFacts { identity, committed, .. } = facts;
        let [first, second] = paths(folder).map(|path| Segment::open(path, facts));
        let ((first, first_run), (second, second_run)) = (first?, second?);
        let segments = [first, second];
        let mut runs = [(0, first_run), (1, second_run)].map(|(index, run)| Some((index, run?)));
        runs.sort_by_key(|run| run.as_ref().map_or(u64::MAX, |(_, run)| run.first));
        let mut log = Self {
            segments,
            active: 0,
            identity: identity.to_vec(),
            number: committed,
            has_failed: false,
            reserve: 0,
            zeros: Vec::new(),
        };
        let mut replayed = Replayed::default();
        for (index, run) in runs.into_iter().flatten() {
            if run.first != log.number + 1 {
                return Err(LogError::Damaged(log.segments[index].path.clone()));
            }
            if log.number > committed {
                replayed.older = Some((std::mem::take(&mut replayed.newer), log.number));
            }
            (log.active, log.number, replayed.newer) = (index, run.last, run.changes);
        }
        if log.number > committed {
            let (frames, first, last) = (log.number - committed, committed + 1, log.number);
            tracing::info!(
                frames,
                first,
                last,
                "the store has read writes from its log that its data file did not have"
            );
        }
        log.segments[1 - log.active].used = 0;
        if log.number == committed {
            log.segments[log.active].used = 0;
        }
        log.zeros = vec![0; AHEAD];
        log.reserve = log.make_reserve((data_bytes / RESERVE_SHARE).clamp(MIN_RESERVE * 8, MAX_RESERVE));
        for segment in &mut log.segments {
            // Some file systems tell only then that the disk is full, which must not keep sessions from being read.
            let _ = segment.sync();
        }
        sync_folder(folder).map_err(|error| LogError::Io(folder.to_owned(), error))?;
        Ok((log, replayed))
    }

    /// Writes a reserve into both files ahead: the largest up to `reserve` that fits well. Returns its size.
    fn make_reserve(&mut self, mut reserve: u64) -> u64 {
        while reserve > MIN_RESERVE && !self.segments.iter_mut().all(|segment| segment.reserve(reserve, &self.zeros)) {
            reserve /= 2;
        }
        reserve
    }

    /// The number of the last frame.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes each of the two files will have at least, also after a loss of power.
    pub(super) fn least_bytes(&self) -> u64 {
        // `switch` may make them as short as that.
        self.segments.iter().map(|segment| segment.synced).fold(SEGMENT, u64::min)
    }

    /// How many bytes of frames the file has that is written to.
    pub(super) const fn used(&self) -> u64 {
        self.segments[self.active].used
    }

    /// Makes room for a frame with so many bytes of changes. Fails if the disk has none.
    ///
    /// Room that was made once stays: [`Self::append`] does not need more.
    pub(super) fn make_room(&mut self, bytes: usize, purpose: WritePurpose) -> io::Result<()> {
        let segment = &mut self.segments[self.active];
        let end = segment.used + (HEAD_BYTES + bytes) as u64;
        let left = match purpose {
            WritePurpose::Ordinary => self.reserve,
            WritePurpose::Cleanup => self.reserve / 2,
            WritePurpose::Ending => 0,
        };
        if segment.used > 0 && end + left > MAX_SEGMENT + self.reserve {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the log is full, for the data file can't be written",
            ));
        }
        match segment.write_ahead((end + self.reserve).next_multiple_of(CHUNK), &self.zeros) {
            Err(_) if end + left <= segment.allocated => Ok(()),
            made => made,
        }
    }

    /// Appends a frame; it is on disk when this returns. If this fails, the frame may be on disk or not.
    pub(super) fn append(&mut self, changes: &RowChanges) -> io::Result<()> {
        let appended = self.write_frame(changes);
        self.has_failed = appended.is_err();
        appended
    }

    /// Makes the end of the log certain: an empty frame takes the place of one that failed.
    ///
    /// Needed before [`Self::switch`]: two frames of one number, in two files, would seem to be damage at the next start.
    pub(super) fn replace_failed_frame(&mut self) -> io::Result<()> {
        if self.has_failed { self.append(&RowChanges::default()) } else { Ok(()) }
    }

    fn write_frame(&mut self, changes: &RowChanges) -> io::Result<()> {
        let number = self.number + 1;
        let mut frame = vec![0; HEAD_BYTES];
        frame.reserve(changes.bytes());
        changes.encode(&mut frame);
        let length = u32::try_from(frame.len() - HEAD_BYTES).map_err(io::Error::other)?;
        let checksum = checksum(&self.identity, number, &frame[HEAD_BYTES..]);
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame[4..12].copy_from_slice(&number.to_be_bytes());
        frame[12..HEAD_BYTES].copy_from_slice(&checksum.to_be_bytes());
        let segment = &mut self.segments[self.active];
        let end = segment.used + frame.len() as u64;
        // So a frame that the end of the file cuts was cut later. With the room that is made ahead, only a large frame, or
        // the first one after the disk was full, costs this second sync.
        if end > segment.synced {
            segment.sync()?;
        }
        segment.file.write_all_at(&frame, segment.used)?;
        segment.allocated = segment.allocated.max(end);
        segment.sync()?;
        segment.used = end;
        self.number = number;
        Ok(())
    }

    /// Begins the other file again. The data file has all of its frames by now.
    pub(super) fn switch(&mut self) {
        self.active = 1 - self.active;
        let segment = &mut self.segments[self.active];
        segment.used = 0;
        let _ = segment.shrink(SEGMENT + self.reserve);
    }

    /// Whether both files are still in their folder.
    pub(super) fn is_in_place(&self) -> bool {
        self.segments.iter().all(|segment| is_same_file(&segment.path, &segment.file))
    }
}

/// Fails if another process has the log open. Before the data file is touched: its lock is free for a moment whenever the
/// database opens it again.
pub(super) fn check_unused(folder: &Path) -> Result<(), LogError> {
    for path in paths(folder) {
        // One that is missing, or that cannot be opened, is judged later. To be locked over NFS, it has to be open for writing.
        if let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) {
            lock(&file, &path)?;
            unlock(&file);
        }
    }
    Ok(())
}

/// Unlocks a file at once. To close it is not enough: a process that this one starts at the moment has it open too, until it
/// runs another program.
fn unlock(file: &File) {
    // Without a lock there is nothing to do, and closing unlocks it as well.
    let _ = file.unlock();
}

fn lock(file: &File, path: &Path) -> Result<(), LogError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(LogError::InUse(path.to_owned())),
        // The database does without a lock, too, where there are none.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(LogError::Io(path.to_owned(), error)),
    }
}

/// Whether a path still names an open file.
pub(super) fn is_same_file(path: &Path, file: &File) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    fs::metadata(path).map(identity).ok() == file.metadata().map(identity).ok()
}

/// Makes the entries of a folder durable. Without them, a power cut would lose whole files.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the operating system cache a file page by page.
///
/// Linux caches what is read ahead in units of up to a megabyte, and each short write then writes a whole unit.
pub(super) fn cache_single_pages(file: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random)?;
    Ok(())
}

/// The files of the log in a folder.
pub(super) fn paths(folder: &Path) -> [PathBuf; 2] {
    ["sessions-0.log", "sessions-1.log"].map(|name| folder.join(name))
}

/// The frames of one file that the data file does not have.
struct Run {
    first: u64,
    last: u64,
    changes: RowChanges,
}

impl Drop for Segment {
    fn drop(&mut self) {
        unlock(&self.file);
    }
}

impl Segment {
    fn open(path: PathBuf, facts: LogFacts<'_>) -> Result<(Self, Option<Run>), LogError> {
        let LogFacts { identity, committed, least_bytes } = facts;
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let read = |mut file: File| {
            cache_single_pages(&file)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            // A process that was killed may have written its last frame, and not yet to the disk.
            file.sync_data()?;
            Ok((bytes, file))
        };
        let failed = |error| LogError::Io(path.clone(), error);
        let file = opened.map_err(failed)?;
        lock(&file, &path)?;
        let (bytes, file) = read(file).map_err(failed)?;
        let length = bytes.len() as u64;
        let mut segment = Self { path, file, used: 0, allocated: length, synced: length };
        let mut run: Option<Run> = None;
        let mut rest = bytes.as_slice();
        let mut last = None;
        while let Some((number, body, after)) = split_frame(rest, identity) {
            if last.is_some_and(|last| number != last + 1) {
                break;
            }
            last = Some(number);
            if number > committed {
                let changes = RowChanges::decode(body).ok_or_else(|| LogError::Damaged(segment.path.clone()))?;
                let run =
                    run.get_or_insert_with(|| Run { first: number, last: number, changes: RowChanges::default() });
                run.last = number;
                run.changes.extend(changes);
            }
            segment.used += (rest.len() - after.len()) as u64;
            rest = after;
        }
        // The last frame may be cut by a crash, for each is on disk before the next. A frame that has others after it was
        // damaged later.
        if has_frame_after(last.unwrap_or(0).max(committed), rest, identity) {
            return Err(LogError::Damaged(segment.path.clone()));
        }
        // Neither a kill nor a loss of power leaves a file so: its length is on disk before a frame needs it. Zeros in the
        // place of frames are no sign, for that is how room looks that was made ahead.
        if length < least_bytes || begins_frame(rest, last, committed, segment.used) {
            let (path, offset) = (segment.path.display(), length);
            tracing::warn!(%path, offset, "the log is cut off: writes that were acknowledged may be lost");
        }
        Ok((segment, run))
    }

    /// Makes what was written durable, and the length of the file.
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = self.allocated;
        Ok(())
    }

    /// Makes the file longer by a reserve, if the disk has room for four times as much. Returns whether it is there.
    fn reserve(&mut self, reserve: u64, zeros: &[u8]) -> bool {
        let (before, end) = (self.allocated, self.used + reserve);
        let has_room = before >= end || self.write_ahead(end + 3 * reserve, zeros).is_ok();
        self.shrink(before.max(if has_room { end } else { 0 })).is_ok() && has_room
    }

    /// Makes the file at least so long, with real zeros.
    fn write_ahead(&mut self, length: u64, zeros: &[u8]) -> io::Result<()> {
        while self.allocated < length {
            if let Err(error) = self.file.write_all_at(zeros, self.allocated) {
                // A part of it may have been written.
                self.allocated = self.file.metadata().map_or(self.allocated, |metadata| metadata.len());
                return if self.allocated < length { Err(error) } else { Ok(()) };
            }
            self.allocated += zeros.len() as u64;
        }
        Ok(())
    }

    fn shrink(&mut self, length: u64) -> io::Result<()> {
        if self.allocated > length {
            self.file.set_len(length)?;
            (self.allocated, self.synced) = (length, self.synced.min(length));
        }
        Ok(())
    }
}

/// Splits the first frame off: its number, its body, and the bytes after it. `None` if there is no valid one.
fn split_frame<'b>(bytes: &'b [u8], identity: &[u8]) -> Option<(u64, &'b [u8], &'b [u8])> {
    let after = skip_frame(bytes)?;
    let number = u64::from_be_bytes(bytes[4..12].try_into().ok()?);
    let found = u32::from_be_bytes(bytes[12..HEAD_BYTES].try_into().ok()?);
    let body = &bytes[HEAD_BYTES..bytes.len() - after.len()];
    (number > 0 && found == checksum(identity, number, body)).then_some((number, body, after))
}

/// Whether there is a valid frame with a higher number anywhere in these bytes. What was left of an earlier use of the
/// file has lower ones.
fn has_frame_after(number: u64, bytes: &[u8], identity: &[u8]) -> bool {
    let numbers = number + 1..=number + 1 + (bytes.len() / HEAD_BYTES) as u64;
    let has_number =
        |head: &[u8]| head[4..].first_chunk().is_some_and(|found| numbers.contains(&u64::from_be_bytes(*found)));
    // Bytes that only look like the heads of frames must not make the start slow.
    let mut left = 4 * bytes.len();
    for (at, _) in bytes.windows(HEAD_BYTES).enumerate().filter(|(_, head)| has_number(head)) {
        let rest = &bytes[at..];
        let Some(after) = skip_frame(rest) else { continue };
        let Some(less) = left.checked_sub(rest.len() - after.len()) else { return false };
        left = less;
        if split_frame(rest, identity).is_some() {
            return true;
        }
    }
    false
}

/// Whether these bytes at the end of a file, after frames up to `last`, are the beginning of the next one: its head is
/// there, and its body goes on behind the end of the file.
///
/// A loss of power may mix the head of a frame with what was there before only at the border of two sectors of the disk.
fn begins_frame(bytes: &[u8], last: Option<u64>, committed: u64, offset: u64) -> bool {
    let Some(number) = bytes.get(4..12).and_then(|number| number.first_chunk()).copied().map(u64::from_be_bytes) else {
        return false;
    };
    let is_next = last.map_or(number > committed, |last| number == last + 1);
    let is_in_one_sector = offset / SECTOR == (offset + 11) / SECTOR;
    is_next && is_in_one_sector && skip_frame(bytes).is_none()
}

/// Returns the bytes after the first frame, by the length that it gives.
fn skip_frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    bytes.get(HEAD_BYTES + usize::try_from(length).ok()?..)
}

fn checksum(identity: &[u8], number: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(identity);
    hasher.update(&number.to_be_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// The length of a file after which the other one is begun.
pub(super) const SEGMENT: u64 = 8 << 20;

/// How long a file of the log may become while the other one waits for its checkpoint.
pub(super) const MAX_SEGMENT: u64 = 8 * SEGMENT;

/// The bytes of a frame before its body.
const HEAD_BYTES: usize = 4 + 8 + 4;

/// The bytes that the smallest disks write in one step.
const SECTOR: u64 = 512;

/// How many bytes are written ahead at a time: a page, see [`cache_single_pages`].
const AHEAD: usize = 4096;

/// How much room is made for ordinary frames at a time.
const CHUNK: u64 = 128 << 10;

/// The bounds of the reserve: a thousand ends take about 512 KiB.
const MAX_RESERVE: u64 = 8 << 20;
const MIN_RESERVE: u64 = 64 << 10;

/// The reserve is this part of the data file, within its bounds.
const RESERVE_SHARE: u64 = 128;

#[cfg(test)]
mod tests {
    use super::super::rows::Table;
    use super::*;

    fn open(folder: &Path, committed: u64) -> Result<(Log, Replayed), LogError> {
        Log::open(folder, LogFacts { identity: b"identity", committed, least_bytes: 0 }, 0)
    }

    fn change(key: &str) -> RowChanges {
        let mut changes = RowChanges::default();
        changes.set(Table::Sessions, key.as_bytes(), Some(b"value"));
        changes
    }

    fn append(log: &mut Log, keys: &[&str]) {
        keys.iter().for_each(|key| log.append(&change(key)).unwrap());
    }

    fn encoded(changes: &RowChanges) -> Vec<u8> {
        let mut bytes = Vec::new();
        changes.encode(&mut bytes);
        bytes
    }

    fn all(keys: &[&str]) -> Vec<u8> {
        let mut all = RowChanges::default();
        keys.iter().for_each(|key| all.extend(change(key)));
        encoded(&all)
    }

    #[test]
    fn frames_after_the_last_checkpoint_are_replayed_from_both_files() {
        let home = tempfile::tempdir().unwrap();
        let (mut log, _) = open(home.path(), 0).unwrap();
        append(&mut log, &["a", "b"]);
        log.switch();
        append(&mut log, &["c", "d"]);
        drop(log);

        let (log, replayed) = open(home.path(), 0).unwrap();
        let (older, last) = replayed.older.unwrap();
        assert_eq!((encoded(&older), last, encoded(&replayed.newer)), (all(&["a", "b"]), 2, all(&["c", "d"])));
        drop(log);

        let (mut log, replayed) = open(home.path(), 2).unwrap();
        assert!(replayed.older.is_none());
        assert_eq!((encoded(&replayed.newer), log.number()), (all(&["c", "d"]), 4));
        append(&mut log, &["e"]);
        drop(log);

        let (_, replayed) = open(home.path(), 3).unwrap();
        assert_eq!(encoded(&replayed.newer), all(&["d", "e"]));
        let (log, replayed) = open(home.path(), 5).unwrap();
        assert!(replayed.newer.is_empty() && log.used() == 0);
    }

    #[test]
    fn a_frame_that_was_cut_is_as_if_it_was_never_written() {
        let home = tempfile::tempdir().unwrap();
        let (mut log, _) = open(home.path(), 0).unwrap();
        append(&mut log, &["a"]);
        let end = log.used();
        append(&mut log, &["b"]);
        log.segments[0].file.write_all_at(&[0; 3], log.used() - 3).unwrap();
        drop(log);

        let (log, replayed) = open(home.path(), 0).unwrap();

        assert_eq!((encoded(&replayed.newer), log.number(), log.used()), (all(&["a"]), 1, end));
    }

    #[test]
    fn a_damaged_frame_before_others_and_a_missing_one_are_errors() {
        let home = tempfile::tempdir().unwrap();
        let (mut log, _) = open(home.path(), 0).unwrap();
        append(&mut log, &["a", "b", "c"]);
        let third = log.used() / 3;
        log.segments[0].file.write_all_at(&[0xff], third + HEAD_BYTES as u64 + 8).unwrap();
        drop(log);

        assert!(matches!(open(home.path(), 0), Err(LogError::Damaged(_))));
        let later = tempfile::tempdir().unwrap();
        append(&mut open(later.path(), 7).unwrap().0, &["h"]);
        assert!(matches!(open(later.path(), 6), Err(LogError::Damaged(_))));
    }

    #[test]
    fn damage_to_the_length_of_a_frame_or_to_several_frames_before_others_is_an_error() {
        let frame = HEAD_BYTES + encoded(&change("a")).len();
        for (first, last) in
            [(0, 1), (frame, frame + 4), (frame, 3 * frame), (frame / 2, 3 * frame + 1), (0, 2 * frame)]
        {
            let home = tempfile::tempdir().unwrap();
            let (mut log, _) = open(home.path(), 7).unwrap();
            append(&mut log, &["a", "b", "c", "d", "e"]);
            log.segments[0].file.write_all_at(&vec![0xee; last - first], first as u64).unwrap();
            drop(log);

            assert!(matches!(open(home.path(), 7), Err(LogError::Damaged(_))), "{first}..{last}");
            // The data file has all of them.
            assert!(open(home.path(), 12).is_ok(), "{first}..{last}");
        }
    }

    #[test]
    fn frames_of_an_earlier_use_behind_the_last_one_are_no_damage() {
        let home = tempfile::tempdir().unwrap();
        let (mut log, _) = open(home.path(), 0).unwrap();
        append(&mut log, &["a", "b", "c", "d"]);
        log.switch();
        append(&mut log, &["e"]);
        log.switch();
        append(&mut log, &["longer than those before"]);
        drop(log);

        let (log, replayed) = open(home.path(), 4).unwrap();

        assert_eq!((log.number(), encoded(&replayed.newer)), (6, all(&["longer than those before"])));
    }

    #[test]
    fn a_log_is_of_one_process() {
        let home = tempfile::tempdir().unwrap();
        let (log, _) = open(home.path(), 0).unwrap();

        assert!(matches!(open(home.path(), 0), Err(LogError::InUse(_))));
        // As a process that is started at the moment has it.
        let _copy = log.segments[0].file.try_clone().unwrap();
        drop(log);
        open(home.path(), 0).unwrap();
    }

    #[test]
    fn the_removal_of_what_has_expired_leaves_half_of_the_reserve_to_ends() {
        let home = tempfile::tempdir().unwrap();
        let (mut log, _) = open(home.path(), 0).unwrap();
        log.number = 1;
        log.segments[0].used = MAX_SEGMENT - HEAD_BYTES as u64;
        let (reserve, purposes) = (
            usize::try_from(log.reserve).unwrap(),
            [WritePurpose::Ordinary, WritePurpose::Cleanup, WritePurpose::Ending],
        );
        let mut has_room = |bytes| purposes.map(|purpose| log.make_room(bytes, purpose).is_ok());

        assert_eq!(has_room(0), [true; 3]);
        assert_eq!(has_room(1), [false, true, true]);
        assert_eq!(has_room(reserve / 2), [false, true, true]);
        assert_eq!(has_room(reserve / 2 + 1), [false, false, true]);
        assert_eq!(has_room(reserve + 1), [false; 3]);
    }

    #[test]
    fn a_frame_that_failed_and_is_on_disk_all_the_same_has_no_second_one_of_its_number_in_the_other_file() {
        let home = tempfile::tempdir().unwrap();
        let (mut log, _) = open(home.path(), 0).unwrap();
        append(&mut log, &["a"]);
        let end = log.used();
        append(&mut log, &["failed"]);
        // As after a sync that failed.
        (log.number, log.segments[0].used, log.has_failed) = (1, end, true);

        log.replace_failed_frame().unwrap();
        log.switch();
        append(&mut log, &["b"]);
        drop(log);

        let (log, replayed) = open(home.path(), 0).unwrap();
        let (older, last) = replayed.older.unwrap();
        assert_eq!((encoded(&older), last, encoded(&replayed.newer)), (all(&["a"]), 2, all(&["b"])));
        assert_eq!(log.number(), 3);
    }

    #[test]
    fn frames_of_another_data_file_are_not_replayed() {
        let home = tempfile::tempdir().unwrap();
        append(&mut open(home.path(), 0).unwrap().0, &["a"]);

        let facts = LogFacts { identity: b"other", committed: 0, least_bytes: 0 };
        let (_, replayed) = Log::open(home.path(), facts, 0).unwrap();

        assert!(replayed.newer.is_empty());
    }
}
