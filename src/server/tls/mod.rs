//! TLS of a listener: handshakes bounded in time and number, and certificates that may change while it serves.
//!
//! rustls' types stop here. What a certificate's names mean is said in [`crate::auth::callers`].

mod handshakes;
mod pem;
mod settings;

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

pub use pem::{TlsError, TlsFault};
pub(crate) use pem::{certificates, private_key, roots};
pub use settings::TlsSettings;

use self::handshakes::Handshakes;
use self::pem::{Contents, Pair};
use self::settings::TlsFiles;
use crate::auth::CertificateName;
use crate::server::BindError;
use crate::server::connection::protocol::Protocols;
use crate::types::{Clock, Time};

/// The TLS of one listener.
pub(crate) struct Tls {
    files: TlsFiles,
    protocols: Protocols,
    pair: ArcSwap<Pair>,
    /// When that expires, in milliseconds since 1970, as it was told to the log.
    expire_time: AtomicU64,
    /// What was last looked at, whether it could be used or not.
    seen: Mutex<Option<[u8; 32]>>,
    handshakes: Handshakes,
}

impl Tls {
    /// TLS with the files of these settings, if the listener is to speak it.
    pub(crate) fn open(settings: &TlsSettings, protocols: Protocols) -> Result<Option<Arc<Self>>, BindError> {
        let Some(files) = settings.files()? else { return Ok(None) };
        let contents = Contents::read(&files)?;
        let (pair, seen) = (ArcSwap::from_pointee(contents.pair(protocols)?), contents.digest());
        let handshakes = Handshakes::at_most(MAX_HANDSHAKES);
        let (seen, expire_time) = (Mutex::new(Some(seen)), AtomicU64::default());
        Ok(Some(Arc::new(Self { files, protocols, pair, expire_time, seen, handshakes })))
    }

    /// Whether the files of these settings can be used, if there are any, and until when they are any good.
    pub(crate) fn try_files(settings: &TlsSettings, now: Time) -> Result<Option<Time>, BindError> {
        Ok(Self::open(settings, Protocols::Http2)?.map(|tls| tls.pair.load().ends.first(now)))
    }

    /// When what it serves with expires.
    pub(crate) fn expire_time(&self) -> Time {
        Time::from_millis(self.expire_time.load(Ordering::Relaxed))
    }

    /// Tells the log what it serves with from its start on.
    pub(crate) fn log_start(&self, now: Time) {
        self.log_expiry("connections are shown a certificate", now);
    }

    /// Tells the log what it does with its certificate, and until when that is any good.
    fn log_expiry(&self, what: &str, now: Time) {
        let (certificate, end) = (self.files.certificate.display(), self.pair.load().ends.first(now));
        self.expire_time.store(end.millis(), Ordering::Relaxed);
        let expire_time = humantime::format_rfc3339_seconds(end.into());
        if end <= now {
            // No reason to refuse it: callers do, and they are told why.
            warn!(%certificate, %expire_time, "{what} that has expired, callers refuse it; put a new one in its file");
        } else {
            info!(%certificate, %expire_time, "{what}");
        }
    }

    /// Looks at the files again. New connections get what they hold; if that can't be used, it stays as it was.
    ///
    /// Reads from disk. Connections that there are go on as they began.
    pub(crate) fn refresh(&self, now: Time) {
        let mut seen = self.seen.lock();
        let contents = match Contents::read(&self.files) {
            Ok(contents) => contents,
            // Said once, and again after there was something else.
            Err(error) if seen.is_some() => {
                *seen = None;
                warn!(%error, "the new certificate is refused, the old one stays");
                return;
            }
            Err(_) => return,
        };
        let digest = contents.digest();
        if *seen == Some(digest) {
            return;
        }
        *seen = Some(digest);
        match contents.pair(self.protocols) {
            Ok(pair) => {
                self.pair.store(Arc::new(pair));
                self.log_expiry("new connections get a new certificate", now);
            }
            Err(error) => warn!(%error, "the new certificate is refused, the old one stays"),
        }
    }

    /// The connection on a socket, and the names in the caller's certificate, if it showed one.
    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        within: Duration,
    ) -> Result<(TlsStream<TcpStream>, Vec<CertificateName>), HandshakeError> {
        let place = self.handshakes.begin();
        let acceptor = TlsAcceptor::from(Arc::clone(&self.pair.load().config));
        let stream = tokio::select! {
            accepted = acceptor.accept(socket) => accepted?,
            () = place.crowded_out() => return Err(HandshakeError::CrowdedOut),
            () = time::sleep(within) => return Err(HandshakeError::Late),
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let names = certificate.map(names).unwrap_or_default();
        Ok((stream, names))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Why a connection never began.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// One of both did not like what the other one said.
    #[error("the TLS handshake failed")]
    Failed(#[from] io::Error),
    /// It took too long.
    #[error("the TLS handshake took too long")]
    Late,
    /// There were too many, and it was the oldest.
    #[error("the TLS handshake made room for newer ones")]
    CrowdedOut,
}

/// The names in a certificate that was verified.
fn names(certificate: &CertificateDer<'_>) -> Vec<CertificateName> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let dns = certificate.valid_dns_names().map(CertificateName::dns);
    dns.chain(certificate.valid_uri_names().map(|name| CertificateName::Uri(name.to_owned()))).collect()
}

/// Looks at the files of all these listeners now and again.
pub(crate) async fn keep_fresh(listeners: &[Arc<Tls>], clock: &dyn Clock) {
    loop {
        time::sleep(REFRESH_INTERVAL).await;
        let (listeners, now) = (listeners.to_vec(), clock.now());
        // Files may lie on a network; a look that panics is told by the panic itself.
        let _ = tokio::task::spawn_blocking(move || listeners.iter().for_each(|tls| tls.refresh(now))).await;
    }
}

/// More than honest callers have under way at once, even when a whole fleet comes back.
const MAX_HANDSHAKES: usize = 512;

const REFRESH_INTERVAL: Duration = Duration::from_secs(2);
