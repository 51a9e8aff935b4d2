//! `cloakroom sessions revoke`: ends sessions by their ids.

use clap::Args;

use super::{CommandContext, OutputFormat, json, text};
use crate::cli::{CliError, output};
use crate::grpc::wire::{EndReason, Outcome, RevokeSessionRequest, RevokeSessionResponse};
use crate::token::SessionId;

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The ids of the sessions to end
    #[arg(required = true, value_name = "ID", value_parser = super::parse_id)]
    ids: Vec<SessionId>,
}

impl RevokeArgs {
    /// Ends all sessions, even if one of them is unknown. Then the exit code is 1.
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let mut all_known = true;
        for id in self.ids.iter().map(SessionId::to_string) {
            let request = RevokeSessionRequest { app: context.app.clone(), id: id.clone() };
            let response = context.admin.call(async |mut client| client.revoke_session(request).await).await?;
            all_known &= is_known(&response);
            output::print(&match context.format {
                OutputFormat::Text => format!("{id}  {}", describe(&response)),
                OutputFormat::Json => json::line(&json::RevocationJson::new(&id, &response)),
            })?;
        }
        if all_known { Ok(()) } else { Err(CliError::NegativeAnswer) }
    }
}

fn is_known(response: &RevokeSessionResponse) -> bool {
    response.outcome() == Outcome::Deleted || response.end_reason() != EndReason::Unspecified
}

fn describe(response: &RevokeSessionResponse) -> String {
    match text::end_reason(response.end_reason()) {
        _ if response.outcome() == Outcome::Deleted => "ended".to_owned(),
        Some(reason) => format!("had ended before: {reason}"),
        None => "unknown: no such session, or it ended long ago".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_session_is_a_failure() {
        let result = |outcome: Outcome, reason: EndReason| {
            let response = RevokeSessionResponse { outcome: outcome.into(), end_reason: reason.into() };
            (describe(&response), is_known(&response))
        };

        assert_eq!(result(Outcome::Deleted, EndReason::Revoked), ("ended".to_owned(), true));
        assert_eq!(result(Outcome::Gone, EndReason::Idle), ("had ended before: IDLE".to_owned(), true));
        let unknown = "unknown: no such session, or it ended long ago".to_owned();
        assert_eq!(result(Outcome::Gone, EndReason::Unspecified), (unknown, false));
    }
}
