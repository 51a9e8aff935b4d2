//! The command line: one file a subcommand, and what each says with its exit code.

mod address;
mod banner;
mod caller_token;
mod check;
mod connect;
mod cookie;
mod cookie_kind;
mod credentials;
mod exit;
mod healthcheck;
mod keygen;
mod output;
mod reload;
pub mod seed;
mod serve;
mod sessions;
mod signal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use address::Address;
pub use banner::banner;
pub use exit::{CliError, Exit};

use crate::config::{self, LoadedConfig};

/// Keeps the sessions of web applications, over gRPC.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, arg_required_else_help = true, after_help = exit::table())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve sessions until told to stop
    Serve(serve::Serve),
    /// Load the configuration and print what is in force, without secrets
    Check(check::Check),
    /// Make signing keys
    Keygen(keygen::Keygen),
    /// Make a token for a caller, and its hash
    CallerToken(caller_token::CallerToken),
    /// Explain a cookie, a token or a ticket
    Cookie(cookie::Cookie),
    /// Ask a running service whether it is healthy
    Healthcheck(healthcheck::Healthcheck),
    /// List, show, end and count the sessions of a running service
    Sessions(sessions::Sessions),
    /// Fill the store with realistic sessions, and write requests that use them
    Seed(seed::Seed),
}

/// Which configuration.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file. Otherwise the one that CLOAKROOM_CONFIG names, otherwise ./cloakroom.toml
    /// if there is one, otherwise the defaults. Variables such as CLOAKROOM__STORE__KIND=redis come on top
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<LoadedConfig, CliError> {
        Ok(config::load(self.config.as_deref())?)
    }
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Keygen(keygen) => keygen.run(),
        Command::CallerToken(caller_token) => caller_token.run(),
        Command::Cookie(cookie) => cookie.run(),
        Command::Healthcheck(healthcheck) => healthcheck.run(),
        Command::Sessions(sessions) => sessions.run(),
        Command::Seed(seed) => seed.run(),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            failure.tell();
            failure.exit().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_lists_every_exit_code() {
        let help = Cli::command().render_help().to_string();

        for exit in Exit::ALL {
            let line = format!("{:>4}  {}", exit.code(), exit.meaning());
            assert!(help.contains(&line), "{line:?} is missing in:\n{help}");
        }
    }
}
