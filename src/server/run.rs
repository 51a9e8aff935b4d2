//! The house put together: a store, the services on it, their health, and the server before them.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tracing::{info, warn};

use super::admin_http::{AdminHttp, MetricsSources};
use super::call::CallMetrics;
use super::connection::connection_metrics::ConnectionMetrics;
use super::connection::protocol::Protocols;
use super::context::ServerContext;
use super::health::HealthState;
use super::reloader::Reloader;
use super::settings::is_loopback;
use super::tls::keep_fresh;
use super::{AdminSettings, BindError, Server, Services, Settings, ShutdownReport};
use crate::app::Apps;
use crate::auth::{Authenticator, CallerRegistry, Callers};
use crate::grpc;
use crate::service::Service;
use crate::store;
use crate::types::Clock;

/// What the house is made of.
#[derive(Debug)]
pub struct Dependencies {
    /// Whose sessions it keeps.
    pub apps: Apps,
    /// Where it keeps them.
    pub store: store::Handle,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who may call it. Nobody: everybody.
    pub callers: Callers,
}

/// Cloakroom, listening.
#[derive(Debug)]
pub struct Cloakroom {
    server: Server,
    admin: Option<Server>,
    service: Service,
    reloader: Reloader,
    clock: Arc<dyn Clock>,
    shutdown_delay: Duration,
    store_unhealthy_after: Duration,
}

impl Cloakroom {
    /// Puts the house together and listens where the settings say: for frontends, and apart for operators.
    pub async fn bind(settings: &Settings, admin: &AdminSettings, parts: Dependencies) -> Result<Self, BindError> {
        let Dependencies { apps, store, clock, callers } = parts;
        settings.check(&callers)?;
        admin.check(settings, &callers)?;
        let service = Service::new(apps, store, Arc::clone(&clock));
        let server = Server::listen(settings, Protocols::Http2).await?;
        warn_of_plain_tokens(settings, &callers);
        let admin = match admin.server(settings) {
            Some(settings) => {
                warn_of_plain_tokens(&settings, &callers);
                Some(Server::listen(&settings, Protocols::Both).await?)
            }
            None => None,
        };
        let tls = [Some(&server), admin.as_ref()].into_iter().flatten().filter_map(|server| server.context.tls.clone());
        let tls: Vec<_> = tls.inspect(|tls| tls.log_start(clock.now())).collect();
        let Settings { shutdown_delay, store_unhealthy_after, .. } = *settings;
        let reloader = Reloader::new(service.clone(), CallerRegistry::new(callers), tls, Arc::clone(&clock));
        Ok(Self { server, admin, service, reloader, clock, shutdown_delay, store_unhealthy_after })
    }

    /// The TCP address it listens on.
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        self.server.tcp_addr()
    }

    /// The service, for whoever calls it in this process.
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// Changes it while it serves.
    pub const fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// The TCP address that it serves operators on, if it does.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.tcp_addr()
    }

    /// Serves until `shutdown`; then says `NOT_SERVING`, pauses, and drains.
    pub async fn run(self, shutdown: CancellationToken) -> std::io::Result<ShutdownReport> {
        let Self { server, admin, service, reloader, clock, shutdown_delay, store_unhealthy_after } = self;
        let (health, health_service) = health_reporter();
        let health_service = health_service.max_decoding_message_size(grpc::MAX_QUESTION_BYTES);
        let closing = CancellationToken::new();
        let store = service.store().clone();
        let health_state = Arc::new(HealthState::default());
        let (server, admin) = watched((server, admin), &service, &health_state, &reloader);
        let chores = async {
            let watch = watch_store(|| store.ping(), &health, &health_state, store_unhealthy_after);
            let sweep = sweep(&store, &*clock);
            let census = count(&service);
            let certificates = keep_fresh(reloader.tls(), &*clock);
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = async { tokio::join!(watch, sweep, census, certificates); } => {}
            }
            health_state.say_serving(false);
            say(&health, ServingStatus::NotServing).await;
            health.set_service_status("", ServingStatus::NotServing).await;
            tokio::time::sleep(shutdown_delay).await;
            closing.cancel();
            Ok(())
        };
        let services = Services::new(grpc::session_service(service.clone()))
            .and(health_service.clone())
            .and(grpc::reflection_v1())
            .and(grpc::reflection_v1alpha());
        let admin_services = Services::new(grpc::admin_service(service.clone()))
            .and(health_service)
            .and(grpc::reflection_v1())
            .and(grpc::reflection_v1alpha());
        let frontends = server.run(move |_| services.clone(), closing.clone());
        let operators = async {
            match admin {
                Some(admin) => admin.run(move |_| admin_services.clone(), closing.clone()).await,
                None => Ok(ShutdownReport { cut: 0 }),
            }
        };
        let (frontends, operators, ()) = tokio::try_join!(frontends, operators, chores)?;
        Ok(ShutdownReport { cut: frontends.cut + operators.cut })
    }
}

