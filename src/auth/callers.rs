//! The callers that are configured, and what each of them may do.
//!
//! A caller is one frontend, one operator or one monitor. It is identified by a name in its client certificate or by a
//! caller token. The service has only the hash of the token.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use subtle::ConstantTimeEq as _;
use tracing::warn;

use super::{CallerSettings, CertificateName, Error, Role, TokenHash};
use crate::telemetry::LogThrottle;
use crate::types::{AppName, SettingError};

/// All known callers. Without any, no call needs a credential.
#[derive(Clone, Default)]
pub struct Callers {
    pub(super) all: Vec<Arc<KnownCaller>>,
    pub(super) by_certificate: HashMap<CertificateName, Arc<KnownCaller>>,
    /// By the first 8 bytes of the hash; the whole hash is then compared in constant time.
    pub(super) by_token: HashMap<[u8; 8], (TokenHash, Arc<KnownCaller>)>,
}

/// A caller that is configured.
#[derive(Debug)]
pub struct KnownCaller {
    pub(super) name: String,
    pub(super) roles: Vec<Role>,
    pub(super) apps: AllowedApps,
    pub(super) running_calls: AtomicUsize,
}

impl KnownCaller {
    /// Returns its name in the settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its roles.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Returns the apps that it may use. `None`: all of them.
    pub fn apps(&self) -> Option<&[AppName]> {
        match &self.apps {
            AllowedApps::All => None,
            AllowedApps::These(apps) => Some(apps),
        }
    }

    /// Returns the counter of its running calls, which a server uses to limit them.
    pub const fn running_calls(&self) -> &AtomicUsize {
        &self.running_calls
    }
}

/// The apps whose sessions a caller may use.
#[derive(Debug)]
pub(super) enum AllowedApps {
    All,
    These(Vec<AppName>),
}

/// The caller of one call, in the extensions of the request. A request without it may not use any app.
#[derive(Clone, Debug)]
pub enum Caller {
    /// No credential is needed, because no callers are configured or the file mode of the Unix socket is the check.
    /// Everything is allowed.
    Trusted,
    /// The RPC is public, so the caller was not identified. No app may be used.
    Unauthenticated,
    Known(Arc<KnownCaller>),
}

impl Callers {
    /// Builds the callers from their settings, by name.
    pub fn build<'s>(
        settings: impl IntoIterator<Item = (&'s String, &'s CallerSettings)>,
    ) -> Result<Self, SettingError> {
        let mut callers = Self::default();
        for (name, settings) in settings {
            settings.add_to(&mut callers, name).map_err(|error| error.under(name))?;
        }
        Ok(callers)
    }

    /// Whether there are no callers, so that no call needs a credential.
    pub fn is_empty(&self) -> bool {
        self.by_certificate.is_empty() && self.by_token.is_empty()
    }

    /// Returns all callers, in the order of their settings.
    pub fn iter(&self) -> impl Iterator<Item = &KnownCaller> {
        self.all.iter().map(|caller| &**caller)
    }

    /// Whether a certificate name identifies any caller.
    pub fn has_certificates(&self) -> bool {
        !self.by_certificate.is_empty()
    }

    /// Whether a token identifies any caller.
    pub fn has_tokens(&self) -> bool {
        !self.by_token.is_empty()
    }

    /// Finds the caller whose certificate has these names. A certificate that names two callers identifies neither.
    pub fn with_certificate(&self, names: &[CertificateName]) -> Option<&Arc<KnownCaller>> {
        let mut found = names.iter().filter_map(|name| self.by_certificate.get(name));
        let first = found.next()?;
        found.all(|other| Arc::ptr_eq(first, other)).then_some(first)
    }

    /// Finds the caller whose token has this hash.
    pub fn with_token(&self, presented: TokenHash) -> Option<&Arc<KnownCaller>> {
        let (hash, known) = self.by_token.get(&presented.prefix())?;
        bool::from(hash.bytes().ct_eq(presented.bytes())).then_some(known)
    }
}

impl Caller {
    /// Whether the caller has this role, or one that includes it: an admin is a viewer, and a viewer a monitor.
    pub fn has_role(&self, role: Role) -> bool {
        match self {
            Self::Trusted => true,
            Self::Unauthenticated => false,
            Self::Known(known) => known.roles.iter().any(|own| own.includes(role)),
        }
    }

    /// Checks that the caller may use an app; an empty name means `default`.
    ///
    /// The error does not reveal whether the app exists.
    pub fn check_app(&self, app: &str) -> Result<(), Error> {
        static REFUSED: LogThrottle = LogThrottle::new();
        if self.may_use(app) {
            return Ok(());
        }
        if let Some(calls) = REFUSED.count() {
            warn!(caller = %self, calls, "a caller was refused an app that it may not use");
        }
        Err(Error::AppNotAllowed)
    }

