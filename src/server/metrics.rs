//! The metrics: every number that the process counts, with its name. The page and the export write the same.
//!
//! Each module counts its own numbers; here they only get names. No label has a value that a caller can choose.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::app::Kind;
use crate::audit::AuditCounts;
use crate::otlp::{ExportOutcome, MetricExportCounts};
use crate::server::call_metrics::CallMetrics;
use crate::server::connection_metrics::{ConnectionMetrics, Cut};
use crate::server::health::HealthState;
use crate::server::limits::{PendingBudget, RequestBudget};
use crate::server::reloader::ReloadMetrics;
use crate::server::tls::Tls;
use crate::service::{AppStats, ServedApp, Service};
use crate::store::{Handle, RedisMetrics};
use crate::telemetry::metrics::{MetricKind, MetricsText, MetricsWriter, TextFormat, process};
use crate::telemetry::spans::{SpanCounts, SpanLoss};

/// Where the numbers come from.
#[derive(Debug)]
pub(super) struct MetricsSources {
    pub(super) call_metrics: Arc<CallMetrics>,
    pub(super) listeners: Vec<ListenerSources>,
    pub(super) service: Service,
    pub(super) store: Handle,
    pub(super) health: Arc<HealthState>,
    pub(super) reloads: Arc<ReloadMetrics>,
    pub(super) spans: Arc<SpanCounts>,
    pub(super) metric_exports: Arc<MetricExportCounts>,
    /// Whether the live sessions are counted at all.
    pub(super) counts_sessions: bool,
}

/// Where the numbers of one listener come from.
#[derive(Debug)]
pub(super) struct ListenerSources {
    pub(super) name: &'static str,
    pub(super) connection_metrics: Arc<ConnectionMetrics>,
    pub(super) request_budget: RequestBudget,
    pub(super) pending_budget: PendingBudget,
    pub(super) tls: Option<Arc<Tls>>,
}

/// The apps and their numbers.
type StatsByApp = [(Arc<ServedApp>, AppStats)];

impl MetricsSources {
    /// Returns the page with the present numbers.
    pub(super) fn page(&self, format: TextFormat) -> String {
        let mut page = MetricsText::new(format);
        self.write(&mut page);
        page.into_string()
    }

