//! Access of callers: every RPC on both listeners, with the right caller and with every wrong one.
//!
//! The RPCs are read from the descriptors, so the test fails for an RPC of a service without a role.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use cloakroom::auth::{Callers, Role};
use cloakroom::grpc::wire;
use cloakroom::server::{AdminSettings, Settings};
use http::Request;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tokio::net::UnixStream;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::support::authority::TlsClient;
use super::support::client::{Client, request};
use super::support::test_server::{settings, with_timeout};
use super::support::tls_service::{TlsService, caller, hash, token, uri};

/// An RPC in the descriptors.
struct Rpc {
    service: String,
    path: String,
    /// The number of the field that names the app.
    app_field: Option<u8>,
}

/// The credential of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CredentialKind {
    Token,
    Certificate,
}

fn rpcs() -> Vec<Rpc> {
    let sets = [
        wire::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files: Vec<_> = sets.iter().flat_map(|set| FileDescriptorSet::decode(*set).unwrap().file).collect();
    let messages: BTreeMap<String, &DescriptorProto> = files
        .iter()
        .flat_map(|file| {
            file.message_type.iter().map(|message| (format!(".{}.{}", file.package(), message.name()), message))
        })
        .collect();
    let app_field = |message: &str| {
        let field = messages[message].field.iter().find(|field| field.name() == "app")?;
        u8::try_from(field.number()).ok()
    };
    let services =
        files.iter().flat_map(|file| file.service.iter().map(|service| (file.package().to_owned(), service)));
    let rpcs = services.flat_map(|(package, service)| {
        service.method.iter().map(move |method| {
            let service = format!("{package}.{}", service.name());
            let path = format!("/{service}/{}", method.name());
            Rpc { service, path, app_field: app_field(method.input_type()) }
        })
    });
    rpcs.collect()
}

/// Returns the role that may call a service; `None` if any caller may. A new service has to be added here.
fn required_role(service: &str) -> Option<Role> {
    match service {
        "cloakroom.v1.SessionService" => Some(Role::Frontend),
        "cloakroom.v1.AdminService" => Some(Role::Admin),
        "grpc.health.v1.Health"
        | "grpc.reflection.v1.ServerReflection"
        | "grpc.reflection.v1alpha.ServerReflection" => None,
        _ => panic!("add the role that may call {service}"),
    }
}

/// Returns a caller of each role for each of the apps `shop` and `desk`.
fn callers() -> BTreeMap<String, cloakroom::auth::CallerSettings> {
    let roles = [Role::Frontend, Role::Admin, Role::Monitor];
    roles.into_iter().flat_map(|role| ["shop", "desk"].map(|app| caller(&name(role, app), role, app))).collect()
}

fn name(role: Role, app: &str) -> String {
    format!("{}-{app}", role.as_str())
}

/// Builds a message with the name of the app.
fn message(rpc: &Rpc, app: &str) -> Bytes {
    let mut message = BytesMut::new();
    if let Some(field) = rpc.app_field {
        message.put_slice(&[field << 3 | 2, u8::try_from(app.len()).unwrap()]);
        message.put_slice(app.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put(message);
    framed.freeze()
}

fn call(path: &str, token: Option<&str>) -> Request<()> {
    let mut call = request("");
    *call.uri_mut() = format!("http://localhost{path}").parse().unwrap();
    if let Some(token) = token {
        call.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    call
}

/// Calls an RPC; returns code and reason if access is refused.
async fn refusal(client: &Client, rpc: &Rpc, app: &str, token: Option<&str>) -> Option<(Code, String)> {
    let response = client.begin_message(call(&rpc.path, token), message(rpc, app)).await;
    let head = with_timeout(response).await.unwrap();
    assert_eq!(head.status(), 200, "{}", rpc.path);
    let status = Status::from_header_map(head.headers())?;
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let refused = ["CALLER_UNKNOWN", "ROLE_MISSING", "APP_NOT_ALLOWED"].contains(&reason.as_str());
    refused.then(|| (status.code(), reason))
}

/// A service, and the credential of its callers.
struct Access {
    service: TlsService,
    credential: CredentialKind,
}

impl Access {
    /// Calls as the caller of this name, or without a credential; returns the refusal.
    async fn refusal(&self, at: SocketAddr, rpc: &Rpc, app: &str, name: Option<&str>) -> Option<(Code, String)> {
        let (authority, own) = (self.service.authority.pem(), name.map(|name| self.service.authority.sign(&uri(name))));
        let tls_client = TlsClient {
            identity: own.as_ref().filter(|_| self.credential == CredentialKind::Certificate),
            ..TlsClient::trusting(&authority)
        };
        let client = Client::over(tls_client.connect(at).await.unwrap()).await;
        let token = name.filter(|_| self.credential == CredentialKind::Token).map(token);
        refusal(&client, rpc, app, token.as_deref()).await
    }
}

fn refused_with(code: Code, reason: &str) -> Option<(Code, String)> {
    Some((code, reason.to_owned()))
}

async fn check_every_rpc(credential: CredentialKind) {
    let access = Access { service: TlsService::new(callers()).await, credential };
    let unknown = || refused_with(Code::Unauthenticated, "CALLER_UNKNOWN");
    let role_missing = || refused_with(Code::PermissionDenied, "ROLE_MISSING");
    let all = rpcs();
    assert_eq!(all.len(), cloakroom::grpc::rpcs().len(), "the descriptors have all services");

    for (at, rpc) in [access.service.frontends, access.service.operators]
        .into_iter()
        .flat_map(|at| all.iter().map(move |rpc| (at, rpc)))
    {
        let call = async |app: &str, name: Option<&str>| access.refusal(at, rpc, app, name).await;
        let Rpc { service, path, app_field } = rpc;
        let Some(role) = required_role(service) else {
            let refused = if service == "grpc.health.v1.Health" { None } else { unknown() };
            assert_eq!(call("", None).await, refused, "{path}: no credential");
            assert_eq!(call("", Some("stranger")).await, refused, "{path}: a stranger");
            assert_eq!(call("", Some("monitor-shop")).await, None, "{path}: any caller");
            continue;
        };
        assert!(app_field.is_some(), "{path} has no field `app`");
        assert_eq!(call("shop", None).await, unknown(), "{path}: no credential");
        assert_eq!(call("shop", Some("stranger")).await, unknown(), "{path}: a stranger");
        for other in [Role::Frontend, Role::Admin, Role::Monitor].into_iter().filter(|other| *other != role) {
            assert_eq!(call("shop", Some(&name(other, "shop"))).await, role_missing(), "{path}: {other:?}");
        }
        // A listener without this service answers before the app is checked.
        let is_served = (role == Role::Frontend) == (at == access.service.frontends);
        let wrong_app = refused_with(Code::PermissionDenied, "APP_NOT_ALLOWED").filter(|_| is_served);
        for app in ["desk", "default", "", "nowhere"] {
            assert_eq!(call(app, Some(&name(role, "shop"))).await, wrong_app, "{path}: {app}");
        }
        assert_eq!(call("shop", Some(&name(role, "desk"))).await, wrong_app, "{path}: another app's caller");
        assert_eq!(call("shop", Some(&name(role, "shop"))).await, None, "{path}: the right caller");
    }
}

#[tokio::test]
async fn every_rpc_is_refused_without_the_right_token() {
    check_every_rpc(CredentialKind::Token).await;
}

#[tokio::test]
async fn every_rpc_is_refused_without_the_right_certificate() {
    check_every_rpc(CredentialKind::Certificate).await;
}

/// Calls GetAppPolicy of the app `shop` with a token; returns the refusal.
async fn shop_call(client: &Client, token: &str) -> Option<(Code, String)> {
    let all = rpcs();
    let rpc = all.iter().find(|rpc| rpc.path.ends_with("/GetAppPolicy")).unwrap();
    refusal(client, rpc, "shop", Some(token)).await
}

#[tokio::test]
async fn a_caller_can_change_its_token_without_a_refused_call() {
    let (name, old_alone) = caller("shop", Role::Frontend, "shop");
    let known = |hashes: &[&str]| {
        let token_hashes = hashes.iter().map(|token| hash(token)).collect();
        let settings = cloakroom::auth::CallerSettings { token_hashes, ..old_alone.clone() };
        Callers::build(&BTreeMap::from([(name.clone(), settings)])).unwrap()
    };
    let service = TlsService::new([(name.clone(), old_alone.clone())].into()).await;
    let client = service.client(service.frontends).await;
    let old = token("shop");
    let unknown = || refused_with(Code::Unauthenticated, "CALLER_UNKNOWN");
    assert_eq!([shop_call(&client, &old).await, shop_call(&client, "new").await], [None, unknown()]);

    service.set_callers(known(&[&old, "new"]));
    assert_eq!([shop_call(&client, &old).await, shop_call(&client, "new").await], [None, None]);

    service.set_callers(known(&["new"]));
    assert_eq!([shop_call(&client, &old).await, shop_call(&client, "new").await], [unknown(), None]);
}

#[tokio::test]
async fn a_removed_caller_is_unknown_on_its_open_connection() {
    let both = || BTreeMap::from([caller("shop", Role::Frontend, "shop"), caller("other", Role::Frontend, "shop")]);
    let service = TlsService::new(both()).await;
    let (authority, own) = (service.authority.pem(), service.authority.sign(&uri("shop")));
    let tls_client = TlsClient { identity: Some(&own), ..TlsClient::trusting(&authority) };
    let client = Client::over(tls_client.connect(service.frontends).await.unwrap()).await;
    assert_eq!(shop_call(&client, "").await, None);

    let mut remaining = both();
    remaining.remove("shop");
    service.set_callers(Callers::build(&remaining).unwrap());

    assert_eq!(shop_call(&client, "").await, refused_with(Code::Unauthenticated, "CALLER_UNKNOWN"));
}

#[tokio::test]
async fn only_a_complete_bearer_token_is_accepted() {
    let service = TlsService::new([caller("shop", Role::Frontend, "shop")].into()).await;
    let client = service.client(service.frontends).await;
    let right = token("shop");
    let call_with = async |value: &str| {
        let mut call = call("/cloakroom.v1.SessionService/GetAppPolicy", None);
        call.headers_mut().insert("authorization", value.parse().unwrap());
        let head = with_timeout(client.begin_message(call, Bytes::from_static(b"\0\0\0\0\x06\x0a\x04shop")).await)
            .await
            .unwrap();
        Status::from_header_map(head.headers()).is_none_or(|status| status.code() != Code::Unauthenticated)
    };

    for scheme in ["Bearer", "bearer", "BEARER"] {
        assert!(call_with(&format!("{scheme} {right}")).await, "{scheme}");
    }
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        &right,
        &format!("Basic {right}"),
        &format!("Bearer  {right}"),
        &format!("Bearer {right}x"),
    ] {
        assert!(!call_with(wrong).await, "{wrong}");
    }
    assert!(!call_with(&format!("Bearer {}", "x".repeat(10_000))).await);
}

#[tokio::test]
async fn a_unix_socket_needs_no_credential() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let settings = Settings { unix_socket: Some(path.clone()), ..settings() };
    let _service = TlsService::with([caller("shop", Role::Frontend, "shop")].into(), settings).await;

    let client = Client::over(UnixStream::connect(&path).await.unwrap()).await;

    assert_eq!(shop_call(&client, "wrong").await, None);
}

#[tokio::test]
async fn a_listener_beyond_loopback_is_allowed_with_callers() {
    let everywhere = "0.0.0.0:0".parse().ok();
    let known = Callers::build(&BTreeMap::from([caller("shop", Role::Frontend, "shop")])).unwrap();
    let (server, admin) =
        (Settings { listen: everywhere, ..settings() }, AdminSettings { listen: everywhere, ..Default::default() });

    let refused = [server.check(&Callers::default()), admin.check(&server, &Callers::default())];

    for refused in refused {
        let words = refused.unwrap_err().to_string();
        assert!(words.starts_with("listen: 0.0.0.0:0 is open") && words.contains("[callers]"), "{words}");
    }
    assert_eq!((server.check(&known), admin.check(&server, &known)), (Ok(()), Ok(())));
}

#[tokio::test]
async fn an_unknown_method_is_reported_only_to_callers() {
    let service = TlsService::new([caller("shop", Role::Frontend, "shop")].into()).await;
    let client = service.client(service.frontends).await;
    let right = token("shop");
    let mut reasons = Vec::new();

    for (path, token) in [("/cloakroom.v1.SessionService/No", Some(right.as_str())), ("/no.Service/No", None)] {
        reasons.push(client.send(call(path, token), Bytes::new()).await.reason());
    }

    assert_eq!(reasons, ["METHOD_UNKNOWN", "CALLER_UNKNOWN"]);
}
