//! `cloakroom sessions revoke`: ends sessions by their ids.

use clap::Args;

use super::{CommandContext, OutputFormat, json, text};
use crate::cli::{CliError, output};
use crate::grpc::wire::{EndReason, Outcome, RevokeSessionRequest, RevokeSessionResponse};
use crate::token::SessionId;

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// Which
    #[arg(required = true, value_name = "ID", value_parser = super::id)]
    ids: Vec<SessionId>,
}

impl Revoke {
    /// Ends them all, also after one that nobody knows; then says no.
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let mut all_known = true;
        for id in self.ids.iter().map(SessionId::to_string) {
            let request = RevokeSessionRequest { app: context.app.clone(), id: id.clone() };
            let answer = context.admin.ask(async |mut client| client.revoke_session(request).await).await?;
            all_known &= is_known(&answer);
            output::answer(&match context.format {
                OutputFormat::People => format!("{id}  {}", told(&answer)),
                OutputFormat::Json => json::line(&json::RevokedJson::new(&id, &answer)),
            })?;
        }
        if all_known { Ok(()) } else { Err(CliError::RecordedBody) }
    }
}

fn is_known(answer: &RevokeSessionResponse) -> bool {
    answer.outcome() == Outcome::Deleted || answer.end_reason() != EndReason::Unspecified
}

fn told(answer: &RevokeSessionResponse) -> String {
    match text::end_reason(answer.end_reason()) {
        _ if answer.outcome() == Outcome::Deleted => "ended".to_owned(),
        Some(reason) => format!("had ended before: {reason}"),
        None => "unknown: no such session, or it ended long ago".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_knows_is_a_no() {
        let answer = |outcome: Outcome, reason: EndReason| {
            let answer = RevokeSessionResponse { outcome: outcome.into(), end_reason: reason.into() };
            (told(&answer), is_known(&answer))
        };

        assert_eq!(answer(Outcome::Deleted, EndReason::Revoked), ("ended".to_owned(), true));
        assert_eq!(answer(Outcome::Gone, EndReason::Idle), ("had ended before: IDLE".to_owned(), true));
        let unknown = "unknown: no such session, or it ended long ago".to_owned();
        assert_eq!(answer(Outcome::Gone, EndReason::Unspecified), (unknown, false));
    }
}
