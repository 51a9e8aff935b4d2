//! `cloakroom why`: what a cookie, a session or the sessions of a subject are, what ended them, and what to do.
//!
//! Asks running services, and needs no configuration, because they have the keys. Prints no token and no entry.

mod answer;
mod json;
mod query;
mod replica;
mod text;
mod verdict;

use std::io;
use std::time::Duration;

use clap::Args;
use tokio::runtime;

use self::answer::{Answer, WhyReport};
use self::query::Query;
use super::credentials::Credentials;
use super::input::read_stdin;
use super::{Address, CliError, layout, output};
use crate::types::{AppName, Clock as _, SystemClock, duration};

#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The address of the admin listener, HOST:PORT or unix:PATH. Repeat it for each replica, because each has an audit
    /// log of its own
    #[arg(long = "address", value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
    addresses: Vec<Address>,
    /// The app
    #[arg(long, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    /// The time to wait for each answer, such as 500ms or 10s
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// Ask about the sessions of this subject
    #[arg(long, value_name = "SUBJECT", conflicts_with_all = ["text", "cookie_name", "session_key"])]
    subject: Option<String>,
    /// The name of the cookie, if the frontend overrides that of the app
    #[arg(long, value_name = "NAME")]
    cookie_name: Option<String>,
    /// The text is the key of a session in an app of kind `external`: the session id that the framework made
    #[arg(long, conflicts_with = "cookie_name")]
    session_key: bool,
    /// Print one document of JSON, with the names of admin_service.proto
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    credentials: Credentials,
    /// The id of a session, or a token, a ticket, a whole Cookie header or, with --session-key, a key [default: read
    /// from stdin, so that no secret is in the shell's history or in the list of processes]
    text: Option<String>,
}

impl WhyArgs {
    /// The answer is yes if a session lives: of the cookie, the id or the subject.
    pub(super) fn run(&self) -> Result<(), CliError> {
        let query = self.query()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let report = runtime.block_on(self.ask(query))?;
        output::print(&if self.json {
            json::document(&report)
        } else {
            text::text(&report, layout::terminal_columns())
        })?;
        if report.has_live_session() { Ok(()) } else { Err(CliError::NegativeAnswer) }
    }

    fn query(&self) -> io::Result<Query> {
        if let Some(subject) = &self.subject {
            return Ok(Query::Subject(subject.clone()));
        }
        let text = self.text.clone().map_or_else(read_stdin, Ok)?;
        Ok(if self.session_key {
            Query::key(&self.app, text.trim())
        } else {
            Query::parse(&self.app, text.trim(), self.cookie_name.as_deref())
        })
    }

    async fn ask(&self, query: Query) -> Result<WhyReport, CliError> {
        let replicas = replica::connect(&self.addresses, &self.credentials, self.timeout).await;
        let (findings, store_error) = match query.ask(&self.app, &replicas).await {
            Ok(findings) => (findings, None),
            // The audit logs may answer all the same.
            Err(error) => match query.without_store() {
                Some(findings) => (findings, Some(error)),
                None => return Err(error),
            },
        };
        let (logs, ends) = replica::read_logs(replicas, &self.app, &findings.wanted()).await;
        let answer = Answer::new(findings, ends);
        let now = SystemClock.now();
        let message = store_error.as_ref().map(CliError::message);
        let report = WhyReport { app: self.app.clone(), now, store_error: message, answer, logs };
        match store_error {
            Some(error) if !report.has_log() => Err(error),
            _ => Ok(report),
        }
    }
}
