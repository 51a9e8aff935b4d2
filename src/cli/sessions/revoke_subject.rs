//! `cloakroom sessions revoke-subject`: ends all sessions of a subject.

use clap::Args;
use serde_json::json;

use super::{CommandContext, OutputFormat, json};
use crate::cli::{CliError, output};
use crate::grpc::wire::RevokeSubjectRequest;
use crate::token::SessionId;
use crate::types::counted;

#[derive(Debug, Args)]
pub(super) struct RevokeSubjectArgs {
    /// Do not end the session with this id
    #[arg(long, value_name = "ID", value_parser = super::parse_id)]
    except: Option<SessionId>,
    /// The subject whose sessions are ended
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    subject: String,
}

impl RevokeSubjectArgs {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let except_id = self.except.map(|id| id.to_string()).unwrap_or_default();
        let request = RevokeSubjectRequest { app: context.app.clone(), subject: self.subject.clone(), except_id };
        let response = context.admin.call(async |mut client| client.revoke_subject(request).await).await?;
        Ok(output::print(&match context.format {
            OutputFormat::Text => format!("{} ended", counted(response.revoked, "session", "sessions")),
            OutputFormat::Json => json::line(&json!({ "revoked": response.revoked })),
        })?)
    }
}
