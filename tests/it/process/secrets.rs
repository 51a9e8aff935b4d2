//! No secret in the output: marked secrets are sent through everything that can fail, and all output is searched.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::auth::TokenHash;
use cloakroom::grpc::wire::admin_service_client::AdminServiceClient;
use cloakroom::grpc::wire::session_service_client::SessionServiceClient;
use cloakroom::grpc::wire::{
    Changes, DestroySessionRequest, GetSessionRequest, ListSessionsRequest, OpenSessionRequest, RequestContext,
    RevokeSessionRequest, RevokeSubjectRequest, SaveSessionRequest, destroy_session_request, open_session_request,
    save_session_request,
};
use cloakroom::token::Key;
use tokio::net::TcpSocket;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use crate::cli::program::Program;
use crate::support::calls::{ChangesExt as _, open_cookie, save, save_cookie};
use crate::support::connect::{Codec, ConnectTransport, HttpVersion, Io, Protocol, Target, Transport};
use crate::support::redis::RedisServer;

const PASSWORD: &str = "mark-redis-password";
const ENTRY: &str = "mark-entry-value";
const ENTRY_NAME: &str = "mark-entry-name";
const SUBJECT: &str = "mark-subject";
const AGENT: &str = "mark-user-agent";
const REMOTE: &str = "203.0.113.77";
/// The address from which the test's frontend calls.
const FRONTEND: &str = "127.0.0.77";
const COOKIE: &str = "mark-cookie";
/// The token of the test's caller, and one of no caller.
const BEARER: &str = "mark-bearer";
const WRONG_BEARER: &str = "mark-wrong-bearer";
/// The token of a caller that can only read metrics.
const IDLE_BEARER: &str = "mark-idle-bearer";
/// The key of a session in an app of kind `external`.
const SESSION_KEY: &str = "mark-session-key-of-a-framework";
const REQUEST_ID: &str = "mark-request-id";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The program at log level trace.
struct TracingProgram {
    child: Child,
    output: PathBuf,
    admin: SocketAddr,
    frontends: String,
    redis: RedisServer,
    program: Program,
}

impl TracingProgram {
    fn start(format: &str, key: &str) -> Self {
        let redis = RedisServer::start();
        redis.cli(&["config", "set", "requirepass", PASSWORD]);
        let mut program = Program::new(&["serve"])
            .env("CLOAKROOM__SERVER__LISTEN", "127.0.0.1:0")
            .env("CLOAKROOM__ADMIN__LISTEN", "127.0.0.1:0")
            .env("CLOAKROOM__STORE__KIND", "redis")
            .env("CLOAKROOM__STORE__REDIS__URL", &format!("{}?pass={PASSWORD}", redis.url()))
            .env("CLOAKROOM__STORE__REDIS__TIMEOUT", "1s")
            .env("CLOAKROOM__SERVER__STORE_UNHEALTHY_AFTER", "2s")
            .env("CLOAKROOM__APPS__DEFAULT__KEYS", key)
            .env("CLOAKROOM__CALLERS__ALL__ROLES", "frontend,admin,monitor")
            .env("CLOAKROOM__APPS__FRAMEWORK__KIND", "external")
            .env("CLOAKROOM__CALLERS__ALL__APPS", "default,framework")
            .env("CLOAKROOM__CALLERS__ALL__TOKEN_HASHES", &hash(BEARER))
            .env("CLOAKROOM__CALLERS__IDLE__ROLES", "monitor")
            .env("CLOAKROOM__CALLERS__IDLE__TOKEN_HASHES", &hash(IDLE_BEARER))
            .env("CLOAKROOM__AUDIT__FOLDER", "audit")
            .env("CLOAKROOM__LOG__LEVEL", "trace")
            .env("CLOAKROOM__LOG__FORMAT", format);
        let output = program.path("output");
        let file = File::create(&output).unwrap();
        let child = program.command().stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let begin = Instant::now();
        let banner = loop {
            let text = std::fs::read_to_string(&output).unwrap();
            if text.contains("/OpenSession") {
                break text;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{text}");
            std::thread::yield_now();
        };
        let row =
            |name: &str| banner.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap().trim().to_owned();
        Self { child, output, admin: row("admin").parse().unwrap(), frontends: row("listens"), redis, program }
    }

    /// Connects from an address of the test's own.
    async fn transport(&self, address: &str, protocol: Protocol) -> Transport {
        match protocol {
            Protocol::Grpc => {
                let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
                Transport::Grpc(endpoint.local_address(Some(FRONTEND.parse().unwrap())).connect().await.unwrap())
            }
            Protocol::Connect(codec, version) => Transport::Connect(Box::new(connect(address, codec, version))),
        }
    }

    /// Gets a page with a cookie and a caller's token.
    fn page(&self, path: &str) -> String {
        use std::io::{Read as _, Write as _};

        let mut socket = TcpStream::connect(self.admin).unwrap();
        let bearer = if path == "/nothing" { WRONG_BEARER } else { BEARER };
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\ncookie: session={COOKIE}\r\nauthorization: Bearer {bearer}\r\nconnection: \
             close\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        text
    }

    /// Stops it; returns all output, and the audit log.
    fn stop(mut self) -> (String, String) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap();
        let files = std::fs::read_dir(self.program.path("audit")).unwrap();
        let audit_log = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        (std::fs::read_to_string(&self.output).unwrap(), audit_log)
    }
}

