//! The page of metrics: every number that the house keeps, under its name.
//!
//! Numbers are kept where things happen; here they only get names. No label has a value that a caller can choose.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::server::call::budget::Budget;
use crate::server::call::call_metrics::CallMetrics;
use crate::server::connection::connection_metrics::ConnectionMetrics;
use crate::server::health::HealthState;
use crate::server::reloader::Reloads;
use crate::server::tls::Tls;
use crate::service::{AppStats, ServedApp, Service};
use crate::store::StoreMetrics;
use crate::telemetry::metrics::{MetricKind, MetricsText, process};

/// Where the numbers are.
#[derive(Debug)]
pub(crate) struct MetricsSources {
    pub(crate) calls: Arc<CallMetrics>,
    /// Each server's, by its name.
    pub(crate) connection_metrics: Vec<(&'static str, Arc<ConnectionMetrics>)>,
    /// Each server's, by its name.
    pub(crate) budgets: Vec<(&'static str, Budget)>,
    /// That of each server that encrypts, by the server's name.
    pub(crate) tls: Vec<(&'static str, Arc<Tls>)>,
    pub(crate) service: Service,
    pub(crate) store: Arc<StoreMetrics>,
    pub(crate) health_state: Arc<HealthState>,
    pub(crate) reloads: Arc<Reloads>,
}

impl MetricsSources {
    /// The page, as it is now.
    pub(crate) fn page(&self) -> String {
        let mut page = MetricsText::default();
        page.family("cloakroom_build_info", MetricKind::Gauge, "Which program this is; always 1.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.health(&mut page);
        self.reloads(&mut page);
        self.calls(&mut page);
        self.connection_metrics(&mut page);
        self.store(&mut page);
        self.sessions(&mut page);
        process(&mut page);
        page.into_string()
    }

    fn health(&self, page: &mut MetricsText) {
        page.family("cloakroom_serving", MetricKind::Gauge, "Whether health checks are told SERVING.")
            .sample(&[], u64::from(self.health_state.is_serving()));
        page.family("cloakroom_store_up", MetricKind::Gauge, "Whether the store answered when it was last asked.")
            .sample(&[], u64::from(self.health_state.is_store_up()));
    }

    fn reloads(&self, page: &mut MetricsText) {
        let Self { reloads, .. } = self;
        let help = "Configurations that were taken up while the process ran, or refused.";
        page.family("cloakroom_config_reloads_total", MetricKind::Counter, help)
            .sample(&[("outcome", "applied")], reloads.applied.load(Ordering::Relaxed))
            .sample(&[("outcome", "refused")], reloads.refused.load(Ordering::Relaxed));
        let help = "Whether the last configuration was taken up: 0 if it was refused.";
        page.family("cloakroom_config_last_reload_successful", MetricKind::Gauge, help)
            .sample(&[], u64::from(reloads.was_last_successful()));
        let help = "When the configuration in force was taken up, in seconds since 1970.";
        page.family("cloakroom_config_last_reload_success_timestamp_seconds", MetricKind::Gauge, help)
            .sample(&[], reloads.last_success().seconds());
    }

    fn calls(&self, page: &mut MetricsText) {
        let seen: Vec<_> = self.calls.seen().collect();
        page.family("cloakroom_calls_total", MetricKind::Counter, "Calls that ended, by RPC and gRPC code.");
        for (rpc, (code, count)) in seen.iter().flat_map(|seen| seen.ends.iter().map(|end| (seen.rpc, end))) {
            page.sample(&[("rpc", rpc), ("code", code)], *count);
        }
        page.family(
            "cloakroom_call_failures_total",
            MetricKind::Counter,
            "Calls that failed, by the reason in their error.",
        );
        for (reason, count) in self.calls.reasons() {
            page.sample(&[("reason", &reason)], count);
        }
        let help = "Time until answers began, by RPC; for a stream, until it was open.";
        page.family("cloakroom_call_duration_seconds", MetricKind::Histogram, help);
        for seen in &seen {
            page.histogram(("rpc", seen.rpc), &seen.times);
        }
    }

    fn connection_metrics(&self, page: &mut MetricsText) {
        let mut family = |name, kind, help, read: fn(&ConnectionMetrics) -> u64| {
            page.family(name, kind, help);
            for (listener, connection_metrics) in &self.connection_metrics {
                page.sample(&[("listener", listener)], read(connection_metrics));
            }
        };
        family("cloakroom_connections", MetricKind::Gauge, "Open connections.", ConnectionMetrics::connections);
        let help = "Connections that were let in.";
        family("cloakroom_connections_accepted_total", MetricKind::Counter, help, ConnectionMetrics::accepted);
        let help = "Connections that were closed at once, because there were too many.";
        family("cloakroom_connections_refused_total", MetricKind::Counter, help, ConnectionMetrics::refused);
        let help =
            "Connections that never began, because their TLS handshake failed, took too long or was one too many.";
        family(
            "cloakroom_tls_handshakes_failed_total",
            MetricKind::Counter,
            help,
            ConnectionMetrics::failed_handshakes,
        );
        family(
            "cloakroom_streams",
            MetricKind::Gauge,
            "Calls whose answer is not over, watches included.",
            ConnectionMetrics::streams,
        );
        let help = "Bytes that requests over 64 KiB take of request_budget_bytes.";
        page.family("cloakroom_large_request_bytes", MetricKind::Gauge, help);
        for (listener, budget) in &self.budgets {
            page.sample(&[("listener", listener)], budget.taken() as u64);
        }
        let help = "When the certificate that new connections are shown expires, in seconds since 1970; of a chain the earliest.";
        page.family("cloakroom_tls_certificate_expiry_timestamp_seconds", MetricKind::Gauge, help);
        for (listener, tls) in &self.tls {
            page.sample(&[("listener", listener)], tls.expire_time().seconds());
        }
    }

    fn store(&self, page: &mut MetricsText) {
        let seen: Vec<_> = self.store.operations().collect();
        let help = "Time that the store took, by operation, however it ended.";
        page.family("cloakroom_store_operation_duration_seconds", MetricKind::Histogram, help);
        for seen in &seen {
            page.histogram(("operation", seen.operation), &seen.durations);
        }
        let help = "Operations of the store that failed. ABANDONED: the call's time was over before.";
        page.family("cloakroom_store_failures_total", MetricKind::Counter, help);
        for (verb, (failure, count)) in seen.iter().flat_map(|seen| seen.failures.iter().map(|of| (seen.operation, of)))
        {
            page.sample(&[("operation", verb), ("failure", failure.as_str())], *count);
        }
    }

    fn sessions(&self, page: &mut MetricsText) {
        let apps = self.service.all_stats();
        keys(page, &apps);
        page.family("cloakroom_sessions_opened_total", MetricKind::Counter, "Sessions that an open found alive.");
        for (app, stats) in &apps {
            page.sample(&[("app", app.name.as_str())], stats.opened);
        }
        page.family(
            "cloakroom_sessions_created_total",
            MetricKind::Counter,
            "Sessions that were stored for the first time.",
        );
        for (app, stats) in &apps {
            page.sample(&[("app", app.name.as_str())], stats.created);
        }
        page.family("cloakroom_sessions_ended_total", MetricKind::Counter, "Sessions that a call ended, by reason.");
        for (app, (reason, count)) in apps.iter().flat_map(|(app, of)| of.ended.iter().map(move |end| (app, end))) {
            page.sample(&[("app", app.name.as_str()), ("reason", reason.as_str())], *count);
        }
        let help = "Tokens, tickets and cookies that did not verify, by reason.";
        page.family("cloakroom_tokens_rejected_total", MetricKind::Counter, help);
        for (app, (reason, count)) in apps.iter().flat_map(|(app, of)| of.rejected.iter().map(move |no| (app, no))) {
            page.sample(&[("app", app.name.as_str()), ("reason", reason)], *count);
        }
        let help = "Requests whose cookies named two live sessions: one may have been planted.";
        page.family("cloakroom_cookies_suspicious_total", MetricKind::Counter, help);
        for (app, stats) in &apps {
            page.sample(&[("app", app.name.as_str())], stats.suspicious);
        }
        migrations(page, &apps);
        live_count(page, &apps);
    }
}

/// By their public names, so that a change of keys can be watched from replica to replica.
fn keys(page: &mut MetricsText, apps: &[(Arc<ServedApp>, AppStats)]) {
    let help = "Keys in force: the first of an app's signs, all verify. Always 1.";
    page.family("cloakroom_key_info", MetricKind::Gauge, help);
    for (app, _) in apps {
        for (place, id) in app.key_ids().iter().enumerate() {
            let signs = if place == 0 { "yes" } else { "no" };
            page.sample(&[("app", app.name.as_str()), ("key", &id.to_string()), ("signs", signs)], 1);
        }
    }
}

fn migrations(page: &mut MetricsText, apps: &[(Arc<ServedApp>, AppStats)]) {
    let migrations =
        || apps.iter().flat_map(|(app, stats)| stats.migrations.iter().map(|source| (app.name.as_str(), source)));
    page.family(
        "cloakroom_sessions_imported_total",
        MetricKind::Counter,
        "Sessions from before that came in, by door.",
    );
    for (app, source) in migrations() {
        page.sample(&[("app", app), ("source", source.source.as_str())], source.imported);
    }
    let help = "Old credentials whose session had come in before.";
    page.family("cloakroom_migration_credentials_found_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        page.sample(&[("app", app), ("source", source.source.as_str())], source.found);
    }
    let help = "Old credentials that opened nothing, by reason.";
    page.family("cloakroom_migration_credentials_refused_total", MetricKind::Counter, help);
    for (app, source) in migrations() {
        for (reason, count) in &source.refused {
            let labels = [("app", app), ("source", source.source.as_str()), ("reason", reason.as_str())];
            page.sample(&labels, *count);
        }
    }
}

fn live_count(page: &mut MetricsText, apps: &[(Arc<ServedApp>, AppStats)]) {
    let counted = || apps.iter().filter_map(|(app, stats)| Some((app.name.as_str(), stats.live_count?)));
    let help =
        "Live sessions by the last count of the store, of a subject or of nobody; every replica counts them all.";
    page.family("cloakroom_sessions_live", MetricKind::Gauge, help);
    for (app, live_count) in counted() {
        page.sample(&[("app", app), ("kind", "authenticated")], live_count.live - live_count.live_anonymous);
        page.sample(&[("app", app), ("kind", "anonymous")], live_count.live_anonymous);
    }
    let help = "When the live sessions were last counted, in seconds since 1970.";
    page.family("cloakroom_sessions_counted_timestamp_seconds", MetricKind::Gauge, help);
    for (app, live_count) in counted() {
        page.sample(&[("app", app)], live_count.time.seconds());
    }
}
