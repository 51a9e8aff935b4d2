//! No credential is ever tried as one of another kind of app.

use cloakroom::grpc::wire::{
    Changes, CookieAttributes, ExplainCredentialRequest, OpenSessionRequest, RotateSessionRequest, WatchSessionRequest,
    destroy_session_request, explain_credential_request, open_session_request, rotate_session_request,
    save_session_request, watch_session_request,
};
use tonic::{Code, Status};

use super::*;
use crate::support::app_settings;
use crate::support::calls::{ChangesExt as _, reason, refused};
use crate::support::connect::Protocol;
use crate::support::sessions::SaveExt as _;

/// A credential, for the message of any RPC.
#[derive(Clone, Debug)]
enum Credential {
    Absent,
    Token(String),
    CookieHeader(String),
    Key(Vec<u8>),
}

macro_rules! credential {
    ($credential:expr, $message:ident) => {
        match $credential.clone() {
            Credential::Absent => None,
            Credential::Token(token) => Some($message::Credential::Token(token)),
            Credential::CookieHeader(header) => Some($message::Credential::CookieHeader(header)),
            Credential::Key(key) => Some($message::Credential::Key(key)),
        }
    };
}

impl TestService {
    /// Makes every call that takes a credential; each must fail.
    async fn refusals(&self, app: &str, credential: &Credential) -> Vec<(&'static str, Status)> {
        let app = app.to_owned();
        let open = OpenSessionRequest {
            app: app.clone(),
            credential: credential!(credential, open_session_request),
            ..Default::default()
        };
        let save = SaveSessionRequest {
            app: app.clone(),
            credential: credential!(credential, save_session_request),
            changes: Some(Changes::default().set("a", "2")),
            ..Default::default()
        };
        let unmodified = SaveSessionRequest { changes: None, ..save.clone() };
        let rotate = RotateSessionRequest {
            app: app.clone(),
            credential: credential!(credential, rotate_session_request),
            ..Default::default()
        };
        let destroy = DestroySessionRequest {
            app: app.clone(),
            credential: credential!(credential, destroy_session_request),
            ..Default::default()
        };
        let watch = WatchSessionRequest {
            app: app.clone(),
            credential: credential!(credential, watch_session_request),
            ..Default::default()
        };
        let explain = ExplainCredentialRequest {
            app,
            credential: credential!(credential, explain_credential_request),
            ..Default::default()
        };
        let watched = match self.try_watch(watch).await {
            Ok(mut answers) => refused(answers.message().await),
            Err(status) => status,
        };
        vec![
            ("open", refused(self.try_open(open).await)),
            ("save", refused(self.try_save(save).await)),
            ("unmodified save", refused(self.try_save(unmodified).await)),
            ("rotate", refused(self.try_rotate(rotate).await)),
            ("destroy", refused(self.try_destroy(destroy).await)),
            ("watch", watched),
            ("explain", refused(self.admin.clone().explain_credential(explain).await)),
        ]
    }
}

#[apply(on_every_store)]
async fn credentials_of_another_kind_are_refused_by_every_call(store: StoreKind) {
    let cookie = app::Settings { kind: KindSetting::Cookie, ..app_settings() };
    let apps = [("default", app_settings()), ("external", settings()), ("flask", cookie)];
    let mut service = TestService::with_apps(store, apps).await;
    let token = service.stored(&[("a", "1")]).await;
    let ticket = service.open_new().await.token;
    service
        .save(SaveSessionRequest {
            app: "external".to_owned(),
            ..save(token.as_bytes(), Changes::default().set("a", "1"))
        })
        .await;

    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        for (app, credential, says) in [
            ("external", Credential::Token(token.clone()), "set key instead"),
            ("external", Credential::Token(ticket.clone()), "set key instead"),
            ("external", Credential::Token(String::new()), "set key instead"),
            ("external", Credential::CookieHeader(format!("session={token}")), "set key instead"),
            ("external", Credential::CookieHeader(String::new()), "set key instead"),
            ("default", Credential::Key(token.clone().into_bytes()), "set cookie_header or token instead"),
            ("default", Credential::Key(ticket.clone().into_bytes()), "set cookie_header or token instead"),
            ("default", Credential::Key(Vec::new()), "set cookie_header or token instead"),
            ("flask", Credential::Key(KEY.to_vec()), "set cookie_header or token instead"),
        ] {
            for (call, status) in service.refusals(app, &credential).await {
                let context = format!("{call} of {app} with {credential:?}, {protocol:?}: {status:?}");
                if app == "flask" && ["rotate", "watch"].contains(&call) {
                    assert_eq!(reason(&status).1, "NOT_IN_COOKIE_KIND", "{context}");
                    continue;
                }
                let expected = (Code::FailedPrecondition, "CREDENTIAL_NOT_OF_KIND".to_owned());
                assert_eq!(reason(&status), expected, "{context}");
                assert!(status.message().contains(says), "{context}");
            }
        }
    }
    assert_eq!(service.entries(&token).await.len(), 1, "nothing was written");
}

#[tokio::test]
async fn a_key_of_a_wrong_length_is_refused_by_every_call() {
    let mut service = service(StoreKind::Memory).await;
    for protocol in Protocol::ALL {
        service.use_protocol(protocol).await;
        for (credential, says) in [
            (Credential::Absent, "key has 0 bytes and needs 16 to 256"),
            (Credential::Key(Vec::new()), "key has 0 bytes"),
            (Credential::Key(vec![1; 15]), "key has 15 bytes"),
            (Credential::Key(vec![1; 257]), "key has 257 bytes"),
        ] {
            for (call, status) in service.refusals("", &credential).await {
                let context = format!("{call} with {credential:?}, {protocol:?}: {status:?}");
                assert_eq!(reason(&status), (Code::InvalidArgument, "KEY_INVALID".to_owned()), "{context}");
                assert!(status.message().contains(says), "{context}");
            }
        }
    }
}

#[tokio::test]
async fn what_needs_tokens_is_refused_in_kind_external() {
    let service = service(StoreKind::Memory).await;
    service.save(save(KEY, Changes::default().set("a", "1"))).await;
    let credential = Some(rotate_session_request::Credential::Key(KEY.to_vec()));
    let cookie_name = || "sid".to_owned();
    let cookie_attributes = Some(CookieAttributes { secure: Some(true), ..Default::default() });

    let refusals = [
        ("RotateSession", refused(service.try_rotate(RotateSessionRequest { credential, ..Default::default() }).await)),
        ("rotate", refused(service.try_save(save(KEY, Changes::default()).rotate()).await)),
        (
            "cookie_name",
            refused(service.try_open(OpenSessionRequest { cookie_name: cookie_name(), ..open(KEY) }).await),
        ),
        (
            "cookie_name",
            refused(service.try_save(SaveSessionRequest { cookie_name: cookie_name(), ..save_unmodified(KEY) }).await),
        ),
        ("cookie_attributes", refused(service.try_open(OpenSessionRequest { cookie_attributes, ..open(KEY) }).await)),
    ];

    for (field, status) in refusals {
        assert_eq!(reason(&status), (Code::FailedPrecondition, "NOT_IN_EXTERNAL_KIND".to_owned()), "{field}");
        assert!(status.message().starts_with(&format!("{field}: ")), "{status:?}");
        assert!(status.message().contains("call DestroySession with the old one and SaveSession with the new one"));
    }
    assert_eq!(service.session_of(KEY).await.etag, "1");
}
