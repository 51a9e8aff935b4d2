//! The record of one call, from its first byte to the end of its response: its metrics and its log context.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::{Level, debug, enabled};

use crate::auth::{self, Caller, Peer};
use crate::connect::Protocol;
use crate::grpc::{AuditRecord, GRPC_STATUS};
use crate::server::call_metrics::{RpcIndex, code_name};
use crate::server::context::ConnectionContext;
use crate::telemetry::spans::SpanAttributes;
use crate::telemetry::{CallContext, CallId};

/// A call that has not ended. If it is dropped before its end, it is recorded as cancelled.
#[derive(Debug)]
pub(super) struct CallRecorder {
    // The context of the connection, so that the reference count is not in a cache line that other threads write to.
    pub(super) connection: Arc<ConnectionContext>,
    pub(super) rpc: RpcIndex,
    pub(super) context: CallContext,
    pub(super) protocol: Protocol,
    start: Instant,
    phase: CallPhase,
    /// `None` once its last line is written, and for calls that are not audited.
    audit: Option<AuditRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallPhase {
    Running,
    Responding,
    Ended,
}

impl CallRecorder {
    /// Records the start of a call.
    pub(super) fn start<B>(connection: &Arc<ConnectionContext>, request: &Request<B>, protocol: Protocol) -> Self {
        let rpc = connection.call_metrics.rpc(request.uri().path());
        let name = connection.call_metrics.name(rpc);
        let context = CallContext::new(name, request.headers(), &connection.tracer);
        let audit = AuditRecord::of_call(name);
        connection.connection_metrics.open_stream();
        Self {
            connection: Arc::clone(connection),
            rpc,
            context,
            protocol,
            start: Instant::now(),
            phase: CallPhase::Running,
            audit,
        }
    }

    /// Checks that its caller may make the call. Lets the RPC of an audited call note what it is about.
    pub(super) fn authenticate<B>(&mut self, peer: &Peer, request: &mut Request<B>) -> Result<Caller, auth::Error> {
        let caller = self.context.sync_scope(|| peer.authenticate(self.rpc.0, request.headers()));
        if matches!(caller, Err(_) | Ok(Caller::Unauthenticated)) {
            // Peers without a credential could fill the queue with spans, and then those of callers would be lost.
            self.context.drop_span();
        }
        if (self.connection.notes_callers || enabled!(Level::DEBUG))
            && let Ok(caller) = &caller
        {
            self.context.note_caller(caller);
        }
        if let Some(audit) = &self.audit {
            match &caller {
                Ok(caller) => audit.note_caller(caller),
                Err(_) => audit.note_caller(&peer.refused_caller(request.headers())),
            }
            request.extensions_mut().insert(audit.clone());
        }
        caller
    }

    /// Records the start of the response. Adds the call's id to a response that is a failure.
    pub(super) fn record_response(&mut self, response: &mut Response<Body>) {
        self.record_response_start();
        // A failure of Connect. tonic's failures may have a status too, but its headers are the truth.
        let status = response.extensions_mut().remove::<Status>();
        let is_failed = if response.headers().contains_key(&GRPC_STATUS) {
            self.record_trailers(response.headers());
            true
        } else if let Some(status) = status {
            self.record_failure(&status);
            self.record_end(status.code());
            true
        } else {
            false
        };
        if is_failed {
            if let Ok(id) = HeaderValue::try_from(self.context.id().to_string()) {
                response.headers_mut().insert(CallId::header().clone(), id);
            }
        } else if let Protocol::ConnectUnary(_) | Protocol::ForwardAuth | Protocol::ExtAuthz = self.protocol {
            // The response is whole, and it has no trailers that say more.
            self.record_end(Code::Ok);
        } else {
            // A stream may go on for days.
            self.log_audit(Code::Ok, None);
        }
    }

    /// Records the headers or trailers that end the response.
    pub(super) fn record_trailers(&mut self, trailers: &HeaderMap) {
        let code = trailers.get(&GRPC_STATUS).map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
        if code != Code::Ok
            && let Some(status) = Status::from_header_map(trailers)
        {
            self.record_failure(&status);
        }
        self.record_end(code);
    }

    fn record_failure(&mut self, status: &Status) {
        if self.phase != CallPhase::Ended {
            self.connection.call_metrics.count_failure(status);
            let reason = status.get_details_error_info().map(|info| info.reason);
            self.log_audit(status.code(), reason.as_deref());
            if let (Some(span), Some(reason)) = (self.context.span(), reason) {
                span.note("cloakroom.reason", reason);
            }
        }
    }

    /// Writes the audit line of a call, or of the begin or end of a stream, once.
    fn log_audit(&mut self, code: Code, reason: Option<&str>) {
        if let Some(audit) = self.audit.take() {
            let goes_on = self.context.sync_scope(|| audit.log(code_name(code), reason)) && code == Code::Ok;
            self.audit = goes_on.then_some(audit);
        }
    }

    fn record_response_start(&mut self) {
        if self.phase == CallPhase::Running {
            self.phase = CallPhase::Responding;
            let duration = self.start.elapsed();
            self.connection.call_metrics.observe_duration(self.rpc, duration);
            if let Some(span) = self.context.span() {
                self.connection.call_metrics.note_exemplar(self.rpc, span.exemplar(duration));
            }
        }
    }

    fn record_end(&mut self, code: Code) {
        if self.phase == CallPhase::Ended {
            return;
        }
        self.phase = CallPhase::Ended;
        let rpc = self.connection.call_metrics.name(self.rpc);
        self.connection.call_metrics.count_end(self.rpc, self.protocol, code);
        self.log_audit(code, None);
        if let Some(span) = self.context.span() {
            let attributes = call_attributes(rpc, self.protocol, code, self.context.id());
            span.end(rpc, attributes, is_server_error(code));
        }
        if enabled!(Level::DEBUG) {
            let duration_ms = self.start.elapsed().as_secs_f64() * 1e3;
            let (call_code, caller) = (code_name(code), self.context.caller());
            let call_protocol = self.protocol.as_str();
            self.context.sync_scope(|| {
                debug!(
                    caller,
                    call.protocol = call_protocol,
                    call.code = call_code,
                    call.duration_ms = duration_ms,
                    "a call ended"
                )
            });
        }
    }
}

/// Returns the attributes of a call by OpenTelemetry's conventions for RPC.
fn call_attributes(rpc: &'static str, protocol: Protocol, code: Code, id: &CallId) -> SpanAttributes {
    let (service, method) = rpc.split_once('/').unwrap_or(("", rpc));
    let system = match protocol {
        Protocol::Grpc => "grpc",
        Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) => "connect_rpc",
        Protocol::ForwardAuth => "forward_auth",
        Protocol::ExtAuthz => "ext_authz",
    };
    let mut attributes = vec![
        ("rpc.system", system.into()),
        ("rpc.service", service.into()),
        ("rpc.method", method.into()),
        ("cloakroom.call.id", id.to_string().into()),
    ];
    match protocol {
        Protocol::Grpc => attributes.push(("rpc.grpc.status_code", i64::from(i32::from(code)).into())),
        _ if code == Code::Ok => {}
        _ => attributes.push(("rpc.connect_rpc.error_code", code_name(code).to_ascii_lowercase().into())),
    }
    attributes
}

/// Whether a code is an error of the service, and not of its caller, by the same conventions.
const fn is_server_error(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};

    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

impl Drop for CallRecorder {
    fn drop(&mut self) {
        self.record_response_start();
        self.record_end(Code::Cancelled);
        self.connection.connection_metrics.close_stream();
    }
}
