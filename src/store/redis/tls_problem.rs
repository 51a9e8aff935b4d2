//! The problems of TLS to Redis, in words for the operator.

use std::path::PathBuf;
use std::sync::Arc;

/// A problem of TLS.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::store::redis) enum TlsProblem {
    #[error("the certificate of Redis is signed by no authority in {}", .0.display())]
    UnknownAuthority(PathBuf),
    #[error("the certificate of Redis is signed by no public authority; name the file of its authority in ca_file")]
    NoPublicAuthority,
    #[error("the certificate of Redis is not for {host}, the host of this address, but for {names}")]
    WrongName { host: Arc<str>, names: Arc<str> },
    #[error("the certificate of Redis has expired")]
    Expired,
    #[error("the certificate of Redis is not valid yet; are the clocks right?")]
    NotValidYet,
    #[error("the host of this address is no name that a certificate can have")]
    NoName,
    #[error("Redis asks for a client certificate; set certificate_file and key_file")]
    ClientCertificateMissing,
    #[error("the client certificate in {} has expired", .0.display())]
    ClientCertificateExpired(PathBuf),
    #[error("Redis refuses the client certificate in {} ({alert})", file.display())]
    ClientCertificateRefused { file: PathBuf, alert: Arc<str> },
    #[error("Redis closed the connection after it had asked for the client certificate in {}", .0.display())]
    ClosedAfterCertificate(PathBuf),
    #[error("the server answers, but not in TLS; the url of a port without TLS begins with redis://")]
    NotTls,
    #[error("no answer to the handshake; does this port speak TLS?")]
    NoAnswer,
    #[error("the server closed the connection in the handshake; has it reached maxclients?")]
    Closed,
    #[error("{0}")]
    Other(Arc<str>),
}
