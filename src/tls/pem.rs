//! The PEM files of certificates and keys. An error names the file, never what it contains.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::VerifierBuilderError;

use crate::types::open_no_pipe;

/// Parses the certificates of a PEM file, at least one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, ErrorKind> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| pem_error(CERTIFICATE, error))?;
    if chain.is_empty() { Err(ErrorKind::Missing { what: CERTIFICATE }) } else { Ok(chain) }
}

/// Parses the private key of a PEM file.
pub(crate) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, ErrorKind> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| pem_error(KEY, error))
}

/// Parses the certificates of a PEM file as trusted CAs.
pub(crate) fn roots(text: &[u8]) -> Result<RootCertStore, ErrorKind> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(ErrorKind::Tls)?;
    }
    Ok(roots)
}

/// Reads a file that will be read again when it changes, up to a limit.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read =
        open_no_pipe(file).and_then(|open| open.map(|open| open.take(MAX_BYTES).read_to_end(&mut bytes)).transpose());
    let kind = match read {
        Ok(Some(_)) => return Ok(bytes),
        Ok(None) => ErrorKind::Pipe,
        Err(error) => ErrorKind::Unreadable(error),
    };
    Err(Error { file: file.to_owned(), kind })
}

fn pem_error(what: &'static str, error: pem::Error) -> ErrorKind {
    match error {
        pem::Error::NoItemsFound => ErrorKind::Missing { what },
        _ => ErrorKind::NotPem { what },
    }
}

/// A file that TLS cannot use.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", file.display())]
pub struct Error {
    pub file: PathBuf,
    pub kind: ErrorKind,
}

/// The error of a file.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it is a pipe, which can be read only once, and this is read again when it changes; name a file")]
    Pipe,
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

pub(super) const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

/// Far more than any chain. The limit also ends the read of a path such as /dev/zero.
const MAX_BYTES: u64 = 1024 * 1024;
