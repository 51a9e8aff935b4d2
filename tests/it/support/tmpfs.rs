//! A small disk of its own, to fill it: a tmpfs, which only root can mount.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted tmpfs; unmounted when it is dropped.
pub(crate) struct Tmpfs(TempDir);

impl Tmpfs {
    /// Mounts one of this size, such as `6m`. `None`, with a printed word, where that is not allowed.
    #[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: only root can mount a small disk");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it with a file, and returns its path.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.path().join("foreign");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
        path
    }

    /// Changes its size.
    pub(crate) fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that was killed may not have closed its files yet.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
