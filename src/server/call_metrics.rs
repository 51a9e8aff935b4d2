//! The metrics of calls: how they end, by RPC, code and reason, and how long they take.
//!
//! A path that names no RPC is counted as [`UNKNOWN`]. Callers choose their paths, and a name once counted is never
//! removed, so arbitrary names would exhaust the memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::connect::Protocol;
use crate::telemetry::metrics::{Exemplar, Exemplars, Histogram, HistogramSnapshot, Striped};

/// The metrics of all calls of the process.
#[derive(Debug)]
pub(in crate::server) struct CallMetrics {
    indexes: HashMap<&'static str, RpcIndex>,
    /// By index. The last one is [`UNKNOWN`].
    names: Vec<&'static str>,
    counters: Striped<Box<[RpcCounters]>>,
    /// Of the durations, by index.
    exemplars: Box<[Exemplars]>,
    reasons: Mutex<BTreeMap<String, u64>>,
}

/// The index of an RPC in the list that [`CallMetrics::new`] was given; for an unknown RPC the length of that list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RpcIndex(pub(super) usize);

#[derive(Debug, Default)]
struct RpcCounters {
    /// By the protocol, and by the number of the code.
    ended: [[AtomicU64; CODES.len()]; PROTOCOLS.len()],
    durations: Histogram,
}

/// A snapshot of the metrics of one RPC.
#[derive(Clone, Debug)]
pub(in crate::server) struct RpcMetrics {
    pub(in crate::server) rpc: &'static str,
    /// The number of ended calls, by the name of each protocol and of each code.
    pub(in crate::server) ended: [(&'static str, [(&'static str, u64); CODES.len()]); PROTOCOLS.len()],
    /// The time until the response began.
    pub(in crate::server) durations: HistogramSnapshot,
}

impl CallMetrics {
    /// Creates metrics that count these RPCs separately and all others as one.
    pub(in crate::server) fn new(rpcs: &'static [String]) -> Self {
        let names: Vec<&'static str> = rpcs.iter().map(String::as_str).chain([UNKNOWN]).collect();
        let indexes = names.iter().enumerate().map(|(index, name)| (*name, RpcIndex(index))).collect();
        let counters = Striped::new(|| names.iter().map(|_| RpcCounters::default()).collect());
        let exemplars = names.iter().map(|_| Exemplars::default()).collect();
        Self { indexes, names, counters, exemplars, reasons: Mutex::default() }
    }

    /// Returns the RPC that a path names.
    pub(super) fn rpc(&self, path: &str) -> RpcIndex {
        let known = path.strip_prefix('/').and_then(|name| self.indexes.get(name));
        known.copied().unwrap_or(RpcIndex(self.names.len() - 1))
    }

