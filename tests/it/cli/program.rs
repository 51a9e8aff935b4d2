//! Runs the program in a folder of its own, with only the environment that a test sets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
}
