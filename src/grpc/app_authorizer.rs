//! Access to the service layer, for callers that may use the app of their request.
//!
//! The RPCs reach the service through this type only, so an RPC without the check does not compile.

use std::sync::Arc;

use tonic::{Request, Status};

use super::audit::AuditRecord;
use super::wire;
use crate::auth::{Caller, ConnectionInfo, PermittedApps, StreamPermit};
use crate::service::Service;
use crate::telemetry::CallContext;

/// The service, behind the check of the app.
#[derive(Debug)]
pub(super) struct AppAuthorizer(Service);

impl AppAuthorizer {
    pub(super) const fn new(service: Service) -> Self {
        Self(service)
    }

    /// Returns the service and the message if the caller may use the app that the message names.
    pub(super) fn authorize<R: AppRequest>(&self, request: Request<R>) -> Result<(&Service, R), Status> {
        let caller = request.extensions().get().unwrap_or(&Caller::Unauthenticated);
        caller.check_app(request.get_ref().app())?;
        CallContext::with_span(|span| {
            if let Ok(app) = self.0.app(request.get_ref().app()) {
                span.note("cloakroom.app", app.name.to_string());
            }
        });
        if let Some(audit) = request.extensions().get::<AuditRecord>()
            && let Ok(app) = self.0.app(request.get_ref().app())
        {
            audit.note_app(&app.name);
        }
        Ok((&self.0, request.into_inner()))
    }

    /// Does the same for a stream of this RPC, and returns its permit too.
    pub(super) fn authorize_stream<R: AppRequest>(
        &self,
        request: Request<R>,
        rpc: &'static str,
    ) -> Result<(&Service, R, StreamPermit), Status> {
        let permit = begin_stream(&request, rpc, PermittedApps::One(request.get_ref().app().to_owned()))?;
        let (service, message) = self.authorize(request)?;
        Ok((service, message, permit))
    }

    /// Returns the service, the message and the permit of a stream of this RPC if the caller may use every app.
    pub(super) fn authorize_stream_of_all_apps<R>(
        &self,
        request: Request<R>,
        rpc: &'static str,
    ) -> Result<(&Service, R, StreamPermit), Status> {
        let permit = begin_stream(&request, rpc, PermittedApps::All)?;
        let (caller, service) = self.caller(&request);
        caller.check_all_apps()?;
        Ok((service, request.into_inner(), permit))
    }

    /// Returns the caller of a request for no app, and the service.
    pub(super) fn caller<R>(&self, request: &Request<R>) -> (Caller, &Service) {
        (request.extensions().get().cloned().unwrap_or(Caller::Unauthenticated), &self.0)
    }
}

/// Makes the permit of a stream for these apps, and has its audit record end with the stream.
fn begin_stream<R>(request: &Request<R>, rpc: &'static str, apps: PermittedApps) -> Result<StreamPermit, Status> {
    let connection = request.extensions().get::<Arc<ConnectionInfo>>();
    let permit = StreamPermit::new(connection, rpc, request.metadata().as_ref(), apps)?;
    if let Some(audit) = request.extensions().get::<AuditRecord>() {
        audit.note_stream();
    }
    Ok(permit)
}

/// A request for one app.
pub(super) trait AppRequest {
    /// The app's name; empty means `default`.
    fn app(&self) -> &str;
}

macro_rules! app_requests {
    ($($request:ident),* $(,)?) => {
        $(impl AppRequest for wire::$request {
            fn app(&self) -> &str {
                &self.app
            }
        })*
    };
}

app_requests![
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
    ExplainCredentialRequest,
    ListSessionEndsRequest,
    GetStatsRequest,
    WatchEventsRequest,
];