impl Drop for TracingProgram {
    fn drop(&mut self) {
        // A failed test must leave no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Adds every header with a secret that a caller can send.
fn with_headers<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let headers = [
        ("authorization", format!("Bearer {BEARER}")),
        ("cookie", format!("session={COOKIE}")),
        ("x-request-id", format!("not plain {BEARER}")),
        ("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")),
    ];
    for (name, value) in headers {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// Adds the same headers with another caller's token.
fn with_headers_of<T>(bearer: &str, message: T) -> Request<T> {
    let mut request = with_headers(message);
    request.metadata_mut().insert("authorization", format!("Bearer {bearer}").parse().unwrap());
    request
}

fn hash(token: &str) -> String {
    TokenHash::of(token.as_bytes()).to_string()
}

fn context() -> Option<RequestContext> {
    Some(RequestContext { user_agent: AGENT.to_owned(), remote_address: REMOTE.to_owned() })
}

/// Returns a client of the Connect protocol that calls from the test's own address.
fn connect(address: &str, codec: Codec, version: HttpVersion) -> ConnectTransport {
    let address = address.parse().unwrap();
    let target = Target::Custom(Arc::new(move || {
        Box::pin(async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind((FRONTEND.parse::<Ipv4Addr>().unwrap(), 0).into())?;
            Ok(Box::new(socket.connect(address).await?) as Box<dyn Io>)
        })
    }));
    ConnectTransport::new(target, codec, version)
}

/// Makes requests in JSON that are wrong in ways that protobuf has not.
async fn send_wrong_json(program: &TracingProgram, token: &str) {
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let client = connect(&program.frontends, Codec::Json, version);
        for body in [
            format!("{{\"token\":\"{token}\",\"{ENTRY_NAME}\":1}}"),
            format!("{{\"token\":\"{token}\",\"rotate\":\"{ENTRY}\"}}"),
            format!("{{\"token\":\"{token}\",\"token\":\"{ENTRY}\"}}"),
            format!(
                "{{\"changes\":{{\"idleTimeout\":\"{ENTRY}\",\"set\":{{\"{ENTRY_NAME}\":{{\"raw\":\"{COOKIE}!\"}}}}}}}}"
            ),
            format!("{{\"changes\":{{\"increment\":{{\"{ENTRY_NAME}\":\"{ENTRY}\"}}}}}}"),
            format!("{{\"changes\":{{\"idleTimeout\":\"1.1234567891{ENTRY}s\"}}}}"),
            format!("{{\"token\":\"{token}"),
            format!("{{\"app\":\"framework\",\"key\":\"{SESSION_KEY}!\"}}"),
            ENTRY.to_owned(),
        ] {
            let path = format!("http://localhost/cloakroom.v1.SessionService/SaveSession?token={token}&{ENTRY}");
            let call = http::Request::post(path).header("content-type", "application/json");
            let call = call.header("authorization", format!("Bearer {BEARER}"));
            let response = client.request(call.body(body.clone().into()).unwrap()).await;
            assert_eq!(response.status(), 400, "{body}");
        }
        for (name, value) in [("origin", format!("http://{ENTRY}")), ("content-type", format!("text/{ENTRY}"))] {
            let call = http::Request::post(format!("http://localhost/{ENTRY}/{token}")).header(name, value);
            let call = call.header("authorization", format!("Bearer {BEARER}"));
            let response = client.request(call.body(token.to_owned().into()).unwrap()).await;
            assert!([403, 415].contains(&response.status().as_u16()));
        }
    }
}

