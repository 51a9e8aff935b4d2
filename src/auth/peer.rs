//! The other end of one connection, and the check of each call that it makes.
//!
//! A certificate is looked up once per connection, and again after a change of callers. A token is looked up at each
//! call.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tracing::warn;

use super::{
    Access, Authenticator, Caller, Callers, CertificateName, Error, KnownCaller, PeerAddress, Role, TokenHash, access,
    bearer_token,
};
use crate::telemetry::LogThrottle;

/// The other end of one connection.
#[derive(Debug)]
pub struct Peer {
    authenticator: Authenticator,
    address: PeerAddress,
    names: Vec<CertificateName>,
    certificate_match: Mutex<Option<CertificateMatch>>,
}

/// The result of the last lookup of the certificate. It is valid for this set of callers only.
#[derive(Debug)]
struct CertificateMatch {
    callers: Arc<Callers>,
    caller: Option<Arc<KnownCaller>>,
}

impl Peer {
    pub(super) const fn new(authenticator: Authenticator, address: PeerAddress, names: Vec<CertificateName>) -> Self {
        Self { authenticator, address, names, certificate_match: Mutex::new(None) }
    }

    /// Checks a call of the RPC with this index; returns the caller if it may make the call.
    pub fn authenticate(&self, rpc: usize, headers: &HeaderMap) -> Result<Caller, Error> {
        self.check(self.authenticator.access_to(rpc), || bearer_token(headers))
    }

    /// Returns the caller that the credential of a refused call names; without one an unauthenticated caller.
    pub fn refused_caller(&self, headers: &HeaderMap) -> Caller {
        let callers = self.authenticator.callers();
        self.identify(&callers, || bearer_token(headers)).unwrap_or(Caller::Unauthenticated)
    }

    /// Whether the RPC with this index needs no authentication.
    pub fn is_public(&self, rpc: usize) -> bool {
        self.authenticator.access_to(rpc) == Some(Access::Public)
    }

    /// Checks a running stream of this RPC again, against the callers that are configured now.
    pub(super) fn authenticate_again(&self, rpc: &str, token: Option<TokenHash>) -> Result<Caller, Error> {
        self.check(access(rpc), || token)
    }

    /// Checks a request for metrics. The error is the status of the response.
    pub fn authenticate_for_metrics(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let callers = self.authenticator.callers();
        if self.is_trusted(&callers) {
            return Ok(());
        }
        let caller = self.identify(&callers, || bearer_token(headers)).inspect_err(|_| log_unknown_caller());
        let caller = caller.map_err(|_| StatusCode::UNAUTHORIZED)?;
        if caller.has_role(Role::Monitor) { Ok(()) } else { Err(StatusCode::FORBIDDEN) }
    }

    /// Whether a request of the console shows who uses it: a caller, or somebody with the console's key.
    pub fn knows_console_user(&self, headers: &HeaderMap) -> bool {
        let callers = self.authenticator.callers();
        if callers.is_empty() {
            return bearer_token(headers).is_some_and(|key| self.authenticator.is_console_key(key));
        }
        self.identify(&callers, || bearer_token(headers)).is_ok()
    }

    /// Whether every program that reaches this listener's address may call, without a credential.
    pub fn is_open_to_all(&self) -> bool {
        self.address != PeerAddress::Unix && self.authenticator.callers().is_empty()
    }

    pub(super) const fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    fn check(&self, access: Option<Access>, token: impl Fn() -> Option<TokenHash>) -> Result<Caller, Error> {
        let callers = self.authenticator.callers();
        if self.is_trusted(&callers) {
            return Ok(Caller::Trusted);
        }
        if access == Some(Access::Public) {
            return Ok(Caller::Unauthenticated);
        }
        let caller = self.identify(&callers, token).inspect_err(|_| log_unknown_caller())?;
        match access {
            Some(Access::Role(role)) if !caller.has_role(role) => Err(role_missing(&caller, role)),
            Some(Access::Role(_) | Access::AnyCaller | Access::Public) => Ok(caller),
            // The access table has no such RPC, so the call must not reach a service.
            None => Err(Error::MethodUnknown),
        }
    }

    /// Whether the calls of this peer need no credential.
    fn is_trusted(&self, callers: &Callers) -> bool {
        self.address == PeerAddress::Unix || callers.is_empty()
    }

    /// Identifies the caller by its certificate, or by its token if the certificate identifies none.
    fn identify(&self, callers: &Arc<Callers>, token: impl Fn() -> Option<TokenHash>) -> Result<Caller, Error> {
        if let Some(known) = self.identify_by_certificate(callers) {
            return Ok(Caller::Known(known));
        }
        let Some(token) = token() else { return Err(Error::CallerUnknown(self.missing_credential())) };
        let known = callers.with_token(token).ok_or(Error::CallerUnknown(WRONG_TOKEN))?;
        Ok(Caller::Known(Arc::clone(known)))
    }

    fn identify_by_certificate(&self, callers: &Arc<Callers>) -> Option<Arc<KnownCaller>> {
        if self.names.is_empty() {
            return None;
        }
        let mut last = self.certificate_match.lock();
        match &*last {
            Some(last) if Arc::ptr_eq(&last.callers, callers) => last.caller.clone(),
            _ => {
                let caller = callers.with_certificate(&self.names).cloned();
                *last = Some(CertificateMatch { callers: Arc::clone(callers), caller: caller.clone() });
                caller
            }
        }
    }

    fn missing_credential(&self) -> &'static str {
        if self.names.is_empty() { NO_CREDENTIAL } else { WRONG_CERTIFICATE }
    }
}

fn role_missing(caller: &Caller, role: Role) -> Error {
    static DENIED: LogThrottle = LogThrottle::new();
    if let Some(calls) = DENIED.count() {
        warn!(caller = %caller, calls, "a caller was refused what its roles do not allow");
    }
    Error::RoleMissing(role)
}

fn log_unknown_caller() {
    static UNKNOWN: LogThrottle = LogThrottle::new();
    if let Some(calls) = UNKNOWN.count() {
        warn!(calls, "calls of an unknown caller were refused");
    }
}

const NO_CREDENTIAL: &str = "say who calls: send `authorization: Bearer <caller token>`, or show a client certificate";
const WRONG_TOKEN: &str = "no caller has this token; is its hash in token_hashes of the service's configuration?";
const WRONG_CERTIFICATE: &str = "no caller has a name of this client certificate; is one in certificate_names of the \
                                 service's configuration?";
