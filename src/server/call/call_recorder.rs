//! A call from its first byte to the last of its answer: what is counted of it, and what logs call it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::{Level, debug, enabled};

use super::call_metrics::{Rpc, code_name};
use crate::grpc::GRPC_STATUS;
use crate::server::context::ServerContext;
use crate::telemetry::{CallContext, CallId};

/// A call that is not over. Dropped before its end, it was cancelled.
#[derive(Debug)]
pub(crate) struct CallRecorder {
    // Of the connection's own, so that no call counts references in a cache line that other threads count in.
    context: Arc<ServerContext>,
    rpc: Rpc,
    call: CallContext,
    begin: Instant,
    phase: CallPhase,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallPhase {
    Asked,
    RecordedBody,
    Ended,
}

impl CallRecorder {
    /// A call that begins now.
    pub(crate) fn begin(context: &Arc<ServerContext>, request: &Request<Body>) -> Self {
        let rpc = context.call_metrics.rpc(request.uri().path());
        let call = CallContext::new(context.call_metrics.name(rpc), request.headers());
        context.connection_metrics.open_stream();
        Self { context: Arc::clone(context), rpc, call, begin: Instant::now(), phase: CallPhase::Asked }
    }

    /// Which RPC it calls.
    pub(crate) const fn rpc(&self) -> Rpc {
        self.rpc
    }

    /// Does what there is to do for it, under its name.
    pub(crate) fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        self.call.scope(work)
    }

    /// Does a step of it, under its name.
    pub(crate) fn step<T>(&self, work: impl FnOnce() -> T) -> T {
        self.call.sync_scope(work)
    }

    /// Sees its answer begin. One that is a failure is told the call's id.
    pub(crate) fn answered(&mut self, response: &mut Response<Body>) {
        self.answers();
        if response.status() != StatusCode::OK {
            self.end(Code::Unknown);
        } else if response.headers().contains_key(&GRPC_STATUS) {
            self.finished(response.headers());
            if let Ok(id) = HeaderValue::try_from(self.call.id().to_string()) {
                response.headers_mut().insert(CallId::header().clone(), id);
            }
        }
    }

    /// Sees the headers that end its answer.
    pub(crate) fn finished(&mut self, trailers: &HeaderMap) {
        let code = trailers.get(&GRPC_STATUS).map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
        if code != Code::Ok
            && self.phase != CallPhase::Ended
            && let Some(status) = Status::from_header_map(trailers)
        {
            self.context.call_metrics.failed(&status);
        }
        self.end(code);
    }

    fn answers(&mut self) {
        if self.phase == CallPhase::Asked {
            self.phase = CallPhase::RecordedBody;
            self.context.call_metrics.answered(self.rpc, self.begin.elapsed());
        }
    }

    fn end(&mut self, code: Code) {
        if self.phase == CallPhase::Ended {
            return;
        }
        self.phase = CallPhase::Ended;
        self.context.call_metrics.ended(self.rpc, code);
        if enabled!(Level::DEBUG) {
            let duration_ms = self.begin.elapsed().as_secs_f64() * 1e3;
            self.call
                .sync_scope(|| debug!(call.code = code_name(code), call.duration_ms = duration_ms, "a call ended"));
        }
    }
}

impl Drop for CallRecorder {
    fn drop(&mut self) {
        self.answers();
        self.end(Code::Cancelled);
        self.context.connection_metrics.close_stream();
    }
}
