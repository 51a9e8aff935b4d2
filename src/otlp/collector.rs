//! The connection to the collector.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{self, Channel, Endpoint};
use tonic::{Extensions, Request, Status};
use tonic_prost::ProstCodec;

use super::collector_settings::{CollectorAddress, CollectorSettings};
use crate::tls;
use crate::types::SettingError;

/// How to reach a collector, with what was in the files.
pub(super) struct Collector {
    address: CollectorAddress,
    tls: Option<Arc<ClientConfig>>,
    headers: HeaderMap,
}

/// A connection to a collector.
pub(super) struct CollectorConnection {
    channel: Channel,
    headers: HeaderMap,
}

/// A socket, with or without TLS.
trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl Collector {
    /// Reads the files of the settings. `None`: there is no collector. Blocks on the disk.
    pub(super) fn open(settings: &CollectorSettings) -> Result<Option<Self>, SettingError> {
        let Some(address) = settings.address()? else { return Ok(None) };
        let tls = if address.is_encrypted { Some(tls_config(settings)?) } else { None };
        Ok(Some(Self { address, tls, headers: settings.read_headers()? }))
    }

    /// Connects, within this time.
    pub(super) async fn connect(self, max_wait: Duration) -> Result<CollectorConnection, transport::Error> {
        let Self { address, tls, headers } = self;
        let authority = address.authority();
        // The connector does the TLS, so this scheme is not the one that the collector sees.
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
        let endpoint = endpoint.origin(origin.expect("the authority was parsed as one"));
        let connector = tower::service_fn(move |_| {
            let (address, tls) = (address.clone(), tls.clone());
            // The channel connects again by itself, when nobody waits for it.
            async move { timeout(max_wait, open_socket(&address, tls)).await?.map(TokioIo::new) }
        });
        Ok(CollectorConnection { channel: endpoint.connect_with_connector(connector).await?, headers })
    }
}

impl CollectorConnection {
    /// Makes one call of a collector's service. Has no deadline of its own.
    pub(super) async fn call<Q, R>(&self, path: PathAndQuery, request: Q) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let metadata = MetadataMap::from_headers(self.headers.clone());
        let request = Request::from_parts(metadata, Extensions::default(), request);
        Ok(client.unary(request, path, ProstCodec::<Q, R>::default()).await?.into_inner())
    }
}

/// Opens a socket. Reads no proxy from the environment.
async fn open_socket(address: &CollectorAddress, tls: Option<Arc<ClientConfig>>) -> io::Result<Box<dyn ByteStream>> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
    socket.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(tls).connect(name, socket).await?))
}

fn tls_config(settings: &CollectorSettings) -> Result<Arc<ClientConfig>, SettingError> {
    let roots = match settings.ca_file() {
        Some(file) => {
            let wrong = |error: tls::Error| SettingError::new("ca_file", error);
            let text = tls::read(file).map_err(wrong)?;
            tls::roots(&text).map_err(|kind| wrong(tls::Error { file: file.to_owned(), kind }))?
        }
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>(),
    };
    let mut config = tls::client_builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}
