//! `cloakroom sessions revoke-subject`: ends all sessions of a subject.

use clap::Args;
use serde_json::json;

use super::{Desk, Format, json};
use crate::cli::{Failure, output};
use crate::grpc::wire::RevokeSubjectRequest;
use crate::token::Id;

#[derive(Debug, Args)]
pub(super) struct RevokeSubject {
    /// The session that stays
    #[arg(long, value_name = "ID", value_parser = super::id)]
    except: Option<Id>,
    /// Whose
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    subject: String,
}

impl RevokeSubject {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let except_id = self.except.map(|id| id.to_string()).unwrap_or_default();
        let request = RevokeSubjectRequest { app: desk.app.clone(), subject: self.subject.clone(), except_id };
        let answer = desk.admin.ask(async |mut client| client.revoke_subject(request).await).await?;
        Ok(output::answer(&match desk.format {
            Format::People => format!("{} sessions ended", answer.revoked),
            Format::Json => json::line(&json!({ "revoked": answer.revoked })),
        })?)
    }
}
