//! `cloakroom healthcheck`: asks a service whether it serves. For containers, whose images hold no grpcurl.

use std::time::Duration;

use clap::Args;
use tokio::runtime;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::connect::connect;
use super::credentials::{CallerTokenHeader, Credentials, TlsOptions};
use super::{Address, CliError, ConfigFile, output};
use crate::config::Settings;
use crate::grpc;
use crate::server::TlsSettings;
use crate::types::duration;

#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// The address of the service, HOST:PORT or unix:PATH [default: where the configuration lets it listen for operators,
    /// or else for frontends]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
    /// Ask only whether the process lives, whatever its store does
    #[arg(long)]
    live: bool,
    /// Ask only whether sessions can be read, so that the answer is yes while the store is full or refuses writes
    #[arg(long, conflicts_with = "live")]
    readable: bool,
    /// The time to wait for the answer, such as 500ms or 3s
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    config: ConfigFile,
}

impl HealthcheckArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let given_tls = self.credentials.tls().map_err(|why| CliError::Failed(why.into()))?;
        let (address, tls) = match &self.address {
            Some(address) => (address.clone(), given_tls),
            None => {
                let settings = self.config.load_listeners()?;
                let (address, tls) = configured_address(&settings).ok_or("the service listens nowhere")?;
                (address, given_tls.or_else(|| tls.is_some_and(TlsSettings::is_on).then(TlsOptions::unverified)))
            }
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let service = if self.live {
            ""
        } else if self.readable {
            grpc::READABLE_SERVICE
        } else {
            grpc::SESSION_SERVICE
        };
        let health = runtime.block_on(health(&address, tls, service, self.timeout));
        match health {
            Ok(()) => Ok(output::print(&format!("{address}: SERVING"))?),
            Err(why) => {
                output::print_note(&format!("{address}: {why}"));
                Err(CliError::NegativeAnswer)
            }
        }
    }
}

/// Returns the address to ask, and its TLS if it may have any.
///
/// Prefers the listener for operators: it has a thread and connections of its own, so that it answers under any load of
/// the frontends. Then the Unix socket, which is cheaper than TCP.
fn configured_address(settings: &Settings) -> Option<(Address, Option<&TlsSettings>)> {
    let Settings { server, admin, .. } = settings;
    if let Some(listen) = admin.listen {
        return Some((Address::of_listener(listen), Some(&admin.tls)));
    }
    if let Some(path) = server.unix_path() {
        return Some((Address::Unix(path.to_owned()), None));
    }
    Some((Address::of_listener(server.listen?), Some(&server.tls)))
}

/// Checks the health of a service of this name, within a time. The error says what it is, or why it is not known.
pub(super) async fn health(
    address: &Address,
    tls: Option<TlsOptions>,
    service: &str,
    timeout: Duration,
) -> Result<(), String> {
    let timed_out = |_| Err(format!("no answer within {}", duration::text(timeout)));
    tokio::time::timeout(timeout, check(address, tls, service)).await.unwrap_or_else(timed_out)
}

/// Checks the health of a service. Sends no token, because health is open to all.
async fn check(address: &Address, tls: Option<TlsOptions>, service: &str) -> Result<(), String> {
    let channel = connect(address, tls, CallerTokenHeader::NONE).await?;
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(response) => match response.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            status => Err(status.as_str_name().to_owned()),
        },
        Err(status) => Err(format!("{}: {}", status.code(), status.message())),
    }
}
