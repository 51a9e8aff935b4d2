//! How long a stream may go on: until its connection is told to go away, or its caller may no longer call.
//!
//! A stream without this check would keep its connection open until the drain cuts it, and would go on sending to a
//! caller that was removed. A unary call needs no permit: it ends by itself.

use std::future::pending;
use std::sync::Arc;

use http::HeaderMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Error, Peer, TokenHash, bearer_token};

/// The connection that a call came in by. In a request's extensions, in one `Arc` for all calls of the connection.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Cancelled when the connection is told to go away.
    pub goaway: CancellationToken,
    /// The other end, which its calls are checked by.
    pub peer: Arc<Peer>,
}

/// The permit of one stream. A call that did not come in by a server has none to lose.
#[derive(Debug)]
pub struct StreamPermit(Option<Permit>);

#[derive(Debug)]
struct Permit {
    connection: Arc<ConnectionInfo>,
    changes: watch::Receiver<()>,
    rpc: &'static str,
    token: Option<TokenHash>,
    app: String,
}

impl StreamPermit {
    /// The permit of an authenticated stream of this RPC on behalf of this app.
    pub fn new(
        connection: Option<&Arc<ConnectionInfo>>,
        rpc: &'static str,
        headers: &HeaderMap,
        app: &str,
    ) -> Result<Self, Error> {
        let Some(connection) = connection else { return Ok(Self(None)) };
        let permit = Permit {
            connection: Arc::clone(connection),
            changes: connection.peer.authenticator().registry().changes(),
            rpc,
            token: bearer_token(headers),
            app: app.to_owned(),
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

    /// Is cancelled when the connection is told to go away.
    pub fn goaway(&self) -> CancellationToken {
        self.0.as_ref().map(|permit| permit.connection.goaway.clone()).unwrap_or_default()
    }
}

impl Permit {
    fn check(&self) -> Result<(), Error> {
        self.connection.peer.authenticate_again(self.rpc, self.token)?.check_app(&self.app)
    }
}
