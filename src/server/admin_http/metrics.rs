//! The page of metrics: every number that the process counts, with its name.
//!
//! Each module counts its own numbers; here they only get names. No label has a value that a caller can choose.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::audit::AuditCounts;
use crate::server::call::{CallMetrics, RequestBudget};
use crate::server::connection::{ConnectionMetrics, Cut, PendingBudget};
use crate::server::context::ServerContext;
use crate::server::health::HealthState;
use crate::server::reloader::ReloadMetrics;
use crate::server::tls::Tls;
use crate::service::{AppStats, ServedApp, Service};
use crate::store::{Handle, RedisMetrics};
use crate::telemetry::metrics::{MetricKind, MetricsText, process};
use crate::telemetry::spans::{SpanCounts, SpanLoss};

/// Where the numbers come from.
#[derive(Debug)]
pub(in crate::server) struct MetricsSources {
    pub(in crate::server) call_metrics: Arc<CallMetrics>,
    pub(in crate::server) listeners: [ListenerSources; 2],
    pub(in crate::server) service: Service,
    pub(in crate::server) store: Handle,
    pub(in crate::server) health: Arc<HealthState>,
    pub(in crate::server) reloads: Arc<ReloadMetrics>,
    pub(in crate::server) spans: Arc<SpanCounts>,
}

/// Where the numbers of one listener come from.
#[derive(Debug)]
pub(in crate::server) struct ListenerSources {
    name: &'static str,
    connection_metrics: Arc<ConnectionMetrics>,
    request_budget: RequestBudget,
    pending_budget: PendingBudget,
    tls: Option<Arc<Tls>>,
}

/// The apps and their numbers.
type Apps = [(Arc<ServedApp>, AppStats)];

impl ListenerSources {
    pub(in crate::server) fn new(name: &'static str, context: &ServerContext) -> Self {
        let ServerContext { connection_metrics, request_budget, pending_budget, tls, .. } = context.clone();
        Self { name, connection_metrics, request_budget, pending_budget, tls }
    }
}

