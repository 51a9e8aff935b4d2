//! What a command shows to a service that knows its callers, and how it speaks to one that encrypts.
//!
//! A token is never an argument: everybody on the machine can read those.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use clap::Args;
use rustls::ClientConfig;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::config;
use crate::server::{certificates, private_key, roots};

#[derive(Debug, Default, Args)]
pub(super) struct Credentials {
    /// Speak TLS, and trust the certificates in this PEM file
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name in the service's certificate. Otherwise the host of the address
    #[arg(long, global = true, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
    /// The client certificate to show, in PEM
    #[arg(long, global = true, value_name = "FILE", requires = "ca", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of --cert, in PEM
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The file that holds the caller token to send. Otherwise the variable CLOAKROOM_CALLER_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Credentials {
    /// The TLS to speak, if it is to be spoken.
    pub(super) fn tls(&self) -> Result<Option<TlsOptions>, String> {
        let Some(ca) = &self.ca else { return Ok(None) };
        let trusted = roots(&read(ca)?).map_err(|fault| format!("{}: {fault}", ca.display()))?;
        let builder = builder().with_root_certificates(trusted);
        let mut config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(&read(cert)?).map_err(|fault| format!("{}: {fault}", cert.display()))?;
                let secret = private_key(&read(key)?).map_err(|fault| format!("{}: {fault}", key.display()))?;
                let config = builder.with_client_auth_cert(chain, secret);
                config.map_err(|error| format!("{}: it cannot be used: {error}", key.display()))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(TlsOptions { connector: TlsConnector::from(Arc::new(config)), name: self.server_name.clone() }))
    }

    /// What is sent with each call.
    pub(super) fn bearer(&self) -> Result<CallerTokenHeader, String> {
        let token = match &self.token_file {
            Some(file) => String::from_utf8(read(file)?).map_err(|_| format!("{}: this is no text", file.display()))?,
            None => config::caller_token().map(|token| token.expose().to_owned()).unwrap_or_default(),
        };
        if token.trim().is_empty() {
            return Ok(CallerTokenHeader(None));
        }
        let value = format!("Bearer {}", token.trim()).parse::<MetadataValue<Ascii>>();
        let mut value = value.map_err(|_| "the caller token has characters that no header can have".to_owned())?;
        value.set_sensitive(true);
        Ok(CallerTokenHeader(Some(value)))
    }
}

/// How TLS is spoken to a service.
#[derive(Clone)]
pub(super) struct TlsOptions {
    connector: TlsConnector,
    name: Option<String>,
}

impl TlsOptions {
    /// TLS with whoever answers there: for health, which is told to everybody and asked without showing anything.
    ///
    /// A certificate is seldom for the address at which a machine reaches itself.
    pub(super) fn with_anybody() -> Self {
        let mut config = builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(
                ring::default_provider().signature_verification_algorithms,
            )))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { connector: TlsConnector::from(Arc::new(config)), name: None }
    }

    /// Connects to HOST:PORT.
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

/// Puts the caller token into every call.
#[derive(Clone)]
pub(super) struct CallerTokenHeader(Option<MetadataValue<Ascii>>);

impl CallerTokenHeader {
    /// Nothing to put there.
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

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    builder.with_protocol_versions(&[&TLS13, &TLS12]).expect("ring speaks both versions")
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("{}: it cannot be read: {error}", file.display()))
}

/// Takes every certificate for good.
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
