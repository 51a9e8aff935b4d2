//! Short calls of AdminService.

use cloakroom::grpc::wire::{
    GetSessionRequest, GetStatsRequest, GetStatsResponse, ListSessionEndsRequest, ListSessionEndsResponse,
    ListSessionsRequest, ListSessionsResponse, RevokeAppRequest, RevokeSessionRequest, RevokeSessionResponse,
    RevokeSubjectRequest, Session, SessionEnd, SessionInfo, list_session_ends_request,
};
use tonic::Status;

use super::TestService;
use super::calls::{ChangesExt as _, save};
use crate::process::child::eventually;
use crate::support::sessions::SaveExt as _;

impl TestService {
    /// Stores a session of this subject and returns it as saved.
    pub(crate) async fn logged_in(&self, subject: &str) -> Session {
        let ticket = self.open_new().await.token;
        let changes = cloakroom::grpc::wire::Changes::default().set("a", "1").subject(subject);
        self.save(save(&ticket, changes).keep_empty()).await.session.unwrap()
    }

    /// Lists the ids of a subject's sessions.
    pub(crate) async fn ids_of(&self, subject: &str) -> Vec<String> {
        self.list_of(subject).await.into_iter().map(|session| session.id).collect()
    }

    /// Lists a subject's sessions.
    pub(crate) async fn list_of(&self, subject: &str) -> Vec<SessionInfo> {
        let request = ListSessionsRequest { subject: subject.to_owned(), ..Default::default() };
        self.try_list(request).await.unwrap().sessions
    }

    /// Lists sessions; the call may fail.
    pub(crate) async fn try_list(&self, request: ListSessionsRequest) -> Result<ListSessionsResponse, Status> {
        Ok(self.admin.clone().list_sessions(request).await?.into_inner())
    }

    /// Lists all sessions of an app, page by page.
    pub(crate) async fn pages(&self, app: &str, page_size: i32) -> Vec<Vec<SessionInfo>> {
        let (mut pages, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListSessionsRequest { app: app.to_owned(), page_size, page_token, ..Default::default() };
            let page = self.try_list(request).await.unwrap();
            pages.push(page.sessions);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return pages;
            }
        }
    }

    /// Gets one session; the call may fail.
    pub(crate) async fn try_info(&self, id: &str, with_entries: bool) -> Result<SessionInfo, Status> {
        let request = GetSessionRequest { id: id.to_owned(), with_entries, ..Default::default() };
        Ok(self.admin.clone().get_session(request).await?.into_inner().session.unwrap())
    }

    /// Ends one session.
    pub(crate) async fn revoke(&self, id: &str) -> RevokeSessionResponse {
        let request = RevokeSessionRequest { id: id.to_owned(), ..Default::default() };
        self.admin.clone().revoke_session(request).await.unwrap().into_inner()
    }

    /// Ends a subject's sessions, except for the one with `except_id`; returns how many.
    pub(crate) async fn revoke_subject(&self, subject: &str, except_id: &str) -> u32 {
        let (subject, except_id) = (subject.to_owned(), except_id.to_owned());
        let request = RevokeSubjectRequest { subject, except_id, ..Default::default() };
        self.admin.clone().revoke_subject(request).await.unwrap().into_inner().revoked
    }

    /// Ends every session of an app.
    pub(crate) async fn revoke_app(&self, app: &str) {
        self.admin.clone().revoke_app(RevokeAppRequest { app: app.to_owned() }).await.unwrap();
    }

    /// Lists ends in the audit log; the call may fail.
    pub(crate) async fn try_list_ends(
        &self,
        app: &str,
        wanted: list_session_ends_request::Wanted,
    ) -> Result<ListSessionEndsResponse, Status> {
        let request = ListSessionEndsRequest { app: app.to_owned(), wanted: Some(wanted) };
        Ok(self.admin.clone().list_session_ends(request).await?.into_inner())
    }

    /// Waits until the audit log has so many ends of a session; returns them, the newest first.
    pub(crate) async fn ends_of(&self, id: &str, count: usize) -> Vec<SessionEnd> {
        let wanted = list_session_ends_request::Wanted::Id(id.to_owned());
        eventually("the ends", async || {
            let ends = self.try_list_ends("", wanted.clone()).await.unwrap().ends;
            (ends.len() >= count).then_some(ends)
        })
        .await
    }

    /// Gets the statistics of an app.
    pub(crate) async fn stats(&self, app: &str) -> GetStatsResponse {
        self.admin.clone().get_stats(GetStatsRequest { app: app.to_owned() }).await.unwrap().into_inner()
    }
}
