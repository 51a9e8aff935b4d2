//! `cloakroom store migrate`: moves the sessions of a running service to its present store.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::runtime;

use super::move_progress::MoveProgress;
use crate::cli::credentials::Credentials;
use crate::cli::progress::Progress;
use crate::cli::sessions::admin::{AdminClient, CallError};
use crate::cli::{Address, CliError, output};
use crate::grpc::wire::{MigrateStoreRequest, MigrateStoreResponse};
use crate::types::duration;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// The address of the admin listener, HOST:PORT or unix:PATH
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50052")]
    address: Address,
    /// Only count what would move, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// The time to wait for each sign that the move goes on
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    credentials: Credentials,
}

impl MigrateArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let last = runtime.block_on(self.migrate())?;
        for line in self.report(&last) {
            output::print_note(&line);
        }
        let is_done = self.dry_run || last.complete;
        if is_done && left_out(&last) == 0 { Ok(()) } else { Err(CliError::LeftOut) }
    }

    /// Reads the stream to its end, and returns the last response.
    async fn migrate(&self) -> Result<MigrateStoreResponse, CliError> {
        let request = MigrateStoreRequest { dry_run: self.dry_run };
        let admin = AdminClient::connect(&self.address, &self.credentials, self.timeout).await?;
        let mut responses = admin.call(async |mut client| client.migrate_store(request).await).await?;
        let (mut progress, mut last) = (Progress::with_log(), MigrateStoreResponse::default());
        let mut move_progress = MoveProgress::new(self.dry_run, Instant::now());
        while let Some(response) = admin.next_in_time(&mut responses).await.map_err(cut)? {
            if move_progress.add(&response, Instant::now()) {
                progress.show_text(|columns| match columns {
                    Some(columns) => move_progress.bar(columns),
                    None => move_progress.line(),
                });
            }
            last = response;
        }
        Ok(last)
    }

    fn report(&self, last: &MigrateStoreResponse) -> Vec<String> {
        let MigrateStoreResponse { live_count, ended_count, expired_count, revocation_count, .. } = last;
        let verb = if self.dry_run { "would move" } else { "moved" };
        let mut lines = vec![format!(
            "{live_count} live sessions {verb}, {ended_count} ended ones, {revocation_count} revocations; \
             {expired_count} had expired"
        )];
        let reasons = [
            (last.corrupt_count, "their bytes are no session, so nobody can open them"),
            (last.duplicate_count, "the present store has other sessions of their ids"),
            (last.busy_count, "they were written again and again"),
        ];
        let stay = |(count, why): (u64, &str)| format!("{count} sessions stay in the previous store: {why}");
        lines.extend(reasons.into_iter().filter(|(count, _)| *count > 0).map(stay));
        let conclusion = match (self.dry_run, last.complete) {
            (true, _) => return lines,
            (false, true) => "nothing is left to move; [store.previous] can be removed",
            (false, false) if left_out(last) == 0 => "sessions are still created in the previous store; run it again",
            (false, false) if last.busy_count > 0 => {
                "run it again before [store.previous] is removed, or lose those that were written again and again"
            }
            (false, false) => "nothing else is left to move; they are lost when [store.previous] is removed",
        };
        lines.push(conclusion.to_owned());
        lines
    }
}

/// How many sessions stay in the previous store.
const fn left_out(last: &MigrateStoreResponse) -> u64 {
    last.corrupt_count + last.duplicate_count + last.busy_count
}

/// Says what a stream that ended too early means.
fn cut(error: CallError) -> CliError {
    CliError::Failed(
        format!("the move did not finish; what it did stays, and the command goes on if it is run again: {error}")
            .into(),
    )
}
