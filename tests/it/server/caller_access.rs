//! Access of callers: every RPC on both listeners by each protocol, with the right caller and with every wrong one.
//!
//! The RPCs are read from the descriptors, so the test fails for an RPC of a service without a role.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use cloakroom::auth::{Callers, Role};
use cloakroom::grpc::envoy::service::auth::v3::check_response::HttpResponse;
use cloakroom::grpc::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use cloakroom::grpc::wire;
use cloakroom::server::{AdminSettings, Settings};
use http::Request;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tokio::net::UnixStream;
use tonic::codegen::BoxFuture;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::support::client::{Client, request};
use super::support::test_server::{settings, with_timeout};
use super::support::tls_service::{TlsService, caller, hash, token, uri};
use crate::support::authority::TlsClient;
use crate::support::connect::{self, Codec, ConnectTransport, HttpVersion, Io, Protocol, Target};

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

/// Returns the roles that may call an RPC; `None` if any caller may. A new service has to be added here.
fn allowed_roles(rpc: &Rpc) -> Option<&'static [Role]> {
    match rpc.service.as_str() {
        "cloakroom.v1.SessionService" => Some(&[Role::Frontend]),
        "cloakroom.v1.AdminService" if rpc.path.contains("/Revoke") => Some(&[Role::Admin]),
        "cloakroom.v1.AdminService" if rpc.path.ends_with("/MigrateStore") => Some(&[Role::Admin]),
        "cloakroom.v1.AdminService" if rpc.path.ends_with("/ExportSessions") => Some(&[Role::Backup]),
        "cloakroom.v1.AdminService" => Some(&[Role::Admin, Role::Viewer]),
        "grpc.health.v1.Health"
        | "grpc.reflection.v1.ServerReflection"
        | "grpc.reflection.v1alpha.ServerReflection" => None,
        service => panic!("add the roles that may call {service}"),
    }
}

/// The RPCs whose responses contain what the caller may see, and nothing else; or that are for callers of all apps.
const OF_NO_APP: [&str; 4] = [
    "/cloakroom.v1.AdminService/ListApps",
    "/cloakroom.v1.AdminService/GetServiceInfo",
    "/cloakroom.v1.AdminService/ExportSessions",
    "/cloakroom.v1.AdminService/MigrateStore",
];

const ROLES: [Role; 5] = [Role::Frontend, Role::Admin, Role::Viewer, Role::Monitor, Role::Backup];

/// Returns a caller of each role for each of the apps `shop` and `desk`. The role `backup` is for all apps only.
fn callers() -> BTreeMap<String, cloakroom::auth::CallerSettings> {
    let apps = |role, app| if role == Role::Backup { "*" } else { app };
    let callers = |role| ["shop", "desk"].map(|app| caller(&name(role, app), role, apps(role, app)));
    ROLES.into_iter().flat_map(callers).collect()
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
    clients: Mutex<HashMap<ClientKey, Arc<AnyClient>>>,
    protocol: Protocol,
}

/// Where a client is connected to, and the caller in its certificate.
type ClientKey = (SocketAddr, Option<String>);

/// A client of either protocol.
enum AnyClient {
    Grpc(Client),
    Connect(Box<ConnectTransport>, Codec),
}

impl Access {
    /// Calls as the caller of this name, or without a credential; returns the refusal.
    async fn refusal(&self, at: SocketAddr, rpc: &Rpc, app: &str, name: Option<&str>) -> Option<(Code, String)> {
        let with_certificate = name.filter(|_| self.credential == CredentialKind::Certificate);
        let client = self.client(at, with_certificate).await;
        let token = name.filter(|_| self.credential == CredentialKind::Token).map(token);
        match &*client {
            AnyClient::Grpc(client) => refusal(client, rpc, app, token.as_deref()).await,
            AnyClient::Connect(client, codec) => {
                with_timeout(connect_refusal(client, *codec, rpc, app, token.as_deref())).await
            }
        }
    }

