//! `SessionService`: each RPC converts the request, calls one method of the service, and converts the result.

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::app_authorizer::AppAuthorizer;
use super::unary::SessionServer;
use super::watch_session::watch_session;
use super::wire::session_service_server::SessionService;
use super::{convert, wire};
use crate::service::{
    DestroyRequest, OpenRequest, RotateRequest, RotationCause, SaveRequest, Saved, Service, SessionView,
};

/// The largest request. A Cookie header of 1 MiB and the largest session fit into it.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// Builds the gRPC service for frontends.
pub fn session_service(service: Service) -> SessionServer<impl SessionService> {
    SessionServer::new(SessionRpcs(AppAuthorizer::new(service)))
}

struct SessionRpcs(AppAuthorizer);

#[tonic::async_trait]
impl SessionService for SessionRpcs {
    async fn open_session(
        &self,
        request: Request<wire::OpenSessionRequest>,
    ) -> Result<Response<wire::OpenSessionResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        let opened = service.open(OpenRequest {
            app: &request.app,
            credential: (&request.credential).into(),
            cookie: convert::cookie(&request.cookie_name, request.cookie_attributes.as_ref())?,
            context: convert::context(request.context),
            max_authenticate_age: convert::authenticate_age(request.max_authenticate_age)?,
            no_touch: request.no_touch,
            request_age: convert::request_age(request.request_age)?,
        });
        let opened = opened.await?;
        Ok(Response::new(wire::OpenSessionResponse {
            session: Some(wire::Session { entries: convert::entries(&opened.entries), ..opened.session.into() }),
            read_headers: convert::headers(opened.read_headers),
            untouched_headers: convert::headers(opened.untouched_headers),
            recently_authenticated: opened.recently_authenticated,
            cookie_outdated: opened.cookie_outdated,
            end_reason: convert::end_reason(opened.end_reason),
        }))
    }

    async fn save_session(
        &self,
        request: Request<wire::SaveSessionRequest>,
    ) -> Result<Response<wire::SaveSessionResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        let app = service.app(&request.app)?;
        let save = SaveRequest {
            credential: (&request.credential).into(),
            changes: request.changes.map(|changes| convert::changes(changes, &app)).transpose()?,
            accessed: request.accessed,
            etag: convert::etag(&request.etag)?,
            request_id: convert::request_id(&request.request_id)?,
            request_age: convert::request_age(request.request_age)?,
            rotate: request.rotate,
            keep_empty: request.keep_empty,
            cookie_outdated: request.cookie_outdated,
            cookie: convert::cookie(&request.cookie_name, request.cookie_attributes.as_ref())?,
            context: convert::context(request.context),
        };
        let Saved { outcome, session, headers, counters } = service.save(&app, save).await?;
        Ok(Response::new(wire::SaveSessionResponse {
            outcome: convert::outcome(outcome),
            end_reason: convert::end_reason(outcome.end_reason()),
            session: session.map(Into::into),
            headers: convert::headers(headers),
            counters: counters.into_iter().collect(),
        }))
    }

    async fn should_set_cookie(
        &self,
        request: Request<wire::ShouldSetCookieRequest>,
    ) -> Result<Response<wire::ShouldSetCookieResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        let app = service.app(&request.app)?;
        let should_set_cookie = app.should_set_cookie(request.modified, request.permanent);
        Ok(Response::new(wire::ShouldSetCookieResponse { should_set_cookie }))
    }

    async fn get_app_policy(
        &self,
        request: Request<wire::GetAppPolicyRequest>,
    ) -> Result<Response<wire::GetAppPolicyResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        Ok(Response::new(convert::policy(&*service.app(&request.app)?)))
    }

    async fn get_expiration_time(
        &self,
        request: Request<wire::GetExpirationTimeRequest>,
    ) -> Result<Response<wire::GetExpirationTimeResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        let expire_time = service.expiration_time(&request.app, request.permanent)?;
        Ok(Response::new(wire::GetExpirationTimeResponse { expire_time: expire_time.map(convert::timestamp) }))
    }

    async fn make_null_session(
        &self,
        request: Request<wire::MakeNullSessionRequest>,
    ) -> Result<Response<wire::MakeNullSessionResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        let reason = service.null_reason(&request.app)?;
        Ok(Response::new(wire::MakeNullSessionResponse { session: Some(SessionView::null(reason).into()) }))
    }

    async fn rotate_session(
        &self,
        request: Request<wire::RotateSessionRequest>,
    ) -> Result<Response<wire::RotateSessionResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        let rotated = service.rotate(RotateRequest {
            app: &request.app,
            credential: (&request.credential).into(),
            cause: match request.cause() {
                wire::RotationCause::Renewal => RotationCause::Renewal,
                wire::RotationCause::Privilege | wire::RotationCause::Unspecified => RotationCause::Privilege,
            },
            request_id: convert::request_id(&request.request_id)?,
            cookie: convert::cookie(&request.cookie_name, request.cookie_attributes.as_ref())?,
            context: convert::context(request.context.clone()),
        });
        let Saved { outcome, session, headers, .. } = rotated.await?;
        Ok(Response::new(wire::RotateSessionResponse {
            outcome: convert::outcome(outcome),
            end_reason: convert::end_reason(outcome.end_reason()),
            session: session.map(Into::into),
            headers: convert::headers(headers),
        }))
    }

    async fn destroy_session(
        &self,
        request: Request<wire::DestroySessionRequest>,
    ) -> Result<Response<wire::DestroySessionResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        let destroyed = service.destroy(DestroyRequest {
            app: &request.app,
            credential: (&request.credential).into(),
            request_id: convert::request_id(&request.request_id)?,
            cookie: convert::cookie(&request.cookie_name, request.cookie_attributes.as_ref())?,
        });
        let destroyed = destroyed.await?;
        Ok(Response::new(wire::DestroySessionResponse {
            outcome: convert::outcome(destroyed.outcome),
            end_reason: convert::end_reason(destroyed.outcome.end_reason()),
            headers: convert::headers(destroyed.headers),
        }))
    }

    type WatchSessionStream = BoxStream<wire::WatchSessionResponse>;

    async fn watch_session(
        &self,
        request: Request<wire::WatchSessionRequest>,
    ) -> Result<Response<Self::WatchSessionStream>, Status> {
        let (service, request, permit) =
            self.0.authorize_stream(request, "cloakroom.v1.SessionService/WatchSession")?;
        Ok(Response::new(watch_session(service, permit, request).await?))
    }
}