    /// Writes the present numbers.
    pub(super) fn write(&self, writer: &mut dyn MetricsWriter) {
        writer
            .family("cloakroom_build_info", MetricKind::Gauge, "The version of the program; always 1.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.health(writer);
        self.reloads(writer);
        self.calls(writer);
        self.connections(writer);
        self.store(writer);
        self.store.redis_metrics().inspect(|metrics| redis(writer, metrics));
        self.spans(writer);
        self.metric_exports(writer);
        self.audit_log(writer);
        let apps = self.service.all_stats();
        keys(writer, &apps);
        sessions(writer, &apps);
        migrations(writer, &apps);
        live_count(writer, &apps);
        if self.counts_sessions {
            uncounted(writer, &apps);
        }
        process(writer);
    }

    fn health(&self, writer: &mut dyn MetricsWriter) {
        writer
            .family("cloakroom_serving", MetricKind::Gauge, "Whether health checks return SERVING.")
            .sample(&[], u64::from(self.health.is_serving()));
        let help = "Whether sessions can be read: 1 also while the store takes no writes.";
        writer.family("cloakroom_readable", MetricKind::Gauge, help).sample(&[], u64::from(self.health.is_readable()));
        writer
            .family("cloakroom_store_up", MetricKind::Gauge, "Whether the last ping of the store was successful.")
            .sample(&[], u64::from(self.health.is_store_up()));
    }

    fn reloads(&self, writer: &mut dyn MetricsWriter) {
        let help = "Configurations that were applied while the process ran, or refused.";
        writer
            .family("cloakroom_config_reloads_total", MetricKind::Counter, help)
            .sample(&[("outcome", "applied")], self.reloads.applied.load(Ordering::Relaxed))
            .sample(&[("outcome", "refused")], self.reloads.refused.load(Ordering::Relaxed));
        let help = "Whether the last configuration was applied: 0 if it was refused.";
        writer
            .family("cloakroom_config_last_reload_successful", MetricKind::Gauge, help)
            .sample(&[], u64::from(self.reloads.was_last_successful()));
        let help = "The time when the present configuration was applied, in seconds since 1970.";
        writer
            .family("cloakroom_config_last_reload_success_timestamp_seconds", MetricKind::Gauge, help)
            .sample(&[], self.reloads.last_success().seconds());
    }

    fn calls(&self, writer: &mut dyn MetricsWriter) {
        let rpcs: Vec<_> = self.call_metrics.rpcs().collect();
        writer.family("cloakroom_calls_total", MetricKind::Counter, "Calls that ended, by RPC, protocol and code.");
        for rpc in &rpcs {
            for (protocol, (code, count)) in
                rpc.ended.iter().flat_map(|(protocol, ended)| ended.iter().map(move |ended| (protocol, ended)))
            {
                writer.sample(&[("rpc", rpc.rpc), ("protocol", protocol), ("code", code)], *count);
            }
        }
        let help = "Calls that failed, by the reason in their error.";
        writer.family("cloakroom_call_failures_total", MetricKind::Counter, help);
        for (reason, count) in self.call_metrics.reasons() {
            writer.sample(&[("reason", &reason)], count);
        }
        let help = "Time until the response began, by RPC; for a stream, until it was open.";
        writer.family("cloakroom_call_duration_seconds", MetricKind::Histogram, help);
        for rpc in &rpcs {
            writer.histogram(("rpc", rpc.rpc), &rpc.durations);
        }
    }

    fn family_by_listener(
        &self,
        writer: &mut dyn MetricsWriter,
        name: &'static str,
        kind: MetricKind,
        help: &'static str,
        read: fn(&ListenerSources) -> Option<u64>,
    ) {
        writer.family(name, kind, help);
        for listener in &self.listeners {
            if let Some(value) = read(listener) {
                writer.sample(&[("listener", listener.name)], value);
            }
        }
    }

    fn connections(&self, writer: &mut dyn MetricsWriter) {
        use MetricKind::{Counter, Gauge};

        let mut family = |name, kind, help, read: fn(&ListenerSources) -> Option<u64>| {
            self.family_by_listener(writer, name, kind, help, read);
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
        writer.family("cloakroom_connections_cut_total", Counter, help);
        for listener in &self.listeners {
            for reason in Cut::ALL {
                let labels = [("listener", listener.name), ("reason", reason.as_str())];
                writer.sample(&labels, listener.connection_metrics.cuts(reason));
            }
        }
        let mut family = |name, kind, help, read: fn(&ListenerSources) -> Option<u64>| {
            self.family_by_listener(writer, name, kind, help, read);
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

    fn audit_log(&self, writer: &mut dyn MetricsWriter) {
        let help = "Ends of sessions for the audit log. lost: they are not in it, for the disk was full or slow.";
        writer.family("cloakroom_audit_ends_total", MetricKind::Counter, help);
        if let Some(AuditCounts { written, lost }) = self.service.audit_log().counts() {
            writer.sample(&[("outcome", "written")], written).sample(&[("outcome", "lost")], lost);
        }
    }

    fn store(&self, writer: &mut dyn MetricsWriter) {
        let metrics = self.store.metrics();
        let operations: Vec<_> = metrics.operations().collect();
        let help = "Duration of the store's operations, successful or not.";
        writer.family("cloakroom_store_operation_duration_seconds", MetricKind::Histogram, help);
        for operation in &operations {
            writer.histogram(("operation", operation.operation), &operation.durations);
        }
        let help = "Operations of the store that failed. ABANDONED: the call's time was over first.";
        writer.family("cloakroom_store_failures_total", MetricKind::Counter, help);
        for operation in &operations {
            for (failure, count) in &operation.failures {
                writer.sample(&[("operation", operation.operation), ("failure", failure.as_str())], *count);
            }
        }
    }

    fn spans(&self, writer: &mut dyn MetricsWriter) {
        let help = "Spans that the collector of traces has taken.";
        writer.family("cloakroom_spans_exported_total", MetricKind::Counter, help).sample(&[], self.spans.exported());
        let help = "Spans of sampled calls that the collector does not have, by reason.";
        writer.family("cloakroom_spans_lost_total", MetricKind::Counter, help);
        for loss in SpanLoss::ALL {
            writer.sample(&[("reason", loss.as_str())], self.spans.lost(loss));
        }
    }

    fn metric_exports(&self, writer: &mut dyn MetricsWriter) {
        let help = "Exports of all metrics to the collector of metrics, by outcome. partial: it rejected some.";
        writer.family("cloakroom_metric_exports_total", MetricKind::Counter, help);
        for outcome in ExportOutcome::ALL {
            writer.sample(&[("outcome", outcome.as_str())], self.metric_exports.count_of(outcome));
        }
    }
}

/// Each primary that the process has used, and the slots of a cluster.
fn redis(writer: &mut dyn MetricsWriter, RedisMetrics { nodes, topology_changes, cluster }: &RedisMetrics) {
    let help = "Whether this process has an open connection to a Redis, each of which is checked every second.";
    writer.family("cloakroom_redis_node_up", MetricKind::Gauge, help);
    for node in nodes {
        writer.sample(&[("node", &node.address)], u64::from(node.is_up));
    }
    let help = "Commands that a Redis did not answer, and connections to it that could not be opened.";
    writer.family("cloakroom_redis_node_failures_total", MetricKind::Counter, help);
    for node in nodes {
        writer.sample(&[("node", &node.address)], node.failures);
    }
    let help = "How often a primary was found to be another one, or slots to be at another one.";
    writer.family("cloakroom_redis_topology_changes_total", MetricKind::Counter, help).sample(&[], *topology_changes);
    let Some(cluster) = cluster else { return };
    let help = "Slots of the Redis Cluster that no node has.";
    writer.family("cloakroom_redis_slots_uncovered", MetricKind::Gauge, help);
    if let Some(slots) = cluster.uncovered_slots {
        writer.sample(&[], slots as u64);
    }
    let help = "Commands that a node of the Redis Cluster sent elsewhere or put off, by the code of its error.";
    writer.family("cloakroom_redis_redirections_total", MetricKind::Counter, help);
    for (code, count) in &cluster.redirections {
        writer.sample(&[("code", code)], *count);
    }
}

/// Lists the public ids of the keys, so that a change of keys can be followed from replica to replica.
fn keys(writer: &mut dyn MetricsWriter, apps: &StatsByApp) {
    let help = "Keys in force: the first of an app's signs, all verify. Always 1.";
    writer.family("cloakroom_key_info", MetricKind::Gauge, help);
    for (app, _) in apps {
        for (index, id) in app.key_ids().iter().enumerate() {
            let signs = if index == 0 { "yes" } else { "no" };
            writer.sample(&[("app", app.name.as_str()), ("key", &id.to_string()), ("signs", signs)], 1);
        }
    }
}

fn sessions(writer: &mut dyn MetricsWriter, apps: &StatsByApp) {
    let help = "Sessions that an open found alive.";
    counter(writer, apps, "cloakroom_sessions_opened_total", help, |stats| stats.opened);
    let help =
        "Opens of sessions, by what they found. UNKNOWN: the token is genuine, and the store has no session for it.";
    writer.family("cloakroom_opens_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for (found, count) in &stats.opens {
            writer.sample(&[("app", app.name.as_str()), ("found", found.as_str())], *count);
        }
    }
    let help = "Saves of sessions, by outcome, and for GONE by the reason.";
    writer.family("cloakroom_saves_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for ((outcome, reason), count) in &stats.saves {
            writer.sample(&[("app", app.name.as_str()), ("outcome", outcome), ("reason", reason)], *count);
        }
    }
    let help = "Sessions that were stored for the first time.";
    counter(writer, apps, "cloakroom_sessions_created_total", help, |stats| stats.created);
    let help = "Sessions that a call ended, by reason.";
    writer.family("cloakroom_sessions_ended_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for (reason, count) in &stats.ended {
            writer.sample(&[("app", app.name.as_str()), ("reason", reason.as_str())], *count);
        }
    }
    let help = "Tokens, tickets and cookies that did not verify, by reason.";
    writer.family("cloakroom_tokens_rejected_total", MetricKind::Counter, help);
    for (app, stats) in apps {
        for (reason, count) in &stats.rejected {
            writer.sample(&[("app", app.name.as_str()), ("reason", reason)], *count);
        }
    }
    let help = "Requests whose cookies named two live sessions: one may have been planted.";
    counter(writer, apps, "cloakroom_cookies_suspicious_total", help, |stats| stats.ambiguous_cookies);
}

fn counter(
    writer: &mut dyn MetricsWriter,
    apps: &StatsByApp,
    name: &'static str,
    help: &'static str,
    read: impl Fn(&AppStats) -> u64,
) {
    writer.family(name, MetricKind::Counter, help);
    for (app, stats) in apps {
        writer.sample(&[("app", app.name.as_str())], read(stats));
    }
}

fn migrations(writer: &mut dyn MetricsWriter, apps: &StatsByApp) {
    let migrations =
        || apps.iter().flat_map(|(app, stats)| stats.migrations.iter().map(|source| (app.name.as_str(), source)));
    let help = "Legacy sessions that were imported, by migration source.";
    writer.family("cloakroom_sessions_imported_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        writer.sample(&[("app", app), ("source", source.source.as_str())], source.imported);
    }
    let help = "Legacy credentials whose session had been imported before.";
    writer.family("cloakroom_migration_credentials_found_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        writer.sample(&[("app", app), ("source", source.source.as_str())], source.found);
    }
    let help = "Legacy credentials that opened nothing, by reason.";
    writer.family("cloakroom_migration_credentials_refused_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        for (reason, count) in &source.refused {
            let labels = [("app", app), ("source", source.source.as_str()), ("reason", reason.as_str())];
            writer.sample(&labels, *count);
        }
    }
}

