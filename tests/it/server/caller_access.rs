//! Who may call: every RPC of every service, on both listeners, by everybody who may not and by who may.
//!
//! The RPCs come from the descriptors. One that nobody has said who may call is refused to all, and fails here.

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

use super::support::authority::Hello;
use super::support::client::{Client, request};
use super::support::test_server::{settings, soon};
use super::support::tls_service::{Secured, caller, hash, token, uri};

/// An RPC as the descriptors have it.
struct Rpc {
    service: String,
    path: String,
    /// The number of the field that names the app.
    app_field: Option<u8>,
}

/// How callers show who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
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

/// Who may call the RPCs of a service. Of a new service this test has to be told.
fn wanted(service: &str) -> Option<Role> {
    match service {
        "cloakroom.v1.SessionService" => Some(Role::Frontend),
        "cloakroom.v1.AdminService" => Some(Role::Admin),
        "grpc.health.v1.Health"
        | "grpc.reflection.v1.ServerReflection"
        | "grpc.reflection.v1alpha.ServerReflection" => None,
        _ => panic!("say here who may call {service}"),
    }
}

/// Callers of the app `shop`, one with each role, and one of the app `desk` with each.
fn callers() -> BTreeMap<String, cloakroom::auth::CallerSettings> {
    let roles = [Role::Frontend, Role::Admin, Role::Monitor];
    roles.into_iter().flat_map(|role| ["shop", "desk"].map(|app| caller(&name(role, app), role, app))).collect()
}

fn name(role: Role, app: &str) -> String {
    format!("{}-{app}", role.as_str())
}

/// A message with the app's name in it.
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
    *call.uri_mut() = format!("http://test{path}").parse().unwrap();
    if let Some(token) = token {
        call.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    call
}

/// How an answer begins: with a refusal, or not.
async fn refusal(client: &Client, rpc: &Rpc, app: &str, token: Option<&str>) -> Option<(Code, String)> {
    let response = client.begin_message(call(&rpc.path, token), message(rpc, app)).await;
    let head = soon(response).await.unwrap();
    assert_eq!(head.status(), 200, "{}", rpc.path);
    let status = Status::from_header_map(head.headers())?;
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let refused = ["CALLER_UNKNOWN", "ROLE_MISSING", "APP_NOT_ALLOWED"].contains(&reason.as_str());
    refused.then(|| (status.code(), reason))
}

/// A service, and how its callers show themselves.
struct Door {
    service: Secured,
    by: Authority,
}

impl Door {
    /// What somebody of that name is refused; no name: somebody who shows nothing.
    async fn refusal(&self, at: SocketAddr, rpc: &Rpc, app: &str, name: Option<&str>) -> Option<(Code, String)> {
        let (authority, own) = (self.service.authority.pem(), name.map(|name| self.service.authority.sign(&uri(name))));
        let hello =
            Hello { shows: own.as_ref().filter(|_| self.by == Authority::Certificate), ..Hello::trusting(&authority) };
        let client = Client::over(hello.connect(at).await.unwrap()).await;
        let token = name.filter(|_| self.by == Authority::Token).map(token);
        refusal(&client, rpc, app, token.as_deref()).await
    }
}

fn told(code: Code, reason: &str) -> Option<(Code, String)> {
    Some((code, reason.to_owned()))
}

async fn everybody_tries_everything(by: Authority) {
    let door = Door { service: Secured::new(callers()).await, by };
    let unknown = || told(Code::Unauthenticated, "CALLER_UNKNOWN");
    let role_missing = || told(Code::PermissionDenied, "ROLE_MISSING");
    let all = rpcs();
    assert_eq!(all.len(), cloakroom::grpc::rpcs().len(), "the descriptors have all services");

    for (at, rpc) in
        [door.service.frontends, door.service.operators].into_iter().flat_map(|at| all.iter().map(move |rpc| (at, rpc)))
    {
        let tries = async |app: &str, name: Option<&str>| door.refusal(at, rpc, app, name).await;
        let Rpc { service, path, app_field } = rpc;
        let Some(role) = wanted(service) else {
            let stranger = if service == "grpc.health.v1.Health" { None } else { unknown() };
            assert_eq!(tries("", None).await, stranger, "{path}: nobody");
            assert_eq!(tries("", Some("stranger")).await, stranger, "{path}: a stranger");
            assert_eq!(tries("", Some("monitor-shop")).await, None, "{path}: any caller");
            continue;
        };
        assert!(app_field.is_some(), "{path}: which app is it about?");
        assert_eq!(tries("shop", None).await, unknown(), "{path}: nobody");
        assert_eq!(tries("shop", Some("stranger")).await, unknown(), "{path}: a stranger");
        for other in [Role::Frontend, Role::Admin, Role::Monitor].into_iter().filter(|other| *other != role) {
            assert_eq!(tries("shop", Some(&name(other, "shop"))).await, role_missing(), "{path}: {other:?}");
        }
        // Where the service is not served, nobody comes as far as to an app.
        let is_served = (role == Role::Frontend) == (at == door.service.frontends);
        let wrong_app = told(Code::PermissionDenied, "APP_NOT_ALLOWED").filter(|_| is_served);
        for app in ["desk", "default", "", "nowhere"] {
            assert_eq!(tries(app, Some(&name(role, "shop"))).await, wrong_app, "{path}: {app}");
        }
        assert_eq!(tries("shop", Some(&name(role, "desk"))).await, wrong_app, "{path}: another app's caller");
        assert_eq!(tries("shop", Some(&name(role, "shop"))).await, None, "{path}: the right caller");
    }
}

