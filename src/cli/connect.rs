//! Connections from commands to a running service.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use super::Address;
use super::credentials::{CallerTokenHeader, TlsOptions};

/// A channel that sends the caller token with each call.
pub(super) type AuthenticatedChannel = InterceptedService<Channel, CallerTokenHeader>;

/// Connects to a service. The error says why that failed.
pub(super) async fn connect(
    address: &Address,
    tls: Option<TlsOptions>,
    token: CallerTokenHeader,
) -> Result<AuthenticatedChannel, String> {
    // With a connector of our own, this address is only the authority of requests.
    let localhost = Endpoint::from_static("http://localhost");
    let connected = match (address, tls) {
        (Address::Tcp(address), None) => match Endpoint::from_shared(format!("http://{address}")) {
            Ok(endpoint) => endpoint.connect().await,
            Err(error) => Err(error),
        },
        (Address::Tcp(address), Some(tls)) => {
            let address = address.clone();
            let connector = move |_| {
                let (tls, address) = (tls.clone(), address.clone());
                async move { tls.connect(&address).await.map(TokioIo::new) }
            };
            localhost.connect_with_connector(tower::service_fn(connector)).await
        }
        (Address::Unix(_), Some(_)) => return Err("a Unix socket is not encrypted; leave --ca out".to_owned()),
        (Address::Unix(path), None) => {
            let path = path.clone();
            localhost.connect_with_connector(tower::service_fn(move |_| connect_unix(path.clone()))).await
        }
    };
    let channel = connected.map_err(|error| format!("no connection: {}", root_cause(&error)))?;
    Ok(InterceptedService::new(channel, token))
}

async fn connect_unix(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(path).await.map(TokioIo::new)
}

/// Returns the text of the innermost error, because tonic's own error says only "transport error".
fn root_cause(error: &dyn StdError) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}
