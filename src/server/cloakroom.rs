//! The whole service: a store, the gRPC services on it, and the servers in front of them. Builds it and runs it.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tracing::{error, warn};

use super::admin_http::AdminHttp;
use super::call_metrics::CallMetrics;
use super::context::ServerContext;
use super::health::HealthPublisher;
use super::metrics::{ListenerSources, MetricsSources};
use super::reloader::Reloader;
use super::settings::is_loopback;
use super::tls::Tls;
use super::{AdminSettings, BindError, Server, Services, Settings, ShutdownReport, background, file_limit};
use crate::app::Apps;
use crate::audit::AuditLog;
use crate::auth::{Authenticator, CallerRegistry, Callers, generate_token};
use crate::connect::Schema;
use crate::otlp::{Exporters, MetricsSettings, TracesSettings};
use crate::service::Service;
use crate::types::Clock;
use crate::{grpc, store};

/// The parts that a service is built from, besides its listeners.
#[derive(Debug)]
pub struct Dependencies {
    pub apps: Apps,
    pub store: store::Handle,
    pub clock: Arc<dyn Clock>,
    /// Without any, no call needs a credential.
    pub callers: Callers,
    /// Where the spans of calls are sent. By default nowhere.
    pub traces: TracesSettings,
    /// Where metrics are sent, beside the page that has them. By default nowhere.
    pub metrics: MetricsSettings,
    pub audit_log: AuditLog,
}

/// The service, which listens but does not serve yet.
#[derive(Debug)]
pub struct Cloakroom {
    server: Server,
    admin: Option<Server>,
    service: Service,
    health: HealthPublisher,
    reloader: Reloader,
    exporters: Exporters,
    metrics: Arc<MetricsSources>,
    console_key: Option<String>,
    clock: Arc<dyn Clock>,
    shutdown_delay: Duration,
    store_unhealthy_after: Duration,
    live_count_interval: Duration,
}

impl Cloakroom {
    /// Builds the service and listens: for frontends, and on the admin listener for operators.
    pub async fn bind(
        settings: &Settings,
        admin: &AdminSettings,
        dependencies: Dependencies,
    ) -> Result<Self, BindError> {
        let Dependencies { apps, store, clock, callers, traces, metrics, audit_log } = dependencies;
        settings.check(&callers)?;
        admin.check(settings, &callers)?;
        let (tracer, exporters) = Exporters::open(&traces, &metrics, &clock)?;
        let (has_console, notes_callers) = (admin.console, audit_log.is_on());
        let service = Service::new(apps, store, Arc::clone(&clock)).with_audit_log(audit_log);
        let server = Server::listen(&file_limit::fit(settings), false).await;
        let mut server = server.map_err(|error| error.under("server"))?;
        warn_of_plaintext_tokens(settings, &callers);
        warn_of_open_listener(settings, &callers);
        let mut admin = listen_for_operators(admin, settings, &callers).await?;

        let tls = tls_of(&server, admin.as_ref());
        tls.iter().for_each(|tls| tls.log_start(clock.now()));
        let health = HealthPublisher::default();
        let reloader = Reloader::new(service.clone(), CallerRegistry::new(callers), tls, Arc::clone(&clock));
        let authenticator = Authenticator::new(reloader.registry().clone(), grpc::rpcs());
        let schema = schema();
        let console_key = generate_token();
        let call_metrics = Arc::new(CallMetrics::new(grpc::rpcs()));
        for server in [Some(&mut server), admin.as_mut()].into_iter().flatten() {
            server.context.authenticator = authenticator.clone();
            server.context.call_metrics = Arc::clone(&call_metrics);
            server.context.schema = Arc::clone(&schema);
            server.context.tracer = tracer.clone();
            server.context.notes_callers = notes_callers;
        }
        let metrics = Arc::new(MetricsSources {
            call_metrics,
            listeners: listener_sources(&server, admin.as_ref()),
            service: service.clone(),
            store: service.store().clone(),
            health: Arc::clone(&health.state),
            reloads: Arc::clone(reloader.metrics()),
            spans: tracer.counts().cloned().unwrap_or_default(),
            metric_exports: exporters.metric_export_counts(),
            counts_sessions: !settings.live_count_interval.is_zero(),
        });
        if let Some(admin) = &mut admin {
            admin.context.admin_http = Some(Arc::new(AdminHttp { metrics: Arc::clone(&metrics), has_console }));
            admin.context.has_console = has_console;
            admin.context.authenticator = authenticator.with_console_key(&console_key);
        }
        let console_key = has_console.then_some(console_key);
        let Settings { shutdown_delay, store_unhealthy_after, live_count_interval, .. } = *settings;
        Ok(Self {
            server,
            admin,
            service,
            health,
            reloader,
            exporters,
            metrics,
            console_key,
            clock,
            shutdown_delay,
            store_unhealthy_after,
            live_count_interval,
        })
    }

