//! A call from its first byte to the last of its answer: what is counted of it, and what logs call it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tracing::{Level, debug, enabled};

use super::front::Front;
use super::meter::{Rpc, code_name};
use super::refusal::GRPC_STATUS;
use crate::telemetry::{Call, CallId};

/// A call that is not over. Dropped before its end, it was cancelled.
#[derive(Debug)]
pub(super) struct Ongoing {
    // Of the connection's own, so that no call counts references in a cache line that other threads count in.
    front: Arc<Front>,
    rpc: Rpc,
    call: Call,
    begin: Instant,
    phase: Phase,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Asked,
    Answered,
    Ended,
}

impl Ongoing {
    /// A call that begins now.
    pub(super) fn begin(front: &Arc<Front>, request: &Request<Body>) -> Self {
        let rpc = front.meter.rpc(request.uri().path());
        let call = Call::new(front.meter.name(rpc), request.headers());
        front.traffic.open_stream();
        Self { front: Arc::clone(front), rpc, call, begin: Instant::now(), phase: Phase::Asked }
    }

    /// Which RPC it calls.
    pub(super) const fn rpc(&self) -> Rpc {
        self.rpc
    }

    /// Does what there is to do for it, under its name.
    pub(super) fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        self.call.run(work)
    }

    /// Does a step of it, under its name.
    pub(super) fn step<T>(&self, work: impl FnOnce() -> T) -> T {
        self.call.step(work)
    }

    /// Sees its answer begin. One that is a failure is told the call's id.
    pub(super) fn answered(&mut self, response: &mut Response<Body>) {
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
    pub(super) fn finished(&mut self, trailers: &HeaderMap) {
        let code = trailers.get(&GRPC_STATUS).map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes()));
        if code != Code::Ok
            && self.phase != Phase::Ended
            && let Some(status) = Status::from_header_map(trailers)
        {
            self.front.meter.failed(&status);
        }
        self.end(code);
    }

    fn answers(&mut self) {
        if self.phase == Phase::Asked {
            self.phase = Phase::Answered;
            self.front.meter.answered(self.rpc, self.begin.elapsed());
        }
    }

    fn end(&mut self, code: Code) {
        if self.phase == Phase::Ended {
            return;
        }
        self.phase = Phase::Ended;
        self.front.meter.ended(self.rpc, code);
        if enabled!(Level::DEBUG) {
            let duration_ms = self.begin.elapsed().as_secs_f64() * 1e3;
            self.call.step(|| debug!(call.code = code_name(code), call.duration_ms = duration_ms, "a call ended"));
        }
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.answers();
        self.end(Code::Cancelled);
        self.front.traffic.close_stream();
    }
}
