//! How a command authenticates at a service, and how it connects by TLS.
//!
//! A token is never an argument, because all users of the machine can read the arguments of a process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use clap::Args;
use rustls::ClientConfig;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::config;
use crate::tls::{certificates, client_builder, private_key, roots};

#[derive(Debug, Default, Args)]
pub(super) struct Credentials {
    /// Connect by TLS, and trust the CA certificates in this PEM file
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name in the certificate of the service [default: the host of the address]
    #[arg(long, global = true, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
    /// The client certificate, a PEM file
    #[arg(long, global = true, value_name = "FILE", requires = "ca", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of --cert, a PEM file
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The file with the caller token to send [default: the token in the variable CLOAKROOM_CALLER_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Credentials {
    /// Reads the files for TLS. `None` without `--ca`.
    pub(super) fn tls(&self) -> Result<Option<TlsOptions>, String> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let trusted = roots(&read(ca)?).map_err(|error| format!("{}: {error}", ca.display()))?;
        let builder = client_builder().with_root_certificates(trusted);
        let config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(&read(cert)?).map_err(|error| format!("{}: {error}", cert.display()))?;
                let private_key = private_key(&read(key)?).map_err(|error| format!("{}: {error}", key.display()))?;
                let config = builder.with_client_auth_cert(chain, private_key);
                config.map_err(|error| format!("{}: it cannot be used: {error}", key.display()))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Some(TlsOptions::new(config, self.server_name.clone())))
    }

    /// Reads the caller token for the header of each call.
    pub(super) fn token_header(&self) -> Result<CallerTokenHeader, String> {
        let token = match &self.token_file {
            Some(file) => String::from_utf8(read(file)?)
                .map_err(|_| format!("{}: the token is not UTF-8 text", file.display()))?,
            None => config::caller_token().map(|token| token.expose().to_owned()).unwrap_or_default(),
        };
        if token.trim().is_empty() {
            return Ok(CallerTokenHeader(None));
        }
        let value = format!("Bearer {}", token.trim()).parse::<MetadataValue<Ascii>>();
        let mut value =
            value.map_err(|_| "the caller token has characters that are not allowed in a header".to_owned())?;
        value.set_sensitive(true);
        Ok(CallerTokenHeader(Some(value)))
    }
}

/// How to connect by TLS.
#[derive(Clone)]
pub(super) struct TlsOptions {
    connector: TlsConnector,
    /// The name in the certificate of the service. `None`: the host of the address.
    name: Option<String>,
}

impl TlsOptions {
    fn new(mut config: ClientConfig, name: Option<String>) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { connector: TlsConnector::from(Arc::new(config)), name }
    }

    /// Accepts any certificate. Only for health checks, which are open to all and send no secret.
    ///
    /// The certificate of a service is rarely valid for the address at which its own machine reaches it.
    pub(super) fn unverified() -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let verifier = Arc::new(AcceptAnyCertificate(algorithms));
        let config = client_builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        Self::new(config, None)
    }

    /// Connects to an address of the form `HOST:PORT`.
    pub(super) async fn connect(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        self.connector.connect(name, socket).await
    }
}

/// Adds the caller token to every call, if there is one.
#[derive(Clone)]
pub(super) struct CallerTokenHeader(Option<MetadataValue<Ascii>>);

impl CallerTokenHeader {
    pub(super) const NONE: Self = Self(None);
}

impl Interceptor for CallerTokenHeader {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: it cannot be read: {error}", file.display()))
}

/// Accepts every certificate, but still checks the signatures of the handshake.
#[derive(Debug)]
struct AcceptAnyCertificate(WebPkiSupportedAlgorithms);

impl rustls::client::danger::ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_schemes()
    }
}