impl MetricsSources {
    /// Writes the page with the present numbers.
    pub(super) fn page(&self) -> String {
        let mut page = MetricsText::default();
        page.family("cloakroom_build_info", MetricKind::Gauge, "The version of the program; always 1.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.health(&mut page);
        self.reloads(&mut page);
        self.calls(&mut page);
        self.connections(&mut page);
        self.store(&mut page);
        self.store.redis_metrics().inspect(|metrics| redis(&mut page, metrics));
        self.spans(&mut page);
        self.audit_log(&mut page);
        let apps = self.service.all_stats();
        keys(&mut page, &apps);
        sessions(&mut page, &apps);
        migrations(&mut page, &apps);
        live_count(&mut page, &apps);
        process(&mut page);
        page.into_string()
    }

    fn health(&self, page: &mut MetricsText) {
        page.family("cloakroom_serving", MetricKind::Gauge, "Whether health checks return SERVING.")
            .sample(&[], u64::from(self.health.is_serving()));
        page.family("cloakroom_store_up", MetricKind::Gauge, "Whether the last ping of the store was successful.")
            .sample(&[], u64::from(self.health.is_store_up()));
    }

    fn reloads(&self, page: &mut MetricsText) {
        let help = "Configurations that were applied while the process ran, or refused.";
        page.family("cloakroom_config_reloads_total", MetricKind::Counter, help)
            .sample(&[("outcome", "applied")], self.reloads.applied.load(Ordering::Relaxed))
            .sample(&[("outcome", "refused")], self.reloads.refused.load(Ordering::Relaxed));
        let help = "Whether the last configuration was applied: 0 if it was refused.";
        page.family("cloakroom_config_last_reload_successful", MetricKind::Gauge, help)
            .sample(&[], u64::from(self.reloads.was_last_successful()));
        let help = "The time when the present configuration was applied, in seconds since 1970.";
        page.family("cloakroom_config_last_reload_success_timestamp_seconds", MetricKind::Gauge, help)
            .sample(&[], self.reloads.last_success().seconds());
    }

    fn calls(&self, page: &mut MetricsText) {
        let rpcs: Vec<_> = self.call_metrics.rpcs().collect();
        page.family("cloakroom_calls_total", MetricKind::Counter, "Calls that ended, by RPC, protocol and code.");
        for rpc in &rpcs {
            for (protocol, (code, count)) in
                rpc.ended.iter().flat_map(|(protocol, ended)| ended.iter().map(move |ended| (protocol, ended)))
            {
                page.sample(&[("rpc", rpc.rpc), ("protocol", protocol), ("code", code)], *count);
            }
        }
        let help = "Calls that failed, by the reason in their error.";
        page.family("cloakroom_call_failures_total", MetricKind::Counter, help);
        for (reason, count) in self.call_metrics.reasons() {
            page.sample(&[("reason", &reason)], count);
        }
        let help = "Time until the response began, by RPC; for a stream, until it was open.";
        page.family("cloakroom_call_duration_seconds", MetricKind::Histogram, help);
        for rpc in &rpcs {
            page.histogram(("rpc", rpc.rpc), &rpc.durations);
        }
    }

    fn family_by_listener(
        &self,
        page: &mut MetricsText,
        name: &'static str,
        kind: MetricKind,
        help: &'static str,
        read: fn(&ListenerSources) -> Option<u64>,
    ) {
        page.family(name, kind, help);
        for listener in &self.listeners {
            if let Some(value) = read(listener) {
                page.sample(&[("listener", listener.name)], value);
            }
        }
    }

    fn connections(&self, page: &mut MetricsText) {
        use MetricKind::{Counter, Gauge};

        let mut family = |name, kind, help, read: fn(&ListenerSources) -> Option<u64>| {
            self.family_by_listener(page, name, kind, help, read);
        };
        family("cloakroom_connections", Gauge, "Open connections.", |listener| {
            Some(listener.connection_metrics.connections())
        });
        let help = "Connections within the limits.";
        family("cloakroom_connections_accepted_total", Counter, help, |listener| {
            Some(listener.connection_metrics.accepted())
        });
        let help = "Connections that were closed at once, because there were too many.";
        family("cloakroom_connections_refused_total", Counter, help, |listener| {
            Some(listener.connection_metrics.refused())
        });
        let help = "Connections that the server ended because of what their peer did or left undone, by reason.";
        page.family("cloakroom_connections_cut_total", Counter, help);
        for listener in &self.listeners {
            for reason in Cut::ALL {
                let labels = [("listener", listener.name), ("reason", reason.as_str())];
                page.sample(&labels, listener.connection_metrics.cuts(reason));
            }
        }
        let mut family = |name, kind, help, read: fn(&ListenerSources) -> Option<u64>| {
            self.family_by_listener(page, name, kind, help, read);
        };
        let help = "TLS handshakes that failed, took too long, or made room for newer ones.";
        family("cloakroom_tls_handshakes_failed_total", Counter, help, |listener| {
            Some(listener.connection_metrics.failed_handshakes())
        });
        let help = "Calls whose response has not ended, watches included.";
        family("cloakroom_streams", Gauge, help, |listener| Some(listener.connection_metrics.streams()));
        let help = "Bytes of request_budget_bytes that requests over 64 KiB use.";
        family("cloakroom_large_request_bytes", Gauge, help, |listener| {
            Some(listener.request_budget.used_bytes() as u64)
        });
        let help = "Bytes of pending_budget_bytes that unfinished requests and unread responses use.";
        family("cloakroom_pending_bytes", Gauge, help, |listener| Some(listener.pending_budget.used_bytes() as u64));
        let help = "The time when the certificate for new connections expires, in seconds since 1970; of a chain the earliest.";
        family("cloakroom_tls_certificate_expiry_timestamp_seconds", Gauge, help, |listener| {
            Some(listener.tls.as_ref()?.expire_time().seconds())
        });
    }

    fn audit_log(&self, page: &mut MetricsText) {
        let help = "Ends of sessions for the audit log. lost: they are not in it, for the disk was full or slow.";
        page.family("cloakroom_audit_ends_total", MetricKind::Counter, help);
        if let Some(AuditCounts { written, lost }) = self.service.audit_log().counts() {
            page.sample(&[("outcome", "written")], written).sample(&[("outcome", "lost")], lost);
        }
    }

    fn store(&self, page: &mut MetricsText) {
        let metrics = self.store.metrics();
        let operations: Vec<_> = metrics.operations().collect();
        let help = "Duration of the store's operations, successful or not.";
        page.family("cloakroom_store_operation_duration_seconds", MetricKind::Histogram, help);
        for operation in &operations {
            page.histogram(("operation", operation.operation), &operation.durations);
        }
        let help = "Operations of the store that failed. ABANDONED: the call's time was over first.";
        page.family("cloakroom_store_failures_total", MetricKind::Counter, help);
        for operation in &operations {
            for (failure, count) in &operation.failures {
                page.sample(&[("operation", operation.operation), ("failure", failure.as_str())], *count);
            }
        }
    }

    fn spans(&self, page: &mut MetricsText) {
        let help = "Spans that the collector of traces has taken.";
        page.family("cloakroom_spans_exported_total", MetricKind::Counter, help).sample(&[], self.spans.exported());
        let help = "Spans of sampled calls that the collector does not have, by reason.";
        page.family("cloakroom_spans_lost_total", MetricKind::Counter, help);
        for loss in SpanLoss::ALL {
            page.sample(&[("reason", loss.as_str())], self.spans.lost(loss));
        }
    }
}

/// Each primary that the process has used, and the slots of a cluster.
fn redis(page: &mut MetricsText, RedisMetrics { nodes, topology_changes, cluster }: &RedisMetrics) {
    let help = "Whether this process has an open connection to a Redis, each of which is checked every second.";
    page.family("cloakroom_redis_node_up", MetricKind::Gauge, help);
    for node in nodes {
        page.sample(&[("node", &node.address)], u64::from(node.is_up));
    }
    let help = "Commands that a Redis did not answer, and connections to it that could not be opened.";
    page.family("cloakroom_redis_node_failures_total", MetricKind::Counter, help);
    for node in nodes {
        page.sample(&[("node", &node.address)], node.failures);
    }
    let help = "How often a primary was found to be another one, or slots to be at another one.";
    page.family("cloakroom_redis_topology_changes_total", MetricKind::Counter, help).sample(&[], *topology_changes);
    let Some(cluster) = cluster else { return };
    let help = "Slots of the Redis Cluster that no node has.";
    page.family("cloakroom_redis_slots_uncovered", MetricKind::Gauge, help);
    if let Some(slots) = cluster.uncovered_slots {
        page.sample(&[], slots as u64);
    }
    let help = "Commands that a node of the Redis Cluster sent elsewhere or put off, by the code of its error.";
    page.family("cloakroom_redis_redirections_total", MetricKind::Counter, help);
    for (code, count) in &cluster.redirections {
        page.sample(&[("code", code)], *count);
    }
}

/// Lists the public ids of the keys, so that a change of keys can be followed from replica to replica.
fn keys(page: &mut MetricsText, apps: &Apps) {
    let help = "Keys in force: the first of an app's signs, all verify. Always 1.";
    page.family("cloakroom_key_info", MetricKind::Gauge, help);
    for (app, _) in apps {
        for (index, id) in app.key_ids().iter().enumerate() {
            let signs = if index == 0 { "yes" } else { "no" };
            page.sample(&[("app", app.name.as_str()), ("key", &id.to_string()), ("signs", signs)], 1);
        }
    }
}

fn sessions(page: &mut MetricsText, apps: &Apps) {
    let help = "Sessions that an open found alive.";
    counter(page, apps, "cloakroom_sessions_opened_total", help, |stats| stats.opened);
    let help =
        "Opens of sessions, by what they found. UNKNOWN: the token is genuine, and the store has no session for it.";
    page.family("cloakroom_opens_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for (found, count) in &stats.opens {
            page.sample(&[("app", app.name.as_str()), ("found", found.as_str())], *count);
        }
    }
    let help = "Saves of sessions, by outcome, and for GONE by the reason.";
    page.family("cloakroom_saves_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for ((outcome, reason), count) in &stats.saves {
            page.sample(&[("app", app.name.as_str()), ("outcome", outcome), ("reason", reason)], *count);
        }
    }
    let help = "Sessions that were stored for the first time.";
    counter(page, apps, "cloakroom_sessions_created_total", help, |stats| stats.created);
    let help = "Sessions that a call ended, by reason.";
    page.family("cloakroom_sessions_ended_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for (reason, count) in &stats.ended {
            page.sample(&[("app", app.name.as_str()), ("reason", reason.as_str())], *count);
        }
    }
    let help = "Tokens, tickets and cookies that did not verify, by reason.";
    page.family("cloakroom_tokens_rejected_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for (reason, count) in &stats.rejected {
            page.sample(&[("app", app.name.as_str()), ("reason", reason)], *count);
        }
    }
    let help = "Requests whose cookies named two live sessions: one may have been planted.";
    counter(page, apps, "cloakroom_cookies_suspicious_total", help, |stats| stats.ambiguous_cookies);
}

