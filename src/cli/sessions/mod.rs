//! `cloakroom sessions`: the sessions of a running service, for operators.
//!
//! One file a verb. What sessions hold is shown escaped: a user agent must not reach the terminal as it is.

mod admin;
#[cfg(test)]
mod example;
mod json;
mod list;
mod revoke;
mod revoke_app;
mod revoke_subject;
mod show;
mod stats;
mod table;
mod text;
mod watch;
mod watch_printer;

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::runtime;

use super::credentials::Credentials;
use super::{Address, CliError};
use crate::token::SessionId;
use crate::types::{AppName, Clock as _, SystemClock, Time, duration};
use admin::AdminClient;

#[derive(Debug, Args)]
pub(super) struct Sessions {
    /// Where AdminService listens: HOST:PORT or unix:PATH
    #[arg(long, global = true, value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
    address: Address,
    /// Whose sessions
    #[arg(long, global = true, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    /// How long to wait for each answer
    #[arg(long, global = true, value_name = "SPAN", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    credentials: Credentials,
    /// Print JSON, one document a line, with the names of admin_service.proto
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List live sessions: a subject's, the one used last first; or all of the app's, in no order
    List(list::List),
    /// Show one session, alive or lately ended
    Show(show::Show),
    /// End sessions by their ids. Fails if nobody knows one of them
    Revoke(revoke::Revoke),
    /// End all sessions of a subject
    RevokeSubject(revoke_subject::RevokeSubject),
    /// End all sessions of the app, however many there are
    RevokeApp(revoke_app::RevokeApp),
    /// Count sessions
    Stats(stats::StatsArgs),
    /// Tell what happens to the app's sessions: created, rotated, subject changed, ended by a call; or to one until it ends
    Watch(watch::Watch),
}

/// What every verb works with.
#[derive(Debug)]
struct CommandContext {
    admin: AdminClient,
    app: String,
    format: OutputFormat,
    now: Time,
}

/// For whom answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputFormat {
    People,
    Json,
}

impl Sessions {
    pub(super) fn run(&self) -> Result<(), CliError> {
        if let SessionsCommand::RevokeApp(verb) = &self.verb {
            verb.confirm(&self.app)?;
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.ask())
    }

    async fn ask(&self) -> Result<(), CliError> {
        let admin = AdminClient::connect(&self.address, &self.credentials, self.timeout).await?;
        let format = if self.json { OutputFormat::Json } else { OutputFormat::People };
        let context = CommandContext { admin, app: self.app.clone(), format, now: SystemClock.now() };
        match &self.verb {
            SessionsCommand::List(verb) => verb.run(&context).await,
            SessionsCommand::Show(verb) => verb.run(&context).await,
            SessionsCommand::Revoke(verb) => verb.run(&context).await,
            SessionsCommand::RevokeSubject(verb) => verb.run(&context).await,
            SessionsCommand::RevokeApp(verb) => verb.run(&context).await,
            SessionsCommand::Stats(verb) => verb.run(&context).await,
            SessionsCommand::Watch(verb) => verb.run(&context).await,
        }
    }
}

/// Reads a session's id.
fn id(text: &str) -> Result<SessionId, String> {
    SessionId::parse(text).ok_or_else(|| "an id is 32 lower-case hexadecimal digits".to_owned())
}