/// Both servers, guarded and counted; and before the operators' services the pages that tell it.
fn watched(
    (server, admin): (Server, Option<Server>),
    service: &Service,
    health_state: &Arc<HealthState>,
    reloader: &Reloader,
) -> (Server, Option<Server>) {
    let authenticator = Authenticator::new(reloader.registry().clone(), grpc::rpcs());
    let calls = Arc::new(CallMetrics::new(grpc::rpcs()));
    let [frontends, operators]: [Arc<ConnectionMetrics>; 2] = Default::default();
    let contexts = [(FRONTENDS, Some(&server)), (OPERATORS, admin.as_ref())];
    let contexts = contexts.into_iter().filter_map(|(name, server)| Some((name, &server?.context)));
    let budgets = contexts.clone().map(|(name, context)| (name, context.budget.clone())).collect();
    let tls = contexts.filter_map(|(name, context)| Some((name, context.tls.clone()?))).collect();
    let sources = MetricsSources {
        calls: Arc::clone(&calls),
        connection_metrics: vec![(FRONTENDS, Arc::clone(&frontends)), (OPERATORS, Arc::clone(&operators))],
        budgets,
        tls,
        service: service.clone(),
        store: service.store().metrics(),
        health_state: Arc::clone(health_state),
        reloads: Arc::clone(reloader.reloads()),
    };
    let admin_http = Arc::new(AdminHttp::new(Arc::clone(health_state), move || sources.page()));
    let server = server.behind(ServerContext {
        call_metrics: Arc::clone(&calls),
        connection_metrics: frontends,
        authenticator: authenticator.clone(),
        ..ServerContext::default()
    });
    let context = ServerContext {
        call_metrics: calls,
        connection_metrics: operators,
        admin_http: Some(admin_http),
        authenticator,
        ..ServerContext::default()
    };
    (server, admin.map(|admin| admin.behind(context)))
}

/// Whoever listens on the way learns a token that is not encrypted.
fn warn_of_plain_tokens(settings: &Settings, callers: &Callers) {
    if let Some(listen) = settings.listen
        && !is_loopback(listen)
        && !settings.tls.is_on()
        && callers.has_tokens()
    {
        warn!(%listen, "callers' tokens are not encrypted on their way; set certificate_file and key_file of its tls");
    }
}

/// Tells both services' health.
async fn say(health: &HealthReporter, status: ServingStatus) {
    health.set_service_status(grpc::SERVICE, status).await;
    health.set_service_status(grpc::ADMIN_SERVICE, status).await;
}

/// Says `NOT_SERVING` when the store has been silent for so long, and `SERVING` again at its first answer.
async fn watch_store<F: Future<Output = Result<(), store::Error>>>(
    ping: impl Fn() -> F,
    health: &HealthReporter,
    health_state: &HealthState,
    silence: Duration,
) {
    let mut last_answer = Instant::now();
    let mut said = ServingStatus::Serving;
    health_state.say_serving(true);
    say(health, said).await;
    loop {
        // A disk that hangs never answers at all.
        let answer = timeout(silence, ping()).await.unwrap_or_else(|silent| Err(store::Error::unavailable(silent)));
        health_state.see_store(answer.is_ok());
        let status = match &answer {
            Ok(()) => {
                last_answer = Instant::now();
                ServingStatus::Serving
            }
            Err(_) if last_answer.elapsed() >= silence => ServingStatus::NotServing,
            Err(_) => said,
        };
        if status != said {
            match answer {
                Ok(()) => info!("the store answers again"),
                Err(error) => {
                    warn!(error = &error as &dyn Error, "the store has been silent for too long: not serving")
                }
            }
            health_state.say_serving(status == ServingStatus::Serving);
            say(health, status).await;
            said = status;
        }
        tokio::time::sleep(silence / PINGS).await;
    }
}

/// Forgets what may be forgotten, for as long as there is something.
async fn sweep(store: &store::Handle, clock: &dyn Clock) {
    loop {
        match store.sweep(clock.now()).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => warn!(error = &error as &dyn Error, "could not sweep the store"),
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Counts the live sessions, at the start and then now and again.
async fn count(service: &Service) {
    loop {
        if let Err(error) = service.count_live_sessions().await {
            warn!(error = &error as &dyn Error, "could not count the live sessions");
        }
        tokio::time::sleep(CENSUS_INTERVAL).await;
    }
}

/// What metrics call both servers.
const FRONTENDS: &str = "frontends";
const OPERATORS: &str = "operators";

/// How often the store is asked in the time that it may be silent.
const PINGS: u32 = 10;

const CENSUS_INTERVAL: Duration = Duration::from_secs(5 * 60);

const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tonic::Request;
    use tonic::codegen::tokio_stream::StreamExt as _;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_server::Health as _;
    use tonic_health::server::HealthService;

    use super::*;

    #[tokio::test]
    async fn a_store_that_hangs_makes_health_say_not_serving() {
        let health = HealthReporter::new();
        let question = || Request::new(HealthCheckRequest { service: grpc::SERVICE.to_owned() });
        let told = async {
            let mut answers =
                HealthService::from_health_reporter(health.clone()).watch(question()).await.unwrap().into_inner();
            while let Some(answer) = answers.next().await {
                if answer.unwrap().status() == tonic_health::pb::health_check_response::ServingStatus::NotServing {
                    return;
                }
            }
        };
        health.set_service_status(grpc::SERVICE, ServingStatus::Serving).await;
        let health_state = HealthState::default();

        tokio::select! {
            () = watch_store(pending::<Result<(), store::Error>>, &health, &health_state, Duration::from_millis(10)) => {}
            told = timeout(Duration::from_secs(5), told) => told.unwrap(),
        }
    }
}
