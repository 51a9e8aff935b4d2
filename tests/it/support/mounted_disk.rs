//! A disk of its own, whose power can be cut: an ext4 file system in a file, which only root can mount.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted disk; unmounted when it is dropped.
pub(crate) struct MountedDisk(TempDir);

impl MountedDisk {
    /// Makes one. `None`, with a printed word, where that is not allowed.
    #[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
    pub(crate) fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let make = "truncate -s 256M disk && PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -F disk && mkdir data";
        if disk.run(make) && disk.run(MOUNT) {
            return Some(disk);
        }
        println!("skipped: only root can mount a disk, and it needs mkfs.ext4 and python3");
        None
    }

    /// The folder for data.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Writes everything that was not written yet.
    pub(crate) fn sync(&self) {
        assert!(self.run("sync --file-system data"), "sync");
    }

    /// Ends all writing at once. What was neither synced nor written by the kernel on its own is lost, as when the power
    /// is cut. Every use fails until [`Self::start_again()`].
    pub(crate) fn cut_power(&self) {
        // EXT4_IOC_SHUTDOWN, without a flush of the journal.
        let shut_down = "import fcntl, os, struct; \
            fcntl.ioctl(os.open('data', os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        assert!(self.run(&format!("python3 -c \"{shut_down}\"")), "the shutdown");
    }

    /// Mounts what is on the disk. Nobody may have a file of it open.
    pub(crate) fn start_again(&self) {
        assert!(self.run(&format!("umount data && {MOUNT}")), "the mount");
    }

    fn run(&self, command: &str) -> bool {
        let folder: &Path = self.0.path();
        Command::new("sh").args(["-c", command]).current_dir(folder).output().is_ok_and(|ran| ran.status.success())
    }
}

impl Drop for MountedDisk {
    fn drop(&mut self) {
        self.run("umount --lazy data");
    }
}

const MOUNT: &str = "mount -o loop disk data";
