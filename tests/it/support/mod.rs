//! The whole service on a free port, with a clock that the test sets.

pub(crate) mod admin;
pub(crate) mod authority;
pub(crate) mod browser;
pub(crate) mod calls;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod connect;
#[cfg(target_os = "linux")]
pub(crate) mod disk;
pub(crate) mod django;
pub(crate) mod duplicates;
pub(crate) mod environment;
pub(crate) mod fill;
pub(crate) mod frontend;
pub(crate) mod health_time;
pub(crate) mod mounted_disk;
pub(crate) mod policy;
pub(crate) mod ports;
pub(crate) mod proxy;
pub(crate) mod race;
pub(crate) mod redis;
pub(crate) mod sentinel;
pub(crate) mod sessions;
pub(crate) mod set_cookie;
pub(crate) mod tls_redis;
pub(crate) mod tmpfs;
pub(crate) mod tool;
pub(crate) mod watches;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloakroom::app::{self, App, Apps};
use cloakroom::audit::{self, AuditGuard, AuditLog};
use cloakroom::auth::Callers;
use cloakroom::grpc::wire::admin_service_client::AdminServiceClient;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::server::{self, AdminSettings, Cloakroom, Dependencies};
use cloakroom::service::Service;
use cloakroom::store::{Embedded, EmbeddedSettings, Handle, Memory};
use cloakroom::types::{Clock, ManualClock, Time};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::connect::{Protocol, Transport};

/// The store that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Memory,
    Embedded,
    Redis,
}

impl StoreKind {
    /// Opens an empty store; an embedded one in `folder`.
    fn open(self, folder: &TempDir) -> Handle {
        match self {
            Self::Memory => Handle::from(Memory::new()),
            Self::Embedded => {
                let settings = EmbeddedSettings { path: folder.path().join("data"), ..Default::default() };
                Handle::from(Embedded::open(&settings).unwrap())
            }
            Self::Redis => Handle::from(redis::fresh()),
        }
    }
}

/// Whether a service has an audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuditSetting {
    On,
    Off,
}

/// A running service, and a client of it.
pub(crate) struct TestService {
    pub client: SessionServiceClient<Transport>,
    pub admin: AdminServiceClient<Transport>,
    protocol: Protocol,
    pub clock: Arc<ManualClock>,
    /// The store of the service, for states that no call can bring about.
    pub store: Handle,
    apps: Apps,
    pub address: String,
    pub(crate) admin_address: String,
    /// The service without its server, for what no client may do.
    pub(crate) inner: Service,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
    /// Beside the store of [`StoreKind::Embedded`], the audit log if there is one.
    folder: TempDir,
    _audit_guard: Mutex<Option<AuditGuard>>,
}

impl TestService {
    /// Starts a service with one app, `default`, on default settings and with one key.
    pub(crate) async fn new(store: StoreKind) -> Self {
        Self::with_apps(store, [("default", app_settings())]).await
    }

    /// Starts a service with these apps.
    pub(crate) async fn with_apps<const N: usize>(store: StoreKind, apps: [(&str, app::Settings); N]) -> Self {
        let apps = apps.iter().map(|(name, settings)| settings.build(name).unwrap());
        Self::start(store, apps.collect()).await
    }

    /// Starts a service with one app on this store.
    pub(crate) async fn with_store(store: Handle, settings: &app::Settings) -> Self {
        Self::on_store(store, [("default", settings.clone())], long_timeouts()).await
    }

    /// Starts a service on this store, with these apps and these server settings, except for the address.
    pub(crate) async fn on_store<const N: usize>(
        store: Handle,
        apps: [(&str, app::Settings); N],
        settings: server::Settings,
    ) -> Self {
        let apps = apps.iter().map(|(name, settings)| settings.build(name).unwrap());
        Self::start_on(store, apps.collect(), settings, tempfile::tempdir().unwrap()).await
    }

    /// Starts a second service on the same store and clock, as another process would be.
    pub(crate) async fn another_process(&self) -> Self {
        let (store, apps, clock) = (self.store.clone(), self.apps.clone(), Arc::clone(&self.clock));
        Self::listen((store, apps, clock), long_timeouts(), tempfile::tempdir().unwrap(), AuditSetting::Off).await
    }

