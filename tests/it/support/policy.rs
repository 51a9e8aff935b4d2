//! Calls that concern an app and no session, and requests for an app other than `default`.

use cloakroom::grpc::wire::{
    GetAppPolicyRequest, GetAppPolicyResponse, GetExpirationTimeRequest, MakeNullSessionRequest, OpenSessionRequest,
    SaveSessionRequest, Session, ShouldSetCookieRequest,
};
use prost_types::Timestamp;

use super::TestService;

impl TestService {
    /// Gets an app's policy.
    pub(crate) async fn policy(&self, app: &str) -> GetAppPolicyResponse {
        let request = GetAppPolicyRequest { app: app.to_owned() };
        self.client.clone().get_app_policy(request).await.unwrap().into_inner()
    }

    /// Calls Flask's `should_set_cookie`.
    pub(crate) async fn should_set_cookie(&self, app: &str, modified: bool, permanent: bool) -> bool {
        let request = ShouldSetCookieRequest { app: app.to_owned(), modified, permanent };
        self.client.clone().should_set_cookie(request).await.unwrap().into_inner().should_set_cookie
    }

    /// Calls Flask's `get_expiration_time`.
    pub(crate) async fn expiration_time(&self, app: &str, permanent: bool) -> Option<Timestamp> {
        let request = GetExpirationTimeRequest { app: app.to_owned(), permanent };
        self.client.clone().get_expiration_time(request).await.unwrap().into_inner().expire_time
    }

    /// Calls Flask's `make_null_session`.
    pub(crate) async fn null_session(&self, app: &str) -> Session {
        let request = MakeNullSessionRequest { app: app.to_owned() };
        self.client.clone().make_null_session(request).await.unwrap().into_inner().session.unwrap()
    }
}

/// Changes the app of an open.
pub(crate) fn open_in(app: &str, request: OpenSessionRequest) -> OpenSessionRequest {
    OpenSessionRequest { app: app.to_owned(), ..request }
}

/// Changes the app of a save.
pub(crate) fn save_in(app: &str, request: SaveSessionRequest) -> SaveSessionRequest {
    SaveSessionRequest { app: app.to_owned(), ..request }
}
