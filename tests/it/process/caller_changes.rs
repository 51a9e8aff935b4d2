//! Callers that go, or may less than before: their streams end as a new call would, and nobody else's do.

use cloakroom::auth::TokenHash;
use cloakroom::grpc::wire::admin_service_client::AdminServiceClient;
use cloakroom::grpc::wire::destroy_session_request::Credential as Ended;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::watch_session_request::Credential as Watched;
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, OpenSessionRequest, WatchEventsRequest, WatchEventsResponse, WatchSessionRequest,
    WatchSessionResponse, WatchState,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use super::child::{Process, soon};
use crate::support::calls::{ChangesExt as _, reason, refused, save};

/// A client that shows a caller token.
type PresentedToken = InterceptedService<Channel, Show>;

#[derive(Clone)]
struct Show(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Show {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

fn show(token: &str) -> Show {
    Show(format!("Bearer {token}").parse().unwrap())
}

/// A caller's table, with this role and this app, and its name as its token.
fn caller(name: &str, role: &str, app: &str) -> String {
    known_by(name, role, app, &[name])
}

fn known_by(name: &str, role: &str, app: &str, tokens: &[&str]) -> String {
    let hashes: Vec<_> = tokens.iter().map(|token| TokenHash::of(token.as_bytes()).to_string()).collect();
    format!("[callers.{name}]\nroles = ['{role}']\napps = ['{app}']\ntoken_hashes = {hashes:?}\n")
}

/// A configuration with these callers, beside one that always stays.
fn config(callers: &[String]) -> String {
    let base = "[store]\nkind = 'memory'\n[reload]\npoll_interval = '0s'\n[apps.default]\n[apps.other]\n";
    format!("{base}{}{}", caller("stays", "frontend", "*"), callers.concat())
}

/// A process, and what it was told to do so far.
struct TestService {
    process: Process,
    reloads: usize,
}

impl TestService {
    async fn start(callers: &[String]) -> Self {
        Self { process: Process::start(&config(callers), &[], &[]).await, reloads: 0 }
    }

    /// Has it know these callers from now on.
    async fn know(&mut self, callers: &[String]) {
        self.reloads += 1;
        self.process.replace("cloakroom.toml", &config(callers));
        self.process.signal("-HUP");
        self.process.has_said("the configuration is reloaded", self.reloads).await;
    }

    fn frontend(&self, token: &str) -> SessionServiceClient<PresentedToken> {
        SessionServiceClient::with_interceptor(self.process.endpoint().connect_lazy(), show(token))
    }

    /// The token of a session that is stored.
    async fn stored(&self) -> String {
        let mut client = self.frontend("stays");
        let new = client.open_session(OpenSessionRequest::default()).await.unwrap().into_inner();
        let saved = client.save_session(save(&new.session.unwrap().token, Changes::default().set("a", "1"))).await;
        saved.unwrap().into_inner().session.unwrap().token
    }

    async fn log_out(&self, session: String) {
        let credential = Some(Ended::Token(session));
        let destroy = DestroySessionRequest { credential, ..Default::default() };
        self.frontend("stays").destroy_session(destroy).await.unwrap();
    }

    /// A watch of that session that has begun.
    async fn watch(&self, token: &str, session: &str) -> Streaming<WatchSessionResponse> {
        let watch = WatchSessionRequest { credential: Some(Watched::Token(session.to_owned())), ..Default::default() };
        let mut watch = self.frontend(token).watch_session(watch).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().state(), WatchState::Alive);
        watch
    }

    /// A stream of events that has begun.
    async fn events(&self, token: &str) -> Streaming<WatchEventsResponse> {
        let mut client =
            AdminServiceClient::with_interceptor(self.process.admin_endpoint().connect_lazy(), show(token));
        let mut events = client.watch_events(WatchEventsRequest::default()).await.unwrap().into_inner();
        assert!(events.message().await.unwrap().is_some());
        events
    }
}

/// What happens to the streams of `shop` and `desk`, by the callers of a new configuration.
fn changes() -> Vec<(&'static str, [String; 2], (Code, &'static str))> {
    let nobody = || String::new();
    vec![
        ("both are removed", [nobody(), nobody()], (Code::Unauthenticated, "CALLER_UNKNOWN")),
        (
            "both have other tokens",
            [known_by("shop", "frontend", "*", &["new-shop"]), known_by("desk", "admin", "*", &["new-desk"])],
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
async fn a_stream_ends_as_a_new_call_would_once_its_caller_may_not_call() {
    let before = [caller("shop", "frontend", "*"), caller("desk", "admin", "*")];
    let mut service = TestService::start(&before).await;
    let session = service.stored().await;
    let mut others = Vec::new();

    for (what, after, (code, why)) in changes() {
        let (mut watch, mut events) = (service.watch("shop", &session).await, service.events("desk").await);
        others.push(service.watch("stays", &session).await);

        service.know(&after).await;

        let watch = refused(soon(watch.message()).await);
        let events = refused(soon(events.message()).await);
        for ended in [watch, events] {
            assert_eq!(reason(&ended), (code, why.to_owned()), "{what}");
        }
        let again = service.frontend("shop").watch_session(WatchSessionRequest::default()).await;
        assert_eq!(reason(&refused(again)), (code, why.to_owned()), "{what}");
        service.know(&before).await;
    }

    service.log_out(session).await;
    for mut other in others {
        assert_eq!(soon(other.message()).await.unwrap().unwrap().state(), WatchState::Ended);
    }
}

#[tokio::test]
async fn a_stream_goes_on_while_its_caller_may_call() {
    let mut service = TestService::start(&[caller("shop", "frontend", "*"), caller("desk", "admin", "*")]).await;
    let session = service.stored().await;
    let (mut watch, mut events) = (service.watch("shop", &session).await, service.events("desk").await);

    // By another name, with a second token, with fewer apps: it may still do what it does.
    for tokens in [["shop", "next"], ["next", "shop"]] {
        let renamed = known_by("store", "frontend", "default", &tokens);
        service.know(&[renamed, caller("desk", "admin", "default")]).await;
    }
    service.log_out(session).await;

    assert_eq!(soon(watch.message()).await.unwrap().unwrap().state(), WatchState::Ended);
    assert!(soon(events.message()).await.unwrap().is_some());
}
