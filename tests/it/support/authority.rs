//! A certificate authority for tests, and TLS clients.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority.
pub(crate) struct CertificateAuthority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl CertificateAuthority {
    pub(crate) fn new() -> Self {
        Self::named("an authority of the tests")
    }

    /// Makes one of this name. Two of the same name have different keys all the same.
    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns its own certificate in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes its own certificate, atomically.
    pub(crate) fn write(&self, path: &Path) {
        replace(path, &self.pem());
    }

    /// Signs a certificate for a DNS name or a URI.
    pub(crate) fn sign(&self, name: &str) -> Identity {
        self.sign_until(name, 2100)
    }

    /// Signs a certificate that expires at the start of a year.
    pub(crate) fn sign_until(&self, name: &str, year: i32) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = name.to_owned();
        let is_uri = name.contains(':');
        // OpenSSL takes a certificate for one that signed itself if its subject is its issuer.
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        let name = name.try_into().unwrap();
        params.subject_alt_names = vec![if is_uri { SanType::URI(name) } else { SanType::DnsName(name) }];
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    /// Writes certificate and key, each file atomically.
    pub(crate) fn write(&self, certificate: &Path, key: &Path) {
        replace(key, &self.key);
        replace(certificate, &self.certificate);
    }
}

/// Replaces a file atomically.
pub(crate) fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Returns the first message of a handshake.
pub(crate) fn first_message() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&TLS_VERSIONS).unwrap();
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut message = Vec::new();
    client.write_tls(&mut message).unwrap();
    message
}

static TLS_VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// The settings of a TLS client.
#[derive(Clone)]
pub(crate) struct TlsClient<'t> {
    /// The trusted certificate authority, in PEM.
    pub(crate) authority: &'t str,
    pub(crate) identity: Option<&'t Identity>,
    pub(crate) alpn: &'static [&'static str],
    pub(crate) versions: &'t [&'static SupportedProtocolVersion],
}

impl<'t> TlsClient<'t> {
    /// Returns settings that trust this authority and present no certificate.
    pub(crate) fn trusting(authority: &'t str) -> Self {
        Self { authority, identity: None, alpn: &["h2"], versions: &TLS_VERSIONS }
    }

    /// Connects and finishes the handshake.
    pub(crate) async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_over(TcpStream::connect(address).await?).await
    }

    /// Finishes the handshake on a connected socket.
    pub(crate) async fn connect_over(&self, socket: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        socket.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
    }
}
