//! `cloakroom export --address`: exports from a running service, while it is in use.

use std::time::Duration;

use clap::Args;
use tokio::runtime;

use super::output::ExportOutput;
use super::report::ExportReport;
use crate::cli::credentials::Credentials;
use crate::cli::sessions::admin::{AdminClient, CallError};
use crate::cli::{Address, CliError};
use crate::grpc::wire::{ExportSessionsRequest, ExportSessionsResponse};
use crate::types::duration;

#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    /// Export from the running service whose admin listener has this address, HOST:PORT or unix:PATH, while it is in
    /// use. Needs no configuration, and the role `backup` [default: read the store, which no service may have open if
    /// it is the embedded one]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    address: Option<Address>,
    /// The time to wait for each part of an export from a service
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    credentials: Credentials,
}

impl ServiceArgs {
    /// Returns the address of the service to export from.
    pub(super) const fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Writes the export of a service.
    pub(super) fn export(
        &self,
        address: &Address,
        apps: &[String],
        output: &mut ExportOutput,
        report: &mut ExportReport,
    ) -> Result<(), CliError> {
        let request = ExportSessionsRequest { apps: apps.to_vec() };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let admin = AdminClient::connect(address, &self.credentials, self.timeout).await?;
            let mut responses = admin.call(async |mut client| client.export_sessions(request).await).await?;
            while let Some(response) = admin.next_in_time(&mut responses).await.map_err(cut)? {
                write(&response, output, report)?;
            }
            Ok(())
        })
    }
}

fn write(
    response: &ExportSessionsResponse,
    output: &mut ExportOutput,
    report: &mut ExportReport,
) -> Result<(), CliError> {
    output.write(&response.data)?;
    for session in &response.corrupt_sessions {
        report.leave_out(&session.app, &session.id);
    }
    report.add_unread_revocations(response.corrupt_revocations.into());
    report.show(response.session_count);
    Ok(())
}

/// Says what a stream that ended too early means.
fn cut(error: CallError) -> CliError {
    CliError::Failed(format!("the export did not finish, and nothing of it is to be used: {error}").into())
}
