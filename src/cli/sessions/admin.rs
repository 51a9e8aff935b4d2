//! Calls of AdminService, each within its time, and what is told of those that fail.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use super::text::printable;
use crate::cli::connect::{Connection, connect};
use crate::cli::credentials::Credentials;
use crate::cli::{Address, CliError};
use crate::grpc::wire::admin_service_client::AdminServiceClient;
use crate::types::duration;

/// The client that the verbs call.
pub(super) type Client = AdminServiceClient<Connection>;

/// A running service's AdminService.
#[derive(Debug)]
pub(super) struct AdminClient {
    client: Client,
    is_encrypted: bool,
    address: Address,
    timeout: Duration,
}

impl AdminClient {
    pub(super) async fn connect(
        address: &Address,
        credentials: &Credentials,
        timeout: Duration,
    ) -> Result<Self, CliError> {
        let unusable = |why: String| CliError::Failed(why.into());
        let (tls, bearer) = (credentials.tls().map_err(unusable)?, credentials.bearer().map_err(unusable)?);
        let is_encrypted = tls.is_some();
        let connected = within(timeout, address, connect(address, tls, bearer)).await?;
        let channel = connected.map_err(|why| failed(address, &why))?;
        // A page of entries may be larger than tonic's 4 MiB.
        let client = Client::new(channel).max_decoding_message_size(usize::MAX);
        Ok(Self { client, is_encrypted, address: address.clone(), timeout })
    }

    /// The answer to one call.
    pub(super) async fn ask<T>(
        &self,
        call: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
    ) -> Result<T, CliError> {
        let answer = within(self.timeout, &self.address, call(self.client.clone())).await?;
        answer.map(Response::into_inner).map_err(|status| failed(&self.address, &self.told(&status)))
    }
}

impl AdminClient {
    /// The next answer of a stream, whenever it comes; nothing at its end.
    pub(super) async fn next<T>(&self, answers: &mut Streaming<T>) -> Result<Option<T>, CliError> {
        answers.message().await.map_err(|status| failed(&self.address, &self.told(&status)))
    }

    fn told(&self, status: &Status) -> String {
        let is_broken = status.source().is_some();
        if is_broken && !self.is_encrypted { format!("{}; {ENCRYPTED}", told(status)) } else { told(status) }
    }
}

async fn within<T>(timeout: Duration, address: &Address, answer: impl Future<Output = T>) -> Result<T, CliError> {
    let late = |_| failed(address, &format!("no answer within {}", duration::text(timeout)));
    tokio::time::timeout(timeout, answer).await.map_err(late)
}

fn failed(address: &Address, why: &str) -> CliError {
    CliError::Failed(format!("{address}: {why}").into())
}

fn told(status: &Status) -> String {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    if status.code() == Code::Unimplemented && reason != "METHOD_UNKNOWN" {
        return NO_ADMIN.to_owned();
    }
    let reason = if reason.is_empty() { format!("{:?}", status.code()) } else { reason };
    format!("{} ({})", printable(status.message()), printable(&reason))
}

const ENCRYPTED: &str = "a service that encrypts is called with --ca";

const NO_ADMIN: &str = "the address does not serve AdminService; is it the admin listener? \
                        Name that one with --address; `cloakroom check` shows it as admin.listen";
