//! The RPCs that are asked of an app alone, and requests for an app other than `default`.

use cloakroom::grpc::wire::{
    GetAppPolicyRequest, GetAppPolicyResponse, GetExpirationTimeRequest, MakeNullSessionRequest, OpenSessionRequest,
    SaveSessionRequest, Session, ShouldSetCookieRequest,
};
use prost_types::Timestamp;

use super::TestService;

impl TestService {
    /// An app's policy.
    pub(crate) async fn policy(&self, app: &str) -> GetAppPolicyResponse {
        let request = GetAppPolicyRequest { app: app.to_owned() };
        self.client.clone().get_app_policy(request).await.unwrap().into_inner()
    }

    /// Flask's `should_set_cookie`.
    pub(crate) async fn should_set_cookie(&self, app: &str, modified: bool, permanent: bool) -> bool {
        let request = ShouldSetCookieRequest { app: app.to_owned(), modified, permanent };
        self.client.clone().should_set_cookie(request).await.unwrap().into_inner().should_set_cookie
    }

    /// Flask's `get_expiration_time`.
    pub(crate) async fn expiration_time(&self, app: &str, permanent: bool) -> Option<Timestamp> {
        let request = GetExpirationTimeRequest { app: app.to_owned(), permanent };
        self.client.clone().get_expiration_time(request).await.unwrap().into_inner().expire_time
    }

    /// Flask's `make_null_session`.
    pub(crate) async fn null_session(&self, app: &str) -> Session {
        let request = MakeNullSessionRequest { app: app.to_owned() };
        self.client.clone().make_null_session(request).await.unwrap().into_inner().session.unwrap()
    }
}

/// The same open for another app.
pub(crate) fn open_in(app: &str, request: OpenSessionRequest) -> OpenSessionRequest {
    OpenSessionRequest { app: app.to_owned(), ..request }
}

/// The same save for another app.
pub(crate) fn save_in(app: &str, request: SaveSessionRequest) -> SaveSessionRequest {
    SaveSessionRequest { app: app.to_owned(), ..request }
}
