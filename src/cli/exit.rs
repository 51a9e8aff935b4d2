//! The exit codes, and the errors that lead to them.

use std::error::Error as StdError;
use std::process::ExitCode;

use super::output;
use super::style::{BAD, styled};
use crate::config::{self, default_key};
use crate::types::with_causes;
use crate::{audit, server, store};

/// The exit codes of all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    /// clap ends the process with it.
    Usage,
    /// `EX_DATAERR` of sysexits.h.
    LeftOut,
    /// `EX_CONFIG` of sysexits.h.
    Config,
    /// 128 + SIGHUP, as shells do.
    HungUp,
    /// 128 + SIGINT, as shells do.
    Interrupted,
    /// 128 + SIGQUIT, as shells do.
    Quit,
    /// 128 + SIGTERM, as shells do.
    Terminated,
}

impl Exit {
    pub(super) const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::LeftOut,
        Self::Config,
        Self::HungUp,
        Self::Interrupted,
        Self::Quit,
        Self::Terminated,
    ];

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::LeftOut => 65,
            Self::Config => 78,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Quit => 131,
            Self::Terminated => 143,
        }
    }

    /// Returns the explanation that `--help` prints.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; for cookie, why, healthcheck, doctor: yes",
            Self::Failed => "failed; for cookie, why, healthcheck, doctor: no; for sessions: not found",
            Self::Usage => "the command line is wrong",
            Self::LeftOut => "export, store migrate: done, but not with all sessions",
            Self::Config => "the configuration is wrong",
            Self::HungUp => "export: SIGHUP ended it, as a closed terminal does",
            Self::Quit => "export: SIGQUIT ended it",
            Self::Interrupted => "export: SIGINT ended it; serve: a second SIGINT ended its orderly stop",
            Self::Terminated => "export: SIGTERM ended it; serve: a second SIGTERM ended its orderly stop",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Returns the exit codes with their meanings, for the end of `--help`.
pub(super) fn table() -> String {
    let row = |exit: Exit| format!("\n{:>4}  {}", exit.code(), exit.meaning());
    format!("Exit codes:{}", Exit::ALL.map(row).concat())
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CliError {
    Config(config::Error),
    Failed(Box<dyn StdError>),
    /// The answer is no, and the command has printed it.
    NegativeAnswer,
    /// An export is complete, except for sessions that it has named.
    LeftOut,
}

impl CliError {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Config,
            Self::Failed(_) | Self::NegativeAnswer => Exit::Failed,
            Self::LeftOut => Exit::LeftOut,
        }
    }

    /// Prints to stderr each problem of a configuration, or an error with its causes.
    pub(super) fn print(&self) {
        match self {
            Self::Config(_) => output::print_note(&self.message()),
            Self::Failed(_) => output::print_note(&format!("{} {}", styled(BAD, "cloakroom:"), self.message())),
            Self::NegativeAnswer | Self::LeftOut => {}
        }
    }

    /// Returns the problems of a configuration, or an error with its causes.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Config(error) => error.to_string(),
            Self::Failed(error) => with_causes(error.as_ref()),
            Self::NegativeAnswer | Self::LeftOut => String::new(),
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

impl From<audit::OpenError> for CliError {
    fn from(error: audit::OpenError) -> Self {
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
