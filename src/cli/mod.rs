//! The command line: one file for each command, and the exit codes.

mod address;
mod banner;
mod caller_token;
mod check;
mod completions;
mod config_checks;
mod connect;
mod cookie;
mod cookie_kind;
mod credentials;
mod doctor;
mod exit;
mod export;
mod file_reader;
mod healthcheck;
mod import;
mod input;
mod key_lines;
mod keygen;
mod layout;
mod man_pages;
mod output;
mod progress;
mod reload;
mod serve;
mod sessions;
mod signal;
mod store;
mod style;
mod version;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use address::Address;
pub use banner::banner;
use exit::{CliError, Exit};
use tokio::task::spawn_blocking;

use crate::config::{self, LoadedConfig, Settings};

/// A session service for web applications, over gRPC.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, arg_required_else_help = true, after_help = exit::table())]
#[command(max_term_width = HELP_COLUMNS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service until SIGTERM or SIGINT
    Serve(serve::ServeArgs),
    /// Check the configuration, and print the settings that result from it, without secrets
    Check(check::CheckArgs),
    /// Check everything that a service needs here, and say what to do: configuration, files, limits, certificates, the
    /// store, clocks, and the service itself if it runs
    Doctor(doctor::DoctorArgs),
    /// Make signing keys, or a key pair for encrypted exports
    Keygen(keygen::KeygenArgs),
    /// Make a token for a caller, and print its hash for the service
    CallerToken(caller_token::CallerTokenArgs),
    /// Explain a token, a ticket or a Cookie header: whether it verifies
    Cookie(cookie::CookieArgs),
    /// Ask running services why a user is logged out: what a cookie, a session or a user's sessions are, what ended them,
    /// when and by whom, and what to do
    Why(why::WhyArgs),
    /// Ask a running service whether it serves
    Healthcheck(healthcheck::HealthcheckArgs),
    /// List, show, end, count and watch the sessions of a running service
    Sessions(sessions::SessionsArgs),
    /// Write all sessions of the store into a file, from which any store can import them
    Export(export::ExportArgs),
    /// Write the sessions of an export into the store. What the store has newer, or has ended within 16 minutes, stays
    Import(import::ImportArgs),
    /// Give unused room of the embedded store back, or move all sessions to another store
    Store(store::StoreArgs),
    /// Print the completions for a shell
    ///
    /// Bash takes them by `source <(cloakroom completions bash)`.
    Completions(completions::CompletionsArgs),
    /// Write the man pages into a folder, for packages
    #[command(hide = true)]
    ManPages(man_pages::ManPagesArgs),
    /// Print the version, and how and from what this program was built
    Version,
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file [default: the file that CLOAKROOM_CONFIG names, else ./cloakroom.toml if it exists, else
    /// none]. Variables such as CLOAKROOM__STORE__KIND=redis override the file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<LoadedConfig, CliError> {
        Ok(config::load(self.config.as_deref())?)
    }

    /// Loads it on another thread, for a file may be a pipe that somebody else has to write to.
    async fn load_aside(&self) -> Result<LoadedConfig, CliError> {
        let path = self.config.clone();
        let load = spawn_blocking(move || config::load(path.as_deref()));
        Ok(load.await.expect("loading neither panics nor is cancelled")?)
    }

    fn load_listeners(&self) -> Result<Settings, CliError> {
        Ok(config::load_listeners(self.config.as_deref())?)
    }
}

/// Runs the command that the command line names.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => args.run(),
        Command::Check(args) => args.run(),
        Command::Doctor(args) => args.run(),
        Command::Keygen(args) => args.run(),
        Command::CallerToken(args) => args.run(),
        Command::Cookie(args) => args.run(),
        Command::Why(args) => args.run(),
        Command::Healthcheck(args) => args.run(),
        Command::Sessions(args) => args.run(),
        Command::Export(args) => args.run(),
        Command::Import(args) => args.run(),
        Command::Store(args) => args.run(),
        Command::Completions(args) => args.run(),
        Command::ManPages(args) => args.run(),
        Command::Version => version::run(),
    };
    match result {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            error.print();
            error.exit().into()
        }
    }
}

/// The width of the help on a terminal that is at least as wide.
const HELP_COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_in_80_columns() {
        let mut cli = Cli::command();
        cli.build();

        let mut commands = vec![&mut cli];
        while let Some(command) = commands.pop() {
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= HELP_COLUMNS, "in the help of {}: {line}", command.get_name());
            }
            commands.extend(command.get_subcommands_mut());
        }
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
