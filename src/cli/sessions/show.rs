//! `cloakroom sessions show`: all that is known about one session.

use clap::Args;

use super::{Desk, Format, json, table};
use crate::cli::{Failure, output};
use crate::grpc::wire::GetSessionRequest;
use crate::token::Id;

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Show what it holds, too
    #[arg(long)]
    entries: bool,
    /// Which
    #[arg(value_parser = super::id)]
    id: Id,
}

impl Show {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let (app, id) = (desk.app.clone(), self.id.to_string());
        let request = GetSessionRequest { app, id, with_entries: self.entries };
        let answer = desk.admin.ask(async |mut client| client.get_session(request).await).await?;
        let session = answer.session.ok_or("the service answered no session")?;
        Ok(output::answer(&match desk.format {
            Format::People => table::sheet(&session, desk.now),
            Format::Json => json::line(&json::Session::from(&session)),
        })?)
    }
}
