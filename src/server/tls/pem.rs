//! The conversion of PEM files to a rustls configuration. An error names the file, never what it contains.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser as _;

use super::settings::TlsFiles;
use crate::server::connection::protocol::HttpVersions;
use crate::types::Time;

/// The contents of the files of one listener.
pub(super) struct PemFiles<'f> {
    files: &'f TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// What a listener serves with.
pub(super) struct TlsConfig {
    pub(super) server: Arc<ServerConfig>,
    pub(super) expiry: ChainExpiry,
}

impl<'f> PemFiles<'f> {
    /// Reads all files.
    pub(super) fn read(files: &'f TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            files,
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    /// Returns a digest that changes with the contents.
    pub(super) fn digest(&self) -> [u8; 32] {
        let parts = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let mut digest = Sha256::new();
        for part in parts.into_iter().flatten() {
            digest.update(Sha256::digest(part));
        }
        digest.finalize().into()
    }

    /// Builds the configuration of a listener, if the files fit together.
    pub(super) fn config(&self, versions: HttpVersions) -> Result<TlsConfig, TlsError> {
        let error = |file: &Path, kind| TlsError { file: file.to_owned(), kind };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|cause| error(&self.files.certificate, TlsErrorKind::Tls(cause)))?;
        let builder = match (&self.files.client_ca, &self.client_ca) {
            (Some(file), Some(text)) => {
                let roots = roots(text).map_err(|kind| error(file, kind))?;
                let verifier = verifier(roots, provider).map_err(|cause| error(file, TlsErrorKind::ClientCa(cause)))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates(&self.certificate).map_err(|kind| error(&self.files.certificate, kind))?;
        let key = private_key(&self.key).map_err(|kind| error(&self.files.key, kind))?;
        let expiry = ChainExpiry::of(&chain).map_err(|kind| error(&self.files.certificate, kind))?;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|cause| error(&self.files.key, TlsErrorKind::Tls(cause)))?;
        config.alpn_protocols = match versions {
            HttpVersions::Http2 => vec![b"h2".to_vec()],
            HttpVersions::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        // No resumption, because it would accept a client certificate that has expired since. Connections are few and
        // live long, so full handshakes cost little.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(TlsConfig { server: Arc::new(config), expiry })
    }
}

/// When the certificates of a chain expire.
#[derive(Debug)]
pub(super) struct ChainExpiry {
    leaf: Time,
    others: Vec<Time>,
}

impl ChainExpiry {
    /// Ignores the certificates after the first that cannot be parsed; the callers decide whether they accept those.
    fn of(chain: &[CertificateDer<'_>]) -> Result<Self, TlsErrorKind> {
        let (leaf, others) = chain.split_first().ok_or(TlsErrorKind::Missing { what: CERTIFICATE })?;
        let leaf = expire_time(leaf).ok_or(TlsErrorKind::NotX509)?;
        Ok(Self { leaf, others: others.iter().filter_map(expire_time).collect() })
    }

    /// Returns the earliest time when a certificate expires and the chain may become invalid.
    ///
    /// Certificates after the first that have expired before `now` do not count. Callers ignore those that they do not
    /// need, such as a cross-signature by an old root.
    pub(super) fn earliest(&self, now: Time) -> Time {
        self.others.iter().copied().filter(|end| *end > now).fold(self.leaf, Time::min)
    }
}

fn expire_time(certificate: &CertificateDer<'_>) -> Option<Time> {
    // Extensions are not parsed, because an invalid one must not hide the expiry.
    let (_, certificate) = X509CertificateParser::new().with_deep_parse_extensions(false).parse(certificate).ok()?;
    Some(Time::from_seconds(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default()))
}

/// Parses the certificates of a PEM file, at least one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsErrorKind> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| pem_error(CERTIFICATE, error))?;
    if chain.is_empty() { Err(TlsErrorKind::Missing { what: CERTIFICATE }) } else { Ok(chain) }
}

/// Parses the private key of a PEM file.
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsErrorKind> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| pem_error(KEY, error))
}

/// Parses the certificates of a PEM file as trusted CAs.
pub(crate) fn roots(text: &[u8]) -> Result<RootCertStore, TlsErrorKind> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(TlsErrorKind::Tls)?;
    }
    Ok(roots)
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, VerifierBuilderError> {
    // A certificate is optional, because a caller may have a token instead, and health checks need no credential.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build()
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|open| open.take(MAX_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(TlsError { file: file.to_owned(), kind: TlsErrorKind::Unreadable(error) }),
    }
}

fn pem_error(what: &'static str, error: pem::Error) -> TlsErrorKind {
    match error {
        pem::Error::NoItemsFound => TlsErrorKind::Missing { what },
        _ => TlsErrorKind::NotPem { what },
    }
}

/// A file that TLS cannot use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", file.display())]
pub struct TlsError {
    pub file: PathBuf,
    pub kind: TlsErrorKind,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsErrorKind {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("there is no {what} in PEM in it")]
    Missing { what: &'static str },
    #[error("its {what} is no whole PEM")]
    NotPem { what: &'static str },
    #[error("one of its certificates is no X.509 certificate")]
    NotX509,
    /// The key and the certificate do not belong together, or rustls does not support them.
    #[error("{}", rustls_message(.0))]
    Tls(rustls::Error),
    /// The certificates of callers cannot be verified with it.
    #[error("the certificates of callers cannot be checked with it: {0}")]
    ClientCa(VerifierBuilderError),
}

fn rustls_message(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
        _ => format!("it cannot be used: {error}"),
    }
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

/// Far more than any chain. The limit also ends the read of a path such as /dev/zero.
const MAX_BYTES: u64 = 1024 * 1024;
