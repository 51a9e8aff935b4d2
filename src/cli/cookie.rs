//! `cloakroom cookie`: what a cookie is worth, and why.
//!
//! Looks at signatures alone, never at the store: whether the session lives is another question.
//! Prints no key, no secret and no whole token.

use std::io::{self, Read as _};
use std::sync::Arc;

use clap::Args;

use super::{CliError, ConfigFile, cookie_kind, output};
use crate::app::{App, Apps, Kind};
use crate::cookie;
use crate::token::{KeyId, KeyRing, SessionId, TokenRejection, claimed_key, is_ticket, verify_ticket, verify_token};
use crate::types::{AppName, Clock as _, SystemClock, Time};

#[derive(Debug, Args)]
pub(super) struct Cookie {
    /// The app whose cookie it is
    #[arg(long, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    #[command(flatten)]
    config: ConfigFile,
    /// A token, a ticket or a whole Cookie header. Otherwise stdin, which leaves no trace in the shell's history
    text: Option<String>,
}

impl Cookie {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let apps = self.config.load()?.apps_as_served()?;
        let Some(app) = apps.find(&self.app) else {
            let names = apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CliError::Failed(format!("there is no app `{}`; there are: {names}", self.app).into()));
        };
        let text = self.text.clone().map_or_else(read_stdin, Ok)?;
        let explained = explain(&apps, app, text.trim(), SystemClock.now());
        output::answer(&explained.text)?;
        if explained.verified { Ok(()) } else { Err(CliError::RecordedBody) }
    }
}

/// An explanation, and whether anything in it verified.
struct Explanation {
    text: String,
    verified: bool,
}

fn explain(apps: &Apps, app: &App, text: &str, now: Time) -> Explanation {
    if let Kind::Cookie(Some(signer)) = &app.kind {
        let (text, verified) = cookie_kind::explain(app, signer, without_field_name(text), now);
        return Explanation { text, verified };
    }
    let Some(ring) = &app.keys else {
        let text = format!("the app {} has no key: nothing can be verified, and it has only null sessions", app.name);
        return Explanation { text, verified: false };
    };
    let mut inspector = Inspector { apps, app, ring, now, text: String::new(), verified: Vec::new() };
    inspector.heading();
    if text.contains('=') {
        inspector.header(without_field_name(text))
    } else {
        inspector.bare(text)
    }
    Explanation { text: inspector.text, verified: !inspector.verified.is_empty() }
}

/// Where credentials of one app are looked at.
struct Inspector<'a> {
    apps: &'a Apps,
    app: &'a App,
    ring: &'a KeyRing,
    now: Time,
    text: String,
    verified: Vec<SessionId>,
}

impl Inspector<'_> {
    fn heading(&mut self) {
        let keys = self.ring.ids().map(|id| self.described(id)).collect::<Vec<_>>().join(", ");
        let cookie = self.app.cookie.attributes().name.as_str();
        self.line(&format!("app {}, cookie {cookie}, keys {keys}", self.app.name));
    }

    fn header(&mut self, header: &str) {
        let name = self.app.cookie.attributes().name.as_str();
        for value in cookie::values(header, name) {
            if is_ticket(value) {
                self.refused(value, "it is a ticket, and a ticket is never valid in a cookie");
            } else {
                self.token(value);
            }
        }
        if cookie::values(header, name).next().is_none() {
            self.line(&format!("no cookie is called {name}; the header has: {}", names_in(header)));
        }
        if self.verified.iter().any(|id| *id != self.verified[0]) {
            self.line("several sessions verify: if more than one lives, none counts, as one may have been planted");
        }
    }

    fn bare(&mut self, text: &str) {
        if !is_ticket(text) {
            return self.token(text);
        }
        match verify_ticket(self.ring, &self.app.name, text, self.now) {
            Ok(ticket) => self.accepted(text, "a ticket, good for its first save", ticket.token.id(&self.app.name)),
            Err(why) => self.rejected(text, why),
        }
    }

    fn token(&mut self, text: &str) {
        match verify_token(self.ring, &self.app.name, text) {
            Ok(issued) => self.accepted(text, "a token", issued.token.id(&self.app.name)),
            Err(why) => self.rejected(text, why),
        }
    }

    fn accepted(&mut self, text: &str, what: &str, id: SessionId) {
        self.line(&format!("{}: verified: {what}", shown(text)));
        self.line(&format!("  session {id}"));
        if let Some(key) = claimed_key(text) {
            self.line(&format!("  key {}", self.described(key)));
        }
        self.verified.push(id);
    }

    fn rejected(&mut self, text: &str, why: TokenRejection) {
        self.refused(text, &why.to_string());
        if let Some(key) = claimed_key(text) {
            self.line(&format!("  key {key}"));
        }
        let verifies_for = |app: &&Arc<App>| {
            app.keys.as_ref().is_some_and(|ring| {
                verify_token(ring, &app.name, text).is_ok() || verify_ticket(ring, &app.name, text, self.now).is_ok()
            })
        };
        if let Some(other) = self.apps.iter().find(verifies_for).map(|app| app.name.clone()) {
            self.line(&format!("  it verifies for the app {other}"));
        }
    }

    fn refused(&mut self, text: &str, why: &str) {
        self.line(&format!("{}: refused: {why}", shown(text)));
    }

    fn described(&self, key: KeyId) -> String {
        let role = if key == self.ring.signing().id() { "signs" } else { "no longer signs, still verifies" };
        format!("{key} ({role})")
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

/// The beginning: version and key id of a token, nothing that opens anything.
fn shown(text: &str) -> String {
    let start = text.chars().take(SHOWN_CHARS).collect::<String>();
    let rest = if start.len() < text.len() { "..." } else { "" };
    format!("{}{rest}", start.escape_debug())
}

fn names_in(header: &str) -> String {
    let names = header.split(';').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.trim());
    names.take(SHOWN_NAMES).map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ")
}

/// `Cookie: a=b`, as it is copied from a browser, as `a=b`.
fn without_field_name(text: &str) -> &str {
    match text.split_once(':') {
        Some((name, header)) if name.trim().eq_ignore_ascii_case("cookie") => header.trim(),
        _ => text,
    }
}

fn read_stdin() -> io::Result<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(cookie::MAX_HEADER_BYTES).unwrap_or(u64::MAX);
    io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

const SHOWN_CHARS: usize = 12;
const SHOWN_NAMES: usize = 20;