    /// Returns the TCP address for frontends.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.server.tcp_addr()
    }

    /// Returns the service, for callers in this process.
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// Returns what changes the settings of the running service.
    pub const fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Returns what the console's user shows while no callers are configured. `None`: there is no console.
    pub fn console_key(&self) -> Option<&str> {
        self.console_key.as_deref()
    }

    /// Returns the TCP address for operators.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.tcp_addr()
    }

    /// Serves until `shutdown`. Then publishes `NOT_SERVING`, waits for `shutdown_delay`, and drains the connections.
    pub async fn run(self, shutdown: CancellationToken) -> io::Result<ShutdownReport> {
        let health_service = HealthServer::new(HealthService::from_health_reporter(self.health.reporter.clone()))
            .max_decoding_message_size(grpc::MAX_META_REQUEST_BYTES);
        let services = Services::new(grpc::session_service(self.service.clone()))
            .and(health_service.clone())
            .and(grpc::reflection_v1())
            .and(grpc::reflection_v1alpha());
        let admin_services = Services::new(grpc::admin_service(self.service.clone(), self.reloader.registry().clone()))
            .and(health_service)
            .and(grpc::reflection_v1())
            .and(grpc::reflection_v1alpha());

        let stop_servers = CancellationToken::new();
        let frontends = self.server.run(move |_| services.clone(), stop_servers.clone());
        let operators = async {
            match self.admin {
                Some(admin) => admin.run(move |_| admin_services.clone(), stop_servers.clone()).await,
                None => Ok(ShutdownReport { cut_connections: 0 }),
            }
        };
        let background = async {
            let (service, tls, clock, health) = (&self.service, self.reloader.tls(), &*self.clock, &self.health);
            let tasks =
                background::run(service, tls, clock, health, self.store_unhealthy_after, self.live_count_interval);
            shutdown.run_until_cancelled(tasks).await;
            self.health.publish_shutdown().await;
            tokio::time::sleep(self.shutdown_delay).await;
            stop_servers.cancel();
            Ok(())
        };
        let stop_export = CancellationToken::new();
        let serve = async {
            // Once all calls have ended, there are no more spans, and metrics have their last values.
            let _stop_export = stop_export.clone().drop_guard();
            tokio::try_join!(frontends, operators, background)
        };
        // In a task of its own: reading all metrics takes milliseconds, and connections do not wait for that.
        let (exporters, metrics, stop) = (self.exporters, self.metrics, stop_export.clone());
        let mut export = JoinSet::new();
        export.spawn(async move { exporters.run(|writer| metrics.write(writer), stop).await });
        let served = serve.await;
        if let Some(Err(error)) = export.join_next().await {
            error!(error = &error as &dyn Error, "the export of metrics and spans has ended early");
        }
        let (frontends, operators, ()) = served?;
        Ok(ShutdownReport { cut_connections: frontends.cut_connections + operators.cut_connections })
    }
}

/// Returns the TLS of each listener that has it.
fn tls_of(server: &Server, admin: Option<&Server>) -> Vec<Arc<Tls>> {
    [Some(server), admin].into_iter().flatten().filter_map(|server| server.context.tls.clone()).collect()
}

/// Returns where the metrics of each listener come from.
fn listener_sources(server: &Server, admin: Option<&Server>) -> Vec<ListenerSources> {
    let listeners = [("frontends", Some(server)), ("operators", admin)];
    let sources = |(name, server): (_, Option<&Server>)| {
        let ServerContext { connection_metrics, request_budget, pending_budget, tls, .. } = server?.context.clone();
        Some(ListenerSources { name, connection_metrics, request_budget, pending_budget, tls })
    };
    listeners.into_iter().filter_map(sources).collect()
}

/// Reads the messages of all RPCs.
fn schema() -> Arc<Schema> {
    Arc::new(Schema::parse(&grpc::DESCRIPTOR_SETS).expect("the descriptors are generated by the build"))
}

/// Listens for operators, if the settings say where.
async fn listen_for_operators(
    admin: &AdminSettings,
    server: &Settings,
    callers: &Callers,
) -> Result<Option<Server>, BindError> {
    let Some(settings) = admin.server(server) else { return Ok(None) };
    warn_of_plaintext_tokens(&settings, callers);
    warn_of_open_listener(&settings, callers);
    Server::listen(&settings, true).await.map(Some).map_err(|error| error.under("admin"))
}

/// Warns if everybody on the network may call. Allowed only with `insecure`.
fn warn_of_open_listener(settings: &Settings, callers: &Callers) {
    if let Some(listen) = settings.listen
        && !is_loopback(listen)
        && callers.is_empty()
    {
        warn!(%listen, "this address is OPEN to every program on every machine that reaches it; say in [callers] who may call");
    }
}

/// Warns if tokens of callers would cross the network unencrypted.
fn warn_of_plaintext_tokens(settings: &Settings, callers: &Callers) {
    if let Some(listen) = settings.listen
        && !is_loopback(listen)
        && !settings.tls.is_on()
        && callers.has_tokens()
    {
        warn!(%listen, "callers' tokens are not encrypted on their way; set certificate_file and key_file of its tls");
    }
}
