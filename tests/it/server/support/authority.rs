//! An authority that signs certificates for a test, good ones and others, and clients that speak TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name: a DNS name, or a URI.
    pub(crate) fn sign(&self, name: &str) -> Identity {
        self.sign_until(name, 2100)
    }

    /// One that is over at the beginning of that year.
    pub(crate) fn sign_until(&self, name: &str, year: i32) -> Identity {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = name.to_owned();
        let is_uri = name.contains(':');
        let name = name.try_into().unwrap();
        params.subject_alt_names = vec![if is_uri { SanType::URI(name) } else { SanType::DnsName(name) }];
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    /// Writes both files of it, each in one step.
    pub(crate) fn write(&self, certificate: &Path, key: &Path) {
        for (path, text) in [(key, &self.key), (certificate, &self.certificate)] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, path).unwrap();
        }
    }
}

static SPOKEN: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct Hello<'t> {
    pub(crate) trusts: &'t str,
    pub(crate) shows: Option<&'t Identity>,
    pub(crate) alpn: &'static [&'static str],
    pub(crate) versions: &'t [&'static SupportedProtocolVersion],
}

impl<'t> Hello<'t> {
    /// A client that trusts this authority.
    pub(crate) fn trusting(authority: &'t str) -> Self {
        Self { trusts: authority, shows: None, alpn: &["h2"], versions: &SPOKEN }
    }

    /// Connects and shakes hands.
    pub(crate) async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.trusts.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(self.versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
    }
}
