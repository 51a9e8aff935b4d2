//! The lines that `serve` prints at its start: addresses and who may call there, where sessions are stored, keys, and a
//! call to try.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Address;
use crate::app::{App, Kind as AppKind};
use crate::config::LoadedConfig;
use crate::config::default_key::DefaultKey;
use crate::server::TlsSettings;
use crate::types::AppName;

/// Returns the lines for a service whose sockets are bound to `addresses`, and for operators to `admin`. `console_key` is
/// only for a terminal: logs have no secrets.
pub fn banner(
    loaded: &LoadedConfig,
    key: &DefaultKey,
    addresses: &[Address],
    admin: Option<&Address>,
    console_key: Option<&str>,
) -> String {
    let mut text = format!("cloakroom {}\n", env!("CARGO_PKG_VERSION"));
    let mut row = |name: &str, value: &str| writeln!(text, "  {name:<9}{value}").expect("a String takes any text");
    let frontends = addresses.iter().map(|address| ("listens", address, &loaded.settings.server.tls));
    let operators = admin.map(|address| ("admin", address, &loaded.settings.admin.tls));
    for (name, address, tls) in frontends.chain(operators) {
        row(name, &address.to_string());
        row("", &access(address, tls, loaded));
    }
    if let Some(address) = admin.filter(|_| loaded.settings.admin.console) {
        row("console", &console_url(address, console_key, loaded));
    }
    if !loaded.callers.is_empty() {
        row("callers", &loaded.settings.callers.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    for (table, place) in loaded.settings.store.places() {
        match table {
            "store" => row("sessions", &place.location()),
            other => row("", &format!("and, as [{other}], {}", place.location())),
        }
    }
    row("settings", &loaded.file().map_or_else(|| "defaults".to_owned(), |path| path.display().to_string()));
    let keyless = |app: &&Arc<App>| !app.has_keys();
    match loaded.apps.find(AppName::DEFAULT).filter(keyless) {
        Some(app) if matches!(app.kind, AppKind::Cookie(_)) => row("key", &format!("NONE: {}", how_to_get_key(app))),
        _ => row("key", &key_origin(key)),
    }
    for app in loaded.apps.iter().filter(keyless).filter(|app| app.name.as_str() != AppName::DEFAULT) {
        row("warning", &format!("app {} has no key and so no sessions; {}", app.name, how_to_get_key(app)));
    }
    if let Some(address) = addresses.first() {
        row("try", &example_call(address, loaded));
    }
    text
}

/// Returns the address of the console. Without callers it has the key, in the part that browsers do not send.
fn console_url(address: &Address, key: Option<&str>, loaded: &LoadedConfig) -> String {
    let scheme = if loaded.settings.admin.tls.is_on() { "https" } else { "http" };
    let address = &socket_addr(address).map_or_else(|| address.clone(), Address::of_listener);
    let url = format!("{scheme}://{address}/console");
    match key {
        _ if !loaded.callers.is_empty() => url,
        Some(key) => format!("{url}#{key}"),
        None => format!("{url}, whose key is printed on a terminal only"),
    }
}

pub(super) const fn how_to_get_key(app: &App) -> &'static str {
    match app.kind {
        AppKind::Stored | AppKind::External => "`cloakroom keygen` makes one",
        AppKind::Cookie(_) => "give it the Flask application's SECRET_KEY",
    }
}

fn key_origin(key: &DefaultKey) -> String {
    match key {
        DefaultKey::Configured => "configured".to_owned(),
        DefaultKey::Found(path) => path.display().to_string(),
        DefaultKey::Created(path) => format!("{} (new: keep it as safe as the sessions)", path.display()),
        DefaultKey::Ephemeral => "of this process alone: a restart logs everybody out".to_owned(),
        DefaultKey::Missing => "NONE: the app `default` has no sessions, because replicas must share its key.\n\
             \x20          Run `cloakroom keygen` and set CLOAKROOM__APPS__DEFAULT__KEYS on each"
            .to_owned(),
    }
}

fn example_call(address: &Address, loaded: &LoadedConfig) -> String {
    let method = "cloakroom.v1.SessionService/OpenSession";
    let address = &socket_addr(address).map_or_else(|| address.clone(), Address::of_listener);
    let is_tcp = matches!(address, Address::Tcp(_));
    let has_tls = is_tcp && loaded.settings.server.tls.is_on();
    let needs_token = is_tcp && !loaded.callers.is_empty();
    let is_external = loaded.apps.find(AppName::DEFAULT).is_some_and(|app| matches!(app.kind, AppKind::External));
    // 16 zero bytes in base64.
    let message = if is_external { r#"{"key":"AAAAAAAAAAAAAAAAAAAAAA=="}"# } else { "{}" };
    let token = if needs_token { " -H \"authorization: Bearer $TOKEN\"" } else { "" };
    if !loaded.settings.server.protocols.connect {
        let transport = if has_tls { "-cacert ca.pem" } else { "-plaintext" };
        return format!("grpcurl {transport}{token} -d '{message}' {address} {method}");
    }
    let target = match address {
        Address::Unix(path) => format!("--unix-socket {} localhost", path.display()),
        Address::Tcp(address) if has_tls => format!("--cacert ca.pem https://{address}"),
        Address::Tcp(address) => address.clone(),
    };
    format!("curl{token} -H 'content-type: application/json' -d '{message}' {target}/{method}")
}

/// Returns who may call at an address.
fn access(address: &Address, tls: &TlsSettings, loaded: &LoadedConfig) -> String {
    let Some(listen) = socket_addr(address) else {
        return "for the owner and the group of this socket, without a credential".to_owned();
    };
    let reach = if listen.ip().to_canonical().is_loopback() { "on this machine" } else { "on every machine in reach" };
    let encryption = if tls.is_on() { "TLS" } else { "not encrypted" };
    if loaded.callers.is_empty() {
        format!("OPEN to every program {reach}, without a credential; {encryption}")
    } else {
        format!("for the callers below, {reach}; {encryption}")
    }
}

/// Returns the address of a TCP socket.
fn socket_addr(address: &Address) -> Option<SocketAddr> {
    match address {
        Address::Tcp(text) => text.parse().ok(),
        Address::Unix(_) => None,
    }
}
