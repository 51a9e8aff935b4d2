//! The lines that `serve` prints at its start: addresses, where sessions are stored, keys, and a call to try.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Address;
use crate::app::{App, Kind as AppKind};
use crate::config::LoadedConfig;
use crate::config::default_key::DefaultKey;
use crate::store::StoreKind;
use crate::types::AppName;

/// Returns the lines for a service that listens at `addresses`, and for operators at `admin`.
pub fn banner(loaded: &LoadedConfig, key: &DefaultKey, addresses: &[Address], admin: Option<&Address>) -> String {
    let mut text = format!("cloakroom {}\n", env!("CARGO_PKG_VERSION"));
    let mut row = |name: &str, value: &str| writeln!(text, "  {name:<9}{value}").expect("a String takes any text");
    for address in addresses {
        row("listens", &address.to_string());
    }
    if let Some(address) = admin {
        row("admin", &address.to_string());
    }
    row("callers", &callers(loaded));
    row("sessions", &session_location(loaded));
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

fn session_location(loaded: &LoadedConfig) -> String {
    match loaded.settings.store.kind {
        StoreKind::Embedded => format!("in {}, on this disk", loaded.settings.data_folder().display()),
        StoreKind::Memory => "in memory: a restart loses them".to_owned(),
        StoreKind::Redis => "in Redis".to_owned(),
    }
}

const fn how_to_get_key(app: &App) -> &'static str {
    match app.kind {
        AppKind::Stored => "`cloakroom keygen` makes one",
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
    let is_tcp = matches!(address, Address::Tcp(_));
    let transport = if is_tcp && loaded.settings.server.tls.is_on() { "-cacert ca.pem" } else { "-plaintext" };
    let needs_token = is_tcp && !loaded.callers.is_empty();
    let token = if needs_token { " -H \"authorization: Bearer $TOKEN\"" } else { "" };
    format!("grpcurl {transport}{token} -d '{{}}' {address} {method}")
}

/// Returns who may call by TCP.
fn callers(loaded: &LoadedConfig) -> String {
    let names: Vec<&str> = loaded.settings.callers.keys().map(String::as_str).collect();
    if names.is_empty() { "everybody who reaches an address above".to_owned() } else { names.join(", ") }
}