    /// Returns the name of an RPC for metrics and logs.
    pub(super) fn name(&self, rpc: RpcIndex) -> &'static str {
        self.names[rpc.0]
    }

    /// Records the time until the response began, or until the call was cancelled.
    pub(super) fn observe_duration(&self, rpc: RpcIndex, duration: Duration) {
        self.counters.local()[rpc.0].durations.observe(duration);
    }

    /// Notes a sampled call as an example of its duration.
    pub(super) fn note_exemplar(&self, rpc: RpcIndex, exemplar: Exemplar) {
        self.exemplars[rpc.0].note(exemplar);
    }

    /// Counts the end of a call.
    pub(super) fn count_end(&self, rpc: RpcIndex, protocol: Protocol, code: Code) {
        let protocol = match protocol {
            Protocol::Grpc => 0,
            Protocol::ConnectUnary(_) | Protocol::ConnectStream(_) => 1,
            Protocol::ForwardAuth => 2,
            Protocol::ExtAuthz => 3,
        };
        self.counters.local()[rpc.0].ended[protocol][code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failure by the reason in its status. Only failures pay for this lock.
    pub(super) fn count_failure(&self, status: &Status) {
        let details = status.get_details_error_info();
        let reason = details.as_ref().map_or(NO_REASON, |info| info.reason.as_str());
        let mut reasons = self.reasons.lock();
        // All reasons are constants of this service. The limit keeps the map small if that is ever wrong.
        let reason = if reasons.len() < MAX_REASONS || reasons.contains_key(reason) { reason } else { NO_REASON };
        match reasons.get_mut(reason) {
            Some(count) => *count += 1,
            None => _ = reasons.insert(reason.to_owned(), 1),
        }
    }

    /// Returns the metrics of each RPC.
    pub(in crate::server) fn rpcs(&self) -> impl Iterator<Item = RpcMetrics> {
        self.names.iter().enumerate().map(|(index, rpc)| {
            let ended = |protocol: usize, code: usize| {
                self.counters.sum(|copy| copy[index].ended[protocol][code].load(Ordering::Relaxed))
            };
            // Before the counts: a call is counted before it is an example, so the counts have each exemplar.
            let exemplars = self.exemplars[index].read().to_vec();
            let durations = Histogram::read(&self.counters, |copy| &copy[index].durations);
            RpcMetrics {
                rpc,
                ended: std::array::from_fn(|protocol| {
                    (PROTOCOLS[protocol], std::array::from_fn(|code| (CODES[code], ended(protocol, code))))
                }),
                durations: HistogramSnapshot { exemplars, ..durations },
            }
        })
    }

    /// Returns the number of failures by reason.
    pub(in crate::server) fn reasons(&self) -> Vec<(String, u64)> {
        self.reasons.lock().iter().map(|(reason, count)| (reason.clone(), *count)).collect()
    }
}

impl Default for CallMetrics {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// Returns the name of a code, as in the gRPC specification.
pub(super) const fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}

/// The name of all paths that name no RPC.
const UNKNOWN: &str = "unknown";

/// The reason of failures whose status has none.
const NO_REASON: &str = "NONE";

/// The names of the protocols, in the order of [`CallMetrics::count_end`].
const PROTOCOLS: [&str; 4] = ["grpc", "connect", "forward_auth", "ext_authz"];

const MAX_REASONS: usize = 128;

/// The names of the codes, by number.
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
    fn each_code_has_the_name_of_the_specification() {
        for number in 0..17 {
            let name: String = code_name(Code::from_i32(number)).split('_').collect();
            assert_eq!(name, format!("{:?}", Code::from_i32(number)).to_uppercase());
        }
    }

    #[test]
    fn a_path_that_names_no_rpc_is_counted_as_unknown() {
        let call_metrics = CallMetrics::new(crate::grpc::rpcs());
        let count = call_metrics.rpcs().count();

        for path in
            ["", "/", "/x/y", "/cloakroom.v1.SessionService/opensession", "/cloakroom.v1.SessionService/OpenSession/"]
        {
            assert_eq!(call_metrics.name(call_metrics.rpc(path)), UNKNOWN, "{path}");
            call_metrics.count_end(call_metrics.rpc(path), Protocol::Grpc, Code::Unimplemented);
        }

        assert_eq!(call_metrics.rpcs().count(), count);
        assert_eq!(call_metrics.rpcs().last().map(|rpc| rpc.ended[0].1[12]), Some(("UNIMPLEMENTED", 5)));
        assert_eq!(
            call_metrics.name(call_metrics.rpc("/cloakroom.v1.SessionService/OpenSession")),
            crate::grpc::rpcs()[0]
        );
    }

    #[test]
    fn the_number_of_reasons_is_bounded() {
        let call_metrics = CallMetrics::default();

        for number in 0..1000 {
            call_metrics.count_failure(&crate::grpc::status::status(Code::Internal, &number.to_string(), ""));
        }
        call_metrics.count_failure(&Status::internal(""));

        let reasons = call_metrics.reasons();
        assert_eq!(reasons.len(), MAX_REASONS + 1);
        assert_eq!(reasons.iter().map(|(_, count)| count).sum::<u64>(), 1001);
    }
}
