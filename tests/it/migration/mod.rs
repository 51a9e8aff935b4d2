//! Migration: which legacy sessions are imported, and which are not.

mod flask_cookie;
mod flask_session;
mod races;
mod real_flask;
mod revocation;
mod session_end;

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
use crate::support::{StoreKind, TestService, app_settings};

/// The Flask application's `SECRET_KEY`.
const KEY: &str = "what Flask signs with";

/// How long a cookie that Flask signed is valid.
const LIFETIME: Duration = Duration::from_secs(31 * DAY.as_secs());

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long migration is open, from the real time on.
const MIGRATION_PERIOD: Duration = Duration::from_secs(90 * DAY.as_secs());

/// An app that imports Flask's cookies.
fn settings() -> app::Settings {
    settings_with(FlaskCookieSettings { keys: vec![KEY.to_owned().into()], ..Default::default() })
}

fn settings_with(flask_cookie: FlaskCookieSettings) -> app::Settings {
    let until = Some(crate::support::now() + MIGRATION_PERIOD);
    let migrate = MigrationSettings { until, flask_cookie, ..Default::default() };
    app::Settings { subject_key: "_user_id".to_owned(), migrate, ..app_settings() }
}

async fn service(store: StoreKind) -> TestService {
    TestService::with_apps(store, [("default", settings())]).await
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
    fn sign_now(&self, entries: &[(&str, &str)]) -> String {
        signed(entries, None, self.clock.now())
    }

    /// Opens by a value of the app's cookie.
    async fn open_value(&self, value: &str) -> (OpenSessionResponse, Session) {
        let mut opened = self.open(open_cookie(&format!("session={value}"))).await;
        let session = opened.session.take().unwrap();
        (opened, session)
    }

    /// Imports a legacy session. Returns its id and its new token, which the response sets as a cookie.
    async fn import(&self, value: &str) -> (String, String) {
        let (opened, session) = self.open_value(value).await;
        assert!(!session.new && session.null_session.is_none(), "{value} opens nothing");
        assert_eq!(set_cookies(&opened.untouched_headers).len(), 1);
        (session.id, session.token)
    }

    /// Whether a value of the app's cookie opens an empty new session and sets no cookie.
    async fn opens_nothing(&self, value: &str) -> bool {
        let (opened, session) = self.open_value(value).await;
        let nothing = session.new && session.entries.is_empty() && session.subject.is_empty();
        nothing && set_cookies(&opened.read_headers).is_empty()
    }

    /// Destroys by a whole `Cookie` header.
    async fn destroy_header(&self, header: &str) -> DestroySessionResponse {
        let credential = Some(destroy_session_request::Credential::CookieHeader(header.to_owned()));
        let request = DestroySessionRequest { credential, ..Default::default() };
        self.client.clone().destroy_session(request).await.unwrap().into_inner()
    }

    /// The counters of one migration source.
    async fn migration(&self, source: &str) -> MigrationStats {
        self.stats("").await.migrations.into_iter().find(|stats| stats.source == source).unwrap()
    }

    /// How many legacy credentials were refused, by reason.
    async fn rejections(&self, source: &str) -> BTreeMap<String, u64> {
        self.migration(source).await.refused.into_iter().collect()
    }
}

fn rotate_header(header: &str) -> RotateSessionRequest {
    let credential = Some(rotate_session_request::Credential::CookieHeader(header.to_owned()));
    RotateSessionRequest { credential, ..Default::default() }
}

fn entries(session: Session) -> Vec<(String, String)> {
    json_entries(session).into_iter().collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect()
}
