//! The guard: tells who calls, and whether it may call that.
//!
//! By certificate a caller is known once a connection, by token at each call; and again once callers have changed.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::Status;
use tracing::warn;

use super::Peer;
use super::meter::Rpc;
use super::refusal::Refusal;
use super::register::Register;
use crate::grpc::Doorkeeper;
use crate::grpc::callers::{Access, Caller, Callers, CertificateName, Known, Role, TokenHash, access, bearer};
use crate::telemetry::Seldom;

/// The guard of the whole house. Clones share the callers.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    register: Register,
    /// What each RPC demands, by its number. What has no number here is no RPC.
    access: Arc<[Access]>,
}

impl Guard {
    /// A guard of these RPCs, by their numbers, that knows who stands in the register.
    pub(super) fn new(register: Register, rpcs: &[String]) -> Self {
        Self { register, access: rpcs.iter().map(|rpc| access(rpc)).collect() }
    }

    /// Whoever is at the other end of a connection, with the names in its certificate.
    pub(super) fn receive(&self, peer: Peer, names: Vec<CertificateName>) -> Visitor {
        Visitor { guard: self.clone(), peer, names, recognized: Mutex::default() }
    }
}

/// Whoever is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Visitor {
    guard: Guard,
    peer: Peer,
    names: Vec<CertificateName>,
    recognized: Mutex<Option<Recognized>>,
}

/// Whose certificate it is, and according to which callers.
#[derive(Debug)]
struct Recognized {
    among: Arc<Callers>,
    known: Option<Arc<Known>>,
}

impl Visitor {
    /// On whose behalf it calls that RPC, if it may.
    pub(super) fn admit(&self, rpc: Rpc, headers: &HeaderMap) -> Result<Caller, Refusal> {
        self.judge(self.guard.access.get(rpc.number()).copied(), || bearer(headers))
    }

    /// On whose behalf it calls what demands that, if it may.
    fn judge(&self, access: Option<Access>, token: impl Fn() -> Option<TokenHash>) -> Result<Caller, Refusal> {
        let callers = self.guard.register.callers();
        if self.is_trusted(&callers) {
            return Ok(Caller::Trusted);
        }
        if access == Some(Access::Anybody) {
            return Ok(Caller::Unasked);
        }
        let caller = self.identify(&callers, token).inspect_err(|_| tell_stranger())?;
        match access {
            Some(Access::Role(role)) if !caller.has(role) => Err(denied(&caller, Some(role))),
            Some(Access::Nobody) => Err(denied(&caller, None)),
            // It must not reach a service: nobody has said who may call it.
            None => Err(Refusal::MethodUnknown),
            Some(Access::Role(_) | Access::Callers | Access::Anybody) => Ok(caller),
        }
    }

    /// Whether it may read the metrics; otherwise why not.
    pub(super) fn admit_to_metrics(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let callers = self.guard.register.callers();
        if self.is_trusted(&callers) {
            return Ok(());
        }
        let caller = self.identify(&callers, || bearer(headers)).inspect_err(|_| tell_stranger());
        let caller = caller.map_err(|_| StatusCode::UNAUTHORIZED)?;
        if caller.has(Role::Monitor) || caller.has(Role::Admin) { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }

    /// Whether nobody asks who it is.
    fn is_trusted(&self, callers: &Callers) -> bool {
        self.peer == Peer::Unix || callers.is_empty()
    }

    /// Its certificate decides, if it is a caller's; otherwise its token.
    fn identify(&self, callers: &Arc<Callers>, token: impl Fn() -> Option<TokenHash>) -> Result<Caller, Refusal> {
        if let Some(known) = self.by_certificate(callers) {
            return Ok(Caller::Known(known));
        }
        let Some(token) = token() else { return Err(Refusal::CallerUnknown(self.what_is_missing())) };
        let known = callers.with_token(token).ok_or(Refusal::CallerUnknown(WRONG_TOKEN))?;
        Ok(Caller::Known(Arc::clone(known)))
    }

    fn by_certificate(&self, callers: &Arc<Callers>) -> Option<Arc<Known>> {
        if self.names.is_empty() {
            return None;
        }
        let mut recognized = self.recognized.lock();
        match &*recognized {
            Some(Recognized { among, known }) if Arc::ptr_eq(among, callers) => known.clone(),
            _ => {
                let known = callers.with_certificate(&self.names).cloned();
                *recognized = Some(Recognized { among: Arc::clone(callers), known: known.clone() });
                known
            }
        }
    }

    fn what_is_missing(&self) -> &'static str {
        if self.names.is_empty() { NOTHING_SHOWN } else { WRONG_CERTIFICATE }
    }
}

impl Doorkeeper for Visitor {
    fn admit(&self, rpc: &str, token: Option<TokenHash>) -> Result<Caller, Status> {
        self.judge(Some(access(rpc)), || token).map_err(Refusal::into_status)
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.guard.register.changes()
    }
}

fn denied(caller: &Caller, role: Option<Role>) -> Refusal {
    static DENIED: Seldom = Seldom::new();
    if let Some(calls) = DENIED.happened() {
        warn!(caller = %caller, calls, "a caller was refused what its roles do not allow");
    }
    Refusal::RoleMissing(role)
}

fn tell_stranger() {
    static STRANGERS: Seldom = Seldom::new();
    if let Some(calls) = STRANGERS.happened() {
        warn!(calls, "calls of somebody unknown were refused");
    }
}

const NOTHING_SHOWN: &str = "say who calls: send `authorization: Bearer <caller token>`, or show a client certificate";
const WRONG_TOKEN: &str = "no caller has this token; is its hash in token_hashes of the service's configuration?";
const WRONG_CERTIFICATE: &str = "no caller has a name of this client certificate; is one in certificate_names of the \
                                 service's configuration?";
