//! `cloakroom sessions revoke-app`: ends all sessions of an app, once somebody has said that they mean it.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use super::{Desk, Format};
use crate::cli::{Failure, output};
use crate::grpc::wire::RevokeAppRequest;

#[derive(Debug, Args)]
pub(super) struct RevokeApp {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl RevokeApp {
    /// Asks on a terminal, and elsewhere wants `--yes`.
    pub(super) fn confirm(&self, app: &str) -> Result<(), Failure> {
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

    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = RevokeAppRequest { app: desk.app.clone() };
        desk.admin.ask(async |mut client| client.revoke_app(request).await).await?;
        Ok(output::answer(&match desk.format {
            Format::People => format!("all sessions of the app {} ended", desk.app),
            Format::Json => "{}".to_owned(),
        })?)
    }
}
