//! `AdminService`: each RPC converts the request, calls one method of the service, and converts the result.

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::app_authorizer::AppAuthorizer;
use super::audit::AuditRecord;
use super::export_sessions::export_sessions;
use super::migrate_store::migrate_store;
use super::request_error::RequestError;
use super::watch_events::watch_events;
use super::wire::admin_service_server::{AdminService, AdminServiceServer};
use super::{convert, describe, page_token, wire};
use crate::audit::Wanted;
use crate::auth::CallerRegistry;
use crate::service::{ExplainRequest, Service, SessionPage, WithEntries};
use crate::session::Subject;
use crate::token::SessionId;

/// Builds the gRPC service for operators. It lists the callers of the registry.
pub fn admin_service(service: Service, callers: CallerRegistry) -> AdminServiceServer<impl AdminService> {
    AdminServiceServer::new(AdminRpcs(AppAuthorizer::new(service), callers))
}

struct AdminRpcs(AppAuthorizer, CallerRegistry);

#[tonic::async_trait]
impl AdminService for AdminRpcs {
    async fn list_sessions(
        &self,
        request: Request<wire::ListSessionsRequest>,
    ) -> Result<Response<wire::ListSessionsResponse>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (service, request) = self.0.authorize(request)?;
        audit.note_entries(request.with_entries);
        let app = service.app(&request.app)?;
        let app = &app.name;
        let size = page_size(request.page_size)?;
        let cursor = page_token::parse(app, &request.subject, &request.page_token)?;
        let with = with_entries(request.with_entries);
        let SessionPage { sessions, next } = if request.subject.is_empty() {
            service.list_app(&request.app, &cursor, size, with).await?
        } else {
            service.list_subject(&request.app, &subject(&request.subject)?, &cursor, with).await?
        };
        audit.note_count(sessions.len() as u64);
        let sessions = sessions.into_iter().map(Into::into).collect();
        let next = next.map(|cursor| page_token::text(app, &request.subject, &cursor));
        Ok(Response::new(wire::ListSessionsResponse { sessions, next_page_token: next.unwrap_or_default() }))
    }

    async fn get_session(
        &self,
        request: Request<wire::GetSessionRequest>,
    ) -> Result<Response<wire::GetSessionResponse>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (service, request) = self.0.authorize(request)?;
        audit.note_entries(request.with_entries);
        let id = session_id("id", &request.id)?;
        audit.note_session(id);
        let session = service.session(&request.app, id, with_entries(request.with_entries)).await?;
        Ok(Response::new(wire::GetSessionResponse { session: Some(session.into()) }))
    }

    async fn revoke_session(
        &self,
        request: Request<wire::RevokeSessionRequest>,
    ) -> Result<Response<wire::RevokeSessionResponse>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (service, request) = self.0.authorize(request)?;
        let id = session_id("id", &request.id)?;
        audit.note_session(id);
        let outcome = service.revoke_session(&request.app, id).await?;
        audit.note_outcome(outcome);
        Ok(Response::new(wire::RevokeSessionResponse {
            outcome: convert::outcome(outcome),
            end_reason: convert::end_reason(outcome.end_reason()),
        }))
    }

    async fn revoke_subject(
        &self,
        request: Request<wire::RevokeSubjectRequest>,
    ) -> Result<Response<wire::RevokeSubjectResponse>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (service, request) = self.0.authorize(request)?;
        let subject = subject(&request.subject)?;
        let except = Some(request.except_id.as_str()).filter(|id| !id.is_empty());
        let except = except.map(|id| session_id("except_id", id)).transpose()?;
        let revoked = service.revoke_subject(&request.app, &subject, except).await?;
        audit.note_count(revoked.into());
        Ok(Response::new(wire::RevokeSubjectResponse { revoked }))
    }

    async fn revoke_app(
        &self,
        request: Request<wire::RevokeAppRequest>,
    ) -> Result<Response<wire::RevokeAppResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        service.revoke_app(&request.app).await?;
        Ok(Response::new(wire::RevokeAppResponse {}))
    }

    async fn explain_credential(
        &self,
        request: Request<wire::ExplainCredentialRequest>,
    ) -> Result<Response<wire::ExplainCredentialResponse>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (caller, _) = self.0.caller(&request);
        let (service, request) = self.0.authorize(request)?;
        let explain = ExplainRequest {
            app: &request.app,
            credential: (&request.credential).into(),
            cookie_name: convert::cookie_name(&request.cookie_name),
        };
        let mut explanations = service.explain(explain).await?;
        for explanation in &mut explanations {
            // The name of another app is only for callers of that app.
            explanation.other_app.take_if(|app| !caller.may_use(app.as_str()));
        }
        if let Some(id) = explanations.iter().find_map(|explanation| explanation.id) {
            audit.note_session(id);
        }
        let explanations = explanations.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::ExplainCredentialResponse { explanations }))
    }

    async fn list_session_ends(
        &self,
        request: Request<wire::ListSessionEndsRequest>,
    ) -> Result<Response<wire::ListSessionEndsResponse>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (service, request) = self.0.authorize(request)?;
        let wanted = match &request.wanted {
            Some(wire::list_session_ends_request::Wanted::Subject(text)) => Wanted::Subject(subject(text)?),
            Some(wire::list_session_ends_request::Wanted::Id(id)) => Wanted::Session(session_id("id", id)?),
            None => return Err(RequestError::SessionId("id or subject").into()),
        };
        if let Wanted::Session(id) = wanted {
            audit.note_session(id);
        }
        let ends = service.list_session_ends(&request.app, wanted).await?;
        Ok(Response::new(ends.map(Into::into).unwrap_or_default()))
    }

    async fn get_stats(
        &self,
        request: Request<wire::GetStatsRequest>,
    ) -> Result<Response<wire::GetStatsResponse>, Status> {
        let (service, request) = self.0.authorize(request)?;
        Ok(Response::new(service.stats(&request.app)?.into()))
    }

    type WatchEventsStream = BoxStream<wire::WatchEventsResponse>;

    async fn watch_events(
        &self,
        request: Request<wire::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let (service, request, permit) = self.0.authorize_stream(request, "cloakroom.v1.AdminService/WatchEvents")?;
        Ok(Response::new(watch_events(service, permit, request)?))
    }

    async fn list_apps(
        &self,
        request: Request<wire::ListAppsRequest>,
    ) -> Result<Response<wire::ListAppsResponse>, Status> {
        let (caller, service) = self.0.caller(&request);
        let apps = service.apps();
        let apps = apps.iter().filter(|app| caller.may_use(app.name.as_str())).map(|app| describe::app(app));
        Ok(Response::new(wire::ListAppsResponse { apps: apps.collect() }))
    }

    async fn get_service_info(
        &self,
        request: Request<wire::GetServiceInfoRequest>,
    ) -> Result<Response<wire::GetServiceInfoResponse>, Status> {
        let (caller, service) = self.0.caller(&request);
        Ok(Response::new(describe::service(service, &caller, &self.1.callers())))
    }

    type ExportSessionsStream = BoxStream<wire::ExportSessionsResponse>;

    async fn export_sessions(
        &self,
        request: Request<wire::ExportSessionsRequest>,
    ) -> Result<Response<Self::ExportSessionsStream>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (service, request, permit) =
            self.0.authorize_stream_of_all_apps(request, "cloakroom.v1.AdminService/ExportSessions")?;
        Ok(Response::new(export_sessions(service, permit, audit, &request)?))
    }

    type MigrateStoreStream = BoxStream<wire::MigrateStoreResponse>;

    async fn migrate_store(
        &self,
        request: Request<wire::MigrateStoreRequest>,
    ) -> Result<Response<Self::MigrateStoreStream>, Status> {
        let audit = AuditRecord::of_request(&request);
        let (service, request, permit) =
            self.0.authorize_stream_of_all_apps(request, "cloakroom.v1.AdminService/MigrateStore")?;
        Ok(Response::new(migrate_store(service, permit, audit, &request)?))
    }
}

fn subject(text: &str) -> Result<Subject, RequestError> {
    Subject::parse(text).map_err(RequestError::Subject)
}

fn session_id(field: &'static str, text: &str) -> Result<SessionId, RequestError> {
    SessionId::parse(text).ok_or(RequestError::SessionId(field))
}

fn page_size(size: i32) -> Result<usize, RequestError> {
    match usize::try_from(size).map_err(|_| RequestError::PageSize)? {
        0 => Ok(DEFAULT_PAGE_SIZE),
        size => Ok(size.min(MAX_PAGE_SIZE)),
    }
}

const fn with_entries(wanted: bool) -> WithEntries {
    if wanted { WithEntries::Yes } else { WithEntries::No }
}

const DEFAULT_PAGE_SIZE: usize = 100;
const MAX_PAGE_SIZE: usize = 1000;
