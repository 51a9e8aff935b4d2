//! What the fuzz targets do with their input. `tests/it/fuzz.rs` does the same with mutations of the seeds.
//!
//! Only what the crate publishes anyway is called. Frames reach the service through its socket.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use cloakroom::app::Apps;
use cloakroom::audit::AuditLog;
use cloakroom::auth::Callers;
use cloakroom::cookie::{self, Attributes, Expiry, MAX_COOKIE_BYTES, Name, Template};
use cloakroom::django::{self, COOKIE_SALT, DecodedSession, SessionRejection};
use cloakroom::express;
use cloakroom::flask::flask_session::DecodedRecord;
use cloakroom::flask::{self, CookieRejection, DEFAULT_SALT, Digest, Signer};
use cloakroom::scs;
use cloakroom::server::{AdminSettings, Cloakroom, Dependencies, Settings};
use cloakroom::session::{Entries, Value};
use cloakroom::store::{Handle, Memory};
use cloakroom::token::{self, AcceptedText, KeyRing, SplitToken};
use cloakroom::types::{AppName, SystemClock, Time};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

/// A text is accepted as a token or a ticket only if it is one that this key has signed.
pub fn tokens(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let app = AppName::parse("default").expect("a valid name");
    let ring = KeyRing::parse(&[KEY]).expect("a valid key");
    token::claimed_key(&text);
    let good = token::sign_token(&ring, &app, SplitToken::derived(&app, "fuzz", &[b"seed"]));
    for accept in [AcceptedText::Token, AcceptedText::TokenOrTicket { now: Time::from_seconds(1000) }] {
        if token::verify_token(&ring, &app, &text, accept).is_ok() {
            assert!(text == good, "a forged token or ticket was accepted: {text}");
        }
    }
}

/// A header gives parts of itself only, and a value either makes one line of a cookie's grammar or is refused.
pub fn cookies(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for value in cookie::values(&text, "session") {
        assert!(text.contains(value));
    }
    let (value, rest) = text.split_once(['\n', '|']).unwrap_or((&text, "/"));
    let attributes = Attributes {
        name: Name::parse("session").expect("a valid name"),
        domain: None,
        path: rest.to_owned(),
        httponly: true,
        secure: true,
        samesite: None,
        partitioned: false,
    };
    let _ = Name::parse(&text);
    let Ok(template) = Template::new(attributes) else { return };
    let Ok(line) = template.set(value, Expiry::WithBrowser) else { return };
    let is_text = line.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    assert!(is_text && line.matches(';').count() == 3, "{line}");
    assert!("session".len() + value.len() <= MAX_COOKIE_BYTES);
}

/// A payload with a good signature is loaded or refused, and what was loaded can be written and loaded again.
pub fn flask_cookies(data: &[u8]) {
    let now = Time::from_seconds(1_700_000_000);
    let signer = Signer::new(&[SECRET], DEFAULT_SALT.as_bytes(), Digest::Sha1).expect("a valid key");
    let empty = signer.sign(&Entries::default(), None, now).expect("an empty session can be written");
    let seconds = empty.split('.').nth(1).unwrap_or_default();
    let json = URL_SAFE_NO_PAD.encode(data);
    let payloads = [String::from_utf8_lossy(data).into_owned(), json.clone(), format!(".{json}")];
    for payload in payloads {
        let signed = format!("{payload}.{seconds}");
        let cookie = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(&signed)));
        let verified = match signer.verify(&cookie, Duration::MAX, now) {
            Ok(verified) => verified,
            Err(CookieRejection::BadSignature) => panic!("the signature of this test is right: {cookie}"),
            Err(_) => continue,
        };
        let Ok(again) = signer.sign(&verified.entries, verified.permanent, now) else { continue };
        match signer.verify(&again, Duration::MAX, now) {
            Ok(second) => assert!(second.entries == verified.entries && second.permanent == verified.permanent),
            // Spelled out, a payload may be longer than the limit.
            Err(rejection) => assert!(again.len() > MAX_JSON_BYTES / 2, "{rejection:?}: {again}"),
        }
    }
}

/// A record of Flask-Session, in msgpack or JSON, is decoded or refused.
pub fn flask_session_records(data: &[u8]) {
    let _ = DecodedRecord::decode(data);
}

/// A text of Django is accepted only with a right signature; what is signed is read or refused.
pub fn django_cookies(data: &[u8]) {
    let now = Time::from_seconds(1_700_000_000);
    let signer = django::Signer::new(&[SECRET], COOKIE_SALT).expect("a valid key");
    let text = String::from_utf8_lossy(data);
    assert!(signer.verify_cookie(&text, Duration::MAX, now).is_err(), "a forged cookie was accepted: {text}");
    let json = URL_SAFE_NO_PAD.encode(data);
    // The text as it is says by itself when it was signed.
    for signed in
        [format!("{json}:{SECONDS_TO_BASE_62}"), text.clone().into_owned(), format!(".{json}:{SECONDS_TO_BASE_62}")]
    {
        let cookie = format!("{signed}:{}", URL_SAFE_NO_PAD.encode(sign_as_django(&signed)));
        match signer.verify_cookie(&cookie, Duration::MAX, now) {
            Ok(verified) => assert!(verified.until >= now, "{cookie}"),
            Err(rejection) => assert!(rejection != SessionRejection::BadSignature, "the signature is right: {cookie}"),
        }
    }
}

