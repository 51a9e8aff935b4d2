//! Migration: which legacy sessions are imported, and which are not.

mod django_cookie;
mod django_session;
mod express_session;
mod flask_cookie;
mod flask_session;
mod lost_answers;
mod races;
mod real_flask;
mod record_tls;
mod revocation;
mod scs_records;
mod session_end;

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom::app::{self, DjangoCookieSettings, FlaskCookieSettings, MigrationSettings};
use cloakroom::flask::{DEFAULT_SALT, Digest, Signer};
use cloakroom::grpc::wire::{
    DestroySessionRequest, DestroySessionResponse, MigrationStats, OpenSessionResponse, RotateSessionRequest, Session,
    destroy_session_request, rotate_session_request,
};
use cloakroom::session::Entries;
use cloakroom::types::{Clock as _, Time};

use crate::support::calls::{json_entries, open_cookie, set_cookies};
use crate::support::{StoreKind, TestService, app_settings, django};

/// The Flask application's `SECRET_KEY`, and the Django application's.
const KEY: &str = "what Flask signs with";

/// How long a cookie that one of them signed is valid.
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

/// A source whose sessions are in their cookies.
#[derive(Clone, Copy)]
enum CookieSource {
    Flask,
    Django,
}

impl CookieSource {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Flask => "flask_cookie",
            Self::Django => "django_cookie",
        }
    }

    /// An app that imports its cookies.
    fn settings(self) -> app::Settings {
        match self {
            Self::Flask => settings(),
            Self::Django => {
                let keys = vec![KEY.to_owned().into()];
                let mut settings = settings();
                settings.migrate.flask_cookie = FlaskCookieSettings::default();
                settings.migrate.django_cookie =
                    DjangoCookieSettings { keys, lifetime: LIFETIME, ..Default::default() };
                settings
            }
        }
    }

    /// A cookie that is signed now, with these entries.
    fn sign(self, service: &TestService, entries: &[(&str, &str)]) -> String {
        match self {
            Self::Flask => service.sign_now(entries),
            Self::Django => django::cookie(KEY, &object(entries), service.clock.now()),
        }
    }
}

async fn service_of(store: StoreKind, cookie: CookieSource) -> TestService {
    TestService::with_apps(store, [("default", cookie.settings())]).await
}

/// A JSON object with these entries, whose values are JSON.
fn object(entries: &[(&str, &str)]) -> String {
    let entries = entries.iter().map(|(name, json)| format!("{name:?}:{json}"));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// Makes tests as `on_every_store` does, for each source whose sessions are in their cookies.
macro_rules! on_every_store_and_cookie {
    (async fn $($function:tt)*) => {
        on_every_store_and_cookie! { #[tokio::test] async fn $($function)* }
    };
    (#[$test:meta] async fn $name:ident($store:ident: StoreKind, $cookie:ident: CookieSource $(,)?) $body:block) => {
        async fn $name($store: StoreKind, $cookie: CookieSource) $body

        mod $name {
            use super::*;

            on_every_store! { #[$test] async fn of_flask(store: StoreKind) { $name(store, CookieSource::Flask).await } }

            on_every_store! { #[$test] async fn of_django(store: StoreKind) { $name(store, CookieSource::Django).await } }
        }
    };
}
use on_every_store_and_cookie;

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
