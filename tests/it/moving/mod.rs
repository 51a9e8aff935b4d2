//! Moving in: what the sessions from before become, and what never comes in.

mod ending;
mod flask_cookie;
mod flask_session;
mod races;
mod real;
mod revoking;

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom::app::{self, FlaskCookieSettings, MigrationSettings};
use cloakroom::flask::{DEFAULT_SALT, Digest, Signer};
use cloakroom::grpc::wire::{
    DestroySessionRequest, DestroySessionResponse, MigrationStats, OpenSessionResponse, RotateSessionRequest, Session,
    destroy_session_request, rotate_session_request,
};
use cloakroom::session::Entries;
use cloakroom::types::{Clock as _, Time};

use crate::support::calls::{json_entries, open_cookie, set_cookies};
use crate::support::{On, TestService, app_settings};

/// The Flask application's `SECRET_KEY`.
const KEY: &str = "what Flask signs with";

/// Flask's own lifetime of every cookie.
const LIFETIME: Duration = Duration::from_secs(31 * DAY.as_secs());

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When the doors shut, counted from the real time.
const OPEN: Duration = Duration::from_secs(90 * DAY.as_secs());

/// An app with a door for Flask's cookies.
fn settings() -> app::Settings {
    accepting(FlaskCookieSettings { keys: vec![KEY.to_owned().into()], ..Default::default() })
}

fn accepting(flask_cookie: FlaskCookieSettings) -> app::Settings {
    let until = Some(crate::support::now() + OPEN);
    let migrate = MigrationSettings { until, flask_cookie, ..Default::default() };
    app::Settings { subject_key: "_user_id".to_owned(), migrate, ..app_settings() }
}

async fn service(on: On) -> TestService {
    TestService::with_apps(on, [("default", settings())]).await
}

/// A cookie as Flask signs it, with these entries.
fn signed(entries: &[(&str, &str)], permanent: Option<bool>, at: Time) -> String {
    let entries = entries.iter().map(|(name, json)| (*name, json.as_bytes())).collect::<BTreeMap<_, _>>();
    let entries = Entries::pack(entries.iter().map(|(name, json)| (*name, *json)));
    let signer = Signer::new(&[KEY], DEFAULT_SALT.as_bytes(), Digest::Sha1).unwrap();
    signer.sign(&entries, permanent, at).unwrap()
}

impl TestService {
    /// A cookie that Flask signs now.
    fn old(&self, entries: &[(&str, &str)]) -> String {
        signed(entries, None, self.clock.now())
    }

    /// What a value of the app's cookie opens.
    async fn opens(&self, value: &str) -> (OpenSessionResponse, Session) {
        let mut opened = self.open(open_cookie(&format!("session={value}"))).await;
        let session = opened.session.take().unwrap();
        (opened, session)
    }

    /// The session that an old cookie becomes: its id and the new token, which the response sets.
    async fn moves_in(&self, value: &str) -> (String, String) {
        let (opened, session) = self.opens(value).await;
        assert!(!session.new && session.null_session.is_none(), "{value} opens nothing");
        assert_eq!(set_cookies(&opened.untouched_headers).len(), 1);
        (session.id, session.token)
    }

    /// Whether a value of the app's cookie opens nothing: a new session, and no cookie is set.
    async fn is_nothing(&self, value: &str) -> bool {
        let (opened, session) = self.opens(value).await;
        let nothing = session.new && session.entries.is_empty() && session.subject.is_empty();
        nothing && set_cookies(&opened.read_headers).is_empty()
    }

    /// A logout with a whole `Cookie` header.
    async fn destroy_header(&self, header: &str) -> DestroySessionResponse {
        let credential = Some(destroy_session_request::Credential::CookieHeader(header.to_owned()));
        let request = DestroySessionRequest { credential, ..Default::default() };
        self.client.clone().destroy_session(request).await.unwrap().into_inner()
    }

    /// The numbers of one door.
    async fn door(&self, door: &str) -> MigrationStats {
        self.stats("").await.migrations.into_iter().find(|stats| stats.source == door).unwrap()
    }

    /// How often old credentials opened nothing, by reason.
    async fn refused(&self, door: &str) -> BTreeMap<String, u64> {
        self.door(door).await.refused.into_iter().collect()
    }
}

fn rotate_header(header: &str) -> RotateSessionRequest {
    let credential = Some(rotate_session_request::Credential::CookieHeader(header.to_owned()));
    RotateSessionRequest { credential, ..Default::default() }
}

/// A session's entries by name.
fn entries(session: Session) -> Vec<(String, String)> {
    json_entries(session).into_iter().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect()
}