/// A session of Django is read or refused, and what was read has the same entries when it is read again.
pub fn django_sessions(data: &[u8]) {
    let Ok(session) = DecodedSession::decode(data) else { return };
    let mut json = Vec::new();
    for (name, value) in session.entries.iter() {
        json.push(if json.is_empty() { b'{' } else { b',' });
        json.extend(format!("{}:", django_name(name)).bytes());
        json.extend(value);
    }
    json.extend(if json.is_empty() { "{}" } else { "}" }.bytes());
    assert!(DecodedSession::decode(&json) == Ok(session), "{}", String::from_utf8_lossy(&json));
}

/// A cookie of express-session is accepted only with a right signature; a record is read or refused.
pub fn express_sessions(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let signer = express::Signer::new(&[SECRET]).expect("a valid key");
    assert!(signer.verify(&text).is_err(), "a forged cookie was accepted: {text}");
    let _ = express::DecodedRecord::decode(data);
    let signature = STANDARD_NO_PAD.encode(hmac_sha256(SECRET.as_bytes(), &text));
    let escaped = text.bytes().chain([b'.']).chain(signature.bytes()).map(|byte| format!("%{byte:02X}"));
    let cookie = format!("s%3A{}", escaped.collect::<String>());
    match signer.verify(&cookie) {
        Ok(sid) => assert_eq!(sid.as_str(), text),
        Err(rejection) => assert!(rejection == express::SidRejection::Malformed, "the signature is right: {cookie}"),
    }
}

/// A record of scs, in gob or JSON, gives names and JSON texts, or is refused.
pub fn scs_records(data: &[u8]) {
    let Ok(record) = scs::DecodedRecord::decode(data) else { return };
    for (name, json) in record.entries.iter() {
        let text = String::from_utf8(json.to_vec()).expect("JSON is text");
        assert!(Value::json(text).is_ok(), "{name}: {}", json.escape_ascii());
    }
}

/// Writes a name as JSON.
fn django_name(name: &str) -> String {
    let escaped = name.chars().map(|c| match c {
        '"' | '\\' | '\0'..' ' => format!("\\u{:04x}", u32::from(c)),
        _ => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A JSON value is refused, or normalised to a text that stays the same.
pub fn values(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(normal) = flask::normalise(&text) {
        assert_eq!(flask::normalise(&normal).as_ref(), Ok(&normal));
    }
    let _ = flask::json_value(&text);
    flask::bytes_to_json(data);
}

/// A configuration is loaded or refused.
pub fn configuration(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cloakroom.toml");
    std::fs::write(&path, data).expect("a temporary file");
    let _ = cloakroom::config::load_from(Some(&path), std::iter::empty::<(OsString, OsString)>());
}

/// Frames end their own connection at most: the next one is served.
pub fn frames(data: &[u8]) {
    static SERVICE: OnceLock<PathBuf> = OnceLock::new();
    let path = SERVICE.get_or_init(start_service);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let send = |bytes: &[u8]| {
        let mut socket = UnixStream::connect(path).expect("the service listens");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
        // It may close while this still writes.
        let _ = socket.write_all(preface).and_then(|()| socket.write_all(bytes));
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        let is_late = read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!is_late, "the connection stays open");
        answer
    };
    send(data);
    let answer = send(b"");
    // A frame of settings, which every connection begins with.
    assert_eq!(answer.get(3), Some(&4), "{answer:?}");
}

/// Starts the whole service on a Unix socket, for as long as the process runs.
fn start_service() -> PathBuf {
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    let path = folder.join("socket");
    let settings = Settings { listen: None, unix_socket: Some(path.clone()), workers: 1, ..Settings::default() };
    let admin = AdminSettings { listen: None, ..AdminSettings::default() };
    let (ready, is_ready) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let dependencies = Dependencies {
                apps: Apps::default(),
                store: Handle::from(Memory::new()),
                clock: Arc::new(SystemClock),
                callers: Callers::default(),
                traces: cloakroom::otlp::TracesSettings::default(),
                metrics: cloakroom::otlp::MetricsSettings::default(),
                audit_log: AuditLog::default(),
            };
            let service = Cloakroom::bind(&settings, &admin, dependencies).await.expect("the socket is free");
            ready.send(()).expect("somebody waits");
            service.run(CancellationToken::new()).await
        })
    });
    is_ready.recv().expect("the service starts");
    path
}

/// Signs a text as itsdangerous does, by a key that is derived from the secret.
fn sign(text: &str) -> Vec<u8> {
    let hmac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    };
    hmac(&hmac(SECRET.as_bytes(), DEFAULT_SALT.as_bytes()), text.as_bytes())
}

/// Signs a text as Django does, by a key that is derived from the secret.
fn sign_as_django(text: &str) -> Vec<u8> {
    let key = Sha256::new().chain_update(COOKIE_SALT).chain_update("signer").chain_update(SECRET).finalize();
    hmac_sha256(&key, text)
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

/// The time 1,700,000,000 as Django writes it.
const SECONDS_TO_BASE_62: &str = "1r31eq";
const KEY: &str = "ZnV6emZ1enpmdXp6ZnV6emZ1enpmdXp6ZnV6emZ1eno";
const SECRET: &str = "fuzz";
const MAX_JSON_BYTES: usize = flask::MAX_JSON_BYTES;
