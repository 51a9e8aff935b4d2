//! Callers that are removed or restricted: their streams end with the error of a new call, and no others end.

use cloakroom::auth::TokenHash;
use cloakroom::grpc::wire::admin_service_client::AdminServiceClient;
use cloakroom::grpc::wire::destroy_session_request::Credential as Ended;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::watch_session_request::Credential as Watched;
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, ExportSessionsRequest, OpenSessionRequest, WatchEventsRequest, WatchEventsResponse,
    WatchSessionRequest, WatchSessionResponse, WatchState,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::child::{Process, with_timeout};
use crate::support::calls::{ChangesExt as _, reason, refused, save};

/// A channel that sends a caller's token.
type AuthorizedChannel = InterceptedService<Channel, BearerToken>;

#[derive(Clone)]
struct BearerToken(MetadataValue<Ascii>);

impl tonic::service::Interceptor for BearerToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

fn bearer_token(token: &str) -> BearerToken {
    BearerToken(format!("Bearer {token}").parse().unwrap())
}

/// Returns the configuration of a caller whose token is its name.
fn caller(name: &str, role: &str, app: &str) -> String {
    caller_with_tokens(name, role, app, &[name])
}

fn caller_with_tokens(name: &str, role: &str, app: &str, tokens: &[&str]) -> String {
    let hashes: Vec<_> = tokens.iter().map(|token| TokenHash::of(token.as_bytes()).to_string()).collect();
    format!("[callers.{name}]\nroles = ['{role}']\napps = ['{app}']\ntoken_hashes = {hashes:?}\n")
}

/// Returns a configuration with these callers, and with one that is never changed.
fn config(callers: &[String]) -> String {
    let base = "[store]\nkind = 'memory'\n[reload]\npoll_interval = '0s'\n[apps.default]\n[apps.other]\n";
    format!("{base}{}{}", caller("unchanged", "frontend", "*"), callers.concat())
}

/// A process, and how often it was reloaded.
struct ReloadedProcess {
    process: Process,
    reloads: usize,
}

impl ReloadedProcess {
    async fn start(callers: &[String]) -> Self {
        Self { process: Process::start(&config(callers), &[], &[]).await, reloads: 0 }
    }

    /// Reloads it with these callers.
    async fn set_callers(&mut self, callers: &[String]) {
        self.reloads += 1;
        self.process.replace("cloakroom.toml", &config(callers));
        self.process.signal("-HUP");
        self.process.await_output("the configuration is reloaded", self.reloads).await;
    }

    fn frontend(&self, token: &str) -> SessionServiceClient<AuthorizedChannel> {
        SessionServiceClient::with_interceptor(self.process.endpoint().connect_lazy(), bearer_token(token))
    }

    /// Stores a session and returns its token.
    async fn stored(&self) -> String {
        let mut client = self.frontend("unchanged");
        let new = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner();
        let saved = client.save_session(save(&new.session.unwrap().token, Changes::default().set("a", "1"))).await;
        saved.unwrap().into_inner().session.unwrap().token
    }

    async fn log_out(&self, session: String) {
        let credential = Some(Ended::Token(session));
        let destroy = DestroySessionRequest { credential, ..Default::default() };
        self.frontend("unchanged").destroy_session(destroy).await.unwrap();
    }

    /// Starts a watch of a session.
    async fn watch(&self, token: &str, session: &str) -> Streaming<WatchSessionResponse> {
        let watch = WatchSessionRequest { credential: Some(Watched::Token(session.to_owned())), ..Default::default() };
        let mut watch = self.frontend(token).watch_session(watch).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().state(), WatchState::Alive);
        watch
    }

    /// Starts a stream of events.
    async fn events(&self, token: &str) -> Streaming<WatchEventsResponse> {
        let mut client =
            AdminServiceClient::with_interceptor(self.process.admin_endpoint().connect_lazy(), bearer_token(token));
        let mut events = client.watch_events(WatchEventsRequest::default()).await.unwrap().into_inner();
        assert!(events.message().await.unwrap().is_some());
        events
    }
}

