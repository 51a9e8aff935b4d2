//! A connection to a running service, for commands that ask it something.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};

use super::Address;
use super::credentials::{CallerTokenHeader, TlsOptions};

/// A connection that shows who calls.
pub(super) type Connection = InterceptedService<Channel, CallerTokenHeader>;

/// Connects, or says why not.
pub(super) async fn connect(
    address: &Address,
    tls: Option<TlsOptions>,
    bearer: CallerTokenHeader,
) -> Result<Connection, String> {
    // The name is needed for the request's authority alone, where a connector of our own connects.
    let local = Endpoint::from_static("http://localhost");
    let connected = match (address, tls) {
        (Address::Tcp(address), None) => match Endpoint::from_shared(format!("http://{address}")) {
            Ok(endpoint) => endpoint.connect().await,
            Err(error) => Err(error),
        },
        (Address::Tcp(address), Some(tls)) => {
            let address = address.clone();
            let open = move |_| {
                let (tls, address) = (tls.clone(), address.clone());
                async move { tls.connect(&address).await.map(TokioIo::new) }
            };
            local.connect_with_connector(tower::service_fn(open)).await
        }
        (Address::Unix(_), Some(_)) => return Err("a Unix socket is not encrypted; leave --ca out".to_owned()),
        (Address::Unix(path), None) => {
            let path = path.clone();
            local.connect_with_connector(tower::service_fn(move |_| open(path.clone()))).await
        }
    };
    let channel = connected.map_err(|error| format!("no connection: {}", root_cause(&error)))?;
    Ok(InterceptedService::new(channel, bearer))
}

async fn open(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(path).await.map(TokioIo::new)
}

/// tonic's own words are "transport error" alone.
fn root_cause(error: &dyn StdError) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}
