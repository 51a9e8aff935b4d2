//! The guard: tells who calls, and whether it may call that.
//!
//! By certificate a caller is known once a connection, by token at each call; and again once callers have changed.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::Status;
use tracing::warn;

use super::PeerAddress;
use super::call_metrics::Rpc;
use super::caller_registry::CallerRegistry;
use super::rejection::Rejection;
use crate::grpc::Authorizer;
use crate::grpc::callers::{Access, Caller, Callers, CertificateName, KnownCaller, Role, TokenHash, access, bearer};
use crate::telemetry::LogThrottle;

/// The guard of the whole house. Clones share the callers.
#[derive(Clone, Debug, Default)]
pub(super) struct Authenticator {
    registry: CallerRegistry,
    /// What each RPC demands, by its number. What has no number here is no RPC.
    access: Arc<[Access]>,
}

impl Authenticator {
    /// A guard of these RPCs, by their numbers, that knows who stands in the register.
    pub(super) fn new(registry: CallerRegistry, rpcs: &[String]) -> Self {
        Self { registry, access: rpcs.iter().map(|rpc| access(rpc)).collect() }
    }

    /// Whoever is at the other end of a connection, with the names in its certificate.
    pub(super) fn receive(&self, peer_address: PeerAddress, names: Vec<CertificateName>) -> Peer {
        Peer { authenticator: self.clone(), peer_address, names, recognized: Mutex::default() }
    }
}

/// Whoever is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    authenticator: Authenticator,
    peer_address: PeerAddress,
    names: Vec<CertificateName>,
    recognized: Mutex<Option<CertificateMatch>>,
}

/// Whose certificate it is, and according to which callers.
#[derive(Debug)]
struct CertificateMatch {
    among: Arc<Callers>,
    known: Option<Arc<KnownCaller>>,
}

impl Peer {
    /// On whose behalf it calls that RPC, if it may.
    pub(super) fn admit(&self, rpc: Rpc, headers: &HeaderMap) -> Result<Caller, Rejection> {
        self.judge(self.authenticator.access.get(rpc.number()).copied(), || bearer(headers))
    }

    /// On whose behalf it calls what demands that, if it may.
    fn judge(&self, access: Option<Access>, token: impl Fn() -> Option<TokenHash>) -> Result<Caller, Rejection> {
        let callers = self.authenticator.registry.callers();
        if self.is_trusted(&callers) {
            return Ok(Caller::Trusted);
        }
        if access == Some(Access::Anybody) {
            return Ok(Caller::Anonymous);
        }
        let caller = self.identify(&callers, token).inspect_err(|_| tell_stranger())?;
        match access {
            Some(Access::Role(role)) if !caller.has(role) => Err(denied(&caller, Some(role))),
            Some(Access::Nobody) => Err(denied(&caller, None)),
            // It must not reach a service: nobody has said who may call it.
            None => Err(Rejection::MethodUnknown),
            Some(Access::Role(_) | Access::Callers | Access::Anybody) => Ok(caller),
        }
    }

    /// Whether it may read the metrics; otherwise why not.
    pub(super) fn admit_to_metrics(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let callers = self.authenticator.registry.callers();
        if self.is_trusted(&callers) {
            return Ok(());
        }
        let caller = self.identify(&callers, || bearer(headers)).inspect_err(|_| tell_stranger());
        let caller = caller.map_err(|_| StatusCode::UNAUTHORIZED)?;
        if caller.has(Role::Monitor) || caller.has(Role::Admin) { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }

    /// Whether nobody asks who it is.
    fn is_trusted(&self, callers: &Callers) -> bool {
        self.peer_address == PeerAddress::Unix || callers.is_empty()
    }

    /// Its certificate decides, if it is a caller's; otherwise its token.
    fn identify(&self, callers: &Arc<Callers>, token: impl Fn() -> Option<TokenHash>) -> Result<Caller, Rejection> {
        if let Some(known) = self.by_certificate(callers) {
            return Ok(Caller::KnownCaller(known));
        }
        let Some(token) = token() else { return Err(Rejection::CallerUnknown(self.what_is_missing())) };
        let known = callers.with_token(token).ok_or(Rejection::CallerUnknown(WRONG_TOKEN))?;
        Ok(Caller::KnownCaller(Arc::clone(known)))
    }

    fn by_certificate(&self, callers: &Arc<Callers>) -> Option<Arc<KnownCaller>> {
        if self.names.is_empty() {
            return None;
        }
        let mut recognized = self.recognized.lock();
        match &*recognized {
            Some(CertificateMatch { among, known }) if Arc::ptr_eq(among, callers) => known.clone(),
            _ => {
                let known = callers.with_certificate(&self.names).cloned();
                *recognized = Some(CertificateMatch { among: Arc::clone(callers), known: known.clone() });
                known
            }
        }
    }

    fn what_is_missing(&self) -> &'static str {
        if self.names.is_empty() { NOTHING_SHOWN } else { WRONG_CERTIFICATE }
    }
}

impl Authorizer for Peer {
    fn admit(&self, rpc: &str, token: Option<TokenHash>) -> Result<Caller, Status> {
        self.judge(Some(access(rpc)), || token).map_err(Rejection::into_status)
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.authenticator.registry.changes()
    }
}

fn denied(caller: &Caller, role: Option<Role>) -> Rejection {
    static DENIED: LogThrottle = LogThrottle::new();
    if let Some(calls) = DENIED.should_log() {
        warn!(caller = %caller, calls, "a caller was refused what its roles do not allow");
    }
    Rejection::RoleMissing(role)
}

fn tell_stranger() {
    static STRANGERS: LogThrottle = LogThrottle::new();
    if let Some(calls) = STRANGERS.should_log() {
        warn!(calls, "calls of somebody unknown were refused");
    }
}

const NOTHING_SHOWN: &str = "say who calls: send `authorization: Bearer <caller token>`, or show a client certificate";
const WRONG_TOKEN: &str = "no caller has this token; is its hash in token_hashes of the service's configuration?";
const WRONG_CERTIFICATE: &str = "no caller has a name of this client certificate; is one in certificate_names of the \
                                 service's configuration?";
