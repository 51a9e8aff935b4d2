//! A connection to a running service, for commands that ask it something.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use super::Address;

/// Connects, or says why not.
pub(super) async fn connect(address: &Address) -> Result<Channel, String> {
    let connected = match address {
        Address::Tcp(address) => match Endpoint::from_shared(format!("http://{address}")) {
            Ok(endpoint) => endpoint.connect().await,
            Err(error) => Err(error),
        },
        Address::Unix(path) => {
            let path = path.clone();
            // The name is needed for the request's authority alone.
            let endpoint = Endpoint::from_static("http://localhost");
            endpoint.connect_with_connector(tower::service_fn(move |_| open(path.clone()))).await
        }
    };
    connected.map_err(|error| format!("no connection: {}", root_cause(&error)))
}

async fn open(path: PathBuf) -> io::Result<TokioIo<UnixStream>> {
    UnixStream::connect(path).await.map(TokioIo::new)
}

/// tonic's own words are "transport error" alone.
fn root_cause(error: &dyn StdError) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}
