//! `cloakroom sessions`: commands for operators, which call AdminService of a running service.
//!
//! One file for each command. Data of sessions is escaped before it is printed, because a user agent could contain
//! control characters for the terminal.

pub(super) mod admin;
mod apps;
mod event_stream;
#[cfg(test)]
mod example;
pub(super) mod json;
mod list;
mod revoke;
mod revoke_app;
mod revoke_subject;
mod show;
mod stats;
mod table;
pub(super) mod text;
mod watch;
mod watch_printer;

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::runtime;

use super::credentials::Credentials;
use super::{Address, CliError, layout};
use crate::token::SessionId;
use crate::types::{AppName, Clock as _, SystemClock, Time, duration};
use admin::AdminClient;

#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    /// The address of the admin listener, HOST:PORT or unix:PATH
    #[arg(long, global = true, value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
    address: Address,
    /// The app that the sessions belong to
    #[arg(long, global = true, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    /// The time to wait for each answer, such as 500ms or 10s
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    credentials: Credentials,
    /// Print JSON, one document a line, with the names of admin_service.proto
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List live sessions: of a subject, the last used first; or all of the app, in no order unless --sort is given
    ///
    /// The service reads the sessions of a subject, or all sessions of the app. The command filters and sorts what the
    /// service sends: of an app, a filter or a sort reads all of its sessions. Sessions that have ended are not listed:
    /// `cloakroom why` finds their ends.
    List(list::ListArgs),
    /// Show one session that is alive or ended recently
    Show(show::ShowArgs),
    /// End sessions by their ids. Exit code 1: one of them is unknown or not ended, as the output says, and all others
    /// have ended
    Revoke(revoke::RevokeArgs),
    /// End all sessions of a subject
    RevokeSubject(revoke_subject::RevokeSubjectArgs),
    /// End all sessions of the app, or with --all of all apps
    RevokeApp(revoke_app::RevokeAppArgs),
    /// List the apps that the service has and this caller may use
    Apps(apps::AppsArgs),
    /// Print the statistics of the app: live, opened, created and ended sessions
    Stats(stats::StatsArgs),
    /// Print events until stopped (created, rotated, subject changed, ended by a call), or of one session until it ends
    Watch(watch::WatchArgs),
}

/// The connection and the options that all commands use.
#[derive(Debug)]
struct CommandContext {
    admin: AdminClient,
    app: String,
    format: OutputFormat,
    /// The width of the terminal; `None` in a pipe.
    columns: Option<usize>,
    now: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputFormat {
    Text,
    Json,
}

impl SessionsArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        if let SessionsCommand::RevokeApp(args) = &self.command {
            args.confirm(&self.app)?;
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.connect_and_run())
    }

    async fn connect_and_run(&self) -> Result<(), CliError> {
        let admin = AdminClient::connect(&self.address, &self.credentials, self.timeout).await?;
        let format = if self.json { OutputFormat::Json } else { OutputFormat::Text };
        let (columns, now) = (layout::terminal_columns(), SystemClock.now());
        let context = CommandContext { admin, app: self.app.clone(), format, columns, now };
        match &self.command {
            SessionsCommand::List(args) => args.run(&context).await,
            SessionsCommand::Show(args) => args.run(&context).await,
            SessionsCommand::Revoke(args) => args.run(&context).await,
            SessionsCommand::RevokeSubject(args) => args.run(&context).await,
            SessionsCommand::RevokeApp(args) => args.run(&context).await,
            SessionsCommand::Apps(args) => args.run(&context).await,
            SessionsCommand::Stats(args) => args.run(&context).await,
            SessionsCommand::Watch(args) => args.run(&context).await,
        }
    }
}

fn parse_id(text: &str) -> Result<SessionId, String> {
    SessionId::parse(text).ok_or_else(|| "an id is 32 lower-case hexadecimal digits".to_owned())
}
