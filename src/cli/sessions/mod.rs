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
mod vigil;
mod watch;

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::runtime;

use super::credentials::Credentials;
use super::{Address, Failure};
use crate::app::AppName;
use crate::clock::{Clock as _, SystemClock, Time};
use crate::config::span;
use crate::token::Id;
use admin::Admin;

#[derive(Debug, Args)]
pub(super) struct Sessions {
    /// Where AdminService listens: HOST:PORT or unix:PATH
    #[arg(long, global = true, value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
    address: Address,
    /// Whose sessions
    #[arg(long, global = true, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    /// How long to wait for each answer
    #[arg(long, global = true, value_name = "SPAN", default_value = "10s", value_parser = span::parse)]
    timeout: Duration,
    #[command(flatten)]
    credentials: Credentials,
    /// Print JSON, one document a line, with the names of admin_service.proto
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
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
    Stats(stats::Stats),
    /// Tell what happens to the app's sessions: created, rotated, subject changed, ended by a call; or to one until it ends
    Watch(watch::Watch),
}

/// What every verb works with.
#[derive(Debug)]
struct Desk {
    admin: Admin,
    app: String,
    format: Format,
    now: Time,
}

/// For whom answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    People,
    Json,
}

impl Sessions {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Verb::RevokeApp(verb) = &self.verb {
            verb.confirm(&self.app)?;
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.ask())
    }

    async fn ask(&self) -> Result<(), Failure> {
        let admin = Admin::connect(&self.address, &self.credentials, self.timeout).await?;
        let format = if self.json { Format::Json } else { Format::People };
        let desk = Desk { admin, app: self.app.clone(), format, now: SystemClock.now() };
        match &self.verb {
            Verb::List(verb) => verb.run(&desk).await,
            Verb::Show(verb) => verb.run(&desk).await,
            Verb::Revoke(verb) => verb.run(&desk).await,
            Verb::RevokeSubject(verb) => verb.run(&desk).await,
            Verb::RevokeApp(verb) => verb.run(&desk).await,
            Verb::Stats(verb) => verb.run(&desk).await,
            Verb::Watch(verb) => verb.run(&desk).await,
        }
    }
}

/// Reads a session's id.
fn id(text: &str) -> Result<Id, String> {
    Id::parse(text).ok_or_else(|| "an id is 32 lower-case hexadecimal digits".to_owned())
}
