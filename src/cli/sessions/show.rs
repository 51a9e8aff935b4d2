//! `cloakroom sessions show`: all that is known about one session.

use clap::Args;

use super::{CommandContext, OutputFormat, json, table};
use crate::cli::{CliError, output};
use crate::grpc::wire::GetSessionRequest;
use crate::token::SessionId;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Show what it holds, too
    #[arg(long)]
    entries: bool,
    /// Which
    #[arg(value_parser = super::id)]
    id: SessionId,
}

impl Show {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let (app, id) = (context.app.clone(), self.id.to_string());
        let request = GetSessionRequest { app, id, with_entries: self.entries };
        let answer = context.admin.ask(async |mut client| client.get_session(request).await).await?;
        let session = answer.session.ok_or("the service answered no session")?;
        Ok(output::answer(&match context.format {
            OutputFormat::People => table::sheet(&session, context.now),
            OutputFormat::Json => json::line(&json::SessionJson::from(&session)),
        })?)
    }
}