    /// Checks that the caller may use every app.
    pub fn check_all_apps(&self) -> Result<(), Error> {
        if self.may_use_all() { Ok(()) } else { Err(Error::AppNotAllowed) }
    }

    /// Whether the caller may use every app.
    pub fn may_use_all(&self) -> bool {
        match self {
            Self::Trusted => true,
            Self::Unauthenticated => false,
            Self::Known(known) => known.apps().is_none(),
        }
    }

    /// Whether the caller may use an app; an empty name means `default`.
    pub fn may_use(&self, app: &str) -> bool {
        let app = if app.is_empty() { AppName::DEFAULT } else { app };
        match self {
            Self::Trusted => true,
            Self::Unauthenticated => false,
            Self::Known(known) => match &known.apps {
                AllowedApps::All => true,
                AllowedApps::These(apps) => apps.iter().any(|allowed| allowed.as_str() == app),
            },
        }
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debug output must not contain any part of a hash.
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => f.write_str("trusted"),
            Self::Unauthenticated => f.write_str("unauthenticated"),
            Self::Known(known) => f.write_str(&known.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers(text: &str) -> Result<Callers, SettingError> {
        Callers::build(&toml::from_str::<std::collections::BTreeMap<String, CallerSettings>>(text).unwrap())
    }

    fn hash(token: &str) -> String {
        TokenHash::of(token.as_bytes()).to_string()
    }

    #[test]
    fn a_certificate_that_names_two_callers_identifies_neither() {
        let text = "[a]\ncertificate_names = ['a.test', 'spiffe://test/a']\nroles = ['monitor']\n\
                    [b]\ncertificate_names = ['b.test']\nroles = ['monitor']\n";
        let callers = callers(text).unwrap();
        let known = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| CertificateName::parse(name).unwrap()).collect();
            callers.with_certificate(&names).map(|known| known.name.clone())
        };

        assert_eq!(known(&["A.test", "spiffe://test/a", "x.test"]).as_deref(), Some("a"));
        assert_eq!(known(&["a.test", "b.test"]), None);
        assert_eq!(known(&["spiffe://test/A"]), None);
        assert_eq!(known(&[]), None);
    }

    #[test]
    fn a_caller_may_have_two_tokens_at_once() {
        let text =
            format!("[a]\ntoken_hashes = ['{}', '{}']\nroles = ['admin']\napps = ['*']\n", hash("old"), hash("new"));
        let callers = callers(&text).unwrap();

        for (token, is_known) in [("old", true), ("new", true), ("", false), ("other", false), ("old ", false)] {
            assert_eq!(callers.with_token(TokenHash::of(token.as_bytes())).is_some(), is_known, "{token}");
        }
    }

    #[test]
    fn invalid_settings_are_refused_with_their_key() {
        let hash = hash("x");
        let cases = [
            ("[a]\nroles = ['admin']\napps = ['*']".to_owned(), "a.token_hashes"),
            (format!("[a]\ntoken_hashes = ['{hash}']\napps = ['*']"), "a.roles"),
            (format!("[a]\ntoken_hashes = ['{hash}']\nroles = ['frontend']"), "a.apps"),
            (format!("[a]\ntoken_hashes = ['{hash}']\nroles = ['frontend']\napps = ['*', 'b']"), "a.apps"),
            (format!("[a]\ntoken_hashes = ['{hash}']\nroles = ['frontend']\napps = ['B']"), "a.apps"),
            (format!("[a]\ntoken_hashes = ['{hash}']\nroles = ['admin', 'backup']\napps = ['b']"), "a.apps"),
            (format!("[a]\ntoken_hashes = ['{}']\nroles = ['monitor']", &hash[1..]), "a.token_hashes"),
            (format!("[a]\ntoken_hashes = ['{hash}', '{hash}']\nroles = ['monitor']"), "a.token_hashes"),
            ("[a]\ncertificate_names = ['*.test']\nroles = ['monitor']".to_owned(), "a.certificate_names"),
            ("[a]\ncertificate_names = ['']\nroles = ['monitor']".to_owned(), "a.certificate_names"),
            (
                format!(
                    "[a]\ntoken_hashes = ['{hash}']\nroles = ['monitor']\n[b]\ntoken_hashes = ['{hash}']\nroles = ['monitor']"
                ),
                "b.token_hashes",
            ),
        ];

        for (text, key) in cases {
            let error = callers(&text).expect_err(&text).to_string();
            assert!(error.starts_with(&format!("{key}: ")), "{text}\n{error}");
            assert!(!error.contains(&hash[1..]), "{error}");
        }
    }
}