fn counter(
    page: &mut MetricsText,
    apps: &Apps,
    name: &'static str,
    help: &'static str,
    read: impl Fn(&AppStats) -> u64,
) {
    page.family(name, MetricKind::Counter, help);
    for (app, stats) in apps {
        page.sample(&[("app", app.name.as_str())], read(stats));
    }
}

fn migrations(page: &mut MetricsText, apps: &Apps) {
    let migrations =
        || apps.iter().flat_map(|(app, stats)| stats.migrations.iter().map(|source| (app.name.as_str(), source)));
    let help = "Legacy sessions that were imported, by migration source.";
    page.family("cloakroom_sessions_imported_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        page.sample(&[("app", app), ("source", source.source.as_str())], source.imported);
    }
    let help = "Legacy credentials whose session had been imported before.";
    page.family("cloakroom_migration_credentials_found_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        page.sample(&[("app", app), ("source", source.source.as_str())], source.found);
    }
    let help = "Legacy credentials that opened nothing, by reason.";
    page.family("cloakroom_migration_credentials_refused_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        for (reason, count) in &source.refused {
            let labels = [("app", app), ("source", source.source.as_str()), ("reason", reason.as_str())];
            page.sample(&labels, *count);
        }
    }
}

fn live_count(page: &mut MetricsText, apps: &Apps) {
    let counted = || apps.iter().filter_map(|(app, stats)| Some((app.name.as_str(), stats.live_count?)));
    let help = "Live sessions at the last count of the store, within 5 %, or missing; each replica counts all of them.";
    page.family("cloakroom_sessions_live", MetricKind::Gauge, help);
    for (app, count) in counted() {
        let mut sample = |kind, value| _ = page.sample(&[("app", app), ("kind", kind)], value);
        match (count.live, count.live_anonymous) {
            (Some(live), Some(anonymous)) => {
                sample("authenticated", live.saturating_sub(anonymous));
                sample("anonymous", anonymous);
            }
            (Some(live), None) => sample("any", live),
            (None, _) => {}
        }
    }
    let help = "The time of the last count of the live sessions, in seconds since 1970.";
    page.family("cloakroom_sessions_counted_timestamp_seconds", MetricKind::Gauge, help);
    for (app, count) in counted() {
        page.sample(&[("app", app)], count.time.seconds());
    }
}
