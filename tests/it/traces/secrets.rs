//! No secret in a span or a metric: marked secrets are sent through calls that succeed and fail, and all exported bytes are searched.

use cloakroom::grpc::wire::admin_service_client::AdminServiceClient;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, ListSessionsRequest, OpenSessionRequest, RequestContext, RotateSessionRequest,
    SaveSessionRequest, destroy_session_request, open_session_request, rotate_session_request, save_session_request,
};
use cloakroom::token::Key;
use tonic::Request;

use crate::process::child::Process;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie};
use crate::support::collector::Collector;
use crate::support::connect::{Protocol, Transport};

const ENTRY: &str = "mark-entry-value";
const ENTRY_NAME: &str = "mark-entry-name";
const SUBJECT: &str = "mark-subject";
const AGENT: &str = "mark-user-agent";
const REMOTE: &str = "203.0.113.77";
const COOKIE: &str = "mark-cookie";
const BEARER: &str = "mark-bearer";
const SESSION_KEY: &str = "mark-session-key-of-a-framework";
const REQUEST_ID: &str = "mark-request-id";
const APP: &str = "mark-app";

/// Adds every header with a secret that a caller can send.
fn with_headers<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let headers = [
        ("authorization", format!("Bearer {BEARER}")),
        ("cookie", format!("session={COOKIE}")),
        ("user-agent", AGENT.to_owned()),
        ("x-request-id", format!("not plain {BEARER}")),
        ("traceparent", format!("00-{BEARER}-01")),
        ("tracestate", format!("vendor={COOKIE}")),
    ];
    for (name, value) in headers {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// Makes calls of every kind, and returns the tokens.
async fn call_everything(process: &Process, protocol: Protocol) -> Vec<String> {
    let mut client =
        SessionServiceClient::new(Transport::connect(&format!("http://{}", process.listen()), protocol).await);
    let context = || Some(RequestContext { remote_address: REMOTE.to_owned(), user_agent: AGENT.to_owned() });
    let changes = || Changes::default().set(ENTRY_NAME, &format!("\"{ENTRY}\"")).subject(SUBJECT);
    let opened =
        client.open_session(with_headers(OpenSessionRequest { context: context(), ..Default::default() })).await;
    let ticket = opened.unwrap().into_inner().session.unwrap().token;
    let first =
        SaveSessionRequest { context: context(), request_id: REQUEST_ID.to_owned(), ..save(&ticket, changes()) };
    let token = client.save_session(with_headers(first)).await.unwrap().into_inner().session.unwrap().token;
    client.open_session(with_headers(open_cookie(&format!("session={token}; x={COOKIE}")))).await.unwrap();
    client.save_session(with_headers(save_cookie(&format!("session={COOKIE}"), changes()))).await.unwrap();
    for wrong in [
        save(&format!("v1.{ENTRY}"), changes()),
        save(&token, Changes::default().set("k", &format!("{{{ENTRY}"))),
        save(&token, Changes::default().increment(ENTRY_NAME, 1)),
        SaveSessionRequest { etag: COOKIE.to_owned(), ..save(&token, changes()) },
        SaveSessionRequest { app: APP.to_owned(), ..save(&token, changes()) },
    ] {
        client.save_session(with_headers(wrong)).await.err().unwrap();
    }
    let rotate = RotateSessionRequest {
        credential: Some(rotate_session_request::Credential::Token(token.clone())),
        cause: 1,
        ..Default::default()
    };
    let rotated = client.rotate_session(with_headers(rotate)).await.unwrap().into_inner();
    let new_token = rotated.session.map(|session| session.token).unwrap_or_default();
    let key = || SESSION_KEY.into();
    let save_key = SaveSessionRequest {
        app: "framework".to_owned(),
        credential: Some(save_session_request::Credential::Key(key())),
        changes: Some(changes()),
        ..Default::default()
    };
    client.save_session(with_headers(save_key)).await.unwrap();
    let open_key = OpenSessionRequest {
        app: "framework".to_owned(),
        credential: Some(open_session_request::Credential::Key(key())),
        ..Default::default()
    };
    client.open_session(with_headers(open_key)).await.unwrap();
    let mut admin =
        AdminServiceClient::new(Transport::connect(&format!("http://{}", process.admin_address()), protocol).await);
    let list = ListSessionsRequest { subject: SUBJECT.to_owned(), ..Default::default() };
    admin.list_sessions(with_headers(list)).await.unwrap();
    let destroy = DestroySessionRequest {
        credential: Some(destroy_session_request::Credential::Token(token.clone())),
        ..Default::default()
    };
    client.destroy_session(with_headers(destroy)).await.unwrap();
    vec![ticket, token, new_token]
}

#[tokio::test]
async fn no_exported_byte_is_of_a_token_a_cookie_an_entry_or_a_subject() {
    let (collector, key) = (Collector::start().await, Key::generate());
    let config = format!(
        "[store]\nkind = \"memory\"\n[apps.default]\nkeys = [{key:?}]\n[apps.framework]\nkind = \"external\"\n[traces]\n\
         endpoint = {0:?}\nsample_ratio = 1\n[metrics]\nendpoint = {0:?}\n",
        collector.url()
    );
    let mut process = Process::start(&config, &[], &[]).await;

    let mut secrets = Vec::new();
    for protocol in Protocol::ALL {
        secrets.extend(call_everything(&process, protocol).await);
    }
    process.signal("-TERM");
    assert!(process.await_exit().await.success());

    let parts = secrets.iter().flat_map(|token| token.rsplit('.').take(2)).filter(|part| part.len() > 8);
    let marks = [ENTRY, ENTRY_NAME, SUBJECT, AGENT, REMOTE, COOKIE, BEARER, SESSION_KEY, REQUEST_ID, APP, &key];
    let exported = [collector.bytes(), format!("{:?}", collector.headers()).into_bytes()].concat();
    assert_eq!(collector.exports().len(), 1);
    assert!(collector.spans().len() >= Protocol::ALL.len() * 16, "{}", collector.spans().len());
    for secret in parts.chain(marks) {
        let found = exported.windows(secret.len()).position(|bytes| bytes == secret.as_bytes());
        assert_eq!(found, None, "`{secret}` was exported");
    }
}