    /// Starts a service with these apps and an audit log.
    pub(crate) async fn with_audit_log<const N: usize>(store: StoreKind, apps: [(&str, app::Settings); N]) -> Self {
        let apps = apps.iter().map(|(name, settings)| settings.build(name).unwrap()).collect();
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::new(now())));
        Self::listen((store.open(&folder), apps, clock), long_timeouts(), folder, AuditSetting::On).await
    }

    /// Starts a second service on the same store and clock, as another process would be, with an audit log of its own.
    pub(crate) async fn another_process_with_audit_log(&self) -> Self {
        let (store, apps, clock) = (self.store.clone(), self.apps.clone(), Arc::clone(&self.clock));
        Self::listen((store, apps, clock), long_timeouts(), tempfile::tempdir().unwrap(), AuditSetting::On).await
    }

    /// Starts a second service on the same store and clock, with other settings of its app.
    pub(crate) async fn with_settings(&self, settings: &app::Settings) -> Self {
        let apps = [settings.build("default").unwrap()].into_iter().collect();
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        Self::listen((store, apps, clock), long_timeouts(), tempfile::tempdir().unwrap(), AuditSetting::Off).await
    }

    /// Starts a service with one app and these server settings.
    pub(crate) async fn with_server(store: StoreKind, settings: server::Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = app_settings().build("default").unwrap();
        Self::start_on(store.open(&folder), vec![app], settings, folder).await
    }

    async fn start(store: StoreKind, apps: Vec<App>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store.open(&folder);
        Self::start_on(store, apps, long_timeouts(), folder).await
    }

    async fn start_on(store: Handle, apps: Vec<App>, settings: server::Settings, folder: TempDir) -> Self {
        let clock = Arc::new(ManualClock::new(now()));
        Self::listen((store, apps.into_iter().collect(), clock), settings, folder, AuditSetting::Off).await
    }

    async fn listen(
        (store, apps, clock): (Handle, Apps, Arc<ManualClock>),
        settings: server::Settings,
        folder: TempDir,
        audit_setting: AuditSetting,
    ) -> Self {
        let audit_folder = (audit_setting == AuditSetting::On).then(|| folder.path().join("audit"));
        let audit_settings = audit::Settings { folder: audit_folder, ..Default::default() };
        let (audit_log, audit_guard) = AuditLog::open(&audit_settings, clock.clone()).unwrap();
        let (shared_store, shared_clock) = (store.clone(), clock.clone() as Arc<dyn Clock>);
        let dependencies = Dependencies {
            apps: apps.clone(),
            store: shared_store,
            clock: shared_clock,
            callers: Callers::default(),
            traces: Default::default(),
            metrics: Default::default(),
            audit_log,
        };
        let any_port = settings.listen.map(|listen| SocketAddr::new(listen.ip(), 0));
        let settings = server::Settings { listen: any_port, workers: 2, ..settings };
        let admin = AdminSettings { listen: "127.0.0.1:0".parse().ok(), ..Default::default() };
        let cloakroom = Cloakroom::bind(&settings, &admin, dependencies).await.unwrap();
        let admin_address = format!("http://{}", cloakroom.admin_addr().unwrap());
        let address = format!("http://{}", cloakroom.tcp_addr().unwrap());
        let inner = cloakroom.service().clone();
        let stop = CancellationToken::new();
        tokio::spawn(cloakroom.run(stop.clone()));
        let protocol = Protocol::default();
        let (client, admin) = clients(&address, &admin_address, protocol).await;
        let _stop_when_dropped = stop.clone().drop_guard();
        Self {
            client,
            admin,
            protocol,
            clock,
            store,
            apps,
            address,
            admin_address,
            inner,
            stop,
            _stop_when_dropped,
            folder,
            _audit_guard: Mutex::new(audit_guard),
        }
    }

    /// Returns the folder of the audit log.
    pub(crate) fn audit_folder(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// Connects a second client; another worker thread serves its connection.
    pub(crate) async fn another_client(&self) -> SessionServiceClient<Transport> {
        SessionServiceClient::new(Transport::connect(&self.address, self.protocol).await)
    }

    /// Makes all further calls by this protocol, on new connections.
    pub(crate) async fn use_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        (self.client, self.admin) = clients(&self.address, &self.admin_address, protocol).await;
    }

    /// Stops the service.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Moves the service's clock forward.
    pub(crate) fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

async fn clients(
    address: &str,
    admin_address: &str,
    protocol: Protocol,
) -> (SessionServiceClient<Transport>, AdminServiceClient<Transport>) {
    let client = SessionServiceClient::new(Transport::connect(address, protocol).await);
    let admin = AdminServiceClient::new(Transport::connect(admin_address, protocol).await);
    (client.max_decoding_message_size(usize::MAX), admin.max_decoding_message_size(usize::MAX))
}

/// Default settings of an app, with a key.
pub(crate) fn app_settings() -> app::Settings {
    app::Settings { keys: vec![cloakroom::token::Key::generate().into()], ..Default::default() }
}

/// Server settings whose calls do not time out, even on a busy machine.
pub(crate) fn long_timeouts() -> server::Settings {
    let minute = Duration::from_secs(60);
    server::Settings { call_timeout: minute, store_unhealthy_after: minute, ..Default::default() }
}

/// The real time, to start a manual clock with: Redis deletes expired keys by its own clock.
#[expect(clippy::disallowed_methods, reason = "Redis expires keys by the machine's clock")]
pub(crate) fn now() -> Time {
    Time::default() + SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Makes a test for each store of an `async fn name(store: StoreKind)`, by `#[apply(on_every_store)]`.
macro_rules! on_every_store {
    (#[doc = $_:literal] $($function:tt)*) => {
        on_every_store! { $($function)* }
    };
    (async fn $($function:tt)*) => {
        on_every_store! { #[tokio::test] async fn $($function)* }
    };
    (#[$test:meta] async fn $name:ident($($store:tt)*) $body:block) => {
        async fn $name($($store)*) $body

        mod $name {
            use $crate::support::StoreKind;

            #[$test]
            async fn on_memory() { super::$name(StoreKind::Memory).await; }

            #[$test]
            async fn on_embedded() { super::$name(StoreKind::Embedded).await; }

            #[$test]
            async fn on_redis() { super::$name(StoreKind::Redis).await; }
        }
    };
}
