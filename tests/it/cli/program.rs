//! Runs the program in a folder of its own, with only the environment that a test sets.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tempfile::TempDir;

/// A program that is not started yet.
pub(crate) struct Program {
    command: Command,
    stdin: String,
    folder: TempDir,
}

/// The result of a program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        command.args(args).env_clear().current_dir(folder.path());
        Self { command, stdin: String::new(), folder }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the command, for a test that needs the running process.
    pub(crate) fn command(&mut self) -> &mut Command {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
    }

    /// Runs the program to its end. Then the folder is removed.
    pub(crate) fn run(mut self) -> Ended {
        let mut child = self.command().stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the program to its end on a terminal of this width. Returns the exit code and all that it printed there.
    pub(crate) fn run_on_terminal(mut self, columns: u16) -> (Option<i32>, String) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        tcsetwinsize(&controller, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let no_ctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let terminal =
            File::options().read(true).write(true).custom_flags(no_ctty).open(name.to_str().unwrap()).unwrap();
        self.command.stdin(Stdio::null()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let mut child = self.command.spawn().unwrap();
        // It has the last open ends of the terminal then, so that reading ends with the program.
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let (mut controller, mut printed, mut part) = (File::from(controller), Vec::new(), [0; 4096]);
        // At the end Linux answers with an error.
        while let Ok(length @ 1..) = controller.read(&mut part) {
            printed.extend_from_slice(&part[..length]);
        }
        (child.wait().unwrap().code(), String::from_utf8(printed).unwrap().replace("\r\n", "\n"))
    }
}
