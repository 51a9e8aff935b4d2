//! From PEM files to what rustls serves with. Says which file is wrong and why, never what it holds.

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
use crate::server::connection::protocol::Protocols;
use crate::types::Time;

/// What the files hold at one moment.
pub(crate) struct Contents<'f> {
    files: &'f TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A certificate and its key that belong together, ready to be served with.
pub(crate) struct Pair {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ends: Ends,
}

impl<'f> Contents<'f> {
    /// Reads them all.
    pub(crate) fn read(files: &'f TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            files,
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    /// By which other contents are told from these.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let parts = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let mut digest = Sha256::new();
        for part in parts.into_iter().flatten() {
            digest.update(Sha256::digest(part));
        }
        digest.finalize().into()
    }

    /// What a listener serves with, if everything fits together.
    pub(crate) fn pair(&self, protocols: Protocols) -> Result<Pair, TlsError> {
        let fault = |file: &Path, fault| TlsError { file: file.to_owned(), fault };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| fault(&self.files.certificate, TlsFault::Tls(error)))?;
        let builder = match (&self.files.client_ca, &self.client_ca) {
            (Some(file), Some(text)) => {
                let roots = roots(text).map_err(|why| fault(file, why))?;
                let verifier = verifier(roots, provider).map_err(|error| fault(file, TlsFault::ClientCa(error)))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates(&self.certificate).map_err(|why| fault(&self.files.certificate, why))?;
        let key = private_key(&self.key).map_err(|why| fault(&self.files.key, why))?;
        let ends = Ends::of(&chain).map_err(|why| fault(&self.files.certificate, why))?;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| fault(&self.files.key, TlsFault::Tls(error)))?;
        config.alpn_protocols = match protocols {
            Protocols::Http2 => vec![b"h2".to_vec()],
            Protocols::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        // A resumed handshake would trust a certificate that has expired since. Connections are few and live long.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Pair { config: Arc::new(config), ends })
    }
}

/// When the certificates of a chain expire.
#[derive(Debug)]
pub(crate) struct Ends {
    own: Time,
    others: Vec<Time>,
}

impl Ends {
    /// Those behind the service's own that cannot be read are for the callers to judge.
    fn of(chain: &[CertificateDer<'_>]) -> Result<Self, TlsFault> {
        let (own, others) = chain.split_first().ok_or(TlsFault::None { what: CERTIFICATE })?;
        Ok(Self { own: end_of(own).ok_or(TlsFault::NotX509)?, others: others.iter().filter_map(end_of).collect() })
    }

    /// When the first of them expires: what callers check then is good for nothing.
    ///
    /// Those behind the service's own that have expired before `now` do not count: callers pass over what they do not
    /// need, such as an old root's signature for whoever knows no newer one.
    pub(crate) fn first(&self, now: Time) -> Time {
        self.others.iter().copied().filter(|end| *end > now).fold(self.own, Time::min)
    }
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<Time> {
    // Whatever an extension holds, it does not move the end.
    let (_, certificate) = X509CertificateParser::new().with_deep_parse_extensions(false).parse(certificate).ok()?;
    Some(Time::from_seconds(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default()))
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| no(CERTIFICATE, error))?;
    if chain.is_empty() { Err(TlsFault::None { what: CERTIFICATE }) } else { Ok(chain) }
}

/// The private key of a PEM file.
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsFault> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| no(KEY, error))
}

/// The certificates of a PEM file, as those that sign others.
pub(crate) fn roots(text: &[u8]) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(TlsFault::Tls)?;
    }
    Ok(roots)
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, VerifierBuilderError> {
    // Who shows none may still have a token, and everybody may ask for health.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build()
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|open| open.take(MAX_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(TlsError { file: file.to_owned(), fault: TlsFault::Unreadable(error) }),
    }
}

fn no(what: &'static str, error: pem::Error) -> TlsFault {
    match error {
        pem::Error::NoItemsFound => TlsFault::None { what },
        _ => TlsFault::NotPem { what },
    }
}

/// Why a listener cannot speak TLS with its files.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct TlsError {
    /// Which of them.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: TlsFault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// It can not be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// What it should hold is missing.
    #[error("there is no {what} in PEM in it")]
    None {
        /// What that is.
        what: &'static str,
    },
    /// It is damaged.
    #[error("its {what} is no whole PEM")]
    NotPem {
        /// What it should hold.
        what: &'static str,
    },
    /// It is PEM, but what is in it is something else.
    #[error("one of its certificates is no X.509 certificate")]
    NotX509,
    /// Key and certificate do not belong together, or are of a kind that is not spoken.
    #[error("{}", in_words(.0))]
    Tls(rustls::Error),
    /// No caller's certificate can be checked with it.
    #[error("the certificates of callers cannot be checked with it: {0}")]
    ClientCa(VerifierBuilderError),
}

fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
        _ => format!("it cannot be used: {error}"),
    }
}

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

/// Far more than any chain; a path such as /dev/zero ends here.
const MAX_BYTES: u64 = 1024 * 1024;
