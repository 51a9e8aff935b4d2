//! TLS of a listener: handshakes limited in time and number, and certificates that may change while it serves.
//!
//! It returns the names in a client certificate; [`crate::auth`] finds the caller with these names.

mod handshake_limit;
mod pem;
mod settings;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};
use webpki::EndEntityCert;

pub use settings::TlsSettings;

use self::handshake_limit::HandshakeLimit;
use self::pem::{PemFiles, TlsConfig};
use self::settings::TlsFiles;
use super::bind_error::BindError;
use super::http_versions::HttpVersions;
use crate::auth::CertificateName;
use crate::types::Time;

/// The TLS of one listener.
pub(super) struct Tls {
    files: TlsFiles,
    versions: HttpVersions,
    config: ArcSwap<TlsConfig>,
    /// When the certificate expires, in milliseconds since 1970; of a chain the earliest. Set when it is logged.
    expire_time: AtomicU64,
    /// The digest of the files that were read last, usable or not. `None`: they could not be read.
    last_digest: Mutex<Option<[u8; 32]>>,
    handshakes: HandshakeLimit,
}

impl Tls {
    /// Reads the files of the settings. `None`: the listener does not use TLS.
    pub(super) fn open(settings: &TlsSettings, versions: HttpVersions) -> Result<Option<Arc<Self>>, BindError> {
        let Some(files) = settings.files()? else { return Ok(None) };
        let pem = PemFiles::read(&files)?;
        let (config, last_digest) = (ArcSwap::from_pointee(pem.config(versions)?), Mutex::new(Some(pem.digest())));
        let handshakes = HandshakeLimit::new(MAX_HANDSHAKES);
        Ok(Some(Arc::new(Self { files, versions, config, expire_time: AtomicU64::default(), last_digest, handshakes })))
    }

    /// Checks the files of the settings, if there are any, and returns when their certificate expires.
    pub(super) fn try_files(settings: &TlsSettings, now: Time) -> Result<Option<Time>, BindError> {
        Ok(Self::open(settings, HttpVersions::Http2)?.map(|tls| tls.config.load().expiry.earliest(now)))
    }

    /// Returns when the certificate expires; of a chain the earliest.
    pub(super) fn expire_time(&self) -> Time {
        Time::from_millis(self.expire_time.load(Ordering::Relaxed))
    }

    /// Logs the certificate at the start.
    pub(super) fn log_start(&self, now: Time) {
        self.log_expiry("connections are shown a certificate", now);
    }

    /// Logs an event of the certificate, with the time when it expires.
    fn log_expiry(&self, event: &str, now: Time) {
        let (certificate, end) = (self.files.certificate.display(), self.config.load().expiry.earliest(now));
        self.expire_time.store(end.millis(), Ordering::Relaxed);
        let expire_time = humantime::format_rfc3339_seconds(end.into());
        if end <= now {
            // It is served although it has expired, because then callers refuse it and report why.
            warn!(%certificate, %expire_time, "{event} that has expired, callers refuse it; put a new one in its file");
        } else {
            info!(%certificate, %expire_time, "{event}");
        }
    }

    /// Reads the files again. If they can be used, new connections get what they contain; else nothing changes.
    ///
    /// Blocks on the disk. Open connections continue with the old certificate.
    pub(super) fn refresh(&self, now: Time) {
        let mut last_digest = self.last_digest.lock();
        let pem = match PemFiles::read(&self.files) {
            Ok(pem) => pem,
            // Logged once, and again only after the files could be read.
            Err(error) if last_digest.is_some() => {
                *last_digest = None;
                warn!(error = &error as &dyn Error, "the new certificate is refused, the old one stays");
                return;
            }
            Err(_) => return,
        };
        let digest = pem.digest();
        if *last_digest == Some(digest) {
            return;
        }
        *last_digest = Some(digest);
        match pem.config(self.versions) {
            Ok(config) => {
                self.config.store(Arc::new(config));
                self.log_expiry("new connections get a new certificate", now);
            }
            Err(error) => warn!(error = &error as &dyn Error, "the new certificate is refused, the old one stays"),
        }
    }

    /// Performs the handshake on a socket. Returns also the names in the peer's certificate, if it sent one.
    pub(super) async fn accept(
        &self,
        socket: TcpStream,
        timeout: Duration,
    ) -> Result<(TlsStream<TcpStream>, Vec<CertificateName>), HandshakeError> {
        let handshake = self.handshakes.start();
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config.load().server));
        let stream = tokio::select! {
            accepted = acceptor.accept(socket) => accepted?,
            () = handshake.aborted() => return Err(HandshakeError::Aborted),
            () = time::sleep(timeout) => return Err(HandshakeError::Timeout),
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let names = certificate.map(certificate_names).unwrap_or_default();
        Ok((stream, names))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the TLS handshake failed")]
    Failed(#[from] io::Error),
    #[error("the TLS handshake took too long")]
    Timeout,
    #[error("the TLS handshake made room for newer ones")]
    Aborted,
}

/// Returns the DNS names and URIs in a verified certificate.
fn certificate_names(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let dns = certificate.valid_dns_names().map(CertificateName::dns);
    dns.chain(certificate.valid_uri_names().map(|name| CertificateName::Uri(name.to_owned()))).collect()
}

/// More than honest peers have at the same time, even when a whole fleet reconnects.
const MAX_HANDSHAKES: usize = 512;
