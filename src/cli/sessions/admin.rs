//! Calls of AdminService: deadlines, and error messages for the operator.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Response, Status, Streaming};
use tonic_types::StatusExt as _;

use super::text::printable;
use crate::cli::connect::{AuthenticatedChannel, connect};
use crate::cli::credentials::Credentials;
use crate::cli::{Address, CliError};
use crate::grpc::wire::admin_service_client::AdminServiceClient;
use crate::types::duration;

/// The generated client of AdminService.
pub(in crate::cli) type AuthenticatedClient = AdminServiceClient<AuthenticatedChannel>;

/// Calls the AdminService of a running service.
#[derive(Debug)]
pub(in crate::cli) struct AdminClient {
    client: AuthenticatedClient,
    uses_tls: bool,
    address: Address,
    timeout: Duration,
}

/// Why a call has no response, for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {why}")]
pub(in crate::cli) struct CallError {
    address: Address,
    why: String,
    failure: CallFailure,
}

/// The side that has ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallFailure {
    /// The service has answered that it fails.
    Refused,
    /// The connection is too old, or the service stops.
    GoingAway,
    /// Nobody answers: there is no connection, it was cut, or the time is over.
    NoAnswer,
}

impl CallError {
    /// Whether the next call would fail as this one, after as long a time. What this one has done is not known.
    pub(super) fn has_no_answer(&self) -> bool {
        self.failure == CallFailure::NoAnswer
    }

    /// Whether a stream can go on on another connection.
    pub(super) const fn may_go_on(&self) -> bool {
        matches!(self.failure, CallFailure::GoingAway | CallFailure::NoAnswer)
    }

    /// Whether the service has ended the connection in order.
    pub(super) fn is_going_away(&self) -> bool {
        self.failure == CallFailure::GoingAway
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> Self {
        Self::Failed(error.into())
    }
}

impl AdminClient {
    pub(in crate::cli) async fn connect(
        address: &Address,
        credentials: &Credentials,
        timeout: Duration,
    ) -> Result<Self, CliError> {
        let unusable = |why: String| CliError::Failed(why.into());
        let (tls, token) = (credentials.tls().map_err(unusable)?, credentials.token_header().map_err(unusable)?);
        let uses_tls = tls.is_some();
        let connected = within(timeout, address, connect(address, tls, token)).await?;
        let channel = connected.map_err(|why| failed(address, why, CallFailure::NoAnswer))?;
        // A page with entries may be larger than tonic's default limit of 4 MiB.
        let client = AuthenticatedClient::new(channel).max_decoding_message_size(usize::MAX);
        Ok(Self { client, uses_tls, address: address.clone(), timeout })
    }

    /// Makes one call within the timeout, and returns the response.
    pub(in crate::cli) async fn call<T>(
        &self,
        call: impl AsyncFnOnce(AuthenticatedClient) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        let response = within(self.timeout, &self.address, call(self.client.clone())).await?;
        response.map(Response::into_inner).map_err(|status| self.failed(&status))
    }

    /// Waits for the next message of a stream, without a timeout. `None` at the end of the stream.
    pub(super) async fn next<T>(&self, messages: &mut Streaming<T>) -> Result<Option<T>, CallError> {
        messages.message().await.map_err(|status| self.failed(&status))
    }

    /// The same within the timeout, for a stream that sends all the time.
    pub(in crate::cli) async fn next_in_time<T>(&self, messages: &mut Streaming<T>) -> Result<Option<T>, CallError> {
        within(self.timeout, &self.address, self.next(messages)).await?
    }

    fn failed(&self, status: &Status) -> CallError {
        let mut message = message(status);
        let is_transport_error = status.source().is_some();
        if is_transport_error && !self.uses_tls {
            message = format!("{message}; {TLS_HINT}");
        }
        let failure = match status.code() {
            _ if is_transport_error => CallFailure::NoAnswer,
            // The service has waited as long as it may, and so would the next call.
            Code::DeadlineExceeded => CallFailure::NoAnswer,
            Code::Unavailable if reason(status) == "GOING_AWAY" => CallFailure::GoingAway,
            _ => CallFailure::Refused,
        };
        failed(&self.address, message, failure)
    }
}

async fn within<T>(timeout: Duration, address: &Address, response: impl Future<Output = T>) -> Result<T, CallError> {
    let timed_out = |_| failed(address, format!("no answer within {}", duration::text(timeout)), CallFailure::NoAnswer);
    tokio::time::timeout(timeout, response).await.map_err(timed_out)
}

fn failed(address: &Address, why: String, failure: CallFailure) -> CallError {
    CallError { address: address.clone(), why, failure }
}

fn message(status: &Status) -> String {
    let reason = reason(status);
    if status.code() == Code::Unimplemented && reason != "METHOD_UNKNOWN" {
        return NO_ADMIN_SERVICE.to_owned();
    }
    let reason = if reason.is_empty() { format!("{:?}", status.code()) } else { reason };
    format!("{} ({})", printable(status.message()), printable(&reason))
}

/// The reason of an error, such as `GOING_AWAY`. Empty: it has none.
pub(in crate::cli) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

const TLS_HINT: &str = "a service that encrypts is called with --ca";

const NO_ADMIN_SERVICE: &str = "the address does not serve AdminService; is it the admin listener? \
                                Name that one with --address; `cloakroom check` shows it as admin.listen";
