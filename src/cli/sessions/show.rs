//! `cloakroom sessions show`: prints everything that the service knows about one session.

use clap::Args;

use super::{CommandContext, OutputFormat, json, table};
use crate::cli::{CliError, output};
use crate::grpc::wire::GetSessionRequest;
use crate::token::SessionId;

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Also print the entries of the session
    #[arg(long)]
    entries: bool,
    /// The id of the session
    #[arg(value_parser = super::parse_id)]
    id: SessionId,
}

impl ShowArgs {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let (app, id) = (context.app.clone(), self.id.to_string());
        let request = GetSessionRequest { app, id, with_entries: self.entries };
        let response = context.admin.call(async |mut client| client.get_session(request).await).await?;
        let session = response.session.ok_or("the service answered no session")?;
        Ok(output::print(&match context.format {
            OutputFormat::Text => table::session_fields(&session, context.now, context.columns),
            OutputFormat::Json => json::line(&json::SessionJson::from(&session)),
        })?)
    }
}
