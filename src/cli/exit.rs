//! How a command ends: the exit codes, and the one place that tells why.

use std::error::Error as StdError;
use std::process::ExitCode;

use super::output;
use crate::config::{self, default_key};
use crate::{server, store};

/// What an exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Done,
    /// Starting or running failed, or the answer is no.
    Failed,
    /// The command line is wrong; clap says so.
    Usage,
    /// The configuration is wrong: EX_CONFIG of sysexits.h.
    Config,
    /// Told to stop twice from a terminal.
    Interrupted,
    /// Told to stop twice by the system.
    Terminated,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Failed, Self::Usage, Self::Config, Self::Interrupted, Self::Terminated];

    /// The code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 78,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What it means, as `--help` says it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; for cookie and healthcheck: the answer is yes",
            Self::Failed => {
                "starting or running failed; for cookie and healthcheck: the answer is no; for sessions: not found"
            }
            Self::Usage => "the command line is wrong",
            Self::Config => "the configuration is wrong",
            Self::Interrupted => "a second SIGINT cut the orderly stop short",
            Self::Terminated => "a second SIGTERM cut the orderly stop short",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The exit codes, for the end of `--help`.
pub(super) fn table() -> String {
    let row = |exit: Exit| format!("\n{:>4}  {}", exit.code(), exit.meaning());
    format!("Exit codes:{}", Exit::ALL.map(row).concat())
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum CliError {
    /// The configuration is wrong.
    Config(config::Error),
    /// Something else is.
    Failed(Box<dyn StdError>),
    /// The answer is no, and the command has said so.
    RecordedBody,
}

impl CliError {
    /// The exit code for it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Config,
            Self::Failed(_) | Self::RecordedBody => Exit::Failed,
        }
    }

    /// Says on stderr what is wrong: each problem of a configuration, or an error and its causes.
    pub(super) fn tell(&self) {
        match self {
            Self::Config(error) => output::tell(&error.to_string()),
            Self::Failed(error) => output::tell(&format!("cloakroom: {}", chain(error.as_ref()))),
            Self::RecordedBody => {}
        }
    }
}

impl From<config::Error> for CliError {
    fn from(error: config::Error) -> Self {
        Self::Config(error)
    }
}

impl From<default_key::Error> for CliError {
    fn from(error: default_key::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<store::OpenError> for CliError {
    fn from(error: store::OpenError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<server::BindError> for CliError {
    fn from(error: server::BindError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<&'static str> for CliError {
    fn from(why: &'static str) -> Self {
        Self::Failed(why.into())
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