/// Makes valid and invalid calls of everything; returns the tokens.
async fn call_everything(program: &TracingProgram, protocol: Protocol) -> Vec<String> {
    let mut client = SessionServiceClient::new(program.transport(&program.frontends, protocol).await);
    let new = Changes::default;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let opened =
            client.open_session(with_headers(OpenSessionRequest { context: context(), ..Default::default() })).await;
        let ticket = opened.unwrap().into_inner().session.unwrap().token;
        let changes = new().set(ENTRY_NAME, &format!("\"{ENTRY}\"")).subject(SUBJECT);
        let first =
            SaveSessionRequest { context: context(), request_id: REQUEST_ID.to_owned(), ..save(&ticket, changes) };
        let saved = client.save_session(with_headers(first)).await.unwrap().into_inner();
        tokens.extend([ticket, saved.session.unwrap().token]);
    }
    let (token, other) = (tokens[1].clone(), tokens[3].clone());
    let forged = format!("{}AA", &token[..token.len() - 2]);
    let wrong = [
        save(&forged, new()),
        save(&format!("v1.{ENTRY}"), new()),
        save_cookie(&format!("session={token}; session={other}; x={COOKIE}"), new()),
        save(&token, new().set(&ENTRY_NAME.repeat(100), "1")),
        save(&token, new().set("k", &format!("{{{ENTRY}"))),
        save(&token, new().set(ENTRY_NAME, "1").unset(ENTRY_NAME)),
        save(&token, new().increment(ENTRY_NAME, 1)),
        save(&token, new().set("large", &format!("\"{}\"", ENTRY.repeat(10_000)))),
        save(&token, new().set("larger", &format!("\"{}\"", ENTRY.repeat(400_000)))),
        save(&token, new().subject(&SUBJECT.repeat(100))),
        SaveSessionRequest { etag: COOKIE.to_owned(), ..save(&token, new().set("k", "1")) },
        SaveSessionRequest { request_id: REQUEST_ID.to_owned(), ..save(&token, new().set("k", "2")) },
        SaveSessionRequest { request_id: REQUEST_ID.repeat(9), ..save(&token, new()) },
        // An app that the caller has no access to.
        SaveSessionRequest { app: ENTRY.to_owned(), ..save(&token, new()) },
        SaveSessionRequest { cookie_name: format!("{COOKIE} "), ..save(&token, new()) },
    ];
    for request in wrong {
        client.save_session(with_headers(request)).await.err().unwrap();
    }
    let mut timed_out = with_headers(open_cookie(&format!("session={token}; x={COOKIE}")));
    timed_out.metadata_mut().insert("grpc-timeout", "1n".parse().unwrap());
    // The service may be quick enough.
    let _ = client.open_session(timed_out).await;
    for header in [format!("session={token}; session={other}"), format!("session={forged}; session={COOKIE}")] {
        client.open_session(with_headers(open_cookie(&header))).await.unwrap();
    }
    for (bearer, code) in [(WRONG_BEARER, Code::Unauthenticated), (IDLE_BEARER, Code::PermissionDenied)] {
        let refused = client.open_session(with_headers_of(bearer, open_cookie(&format!("session={token}")))).await;
        assert_eq!(refused.err().unwrap().code(), code);
    }
    call_admin(program, protocol).await.unwrap();
    call_with_keys(&mut client).await;
    let rotated = client.save_session(with_headers(save(&other, new().subject(&format!("{SUBJECT}-2"))))).await;
    tokens.push(rotated.unwrap().into_inner().session.unwrap().token);
    let credential = tokens.last().cloned().map(destroy_session_request::Credential::Token);
    let destroy = DestroySessionRequest { credential, ..Default::default() };
    client.destroy_session(with_headers(destroy)).await.unwrap();
    tokens
}