#[tokio::test]
async fn an_export_ends_when_its_caller_is_removed() {
    let nightly = caller("nightly", "backup", "*");
    let mut process = ReloadedProcess::start(&[nightly]).await;
    let mut frontend = process.frontend("unchanged");
    // Together more than any connection buffers.
    let large = format!("\"{}\"", "x".repeat(60_000));
    for _ in 0..400 {
        let new = frontend.open_session(OpenSessionRequest::default()).await.unwrap().into_inner().session.unwrap();
        frontend.save_session(save(&new.token, Changes::default().set("a", &large))).await.unwrap();
    }
    let channel = process.process.admin_endpoint().connect_lazy();
    let mut admin = AdminServiceClient::with_interceptor(channel, bearer_token("nightly"));
    let mut export = admin.export_sessions(ExportSessionsRequest::default()).await.unwrap().into_inner();
    assert!(export.message().await.unwrap().is_some());

    process.set_callers(&[]).await;

    let end = async {
        loop {
            match export.message().await {
                Ok(Some(_)) => {}
                end => return end.map(drop),
            }
        }
    };
    let status = refused(with_timeout(end).await);
    assert_eq!(reason(&status), (Code::Unauthenticated, "CALLER_UNKNOWN".to_owned()));
}

/// Returns new configurations of the callers `shop` and `desk`, and the error that ends their streams.
fn changes() -> Vec<(&'static str, [String; 2], (Code, &'static str))> {
    vec![
        ("both are removed", [String::new(), String::new()], (Code::Unauthenticated, "CALLER_UNKNOWN")),
        (
            "both have other tokens",
            [
                caller_with_tokens("shop", "frontend", "*", &["new-shop"]),
                caller_with_tokens("desk", "admin", "*", &["new-desk"]),
            ],
            (Code::Unauthenticated, "CALLER_UNKNOWN"),
        ),
        (
            "both have other roles",
            [caller("shop", "monitor", "*"), caller("desk", "frontend", "*")],
            (Code::PermissionDenied, "ROLE_MISSING"),
        ),
        (
            "both have other apps",
            [caller("shop", "frontend", "other"), caller("desk", "admin", "other")],
            (Code::PermissionDenied, "APP_NOT_ALLOWED"),
        ),
    ]
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_loses_access() {
    let before = [caller("shop", "frontend", "*"), caller("desk", "admin", "*")];
    let mut service = ReloadedProcess::start(&before).await;
    let session = service.stored().await;
    let mut others = Vec::new();

    for (change, after, (code, expected)) in changes() {
        let (mut watch, mut events) = (service.watch("shop", &session).await, service.events("desk").await);
        others.push(service.watch("unchanged", &session).await);

        service.set_callers(&after).await;

        let watch = refused(with_timeout(watch.message()).await);
        let events = refused(with_timeout(events.message()).await);
        for ended in [watch, events] {
            assert_eq!(reason(&ended), (code, expected.to_owned()), "{change}");
        }
        let again = service.frontend("shop").watch_session(WatchSessionRequest::default()).await;
        assert_eq!(reason(&refused(again)), (code, expected.to_owned()), "{change}");
        service.set_callers(&before).await;
    }

    service.log_out(session).await;
    for mut other in others {
        assert_eq!(with_timeout(other.message()).await.unwrap().unwrap().state(), WatchState::Ended);
    }
}

#[tokio::test]
async fn a_stream_continues_while_its_caller_has_access() {
    let mut service = ReloadedProcess::start(&[caller("shop", "frontend", "*"), caller("desk", "admin", "*")]).await;
    let session = service.stored().await;
    let (mut watch, mut events) = (service.watch("shop", &session).await, service.events("desk").await);

    // Another name, a second token and fewer apps do not take away the access that the stream needs.
    for tokens in [["shop", "next"], ["next", "shop"]] {
        let renamed = caller_with_tokens("store", "frontend", "default", &tokens);
        service.set_callers(&[renamed, caller("desk", "admin", "default")]).await;
    }
    service.log_out(session).await;

    assert_eq!(with_timeout(watch.message()).await.unwrap().unwrap().state(), WatchState::Ended);
    assert!(with_timeout(events.message()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_reload_that_takes_the_last_caller_out_says_that_everybody_may_call() {
    let polled = "[store]\nkind = 'memory'\n[reload]\npoll_interval = '20ms'\n";
    let with_caller = format!("{polled}{}", caller("shop", "frontend", "*"));
    let process = Process::start(&with_caller, &[], &[]).await;
    assert!(!process.output().contains("OPEN"));

    process.replace("cloakroom.toml", polled);

    let line = process.await_log_line("OPEN to every program").await;
    assert_eq!(line["level"], "WARN");
    for name in ["server.listen", "admin.listen"] {
        assert!(line[name].as_str().unwrap().starts_with(&process.listen().ip().to_string()), "{line}");
    }
    process.client().open_session(OpenSessionRequest::default()).await.unwrap();
}
