//! The conversion of a listener's PEM files to a rustls configuration.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};

use super::settings::TlsFiles;
use crate::server::http_versions::HttpVersions;
use crate::tls::{self, ChainExpiry, ErrorKind, certificates, private_key, roots};

/// The contents of the files of one listener.
pub(super) struct PemFiles<'f> {
    files: &'f TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// The TLS configuration of a listener.
pub(super) struct TlsConfig {
    pub(super) server: Arc<ServerConfig>,
    pub(super) expiry: ChainExpiry,
}

impl<'f> PemFiles<'f> {
    /// Reads all files.
    pub(super) fn read(files: &'f TlsFiles) -> Result<Self, tls::Error> {
        Ok(Self {
            files,
            certificate: tls::read(&files.certificate)?,
            key: tls::read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(tls::read).transpose()?,
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
    pub(super) fn config(&self, versions: HttpVersions) -> Result<TlsConfig, tls::Error> {
        let error = |file: &Path, kind| tls::Error { file: file.to_owned(), kind };
        let provider = tls::provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&tls::VERSIONS)
            .map_err(|cause| error(&self.files.certificate, ErrorKind::Tls(cause)))?;
        let builder = match (&self.files.client_ca, &self.client_ca) {
            (Some(file), Some(text)) => {
                let roots = roots(text).map_err(|kind| error(file, kind))?;
                let verifier = verifier(roots, provider).map_err(|cause| error(file, ErrorKind::ClientCa(cause)))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let chain = certificates(&self.certificate).map_err(|kind| error(&self.files.certificate, kind))?;
        let key = private_key(&self.key).map_err(|kind| error(&self.files.key, kind))?;
        let expiry = ChainExpiry::of(&chain).map_err(|kind| error(&self.files.certificate, kind))?;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|cause| error(&self.files.key, ErrorKind::Tls(cause)))?;
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

fn verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, VerifierBuilderError> {
    // A certificate is optional, because a caller may have a token instead, and health checks need no credential.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build()
}
