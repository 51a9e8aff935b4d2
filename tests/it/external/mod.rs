//! Apps of kind `external`: the framework makes the ids of sessions, as keys, and their cookies.

mod credentials;
mod lifetimes;
mod races;
mod sessions;
mod subjects;

use std::collections::BTreeMap;

use cloakroom::app::{self, KindSetting};
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, DestroySessionResponse, OpenSessionRequest, OpenSessionResponse,
    SaveSessionRequest, Session, destroy_session_request, open_session_request, save_session_request,
};

use crate::support::calls::json_entries;
use crate::support::{StoreKind, TestService};

/// A key as express-session makes it: 24 random bytes as text.
const KEY: &[u8] = b"sess-key-kR3mO2vXqY8Zt1a7";
const OTHER_KEY: &[u8] = b"sess-key-uP5wL9cBnD4Hs6g0";

fn settings() -> app::Settings {
    app::Settings { kind: KindSetting::External, ..Default::default() }
}

async fn service(store: StoreKind) -> TestService {
    TestService::with_apps(store, [("default", settings())]).await
}

fn open(key: &[u8]) -> OpenSessionRequest {
    let credential = Some(open_session_request::Credential::Key(key.to_vec()));
    OpenSessionRequest { credential, ..Default::default() }
}

fn save(key: &[u8], changes: Changes) -> SaveSessionRequest {
    SaveSessionRequest { changes: Some(changes), ..save_unmodified(key) }
}

fn save_unmodified(key: &[u8]) -> SaveSessionRequest {
    let credential = Some(save_session_request::Credential::Key(key.to_vec()));
    SaveSessionRequest { credential, accessed: true, ..Default::default() }
}

fn destroy(key: &[u8]) -> DestroySessionRequest {
    let credential = Some(destroy_session_request::Credential::Key(key.to_vec()));
    DestroySessionRequest { credential, ..Default::default() }
}

impl TestService {
    async fn session_of(&self, key: &[u8]) -> Session {
        self.open(open(key)).await.session.unwrap()
    }

    async fn entries_of(&self, key: &[u8]) -> BTreeMap<String, String> {
        json_entries(self.session_of(key).await)
    }

    async fn destroy_key(&self, key: &[u8]) -> DestroySessionResponse {
        self.try_destroy(destroy(key)).await.unwrap()
    }
}

/// The reason of the null session that an open answered.
fn null_reason(opened: &OpenSessionResponse) -> &str {
    let session = opened.session.as_ref().unwrap();
    assert!(session.entries.is_empty() && session.id.is_empty() && !session.new);
    &session.null_session.as_ref().unwrap().reason
}
