//! What is counted of calls: how they end, by RPC and code and reason, and how long their answers take.
//!
//! A name that no descriptor has is never a name here: callers choose their paths, and each name is kept forever.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::telemetry::metrics::{Histogram, HistogramSnapshot, Striped};

/// The calls of the whole process.
#[derive(Debug)]
pub(crate) struct CallMetrics {
    numbers: HashMap<&'static str, Rpc>,
    /// By number; the last one is [`UNKNOWN`].
    names: Vec<&'static str>,
    tallies: Striped<Box<[RpcCounters]>>,
    reasons: Mutex<BTreeMap<String, u64>>,
}

/// An RPC, by its place among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rpc(usize);

impl Rpc {
    /// Its place among all of them; one more for what is no RPC.
    pub(crate) const fn number(self) -> usize {
        self.0
    }
}

#[derive(Debug, Default)]
struct RpcCounters {
    /// By the number of the code.
    ends: [AtomicU64; CODES.len()],
    times: Histogram,
}

/// What was seen of one RPC.
#[derive(Clone, Debug)]
pub(crate) struct RpcMetrics {
    pub(crate) rpc: &'static str,
    /// How many calls ended, by the name of every code.
    pub(crate) ends: [(&'static str, u64); CODES.len()],
    /// How long it took until answers began.
    pub(crate) times: HistogramSnapshot,
}

impl CallMetrics {
    /// Counts the calls of these RPCs one by one, and all others together.
    pub(crate) fn new(rpcs: &'static [String]) -> Self {
        let names: Vec<&'static str> = rpcs.iter().map(String::as_str).chain([UNKNOWN]).collect();
        let numbers = names.iter().enumerate().map(|(number, name)| (*name, Rpc(number))).collect();
        let tallies = Striped::new(|| names.iter().map(|_| RpcCounters::default()).collect());
        Self { numbers, names, tallies, reasons: Mutex::default() }
    }

    /// Which RPC a path names.
    pub(crate) fn rpc(&self, path: &str) -> Rpc {
        let known = path.strip_prefix('/').and_then(|name| self.numbers.get(name));
        known.copied().unwrap_or(Rpc(self.names.len() - 1))
    }

    /// The name that stands for it everywhere.
    pub(crate) fn name(&self, rpc: Rpc) -> &'static str {
        self.names[rpc.0]
    }

    /// Counts an answer that has begun, or that will not come.
    pub(crate) fn answered(&self, rpc: Rpc, took: Duration) {
        self.tallies.local()[rpc.0].times.observe(took);
    }

    /// Counts the end of a call.
    pub(crate) fn ended(&self, rpc: Rpc, code: Code) {
        self.tallies.local()[rpc.0].ends[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts why a call failed, by the reason that its caller was told. Only failures pay for this.
    pub(crate) fn failed(&self, status: &Status) {
        let details = status.get_details_error_info();
        let reason = details.as_ref().map_or(NO_REASON, |info| info.reason.as_str());
        let mut reasons = self.reasons.lock();
        // All reasons are this service's own. If that should ever be wrong, it costs a few names and no memory.
        let reason = if reasons.len() < MOST_REASONS || reasons.contains_key(reason) { reason } else { NO_REASON };
        match reasons.get_mut(reason) {
            Some(count) => *count += 1,
            None => _ = reasons.insert(reason.to_owned(), 1),
        }
    }

    /// What was seen of every RPC.
    pub(crate) fn seen(&self) -> impl Iterator<Item = RpcMetrics> {
        self.names.iter().enumerate().map(|(number, rpc)| {
            let ends = |code: usize| self.tallies.sum(|copy| copy[number].ends[code].load(Ordering::Relaxed));
            RpcMetrics {
                rpc,
                ends: std::array::from_fn(|code| (CODES[code], ends(code))),
                times: Histogram::read(&self.tallies, |copy| &copy[number].times),
            }
        })
    }

    /// Why calls failed, and how often.
    pub(crate) fn reasons(&self) -> Vec<(String, u64)> {
        self.reasons.lock().iter().map(|(reason, count)| (reason.clone(), *count)).collect()
    }
}

impl Default for CallMetrics {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// The name of a code, as every gRPC library spells it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}

/// What is no RPC.
pub(crate) const UNKNOWN: &str = "unknown";

/// Failures that their end gives no reason for.
const NO_REASON: &str = "NONE";

const MOST_REASONS: usize = 128;

/// By number, from 0.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_name() {
        for number in 0..17 {
            let name: String = code_name(Code::from_i32(number)).split('_').collect();
            assert_eq!(name, format!("{:?}", Code::from_i32(number)).to_uppercase());
        }
    }

    #[test]
    fn a_path_that_no_descriptor_has_makes_no_name() {
        let call_metrics = CallMetrics::new(crate::grpc::rpcs());
        let known = call_metrics.seen().count();

        for path in
            ["", "/", "/x/y", "/cloakroom.v1.SessionService/opensession", "/cloakroom.v1.SessionService/OpenSession/"]
        {
            assert_eq!(call_metrics.name(call_metrics.rpc(path)), UNKNOWN, "{path}");
            call_metrics.ended(call_metrics.rpc(path), Code::Unimplemented);
        }

        assert_eq!(call_metrics.seen().count(), known);
        assert_eq!(call_metrics.seen().last().map(|seen| seen.ends[12]), Some(("UNIMPLEMENTED", 5)));
        assert_eq!(
            call_metrics.name(call_metrics.rpc("/cloakroom.v1.SessionService/OpenSession")),
            crate::grpc::rpcs()[0]
        );
    }

    #[test]
    fn reasons_are_bounded_whoever_makes_them() {
        let call_metrics = CallMetrics::default();

        for number in 0..1000 {
            call_metrics.failed(&crate::grpc::status::explain(Code::Internal, &number.to_string(), String::new()));
        }
        call_metrics.failed(&Status::internal(""));

        let reasons = call_metrics.reasons();
        assert_eq!(reasons.len(), MOST_REASONS + 1);
        assert_eq!(reasons.iter().map(|(_, count)| count).sum::<u64>(), 1001);
    }
}