/// Makes valid and invalid calls with the key of a session.
async fn call_with_keys(client: &mut SessionServiceClient<Transport>) {
    let open = |app: &str, key: &str| {
        let credential = Some(open_session_request::Credential::Key(key.into()));
        with_headers(OpenSessionRequest { app: app.to_owned(), credential, ..Default::default() })
    };
    let save = |app: &str, key: &str| {
        let credential = Some(save_session_request::Credential::Key(key.into()));
        let changes = Some(Changes::default().set(ENTRY_NAME, &format!("\"{ENTRY}\"")).subject(SUBJECT));
        with_headers(SaveSessionRequest { app: app.to_owned(), credential, changes, ..Default::default() })
    };
    client.save_session(save("framework", SESSION_KEY)).await.unwrap();
    client.open_session(open("framework", SESSION_KEY)).await.unwrap();
    let too_long = SESSION_KEY.repeat(9);
    for (app, key) in [("default", SESSION_KEY), ("framework", &too_long), ("framework", &SESSION_KEY[..15])] {
        client.open_session(open(app, key)).await.err().unwrap();
        client.save_session(save(app, key)).await.err().unwrap();
    }
    let token = open_session_request::Credential::Token(SESSION_KEY.to_owned());
    let token = OpenSessionRequest { app: "framework".to_owned(), credential: Some(token), ..Default::default() };
    client.open_session(with_headers(token)).await.err().unwrap();
}

/// Makes valid and invalid calls of AdminService.
async fn call_admin(program: &TracingProgram, protocol: Protocol) -> Result<(), Status> {
    let mut admin = AdminServiceClient::new(program.transport(&program.admin.to_string(), protocol).await);
    let list = ListSessionsRequest { subject: SUBJECT.to_owned(), ..Default::default() };
    let listed = admin.list_sessions(with_headers(list)).await?.into_inner();
    let id = listed.sessions[0].id.clone();
    admin.get_session(with_headers(GetSessionRequest { id, with_entries: true, ..Default::default() })).await?;
    let unknown = RevokeSessionRequest { id: ENTRY.to_owned(), ..Default::default() };
    admin.revoke_session(with_headers(unknown)).await.err().unwrap();
    let wrong = RevokeSubjectRequest { subject: SUBJECT.repeat(100), ..Default::default() };
    admin.revoke_subject(with_headers(wrong)).await.err().unwrap();
    Ok(())
}

/// Makes calls while the store has invalid data, then another password, then is stopped.
async fn break_the_store(program: &mut TracingProgram, token: &str) {
    let mut clients = Vec::new();
    for protocol in Protocol::ALL {
        clients.push(SessionServiceClient::new(program.transport(&program.frontends, protocol).await));
    }
    let open = || with_headers(open_cookie(&format!("session={token}; x={COOKIE}")));
    let change = || with_headers(save(token, Changes::default().set(ENTRY_NAME, &format!("\"{ENTRY}\""))));
    let script = format!(
        "for _, key in ipairs(redis.call('keys', '*')) do redis.call('del', key) redis.call('set', key, '{ENTRY}') end"
    );
    program.redis.cli(&["-a", PASSWORD, "eval", &script, "0"]);
    for client in &mut clients {
        client.open_session(open()).await.err().unwrap();
        client.save_session(change()).await.err().unwrap();
    }

    program.redis.cli(&["-a", PASSWORD, "config", "set", "requirepass", "another"]);
    program.redis.cli(&["-a", "another", "client", "kill", "type", "normal"]);
    for client in &mut clients {
        client.open_session(open()).await.err().unwrap();
    }

    program.redis.stop();
    for client in &mut clients {
        client.open_session(open()).await.err().unwrap();
        client.save_session(change()).await.err().unwrap();
    }
    let begin = Instant::now();
    while !program.page("/readyz").contains(" 503 ") {
        assert!(begin.elapsed() < Duration::from_secs(60), "the outage is reported");
        tokio::task::yield_now().await;
    }
}