fn live_count(writer: &mut dyn MetricsWriter, apps: &StatsByApp) {
    let counted = || apps.iter().filter_map(|(app, stats)| Some((app.name.as_str(), stats.live_count?)));
    let help = "Live sessions at the last count of the store, within 5 %, or missing; each replica counts all of them.";
    writer.family("cloakroom_sessions_live", MetricKind::Gauge, help);
    for (app, count) in counted() {
        let mut sample = |kind, value| _ = writer.sample(&[("app", app), ("kind", kind)], value);
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
    writer.family("cloakroom_sessions_counted_timestamp_seconds", MetricKind::Gauge, help);
    for (app, count) in counted() {
        writer.sample(&[("app", app)], count.time.seconds());
    }
}

/// Writes since when the sessions of an app are to be counted, until they are. Otherwise nothing would show that no count
/// is ever complete.
fn uncounted(writer: &mut dyn MetricsWriter, apps: &StatsByApp) {
    let is_counted =
        |app: &ServedApp, stats: &AppStats| stats.live_count.is_some() || matches!(app.kind, Kind::Cookie(_));
    let uncounted: Vec<_> = apps.iter().filter(|(app, stats)| !is_counted(app, stats)).collect();
    if uncounted.is_empty() {
        return;
    }
    let help = "The start of the process, in seconds since 1970, until the live sessions of the app are counted.";
    writer.family("cloakroom_sessions_uncounted_since_timestamp_seconds", MetricKind::Gauge, help);
    for (app, stats) in uncounted {
        writer.sample(&[("app", app.name.as_str())], stats.start_time.seconds());
    }
}
