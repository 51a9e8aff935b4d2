//! The settings of a caller.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use serde::{Deserialize, Serialize};

use super::callers::{AllowedApps, Callers, KnownCaller};
use super::{CertificateName, TokenHash};
use crate::types::{AppName, Secret, SettingError, secret};

/// A `[callers.<name>]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallerSettings {
    /// The roles of the caller: `frontend`, `admin`, `viewer`, `monitor`, `backup`. At least one.
    pub roles: Vec<Role>,
    /// The apps whose sessions it may use, or `"*"` alone for all. Only a monitor needs none, and `backup` needs all.
    pub apps: Vec<String>,
    /// The names in its client certificate: DNS names or URIs among the subject alternative names, compared whole.
    pub certificate_names: Vec<String>,
    /// The SHA-256 of its caller tokens, in hexadecimal. Give two while the token changes.
    #[serde(deserialize_with = "secret::list")]
    pub token_hashes: Vec<Secret>,
    /// A file with one hash on each line, instead of `token_hashes`.
    pub token_hashes_file: Option<PathBuf>,
}

/// The rights of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Call SessionService for its apps.
    Frontend,
    /// Call AdminService for its apps, but for exports, and read the metrics. Moving a store needs all apps.
    Admin,
    /// The same without the RPCs that end or move sessions.
    Viewer,
    /// Read the metrics.
    Monitor,
    /// Export the sessions of all apps, with their data and what their tokens are compared with.
    Backup,
}

impl Role {
    /// Whether a caller of this role may do what the other role may.
    pub(super) fn includes(self, other: Self) -> bool {
        match self {
            Self::Admin => matches!(other, Self::Admin | Self::Viewer | Self::Monitor),
            Self::Viewer => matches!(other, Self::Viewer | Self::Monitor),
            Self::Frontend | Self::Monitor | Self::Backup => self == other,
        }
    }

    /// Returns the name that the settings use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Monitor => "monitor",
            Self::Backup => "backup",
        }
    }
}

impl CallerSettings {
    /// Adds this caller to others, if its settings are right beside theirs.
    pub(super) fn add_to(&self, callers: &mut Callers, name: &str) -> Result<(), SettingError> {
        let error = |key: &str, message: &str| SettingError::new(key, message);
        let known = Arc::new(KnownCaller {
            name: AppName::parse(name).map_err(|_| error("", NAME))?.to_string(),
            roles: if self.roles.is_empty() { return Err(error("roles", NO_ROLE)) } else { self.roles.clone() },
            apps: self.allowed_apps().map_err(|message| error("apps", message))?,
            running_calls: AtomicUsize::default(),
        });
        if self.certificate_names.is_empty() && self.token_hashes.is_empty() {
            return Err(error("token_hashes", NO_CREDENTIAL));
        }
        for text in &self.certificate_names {
            let name = CertificateName::parse(text).ok_or_else(|| error("certificate_names", NO_CERTIFICATE_NAME))?;
            if callers.by_certificate.insert(name, Arc::clone(&known)).is_some() {
                let message = format!("{text:?} is there twice, or for another caller too");
                return Err(SettingError::new("certificate_names", message));
            }
        }
        for text in &self.token_hashes {
            let hash = TokenHash::parse(text.expose()).ok_or_else(|| error("token_hashes", NO_HASH))?;
            if callers.by_token.insert(hash.prefix(), (hash, Arc::clone(&known))).is_some() {
                return Err(error("token_hashes", HASH_TWICE));
            }
        }
        callers.all.push(known);
        Ok(())
    }

    fn allowed_apps(&self) -> Result<AllowedApps, &'static str> {
        match self.apps.as_slice() {
            [] if self.roles.iter().any(|role| *role != Role::Monitor) => Err(NO_APPS),
            [all] if all == ALL_APPS => Ok(AllowedApps::All),
            _ if self.roles.contains(&Role::Backup) => Err(BACKUP_OF_ALL),
            names => {
                let names = names.iter().map(|name| AppName::parse(name).map_err(|_| NO_APP_NAME));
                Ok(AllowedApps::These(names.collect::<Result<_, _>>()?))
            }
        }
    }

    /// Returns the apps that the settings name one by one.
    pub fn named_apps(&self) -> impl Iterator<Item = &String> {
        self.apps.iter().filter(|name| *name != ALL_APPS)
    }
}

const ALL_APPS: &str = "*";

const NAME: &str = "a caller's name is 1 to 64 of a-z, 0-9, _ and -, the first a letter or a digit";
const NO_ROLE: &str =
    "say what it may do: [\"frontend\"], [\"admin\"], [\"viewer\"], [\"monitor\"], [\"backup\"], or several of them";
const NO_APPS: &str = "say whose sessions it may use: names of apps, or [\"*\"] for all";
const BACKUP_OF_ALL: &str = "the role backup is for the sessions of all apps: write [\"*\"], or take the role away";
const NO_APP_NAME: &str = "write names of apps, or [\"*\"] alone for all";
const NO_CREDENTIAL: &str = "say how it is known: by token_hashes (`cloakroom caller-token` makes a token and its hash), \
                             by token_hashes_file, or by certificate_names";
const NO_CERTIFICATE_NAME: &str = "write DNS names without wildcards, or URIs such as spiffe://example.org/shop";
const NO_HASH: &str =
    "a hash is 64 hexadecimal digits, the SHA-256 of a caller token; `cloakroom caller-token` makes both";
const HASH_TWICE: &str = "a hash is there twice, or for another caller too; every caller needs a token of its own";
