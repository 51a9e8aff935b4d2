//! The whole service: a store, the gRPC services on it, and the servers in front of them. Builds it and runs it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tracing::warn;

use super::admin_http::{AdminHttp, ListenerSources, MetricsSources};
use super::call::CallMetrics;
use super::connection::protocol::Protocols;
use super::health::HealthPublisher;
use super::reloader::Reloader;
use super::settings::is_loopback;
use super::{AdminSettings, BindError, Server, Services, Settings, ShutdownReport, background, file_limit};
use crate::app::Apps;
use crate::auth::{Authenticator, CallerRegistry, Callers};
use crate::service::Service;
use crate::types::Clock;
use crate::{grpc, store};

/// What a service is built from, besides its listeners.
#[derive(Debug)]
pub struct Dependencies {
    pub apps: Apps,
    pub store: store::Handle,
    pub clock: Arc<dyn Clock>,
    /// Without any, no call needs a credential.
    pub callers: Callers,
}

/// The service, which listens but does not serve yet.
#[derive(Debug)]
pub struct Cloakroom {
    server: Server,
    admin: Option<Server>,
    service: Service,
    health: HealthPublisher,
    reloader: Reloader,
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
        let Dependencies { apps, store, clock, callers } = dependencies;
        settings.check(&callers)?;
        admin.check(settings, &callers)?;
        let service = Service::new(apps, store, Arc::clone(&clock));
        let max_connections = file_limit::max_connections(settings.max_connections);
        let fitting = Settings { max_connections, ..settings.clone() };
        let mut server = Server::listen(&fitting, Protocols::Http2).await?;
        warn_of_plaintext_tokens(settings, &callers);
        warn_of_open_listener(settings, &callers);
        let mut admin = match admin.server(settings) {
            Some(settings) => {
                warn_of_plaintext_tokens(&settings, &callers);
                warn_of_open_listener(&settings, &callers);
                Some(Server::listen(&settings, Protocols::Both).await?)
            }
            None => None,
        };

        let servers = [Some(&server), admin.as_ref()].into_iter().flatten();
        let tls: Vec<_> = servers.filter_map(|server| server.context.tls.clone()).collect();
        tls.iter().for_each(|tls| tls.log_start(clock.now()));
        let health = HealthPublisher::default();
        let reloader = Reloader::new(service.clone(), CallerRegistry::new(callers), tls, Arc::clone(&clock));
        let authenticator = Authenticator::new(reloader.registry().clone(), grpc::rpcs());
        let call_metrics = Arc::new(CallMetrics::new(grpc::rpcs()));
        for server in [Some(&mut server), admin.as_mut()].into_iter().flatten() {
            server.context.authenticator = authenticator.clone();
            server.context.call_metrics = Arc::clone(&call_metrics);
        }
        if let Some(admin) = &mut admin {
            let listeners = [("frontends", &server.context), ("operators", &admin.context)];
            admin.context.admin_http = Some(Arc::new(AdminHttp(MetricsSources {
                call_metrics,
                listeners: listeners.map(|(name, context)| ListenerSources::new(name, context)),
                service: service.clone(),
                store: service.store().metrics(),
                health: Arc::clone(&health.state),
                reloads: Arc::clone(reloader.metrics()),
            })));
        }
        let Settings { shutdown_delay, store_unhealthy_after, live_count_interval, .. } = *settings;
        Ok(Self {
            server,
            admin,
            service,
            health,
            reloader,
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
        let admin_services = Services::new(grpc::admin_service(self.service.clone()))
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
        let (frontends, operators, ()) = tokio::try_join!(frontends, operators, background)?;
        Ok(ShutdownReport { cut_connections: frontends.cut_connections + operators.cut_connections })
    }
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
