//! The leave of a stream to go on: until its connection is told to go away, or its caller may not call any more.
//!
//! A call that ends by itself needs none. A stream that did not look would hold up its connection's end until it is
//! cut, and would go on telling somebody who has been shut out since.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use super::app_authorizer::{self, OfApp};
use super::callers::{Caller, TokenHash, bearer};
use super::status::explain;

/// Whoever lets the calls of a connection in.
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// On whose behalf that RPC is called by whoever shows this token, if it may be; by the callers of this moment.
    fn admit(&self, rpc: &str, token: Option<TokenHash>) -> Result<Caller, Status>;

    /// Changes when the callers do.
    fn changes(&self) -> watch::Receiver<()>;
}

/// Where a call came in. Stands in a request's extensions, in an `Arc` for all calls of a connection.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Cancelled when the connection is told to go away.
    pub goaway: CancellationToken,
    /// Who let it in.
    pub authorizer: Arc<dyn Authorizer>,
}

/// A stream's leave to go on. Without a server there is nobody to take it back.
#[derive(Debug)]
pub(super) struct StreamPermit(Option<PermitRequest>);

/// Who gave it, to whom, and for what.
#[derive(Debug)]
struct PermitRequest {
    connection: Arc<ConnectionInfo>,
    changes: watch::Receiver<()>,
    rpc: &'static str,
    token: Option<TokenHash>,
    app: String,
}

impl StreamPermit {
    /// That of a request of this RPC, which has been let in.
    pub(super) fn of<R: OfApp>(request: &Request<R>, rpc: &'static str) -> Result<Self, Status> {
        let Some(connection) = request.extensions().get::<Arc<ConnectionInfo>>() else { return Ok(Self(None)) };
        let request = PermitRequest {
            connection: Arc::clone(connection),
            changes: connection.authorizer.changes(),
            rpc,
            token: bearer(request.metadata().as_ref()),
            app: request.get_ref().app().to_owned(),
        };
        // The callers may have changed since it was let in, and that is told nobody again.
        request.again()?;
        Ok(Self(Some(request)))
    }

    /// What `next` answers, or how the stream ends if it may not go on so long.
    pub(super) async fn or<T>(&mut self, next: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let Some(request) = &mut self.0 else { return next.await };
        let goaway = request.connection.goaway.clone();
        tokio::select! {
            biased;
            refused = request.taken_back() => Err(refused),
            answer = next => answer,
            () = goaway.cancelled() => Err(going_away()),
        }
    }
}

impl PermitRequest {
    /// Waits until it is taken back; answers why.
    async fn taken_back(&mut self) -> Status {
        loop {
            if self.changes.changed().await.is_err() {
                // Nobody is left who could change anything.
                return std::future::pending().await;
            }
            if let Err(refused) = self.again() {
                return refused;
            }
        }
    }

    /// Asks for it as a new call would.
    fn again(&self) -> Result<(), Status> {
        let caller = self.connection.authorizer.admit(self.rpc, self.token)?;
        app_authorizer::check(&caller, &self.app)
    }
}

fn going_away() -> Status {
    let message = "this connection ends, because it is old or the service stops; go on on another one";
    explain(Code::Unavailable, "GOING_AWAY", message.to_owned())
}
