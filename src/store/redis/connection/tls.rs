//! TLS to Redis: the handshake, and why it failed, in words for the operator.
//!
//! The certificate of Redis and the name in it are always checked. No setting changes that.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::RedisError;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::files::{Contents, Files};
use crate::store::redis::failure::Cause;
use crate::store::redis::tls_problem::TlsProblem;
use crate::tls::{self, ChainExpiry};
use crate::types::{Clock as _, SettingError, SystemClock, Time};

/// How connections speak TLS.
pub(in crate::store::redis) struct TlsClient {
    config: ClientConfig,
    trusted: Trusted,
    identity: Option<ClientCertificate>,
}

/// The authorities that may have signed the certificate of Redis.
enum Trusted {
    /// The public authorities. They are a part of the program, so that no connection looks for them on the disk.
    Public,
    File(PathBuf),
}

/// The client certificate.
struct ClientCertificate {
    file: PathBuf,
    expiry: ChainExpiry,
}

impl TlsClient {
    pub(in crate::store::redis) fn build(files: &Files, contents: &Contents) -> Result<Self, SettingError> {
        let (trusted, roots) = match (&files.ca, &contents.ca) {
            (Some(file), Some(text)) => {
                (Trusted::File(file.clone()), tls::roots(text).map_err(in_setting("ca_file", file))?)
            }
            _ => (Trusted::Public, webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>()),
        };
        let builder = tls::client_builder().with_root_certificates(roots);
        let (mut config, identity) = match (&files.certificate, &contents.certificate, &contents.key) {
            (Some(file), Some(chain), Some(key)) => {
                let key_file = files.key.as_deref().unwrap_or(file);
                let chain = tls::certificates(chain).map_err(in_setting("certificate_file", file))?;
                let key = tls::private_key(key).map_err(in_setting("key_file", key_file))?;
                let expiry = ChainExpiry::of(&chain).map_err(in_setting("certificate_file", file))?;
                let config = builder.with_client_auth_cert(chain, key).map_err(tls::ErrorKind::Tls);
                let config = config.map_err(in_setting("key_file", key_file))?;
                (config, Some(ClientCertificate { file: file.clone(), expiry }))
            }
            _ => (builder.with_no_client_auth(), None),
        };
        // A resumed session would not show a new client certificate, and would not check that of Redis again.
        config.resumption = Resumption::disabled();
        Ok(Self { config, trusted, identity })
    }

    /// Begins a handshake.
    pub(in crate::store::redis) fn handshake(&self) -> Handshake<'_> {
        let identity = Arc::clone(&self.config.client_auth_cert_resolver);
        Handshake { client: self, request: Arc::new(CertificateRequest { identity, was_sent: AtomicBool::new(false) }) }
    }

    /// When the client certificate expires; of a chain the earliest. `None`: there is none.
    pub(in crate::store::redis) fn expire_time(&self, now: Time) -> Option<Time> {
        self.identity.as_ref().map(|identity| identity.expiry.earliest(now))
    }
}

/// One handshake. It is still needed afterwards, for in TLS 1.3 a client certificate is refused only then.
pub(in crate::store::redis) struct Handshake<'c> {
    client: &'c TlsClient,
    request: Arc<CertificateRequest>,
}

impl Handshake<'_> {
    /// Performs the handshake.
    pub(in crate::store::redis) async fn connect<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>, Cause>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Cause::Tls(TlsProblem::NoName))?;
        let mut config = self.client.config.clone();
        config.client_auth_cert_resolver = Arc::clone(&self.request) as _;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connecting.map_err(|error| self.problem(&error).map_or_else(|| error.into(), Cause::Tls))
    }

    /// Explains why the first commands after the handshake failed, if it was because of TLS.
    pub(in crate::store::redis) fn explain(&self, error: &RedisError) -> Option<TlsProblem> {
        let shared = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
        self.problem(shared.downcast_ref::<io::Error>()?)
    }

    /// Returns what is wrong. `None`: nothing that TLS knows of.
    fn problem(&self, error: &io::Error) -> Option<TlsProblem> {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Some(match cause {
            Some(rustls::Error::InvalidCertificate(error)) => self.client.certificate_problem(error),
            Some(rustls::Error::AlertReceived(alert)) if self.request.was_sent() => self.client.refusal(Some(*alert)),
            Some(rustls::Error::InvalidMessage(_)) => TlsProblem::NotTls,
            Some(error) => TlsProblem::Other(error.to_string().into()),
            None if !is_end(error) => return None,
            // The alert may be lost if Redis closes the connection while commands are on their way.
            None if self.request.was_sent() => self.client.refusal(None),
            None => TlsProblem::Closed,
        })
    }
}

impl TlsClient {
    /// Returns what is wrong with the certificate of Redis.
    fn certificate_problem(&self, error: &CertificateError) -> TlsProblem {
        match error {
            // A bad signature is that of another authority with the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => match &self.trusted {
                Trusted::File(file) => TlsProblem::UnknownAuthority(file.clone()),
                Trusted::Public => TlsProblem::NoPublicAuthority,
            },
            CertificateError::NotValidForNameContext { expected, presented } => {
                TlsProblem::WrongName { host: expected.to_str().as_ref().into(), names: presented.join(", ").into() }
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsProblem::NotValidYet,
            error => TlsProblem::Other(rustls::Error::from(error.clone()).to_string().into()),
        }
    }

    /// Returns why Redis, which asked for a client certificate, ended the connection.
    fn refusal(&self, alert: Option<AlertDescription>) -> TlsProblem {
        let Some(ClientCertificate { file, expiry }) = &self.identity else {
            return TlsProblem::ClientCertificateMissing;
        };
        let (file, now) = (file.clone(), SystemClock.now());
        match alert {
            _ if expiry.earliest(now) <= now => TlsProblem::ClientCertificateExpired(file),
            Some(alert) => TlsProblem::ClientCertificateRefused { file, alert: format!("{alert:?}").into() },
            None => TlsProblem::ClosedAfterCertificate(file),
        }
    }
}

/// Remembers whether Redis asked for a client certificate.
#[derive(Debug)]
struct CertificateRequest {
    identity: Arc<dyn ResolvesClientCert>,
    was_sent: AtomicBool,
}

impl CertificateRequest {
    fn was_sent(&self) -> bool {
        self.was_sent.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for CertificateRequest {
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_sent.store(true, Ordering::Relaxed);
        self.identity.resolve(authorities, schemes)
    }

    fn has_certs(&self) -> bool {
        self.identity.has_certs()
    }
}

/// Whether the connection has ended.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Adds to what is wrong with a file the setting and the file.
fn in_setting(setting: &str, file: &Path) -> impl FnOnce(tls::ErrorKind) -> SettingError {
    move |kind| SettingError::new(setting, tls::Error { file: file.to_owned(), kind })
}
