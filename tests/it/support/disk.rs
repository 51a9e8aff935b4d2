//! A disk that loses power or has errors: a library in C that is loaded into a process, and what it has recorded.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;
use tempfile::TempDir;

/// The library, and the files through which a test and the process talk.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// Compiles the library.
    pub(crate) fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-shared", "-fPIC", "-xc", "-o"]).arg(disk.path("disk.so"));
        compiler.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/disk.c"));
        assert!(compiler.status().expect("Rust needs a C compiler too").success());
        disk
    }

    /// The environment of a process whose files in this folder are on the disk.
    pub(crate) fn environment(&self, folder: &Path) -> [(&'static str, String); 4] {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [
            ("LD_PRELOAD", text(&self.path("disk.so"))),
            ("DISK_FOLDER", text(&folder.canonicalize().unwrap())),
            ("DISK_RECORD", text(&self.path("record"))),
            ("DISK_FAULTS", text(&self.path("faults"))),
        ]
    }

    /// Makes calls fail on files whose paths end so, such as `fdatasync .log`, and no others.
    pub(crate) fn set_faults(&self, faults: &[&str]) {
        // In one step, because the process may read it at any time.
        fs::write(self.path("faults.new"), faults.join("\n")).unwrap();
        fs::rename(self.path("faults.new"), self.path("faults")).unwrap();
    }

    /// Takes what was recorded so far.
    pub(crate) fn take_record(&self) -> Vec<Entry> {
        let bytes = fs::read(self.path("record")).unwrap();
        fs::remove_file(self.path("record")).unwrap();
        let mut rest = bytes.as_slice();
        std::iter::from_fn(|| Entry::split(&mut rest)).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// What a process did.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Write { file: u64, offset: usize, bytes: Vec<u8> },
    SetLength { file: u64, length: usize },
    SyncBegins { file: u64 },
    Synced { file: u64 },
    Printed(String),
}

impl Entry {
    /// Splits the first entry off; `None` at the end, and if a kill has cut it.
    fn split(rest: &mut &[u8]) -> Option<Self> {
        let head = rest.split_off(..HEAD_BYTES)?;
        let [file, offset, length] =
            [8, 16, 24].map(|at| u64::from_ne_bytes(head[at..at + 8].try_into().expect("eight bytes")));
        let [offset, length] = [offset, length].map(|number| usize::try_from(number).unwrap());
        Some(match head[0] {
            b'w' => Self::Write { file, offset, bytes: rest.split_off(..length)?.to_vec() },
            b'l' => Self::SetLength { file, length: offset },
            b'b' => Self::SyncBegins { file },
            b's' => Self::Synced { file },
            b'p' => Self::Printed(String::from_utf8_lossy(rest.split_off(..length)?).into_owned()),
            kind => panic!("unknown kind {kind}"),
        })
    }
}

/// The files of a folder as the disk has them for certain, and what it may have besides.
#[derive(Default)]
pub(crate) struct Files(BTreeMap<u64, Contents>);

#[derive(Default)]
struct Contents {
    /// What a sync has vouched for.
    durable: Vec<u8>,
    /// What was done since then, in order.
    pending: Vec<Change>,
    /// How much of it a sync under way covers.
    covered: usize,
}

enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Files {
    /// Reads the files of a folder, all of which are durable.
    pub(crate) fn read(folder: &Path) -> Self {
        let contents = |(file, path)| (file, Contents { durable: fs::read(path).unwrap(), ..Contents::default() });
        Self(paths(folder).map(contents).collect())
    }

    pub(crate) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Write { file, offset, bytes } => {
                self.0.entry(*file).or_default().pending.push(Change::Write(*offset, bytes.clone()));
            }
            Entry::SetLength { file, length } => {
                self.0.entry(*file).or_default().pending.push(Change::Length(*length));
            }
            Entry::SyncBegins { file } => {
                let contents = self.0.entry(*file).or_default();
                contents.covered = contents.pending.len();
            }
            Entry::Synced { file } => {
                let contents = self.0.entry(*file).or_default();
                for change in contents.pending.drain(..contents.covered) {
                    change.apply(&mut contents.durable);
                }
                contents.covered = 0;
            }
            Entry::Printed(_) => {}
        }
    }

    /// Writes the files into another folder as a loss of power may leave them, under the names that they have in a folder.
    pub(crate) fn lose_power(&self, named_in: &Path, folder: &Path, rng: &mut Rng) {
        for (file, path) in paths(named_in) {
            let bytes = self.0.get(&file).map(|contents| contents.lose_power(rng)).unwrap_or_default();
            let path = folder.join(path.file_name().unwrap());
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
}

impl Contents {
    /// Of each page, the disk has some state since the last sync: the newest, an earlier one, or parts of two.
    fn lose_power(&self, rng: &mut Rng) -> Vec<u8> {
        let percent = [0, 100, 50, 10, 90][rng.usize(..5)];
        let mut bytes = self.durable.clone();
        let mut stopped = HashSet::new();
        for change in &self.pending {
            match change {
                Change::Length(_) if rng.u32(..100) < percent => {}
                Change::Length(_) => change.apply(&mut bytes),
                Change::Write(offset, written) => {
                    for (at, page) in pages(*offset, written) {
                        if stopped.contains(&(at / PAGE)) {
                            continue;
                        }
                        if rng.u32(..100) >= percent {
                            write(&mut bytes, at, page);
                            continue;
                        }
                        stopped.insert(at / PAGE);
                        if rng.bool() {
                            let sectors = page.chunks(SECTOR).enumerate().filter(|_| rng.bool()).collect::<Vec<_>>();
                            sectors.iter().for_each(|(n, sector)| write(&mut bytes, at + n * SECTOR, sector));
                        }
                    }
                }
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => write(bytes, *offset, written),
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    bytes.resize(bytes.len().max(end), 0);
    bytes[offset..end].copy_from_slice(written);
}

/// Cuts what was written at the borders of pages.
fn pages(mut offset: usize, mut written: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    std::iter::from_fn(move || {
        let length = (PAGE - offset % PAGE).min(written.len());
        let page = written.split_off(..length).filter(|page| !page.is_empty())?;
        offset += length;
        Some((offset - length, page))
    })
}

/// The files of a folder by their numbers.
fn paths(folder: &Path) -> impl Iterator<Item = (u64, PathBuf)> {
    fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.metadata().unwrap().ino(), entry.path())
    })
}

/// What the library writes before the bytes of an entry.
const HEAD_BYTES: usize = 32;

const PAGE: usize = 4096;
const SECTOR: usize = 512;
