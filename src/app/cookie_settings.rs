//! The settings of an app's cookie.

use serde::{Deserialize, Serialize};

use crate::cookie::{self, SameSite};
use crate::types::SettingError;

/// The `[apps.<name>.cookie]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CookieSettings {
    /// The cookie's name. The prefixes `__Host-` and `__Secure-` need certain values of the other settings.
    pub name: String,
    /// The domain. Empty: only the host itself. If you change it, change the name too.
    pub domain: String,
    /// The path. If you change it, change the name too.
    pub path: String,
    /// Hide the cookie from scripts.
    pub httponly: bool,
    /// Send the cookie over TLS only. Set it to true wherever users come by https.
    pub secure: bool,
    /// `Strict`, `Lax`, `None` (needs `secure`), or empty for no attribute.
    pub samesite: SameSiteSetting,
    /// Keep separate cookies for each site that embeds this one (CHIPS). Needs `secure`.
    pub partitioned: bool,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self {
            name: "session".to_owned(),
            domain: String::new(),
            path: "/".to_owned(),
            httponly: true,
            secure: false,
            samesite: SameSiteSetting::Lax,
            partitioned: false,
        }
    }
}

impl CookieSettings {
    pub(super) fn template(&self) -> Result<cookie::Template, SettingError> {
        let name = cookie::Name::parse(&self.name).map_err(setting_error)?;
        let attributes = cookie::Attributes {
            name,
            domain: Some(self.domain.clone()).filter(|domain| !domain.is_empty()),
            path: self.path.clone(),
            httponly: self.httponly,
            secure: self.secure,
            samesite: self.samesite.into(),
            partitioned: self.partitioned,
        };
        cookie::Template::new(attributes).map_err(setting_error)
    }
}

/// The error of the setting with the attribute's name. The text of a cookie's error begins with that name.
fn setting_error(error: cookie::TemplateError) -> SettingError {
    let (attribute, text) = (error.attribute(), error.to_string());
    let message = text.strip_prefix(attribute).and_then(|text| text.strip_prefix(": "));
    SettingError::new(attribute, message.unwrap_or(&text))
}

/// The `SameSite` attribute as the configuration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SameSiteSetting {
    /// No attribute.
    #[serde(rename = "")]
    Absent,
    /// `SameSite=Strict`.
    #[serde(alias = "strict")]
    Strict,
    /// `SameSite=Lax`.
    #[serde(alias = "lax")]
    Lax,
    /// `SameSite=None`.
    #[serde(alias = "none")]
    None,
}

impl From<SameSiteSetting> for Option<SameSite> {
    fn from(setting: SameSiteSetting) -> Self {
        match setting {
            SameSiteSetting::Absent => None,
            SameSiteSetting::Strict => Some(SameSite::Strict),
            SameSiteSetting::Lax => Some(SameSite::Lax),
            SameSiteSetting::None => Some(SameSite::None),
        }
    }
}
