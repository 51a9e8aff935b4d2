//! The door: nobody reaches the service but on behalf of a caller that may use the app in question.
//!
//! The service stands behind it alone, so an RPC that does not ask who calls does not compile.

use tonic::{Code, Request, Status};
use tracing::warn;

use super::callers::Caller;
use super::status::explain;
use super::stream_permit::StreamPermit;
use super::wire;
use crate::service::Service;
use crate::telemetry::LogThrottle;

/// A service behind its door.
#[derive(Debug)]
pub(super) struct AppAuthorizer<S>(Service<S>);

impl<S> AppAuthorizer<S> {
    pub(super) const fn to(service: Service<S>) -> Self {
        Self(service)
    }

    /// The service and the message, if the caller may use the app that the message names.
    pub(super) fn enter<R: OfApp>(&self, request: Request<R>) -> Result<(&Service<S>, R), Status> {
        check(request.extensions().get().unwrap_or(&Caller::Anonymous), request.get_ref().app())?;
        Ok((&self.0, request.into_inner()))
    }

    /// The same for a stream of that RPC, with its leave to go on.
    pub(super) fn enter_stream<R: OfApp>(
        &self,
        request: Request<R>,
        rpc: &'static str,
    ) -> Result<(&Service<S>, R, StreamPermit), Status> {
        let permit = StreamPermit::of(&request, rpc)?;
        let (service, message) = self.enter(request)?;
        Ok((service, message, permit))
    }
}

/// Says why a caller may not use an app, if it may not.
pub(super) fn check(caller: &Caller, app: &str) -> Result<(), Status> {
    if caller.may_use(app) { Ok(()) } else { Err(refuse(caller)) }
}

/// The same whether there is such an app or not.
fn refuse(caller: &Caller) -> Status {
    static REFUSED: LogThrottle = LogThrottle::new();
    if let Some(calls) = REFUSED.should_log() {
        warn!(caller = %caller, calls, "a caller was refused an app that it may not use");
    }
    let message = "this caller may not use that app; name it in the caller's apps, or use another one";
    explain(Code::PermissionDenied, "APP_NOT_ALLOWED", message.to_owned())
}

/// A request on behalf of one app.
pub(super) trait OfApp {
    /// The app's name; empty means `default`.
    fn app(&self) -> &str;
}

macro_rules! of_app {
    ($($request:ident),* $(,)?) => {
        $(impl OfApp for wire::$request {
            fn app(&self) -> &str {
                &self.app
            }
        })*
    };
}

of_app![
    OpenSessionRequest,
    SaveSessionRequest,
    ShouldSetCookieRequest,
    GetAppPolicyRequest,
    GetExpirationTimeRequest,
    MakeNullSessionRequest,
    RotateSessionRequest,
    DestroySessionRequest,
    WatchSessionRequest,
    ListSessionsRequest,
    GetSessionRequest,
    RevokeSessionRequest,
    RevokeSubjectRequest,
    RevokeAppRequest,
    GetStatsRequest,
    WatchEventsRequest,
];
