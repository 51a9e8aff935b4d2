//! `cloakroom sessions revoke`: ends sessions by their ids.

use clap::Args;

use super::admin::CallError;
use super::{CommandContext, OutputFormat, json, text};
use crate::cli::{CliError, output};
use crate::grpc::wire::{EndReason, Outcome, RevokeSessionRequest, RevokeSessionResponse};
use crate::token::SessionId;
use crate::types::counted;

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The ids of the sessions to end
    #[arg(required = true, value_name = "ID", value_parser = super::parse_id)]
    ids: Vec<SessionId>,
}

impl RevokeArgs {
    /// Ends all sessions, even if one of them is unknown or cannot be ended. Then the exit code is 1.
    ///
    /// Stops when nobody answers, because each id would take as long again.
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let (mut all_known, mut failed) = (true, 0);
        for (tried, id) in self.ids.iter().map(SessionId::to_string).enumerate() {
            let response = match revoke(context, &id).await {
                Ok(response) => response,
                Err(error) if error.has_no_answer() => {
                    output::print_note(&format!("{id}  perhaps not ended: {error}"));
                    return Err(self.not_ended(failed + 1, self.ids.len() - tried - 1));
                }
                Err(error) => {
                    output::print_note(&format!("{id}  not ended: {error}"));
                    failed += 1;
                    continue;
                }
            };
            all_known &= is_known(&response);
            output::print(&match context.format {
                OutputFormat::Text => format!("{id}  {}", describe(&response)),
                OutputFormat::Json => json::line(&json::RevocationJson::new(&id, &response)),
            })?;
        }
        match failed {
            0 if all_known => Ok(()),
            0 => Err(CliError::NegativeAnswer),
            _ => Err(self.not_ended(failed, 0)),
        }
    }

    /// Says how many sessions may be alive: those that failed, and those that were not tried.
    fn not_ended(&self, failed: usize, not_tried: usize) -> CliError {
        let all = counted(self.ids.len(), "session", "sessions");
        let mut why = format!("{} of {all} not ended", failed + not_tried);
        if not_tried > 0 {
            why += &format!(", {not_tried} of them not tried, because nobody answers; run it again");
        }
        CliError::Failed(why.into())
    }
}

async fn revoke(context: &CommandContext, id: &str) -> Result<RevokeSessionResponse, CallError> {
    let request = RevokeSessionRequest { app: context.app.clone(), id: id.to_owned() };
    context.admin.call(async |mut client| client.revoke_session(request).await).await
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