#[tokio::test]
async fn every_rpc_is_refused_to_all_tokens_but_the_right_one() {
    everybody_tries_everything(Authority::Token).await;
}

#[tokio::test]
async fn every_rpc_is_refused_to_all_certificates_but_the_right_one() {
    everybody_tries_everything(Authority::Certificate).await;
}

/// A client of frontends, on a connection that shows nothing by itself.
async fn shop_call(client: &Client, token: &str) -> Option<(Code, String)> {
    let all = rpcs();
    let rpc = all.iter().find(|rpc| rpc.path.ends_with("/GetAppPolicy")).unwrap();
    refusal(client, rpc, "shop", Some(token)).await
}

#[tokio::test]
async fn a_caller_changes_its_token_without_a_refused_call() {
    let (name, old_alone) = caller("shop", Role::Frontend, "shop");
    let known = |hashes: &[&str]| {
        let token_hashes = hashes.iter().map(|token| hash(token)).collect();
        let settings = cloakroom::auth::CallerSettings { token_hashes, ..old_alone.clone() };
        Callers::build(&BTreeMap::from([(name.clone(), settings)])).unwrap()
    };
    let service = Secured::new([(name.clone(), old_alone.clone())].into()).await;
    let client = service.client(service.frontends).await;
    let old = token("shop");
    let unknown = || told(Code::Unauthenticated, "CALLER_UNKNOWN");
    assert_eq!([shop_call(&client, &old).await, shop_call(&client, "new").await], [None, unknown()]);

    service.know(known(&[&old, "new"]));
    assert_eq!([shop_call(&client, &old).await, shop_call(&client, "new").await], [None, None]);

    service.know(known(&["new"]));
    assert_eq!([shop_call(&client, &old).await, shop_call(&client, "new").await], [unknown(), None]);
}

#[tokio::test]
async fn a_caller_that_is_dropped_is_unknown_on_the_connection_that_it_has() {
    let both = || BTreeMap::from([caller("shop", Role::Frontend, "shop"), caller("other", Role::Frontend, "shop")]);
    let service = Secured::new(both()).await;
    let (authority, own) = (service.authority.pem(), service.authority.sign(&uri("shop")));
    let hello = Hello { shows: Some(&own), ..Hello::trusting(&authority) };
    let client = Client::over(hello.connect(service.frontends).await.unwrap()).await;
    assert_eq!(shop_call(&client, "").await, None);

    let mut left = both();
    left.remove("shop");
    service.know(Callers::build(&left).unwrap());

    assert_eq!(shop_call(&client, "").await, told(Code::Unauthenticated, "CALLER_UNKNOWN"));
}

#[tokio::test]
async fn only_a_whole_bearer_token_is_one() {
    let service = Secured::new([caller("shop", Role::Frontend, "shop")].into()).await;
    let client = service.client(service.frontends).await;
    let right = token("shop");
    let call_with = async |value: &str| {
        let mut call = call("/cloakroom.v1.SessionService/GetAppPolicy", None);
        call.headers_mut().insert("authorization", value.parse().unwrap());
        let head =
            soon(client.begin_message(call, Bytes::from_static(b"\0\0\0\0\x06\x0a\x04shop")).await).await.unwrap();
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
async fn a_unix_socket_asks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let settings = Settings { unix_socket: Some(path.clone()), ..settings() };
    let _service = Secured::with([caller("shop", Role::Frontend, "shop")].into(), settings).await;

    let client = Client::over(UnixStream::connect(&path).await.unwrap()).await;

    assert_eq!(shop_call(&client, "wrong").await, None);
}

#[tokio::test]
async fn a_listener_for_strangers_is_opened_once_callers_are_known() {
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
async fn an_unknown_method_is_unknown_to_callers_alone() {
    let service = Secured::new([caller("shop", Role::Frontend, "shop")].into()).await;
    let client = service.client(service.frontends).await;
    let right = token("shop");
    let mut reasons = Vec::new();

    for (path, token) in [("/cloakroom.v1.SessionService/No", Some(right.as_str())), ("/no.Service/No", None)] {
        reasons.push(client.send(call(path, token), Bytes::new()).await.reason());
    }

    assert_eq!(reasons, ["METHOD_UNKNOWN", "CALLER_UNKNOWN"]);
}
