//! `cloakroom sessions revoke-app`: ends all sessions of an app, after a confirmation.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use super::{CommandContext, OutputFormat};
use crate::cli::{CliError, output};
use crate::grpc::wire::RevokeAppRequest;

#[derive(Debug, Args)]
pub(super) struct RevokeAppArgs {
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
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err("this ends all sessions of the app; say --yes".into());
        }
        write!(io::stderr(), "This ends all sessions of the app {app}. Type its name to go on: ")?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if answer.trim() == app { Ok(()) } else { Err("that is not its name; nothing was done".into()) }
    }

    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let request = RevokeAppRequest { app: context.app.clone() };
        context.admin.call(async |mut client| client.revoke_app(request).await).await?;
        Ok(output::print(&match context.format {
            OutputFormat::Text => format!("all sessions of the app {} ended", context.app),
            OutputFormat::Json => "{}".to_owned(),
        })?)
    }
}