    /// Returns a client with the certificate of this name.
    async fn client(&self, at: SocketAddr, name: Option<&str>) -> Arc<AnyClient> {
        let key = (at, name.map(str::to_owned));
        if let Some(client) = self.clients.lock().get(&key) {
            return Arc::clone(client);
        }
        let authority = self.service.authority.pem();
        let identity = name.map(|name| self.service.authority.sign(&uri(name)));
        let alpn: &[&str] =
            if let Protocol::Connect(_, HttpVersion::Http1) = self.protocol { &["http/1.1"] } else { &["h2"] };
        let connect = move || {
            let (authority, identity) = (authority.clone(), identity.clone());
            async move {
                let tls_client = TlsClient { identity: identity.as_ref(), alpn, ..TlsClient::trusting(&authority) };
                tls_client.connect(at).await
            }
        };
        let client = match self.protocol {
            Protocol::Grpc => AnyClient::Grpc(Client::over(connect().await.unwrap()).await),
            Protocol::Connect(codec, version) => {
                let boxed = move || {
                    let stream = connect();
                    Box::pin(async { Ok(Box::new(stream.await?) as Box<dyn Io>) }) as BoxFuture<_, _>
                };
                let target = Target::Custom(Arc::new(boxed));
                AnyClient::Connect(Box::new(ConnectTransport::new(target, codec, version)), codec)
            }
        };
        let client = Arc::new(client);
        self.clients.lock().insert(key, Arc::clone(&client));
        client
    }
}

/// Calls an RPC by the Connect protocol; returns code and reason if access is refused.
async fn connect_refusal(
    client: &ConnectTransport,
    codec: Codec,
    rpc: &Rpc,
    app: &str,
    token: Option<&str>,
) -> Option<(Code, String)> {
    let is_stream = connect::rpc(&rpc.path).unwrap().is_server_streaming();
    let message = match codec {
        Codec::Proto => message(rpc, app).slice(5..),
        Codec::Json if rpc.app_field.is_some() => format!("{{\"app\":\"{app}\"}}").into(),
        Codec::Json => Bytes::from_static(b"{}"),
    };
    let message = if is_stream { connect::envelope(&message) } else { message };
    let mut call = Request::post(format!("http://localhost{}", rpc.path));
    call = call.header("content-type", connect::content_type(is_stream, codec));
    if let Some(token) = token {
        call = call.header("authorization", format!("Bearer {token}"));
    }
    let response = client.begin(call.body(message).unwrap()).await;
    let reason = response.headers().get("cloakroom-reason")?.to_str().unwrap().to_owned();
    let http_status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let status = if is_stream {
        let (flag, end) = connect::take(&mut BytesMut::from(&*body)).unwrap();
        assert_eq!((flag, http_status), (2, 200), "{}", rpc.path);
        connect::status(&serde_json::from_slice::<serde_json::Value>(&end).unwrap()["error"])
    } else {
        connect::status(&serde_json::from_slice(&body).unwrap())
    };
    assert_eq!(status.get_details_error_info().unwrap().reason, reason, "{}", rpc.path);
    let refused = ["CALLER_UNKNOWN", "ROLE_MISSING", "APP_NOT_ALLOWED"].contains(&reason.as_str());
    if refused && !is_stream {
        assert_eq!(http_status, if status.code() == Code::Unauthenticated { 401 } else { 403 }, "{}", rpc.path);
    }
    refused.then(|| (status.code(), reason))
}

fn refused_with(code: Code, reason: &str) -> Option<(Code, String)> {
    Some((code, reason.to_owned()))
}

async fn check_every_rpc(credential: CredentialKind, protocol: Protocol) {
    let service = TlsService::new(callers()).await;
    let access = Access { service, credential, clients: Mutex::default(), protocol };
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
        let Some(allowed) = allowed_roles(rpc) else {
            let refused = if service == "grpc.health.v1.Health" { None } else { unknown() };
            assert_eq!(call("", None).await, refused, "{path}: no credential");
            assert_eq!(call("", Some("unknown")).await, refused, "{path}: an unknown caller");
            assert_eq!(call("", Some("monitor-shop")).await, None, "{path}: any caller");
            continue;
        };
        assert_eq!(call("shop", None).await, unknown(), "{path}: no credential");
        assert_eq!(call("shop", Some("unknown")).await, unknown(), "{path}: an unknown caller");
        for other in ROLES.into_iter().filter(|other| !allowed.contains(other)) {
            assert_eq!(call("shop", Some(&name(other, "shop"))).await, role_missing(), "{path}: {other:?}");
        }
        // A listener without this service answers before the app is checked.
        let is_served = (allowed == [Role::Frontend]) == (at == access.service.frontends);
        assert_eq!(app_field.is_none(), OF_NO_APP.contains(&path.as_str()), "{path}: the field `app`");
        // It needs a caller of all apps, and these are of one.
        let is_of_all_apps = path.ends_with("/MigrateStore");
        let checks_app = is_served && (app_field.is_some() || is_of_all_apps);
        let wrong_app = refused_with(Code::PermissionDenied, "APP_NOT_ALLOWED").filter(|_| checks_app);
        for role in allowed {
            for app in ["desk", "default", "", "nowhere"] {
                assert_eq!(call(app, Some(&name(*role, "shop"))).await, wrong_app, "{path}: {app}");
            }
            assert_eq!(call("shop", Some(&name(*role, "desk"))).await, wrong_app, "{path}: another app's caller");
            let right = wrong_app.clone().filter(|_| is_of_all_apps);
            assert_eq!(call("shop", Some(&name(*role, "shop"))).await, right, "{path}: the right caller");
        }
    }
}

