//! `cloakroom sessions revoke-app`: ends all sessions of an app, or of all apps, after a confirmation.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::json;

use super::admin::CallError;
use super::{CommandContext, OutputFormat, apps, json};
use crate::cli::{CliError, output};
use crate::grpc::wire::{AppKind, RevokeAppRequest};
use crate::types::counted;

#[derive(Debug, Args)]
pub(super) struct RevokeAppArgs {
    /// End the sessions of all apps that the service has and this caller may use. Exit code 1: those of one of them have
    /// not ended, as the output says, and those of all others have
    #[arg(long, conflicts_with = "app")]
    all: bool,
    /// Do not ask for confirmation. Needed if there is no terminal
    #[arg(long)]
    yes: bool,
}

impl RevokeAppArgs {
    /// Asks for confirmation on a terminal, and fails elsewhere without `--yes`.
    pub(super) fn confirm(&self, app: &str) -> Result<(), CliError> {
        if self.yes {
            return Ok(());
        }
        let (apps, asked, expected) = match self.all {
            true => ("all apps".to_owned(), "Type all", "all"),
            false => (format!("the app {app}"), "Type its name", app),
        };
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let apps = if self.all { "all apps" } else { "the app" };
            return Err(CliError::Failed(format!("this ends all sessions of {apps}; say --yes").into()));
        }
        write!(io::stderr(), "This ends all sessions of {apps}. {asked} to go on: ")?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if answer.trim() == expected { Ok(()) } else { Err("the answer is another one; nothing was done".into()) }
    }

    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        if self.all {
            return revoke_all(context).await;
        }
        revoke(context, &context.app).await?;
        Ok(output::print(&match context.format {
            OutputFormat::Text => ended(&context.app),
            OutputFormat::Json => "{}".to_owned(),
        })?)
    }
}

/// Ends the sessions of each app, also after one where that fails.
async fn revoke_all(context: &CommandContext) -> Result<(), CliError> {
    let apps = apps::list(context).await?;
    let mut failed = 0;
    for app in &apps {
        let problem = match app.kind() {
            AppKind::Cookie => Some(IN_COOKIES.to_owned()),
            _ => revoke(context, &app.app).await.err().map(|error| error.to_string()),
        };
        if let Some(problem) = problem {
            output::print_note(&format!("{}  not ended: {problem}", app.app));
            failed += 1;
            continue;
        }
        output::print(&match context.format {
            OutputFormat::Text => ended(&app.app),
            OutputFormat::Json => json::line(&json!({ "app": app.app })),
        })?;
    }
    match failed {
        0 if apps.is_empty() => Err("this caller may use no app; nothing was done".into()),
        0 => Ok(()),
        _ => {
            let all = counted(apps.len(), "app", "apps");
            Err(CliError::Failed(format!("the sessions of {failed} of {all} not ended").into()))
        }
    }
}

async fn revoke(context: &CommandContext, app: &str) -> Result<(), CallError> {
    let request = RevokeAppRequest { app: app.to_owned() };
    context.admin.call(async |mut client| client.revoke_app(request).await).await.map(drop)
}

fn ended(app: &str) -> String {
    format!("all sessions of the app {app} ended")
}

const IN_COOKIES: &str = "its sessions are in the cookies; replace all its keys by a new one";
