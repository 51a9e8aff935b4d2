//! `cloakroom cookie`: explains whether a cookie, a token or a ticket verifies, and why not.
//!
//! Checks only signatures. It does not read the store, so it does not know whether the session is alive: `cloakroom why`
//! asks a running service, which does.
//! Prints no key, no verifier and no whole token.

use clap::Args;

use super::input::{read_stdin, without_field_name};
use super::{CliError, ConfigFile, cookie_kind, output};
use crate::app::{App, Apps, Kind};
use crate::cookie;
use crate::token::{AcceptedText, KeyId, KeyRing, SessionId, TokenRejection, claimed_key, is_ticket, verify_token};
use crate::types::{AppName, Clock as _, SystemClock, Time};

#[derive(Debug, Args)]
pub(super) struct CookieArgs {
    /// The app that the cookie belongs to
    #[arg(long, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Was replaced by `cloakroom why --address`. Takes the options behind it too, for the same refusal.
    #[arg(long, hide = true, value_name = "ADDRESS", num_args = 1.., allow_hyphen_values = true, value_parser = refuse_address)]
    address: Vec<String>,
    /// A token, a ticket or a whole Cookie header [default: read from stdin, so that it is not in the shell's history]
    text: Option<String>,
}

impl CookieArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let apps = self.config.load()?.apps_as_served()?;
        let Some(app) = apps.find(&self.app) else {
            let names = apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CliError::Failed(format!("there is no app `{}`; there are: {names}", self.app).into()));
        };
        let text = self.text.clone().map_or_else(read_stdin, Ok)?;
        let explanation = explain_signatures(&apps, app, text.trim(), SystemClock.now());
        output::print(&explanation.text)?;
        if explanation.verified { Ok(()) } else { Err(CliError::NegativeAnswer) }
    }
}

/// The explanation of a text.
pub(super) struct SignatureExplanation {
    pub(super) text: String,
    /// Whether any token, ticket or cookie in it verifies.
    pub(super) verified: bool,
}

fn explain_signatures(apps: &Apps, app: &App, text: &str, now: Time) -> SignatureExplanation {
    if let Kind::Cookie(Some(signer)) = &app.kind {
        return cookie_kind::explain(app, signer, without_field_name(text), now);
    }
    if matches!(app.kind, Kind::External) {
        let text = format!(
            "the app {} is of kind external: its framework makes the cookies; ask a running service about the session id, \
             with `cloakroom why --session-key`",
            app.name
        );
        return SignatureExplanation { text, verified: false };
    }
    let Some(ring) = &app.keys else {
        let text = format!("the app {} has no key: nothing can be verified, and it has only null sessions", app.name);
        return SignatureExplanation { text, verified: false };
    };
    let mut explainer = Explainer { apps, app, ring, now, text: String::new(), verified: Vec::new() };
    explainer.write_app();
    if text.contains('=') {
        explainer.write_header(without_field_name(text))
    } else {
        explainer.write_text(text, AcceptedText::TokenOrTicket { now })
    }
    SignatureExplanation { text: explainer.text, verified: !explainer.verified.is_empty() }
}

/// Writes the explanation for an app whose cookie holds a token.
struct Explainer<'a> {
    apps: &'a Apps,
    app: &'a App,
    ring: &'a KeyRing,
    now: Time,
    text: String,
    /// The sessions of all tokens and tickets that verify.
    verified: Vec<SessionId>,
}

impl Explainer<'_> {
    fn write_app(&mut self) {
        let keys = self.ring.ids().map(|id| self.describe_key(id)).collect::<Vec<_>>().join(", ");
        let cookie = self.app.cookie.attributes().name.as_str();
        self.write_line(&format!("app {}, cookie {cookie}, keys {keys}", self.app.name));
    }

    fn write_header(&mut self, header: &str) {
        let name = self.app.cookie.attributes().name.as_str();
        for value in cookie::values(header, name) {
            if is_ticket(value) {
                self.write_refused(value, "it is a ticket, and a ticket is never valid in a cookie");
            } else {
                self.write_text(value, AcceptedText::Token);
            }
        }
        if cookie::values(header, name).next().is_none() {
            self.write_line(&format!("no cookie is called {name}; the header has: {}", cookie_names(header)));
        }
        if self.verified.iter().any(|id| *id != self.verified[0]) {
            self.write_line(
                "several sessions verify: if more than one lives, none counts, as one may have been planted",
            );
        }
    }

    fn write_text(&mut self, text: &str, accept: AcceptedText) {
        match verify_token(self.ring, &self.app.name, text, accept) {
            Ok(verified) => {
                let kind = if verified.is_ticket { "a ticket, good for its first save" } else { "a token" };
                self.write_verified(text, kind, verified.token.id(&self.app.name));
            }
            Err(why) => self.write_rejected(text, why),
        }
    }

    fn write_verified(&mut self, text: &str, kind: &str, id: SessionId) {
        self.write_line(&format!("{}: verified: {kind}", beginning(text)));
        self.write_line(&format!("  session {id}"));
        if let Some(key) = claimed_key(text) {
            self.write_line(&format!("  key {}", self.describe_key(key)));
        }
        self.verified.push(id);
    }

    fn write_rejected(&mut self, text: &str, why: TokenRejection) {
        self.write_refused(text, &why.to_string());
        if let Some(key) = claimed_key(text) {
            self.write_line(&format!("  key {key}"));
        }
        if let Some(other) = self.apps.iter().find(|app| app.verifies(text, self.now)).map(|app| app.name.clone()) {
            self.write_line(&format!("  it verifies for the app {other}"));
        }
    }

    fn write_refused(&mut self, text: &str, why: &str) {
        self.write_line(&format!("{}: refused: {why}", beginning(text)));
    }

    fn describe_key(&self, key: KeyId) -> String {
        let role = if key == self.ring.signing().id() { "signs" } else { "no longer signs, still verifies" };
        format!("{key} ({role})")
    }

    fn write_line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// Returns the first characters: of a token the version and the key id, which are not secret.
fn beginning(text: &str) -> String {
    let start = text.chars().take(PRINTED_CHARS).collect::<String>();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("{}{rest}", start.escape_debug())
}

fn cookie_names(header: &str) -> String {
    let names = header.split(';').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.trim());
    names.take(PRINTED_NAMES).map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ")
}

/// Names the command that asks a running service.
fn refuse_address(_: &str) -> Result<String, String> {
    Err("this command asks no service any more; use `cloakroom why` with the same address and text".to_owned())
}

const PRINTED_CHARS: usize = 12;
const PRINTED_NAMES: usize = 20;