#[tokio::test]
async fn every_rpc_is_refused_without_the_right_token() {
    for protocol in Protocol::ALL {
        check_every_rpc(CredentialKind::Token, protocol).await;
    }
}

#[tokio::test]
async fn every_rpc_is_refused_without_the_right_certificate() {
    for protocol in Protocol::ALL {
        check_every_rpc(CredentialKind::Certificate, protocol).await;
    }
}

/// Its path and its message are Envoy's, and its answer is always one that Envoy passes on.
#[tokio::test]
async fn a_question_of_envoy_needs_the_role_and_the_app_of_an_open() {
    let service = TlsService::new(callers()).await;
    let client = service.client(service.frontends).await;
    let context_extensions = [("app".to_owned(), "shop".to_owned())].into();
    let attributes = AttributeContext { context_extensions, ..Default::default() };
    let body = connect::envelope(&CheckRequest { attributes: Some(attributes) }.encode_to_vec());
    let answer = async |token: Option<&str>| {
        let reply = with_timeout(client.send(call("/envoy.service.auth.v3.Authorization/Check", token), body.clone()));
        let (_, message) = connect::take(&mut BytesMut::from(&*reply.await.body)).unwrap();
        let Some(HttpResponse::DeniedResponse(denied)) = CheckResponse::decode(message).unwrap().http_response else {
            panic!("{token:?} has passed");
        };
        let reason = denied.headers.into_iter().filter_map(|option| option.header);
        let reason = reason.filter(|header| header.key == "cloakroom-reason").map(|header| header.value);
        (denied.status.unwrap().code, reason.collect::<String>())
    };
    let fault = |reason: &str| (500, reason.to_owned());

    assert_eq!(answer(None).await, fault("CALLER_UNKNOWN"));
    assert_eq!(answer(Some("unknown")).await, fault("CALLER_UNKNOWN"));
    for role in ROLES.into_iter().filter(|role| *role != Role::Frontend) {
        assert_eq!(answer(Some(&token(&name(role, "shop")))).await, fault("ROLE_MISSING"), "{role:?}");
    }
    assert_eq!(answer(Some(&token(&name(Role::Frontend, "desk")))).await, fault("APP_NOT_ALLOWED"));
    assert_eq!(answer(Some(&token(&name(Role::Frontend, "shop")))).await, (401, "NO_SESSION".to_owned()));
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
async fn a_unix_socket_answers_the_connect_protocol_without_a_credential_and_by_any_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let settings = Settings { unix_socket: Some(path.clone()), ..settings() };
    let _service = TlsService::with([caller("shop", Role::Frontend, "shop")].into(), settings).await;
    let all = rpcs();
    let rpc = all.iter().find(|rpc| rpc.path.ends_with("/GetAppPolicy")).unwrap();

    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        for codec in [Codec::Proto, Codec::Json] {
            let client = ConnectTransport::new(Target::Unix(path.clone()), codec, version);
            assert_eq!(connect_refusal(&client, codec, rpc, "shop", Some("wrong")).await, None);
        }
    }
    let client = ConnectTransport::new(Target::Unix(path), Codec::Json, HttpVersion::Http1);
    let call = Request::post(format!("http://cloakroom{}", rpc.path)).header("content-type", "application/json");
    assert_eq!(client.request(call.body(Bytes::from_static(b"{}")).unwrap()).await.status(), 200);
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