/// Returns a secret in the forms in which logs might print it: as text, as numbers, in hexadecimal.
fn printed_forms(secret: &str) -> [String; 3] {
    let numbers: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    [secret.to_owned(), numbers.join(", "), secret.bytes().map(|byte| format!("{byte:02x}")).collect()]
}

#[track_caller]
fn assert_no_secret(output: &str, secrets: &[String]) {
    for secret in secrets {
        for form in printed_forms(secret) {
            if let Some(at) = output.find(&form) {
                panic!(
                    "`{secret}` was printed: {}",
                    String::from_utf8_lossy(&output.as_bytes()[at.saturating_sub(300)..output.len().min(at + 100)])
                );
            }
        }
    }
}

async fn run_everything(format: &str) -> String {
    let key = Key::generate();
    let mut program = TracingProgram::start(format, &key);

    let mut tokens = Vec::new();
    for protocol in Protocol::ALL {
        tokens.extend(call_everything(&program, protocol).await);
    }
    send_wrong_json(&program, &tokens[1]).await;
    break_the_store(&mut program, &tokens[1]).await;
    let pages = [program.page("/metrics"), program.page("/nothing"), program.page("/healthz")].concat();
    let (output, audit_log) = program.stop();

    let marks =
        [PASSWORD, ENTRY, ENTRY_NAME, SUBJECT, AGENT, REMOTE, FRONTEND, COOKIE, BEARER, REQUEST_ID, SESSION_KEY, &key];
    let callers = [WRONG_BEARER.to_owned(), IDLE_BEARER.to_owned(), hash(BEARER), hash(IDLE_BEARER)];
    let parts = tokens.iter().flat_map(|token| token.rsplit('.').take(2));
    let secrets: Vec<String> = marks.into_iter().chain(parts).map(str::to_owned).chain(callers).collect();
    assert_no_secret(&output, &secrets);
    assert_no_secret(&pages, &secrets);
    assert!(audit_log.contains("\"DESTROYED\"") && audit_log.contains("\"SUPERSEDED\""), "{audit_log}");
    assert!(audit_log.contains("\"caller\":\"all\""), "{audit_log}");
    let not_subjects: Vec<String> = secrets.into_iter().filter(|secret| secret != SUBJECT).collect();
    assert_no_secret(&audit_log, &not_subjects);
    output
}

#[tokio::test]
async fn no_secret_is_in_the_json_log_and_every_failure_has_its_call_and_trace() {
    let output = run_everything("json").await;

    let lines = output.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let warnings: Vec<_> = lines.filter(|line| line["level"] == "WARN" && line.get("call.id").is_some()).collect();
    assert!(output.contains("\"level\":\"TRACE\""), "the log has level trace");
    assert!(warnings.iter().any(|line| line["message"] == "the store does not work"), "{warnings:?}");
    for line in warnings {
        assert_eq!(
            (&line["trace.id"], &line["trace.parent_id"]),
            (&TRACE.into(), &"b7ad6b7169203331".into()),
            "{line}"
        );
        assert!(line["call.rpc"].as_str().unwrap().starts_with("cloakroom.v1."), "{line}");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_text_log() {
    let output = run_everything("text").await;

    let mut failed =
        output.lines().filter(|line| line.contains("the store does not work") && line.contains(" call.id="));
    let first = failed.next().unwrap();
    assert!(first.contains(&format!(" trace.id={TRACE}")), "{first}");
}
