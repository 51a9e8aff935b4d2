//! The permit of a stream: it lasts until the connection gets a GOAWAY or the caller may no longer call.
//!
//! Without it a stream would keep its connection open until the drain cuts it, and would continue to send to a caller
//! that was removed. A unary call needs no permit, because it ends by itself.

use std::future::pending;
use std::sync::Arc;

use http::HeaderMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Error, Peer, TokenHash, bearer_token};

/// The connection of a call, in the extensions of each request. All calls of the connection share one `Arc`.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Cancelled when the connection gets a GOAWAY.
    pub goaway: CancellationToken,
    pub peer: Peer,
}

/// The permit of one stream. `None` for a call that did not come through a server: nothing revokes it.
#[derive(Debug)]
pub struct StreamPermit(Option<Permit>);

#[derive(Debug)]
struct Permit {
    connection: Arc<ConnectionInfo>,
    changes: watch::Receiver<()>,
    rpc: &'static str,
    token: Option<TokenHash>,
    apps: PermittedApps,
}

/// The apps that the caller of a stream has to be allowed.
#[derive(Clone, Debug)]
pub enum PermittedApps {
    /// The one of this name; empty means `default`.
    One(String),
    All,
}

impl StreamPermit {
    /// Creates the permit of an authenticated stream of this RPC for these apps.
    pub fn new(
        connection: Option<&Arc<ConnectionInfo>>,
        rpc: &'static str,
        headers: &HeaderMap,
        apps: PermittedApps,
    ) -> Result<Self, Error> {
        let Some(connection) = connection else { return Ok(Self(None)) };
        let permit = Permit {
            connection: Arc::clone(connection),
            changes: connection.peer.authenticator().registry().changes(),
            rpc,
            token: bearer_token(headers),
            apps,
        };
        // The callers may have changed between the authentication of the call and the subscription to changes.
        permit.check()?;
        Ok(Self(Some(permit)))
    }

    /// Waits until the caller may no longer call, and returns why.
    pub async fn revoked(&mut self) -> Error {
        let Some(permit) = &mut self.0 else { return pending().await };
        loop {
            if permit.changes.changed().await.is_err() {
                // The registry is gone, so the callers can no longer change.
                return pending().await;
            }
            if let Err(error) = permit.check() {
                return error;
            }
        }
    }

    /// Returns the token that is cancelled when the connection gets a GOAWAY.
    pub fn goaway(&self) -> CancellationToken {
        self.0.as_ref().map(|permit| permit.connection.goaway.clone()).unwrap_or_default()
    }
}

impl Permit {
    fn check(&self) -> Result<(), Error> {
        let caller = self.connection.peer.authenticate_again(self.rpc, self.token)?;
        match &self.apps {
            PermittedApps::One(app) => caller.check_app(app),
            PermittedApps::All => caller.check_all_apps(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::auth::{Authenticator, CallerRegistry, CallerSettings, Callers, PeerAddress, Role};

    use super::*;

    /// An admin of these apps, known by the token `secret`.
    fn admin(apps: &str) -> Callers {
        let settings = CallerSettings {
            roles: vec![Role::Admin],
            apps: vec![apps.to_owned()],
            token_hashes: vec![TokenHash::of(b"secret").to_string().into()],
            ..CallerSettings::default()
        };
        Callers::build(&BTreeMap::from([("ops".to_owned(), settings)])).unwrap()
    }

    #[tokio::test]
    async fn a_stream_of_all_apps_ends_when_its_caller_may_use_only_one() {
        let registry = CallerRegistry::new(admin("*"));
        let peer = Authenticator::new(registry.clone(), &[])
            .peer(PeerAddress::Tcp("127.0.0.1:1".parse().unwrap()), Vec::new());
        let connection = Arc::new(ConnectionInfo { goaway: CancellationToken::new(), peer });
        let headers: HeaderMap =
            [(http::header::AUTHORIZATION, "Bearer secret".parse().unwrap())].into_iter().collect();
        let rpc = "cloakroom.v1.AdminService/MigrateStore";
        let mut permit = StreamPermit::new(Some(&connection), rpc, &headers, PermittedApps::All).unwrap();

        registry.replace(admin("default"));

        assert!(matches!(permit.revoked().await, Error::AppNotAllowed));
    }
}
