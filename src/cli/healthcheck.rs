//! `cloakroom healthcheck`: does the service serve? For containers, which have no grpcurl in them.

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
use crate::types::duration;

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// HOST:PORT or unix:PATH. Otherwise where the configuration has the service listen
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
    /// How long to wait for the answer
    #[arg(long, value_name = "SPAN", default_value = "3s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    config: ConfigFile,
}

impl Healthcheck {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let asked = self.credentials.tls().map_err(|why| CliError::Failed(why.into()))?;
        let (address, tls) = match &self.address {
            Some(address) => (address.clone(), asked),
            None => {
                let settings = self.config.load()?.settings;
                let address = address_in(&settings).ok_or("the service listens nowhere")?;
                let speaks_tls = settings.server.tls.is_on() && matches!(address, Address::Tcp(_));
                let tls = asked.or_else(|| speaks_tls.then(TlsOptions::with_anybody));
                (address, tls)
            }
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async { tokio::time::timeout(self.timeout, ask(&address, tls)).await });
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {}", duration::text(self.timeout))));
        match answer {
            Ok(()) => Ok(output::answer(&format!("{address}: SERVING"))?),
            Err(why) => {
                output::tell(&format!("{address}: {why}"));
                Err(CliError::RecordedBody)
            }
        }
    }
}

/// The cheaper way first, as frontends on this machine would take it.
fn address_in(settings: &Settings) -> Option<Address> {
    let socket = settings.server.unix_path().map(|path| Address::Unix(path.to_owned()));
    socket.or_else(|| settings.server.listen.map(Address::reached_at))
}

/// Health is told to everybody, so no token is shown.
async fn ask(address: &Address, tls: Option<TlsOptions>) -> Result<(), String> {
    let channel = connect(address, tls, CallerTokenHeader::NONE).await?;
    let request = HealthCheckRequest { service: grpc::SESSION_SERVICE.to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            status => Err(status.as_str_name().to_owned()),
        },
        Err(status) => Err(format!("{}: {}", status.code(), status.message())),
    }
}
