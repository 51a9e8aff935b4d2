//! `cloakroom cookie --address`: asks a running service what a cookie, a token, a ticket or a key leads to.
//!
//! Needs no configuration, because the service has the keys. Prints no token and no entry.

use std::time::Duration;

use clap::Args;
use tokio::runtime;

use super::cookie::without_field_name;
use super::credentials::Credentials;
use super::sessions::admin::AdminClient;
use super::sessions::text::{absolute, end_reason, printable, time};
use super::{Address, CliError, output};
use crate::grpc::wire::explain_credential_request::Credential;
use crate::grpc::wire::{CredentialExplanation, CredentialState, EndReason, ExplainCredentialRequest};
use crate::types::{Clock as _, SystemClock, Time, duration};

#[derive(Debug, Args)]
pub(super) struct ServiceArgs {
    /// Ask the running service whose admin listener has this address, HOST:PORT or unix:PATH, why the cookie opens
    /// nothing. Needs no configuration
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config")]
    address: Option<Address>,
    /// The time to wait for the answer of the service
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// The name of the cookie, if the frontend overrides that of the app
    #[arg(long, value_name = "NAME", requires = "address")]
    cookie_name: Option<String>,
    /// The text is the key of a session in an app of kind `external`: the session id that the framework made
    #[arg(long, requires = "address", conflicts_with = "cookie_name")]
    session_key: bool,
    #[command(flatten)]
    credentials: Credentials,
}

impl ServiceArgs {
    /// Whether a service is to be asked.
    pub(super) const fn is_named(&self) -> bool {
        self.address.is_some()
    }

    /// Asks the service about a token, a ticket, a `Cookie` header or a key. The answer is yes if one session is opened.
    pub(super) fn explain(&self, app: &str, text: &str) -> Result<(), CliError> {
        let Some(address) = &self.address else { return Ok(()) };
        let credential = match without_field_name(text) {
            _ if self.session_key => Credential::Key(text.into()),
            header if header.contains('=') => Credential::CookieHeader(header.to_owned()),
            token => Credential::Token(token.to_owned()),
        };
        let request = ExplainCredentialRequest {
            app: app.to_owned(),
            credential: Some(credential),
            cookie_name: self.cookie_name.clone().unwrap_or_default(),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let response = runtime.block_on(async {
            let admin = AdminClient::connect(address, &self.credentials, self.timeout).await?;
            admin.call(async |mut client| client.explain_credential(request).await).await
        })?;
        output::print(&text_of(&response.explanations, SystemClock.now()))?;
        if opens_a_session(&response.explanations) { Ok(()) } else { Err(CliError::NegativeAnswer) }
    }
}

/// Whether an open with these values finds one live session, or a save can use their ticket.
fn opens_a_session(explanations: &[CredentialExplanation]) -> bool {
    let is_good = |explanation: &&CredentialExplanation| {
        matches!(explanation.state(), CredentialState::Live | CredentialState::Unused)
    };
    let mut ids = explanations.iter().filter(is_good).map(|explanation| &explanation.id);
    ids.next().is_some_and(|first| ids.all(|id| id == first))
}

fn text_of(explanations: &[CredentialExplanation], now: Time) -> String {
    let mut text = String::new();
    for (index, explanation) in explanations.iter().enumerate() {
        text += &format!("{}: {}\n", index + 1, verdict(explanation));
        for (name, value) in details(explanation, now) {
            text += &format!("  {name:<10}{}\n", printable(&value));
        }
    }
    if explanations.is_empty() {
        text += "the header has no cookie of the app: the browser did not keep it, or does not send it here\n";
    }
    let lives = explanations.iter().any(|explanation| explanation.state() == CredentialState::Live);
    if lives && !opens_a_session(explanations) {
        text += "two sessions live: none of them is opened, because one may have been planted\n";
    }
    text
}

/// Says in one line what a value leads to.
fn verdict(explanation: &CredentialExplanation) -> String {
    let word = explanation.state().as_str_name().trim_start_matches("CREDENTIAL_STATE_");
    let sentence = match explanation.state() {
        CredentialState::Live => "it opens its session",
        CredentialState::Superseded => {
            "its session lives, but a login or a rotation has replaced this token; it opens an anonymous session of its own"
        }
        CredentialState::Ended => return format!("{word} {}", end(explanation.end_reason())),
        CredentialState::Unknown => {
            "it is genuine, and the store has no session for it: that ended more than 16 minutes ago, or was lost, or no \
             save has used the key yet"
        }
        CredentialState::Unused => "it is a ticket that no save has used yet",
        CredentialState::Rejected => return format!("{word} {}", rejection(&explanation.rejection)),
        CredentialState::Unspecified => "the service is newer than this program",
    };
    format!("{word}: {sentence}")
}

fn end(reason: EndReason) -> String {
    let sentence = match reason {
        EndReason::Destroyed => "the frontend ended its session: the user logged out",
        EndReason::Emptied => "a save left its session without entries",
        EndReason::Revoked => "an operator ended its session, all of its subject or all of the app",
        EndReason::Idle => "its session was not used for its idle timeout",
        EndReason::Absolute => "its session reached its absolute timeout",
        EndReason::Evicted => "its subject opened more sessions than the app allows",
        EndReason::Superseded | EndReason::Unspecified => "its session has ended",
    };
    format!("{}: {sentence}", end_reason(reason).unwrap_or_default())
}

fn rejection(reason: &str) -> String {
    let sentence = match reason {
        "MALFORMED" => "it is not written as a token of this app, or is a ticket in a cookie",
        "UNKNOWN_KEY" => "it is signed with a key that the service does not have",
        "BAD_SIGNATURE" => "its signature is wrong: it is forged, or of another app",
        "TOO_OLD" => "it is a ticket older than 15 minutes",
        "EXPIRED" => "it is older than the app's idle timeout",
        "FROM_THE_FUTURE" => "it was signed later than now: a clock is wrong",
        _ => "it does not verify",
    };
    format!("{}: {sentence}", printable(reason))
}

fn details(explanation: &CredentialExplanation, now: Time) -> Vec<(&'static str, String)> {
    let end = match explanation.state() {
        CredentialState::Live => "ends",
        CredentialState::Superseded => "replaced",
        _ => "ended",
    };
    let session = explanation.session.as_ref();
    let at = |timestamp| Some(absolute(Some(time(timestamp)?), now));
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let details = [
        ("session", text(&explanation.id)),
        ("key", text(&explanation.key_id)),
        ("app", text(&explanation.other_app).map(|app| format!("it verifies for the app {app}"))),
        ("created", session.and_then(|session| at(&session.create_time))),
        ("used", session.and_then(|session| at(&session.access_time))),
        (end, at(&explanation.end_time)),
    ];
    details.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
