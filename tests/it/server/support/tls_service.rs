//! The whole service with TLS on both listeners, and with callers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cloakroom::app::Apps;
use cloakroom::audit::AuditLog;
use cloakroom::auth::{CallerSettings, Callers, Role, TokenHash};
use cloakroom::server::{AdminSettings, Cloakroom, Dependencies, Reloadable, Reloader, Settings, TlsSettings};
use cloakroom::store::{Handle, Memory};
use cloakroom::types::SystemClock;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::Client;
use super::test_server::settings;
use crate::support::app_settings;
use crate::support::authority::{CertificateAuthority, TlsClient};

/// A running service with callers and the apps `default`, `shop` and `desk`.
pub(in crate::server) struct TlsService {
    pub(in crate::server) frontends: SocketAddr,
    pub(in crate::server) operators: SocketAddr,
    pub(in crate::server) authority: CertificateAuthority,
    pub(in crate::server) reloader: Reloader,
    apps: Apps,
    folder: TempDir,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl TlsService {
    /// Starts a service with these callers.
    pub(in crate::server) async fn new(callers: BTreeMap<String, CallerSettings>) -> Self {
        Self::with(callers, settings()).await
    }

    /// Starts a service with these callers and server settings, except for TLS.
    pub(in crate::server) async fn with(callers: BTreeMap<String, CallerSettings>, settings: Settings) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), CertificateAuthority::new());
        let path = |name: &str| folder.path().join(name);
        authority.sign("localhost").write(&path("server.pem"), &path("server.key"));
        std::fs::write(path("ca.pem"), authority.pem()).unwrap();
        let callers = Callers::build(&callers).unwrap();
        let tls = TlsSettings {
            certificate_file: Some(path("server.pem")),
            key_file: Some(path("server.key")),
            client_ca_file: callers.has_certificates().then(|| path("ca.pem")),
        };
        let settings = Settings { tls: tls.clone(), ..settings };
        let admin = AdminSettings { listen: settings.listen, tls, ..Default::default() };
        let apps = ["default", "shop", "desk"].map(|name| app_settings().build(name).unwrap());
        let apps: Apps = apps.into_iter().collect();
        let store = Handle::from(Memory::new());
        let dependencies = Dependencies {
            apps: apps.clone(),
            store,
            clock: Arc::new(SystemClock),
            callers,
            traces: Default::default(),
            metrics: Default::default(),
            audit_log: AuditLog::default(),
        };
        let cloakroom = Cloakroom::bind(&settings, &admin, dependencies).await.unwrap();
        let (frontends, operators) = (cloakroom.tcp_addr().unwrap(), cloakroom.admin_addr().unwrap());
        let (reloader, stop) = (cloakroom.reloader().clone(), CancellationToken::new());
        tokio::spawn(cloakroom.run(stop.clone()));
        let _stop_when_dropped = stop.clone().drop_guard();
        Self { frontends, operators, authority, reloader, apps, folder, stop, _stop_when_dropped }
    }

    /// Replaces the callers.
    pub(in crate::server) fn set_callers(&self, callers: Callers) {
        self.reloader.reload(&Reloadable { apps: self.apps.clone(), callers });
    }

    /// Returns the path of one of its files: `server.pem`, `server.key`, `ca.pem`.
    pub(in crate::server) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Connects a client without a certificate.
    pub(in crate::server) async fn client(&self, address: SocketAddr) -> Client {
        let authority = self.authority.pem();
        Client::over(TlsClient::trusting(&authority).connect(address).await.unwrap()).await
    }

    /// Stops the service.
    pub(in crate::server) fn stop(&self) {
        self.stop.cancel();
    }
}

/// Returns a caller's name and settings, with a token and a certificate name made from its name.
pub(in crate::server) fn caller(name: &str, role: Role, app: &str) -> (String, CallerSettings) {
    let settings = CallerSettings {
        roles: vec![role],
        apps: vec![app.to_owned()],
        certificate_names: vec![uri(name)],
        token_hashes: vec![hash(&token(name))],
        token_hashes_file: None,
    };
    (name.to_owned(), settings)
}

/// Returns the token of a caller.
pub(in crate::server) fn token(name: &str) -> String {
    format!("token-of-{name}")
}

/// Returns the name in a caller's certificate.
pub(in crate::server) fn uri(name: &str) -> String {
    format!("spiffe://test/{name}")
}

/// Returns the hash of a token as in a configuration.
pub(in crate::server) fn hash(token: &str) -> cloakroom::types::Secret {
    TokenHash::of(token.as_bytes()).to_string().into()
}
