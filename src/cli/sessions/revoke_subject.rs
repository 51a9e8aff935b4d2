//! `cloakroom sessions revoke-subject`: ends all sessions of a subject.

use clap::Args;
use serde_json::json;

use super::{CommandContext, OutputFormat, json};
use crate::cli::{CliError, output};
use crate::grpc::wire::RevokeSubjectRequest;
use crate::token::SessionId;

#[derive(Debug, Args)]
pub(super) struct RevokeSubject {
    /// The session that stays
    #[arg(long, value_name = "ID", value_parser = super::id)]
    except: Option<SessionId>,
    /// Whose
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    subject: String,
}

impl RevokeSubject {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let except_id = self.except.map(|id| id.to_string()).unwrap_or_default();
        let request = RevokeSubjectRequest { app: context.app.clone(), subject: self.subject.clone(), except_id };
        let answer = context.admin.ask(async |mut client| client.revoke_subject(request).await).await?;
        Ok(output::answer(&match context.format {
            OutputFormat::People => format!("{} sessions ended", answer.revoked),
            OutputFormat::Json => json::line(&json!({ "revoked": answer.revoked })),
        })?)
    }
}
