//! The changes of one request to its app's cookie.

use std::borrow::Cow;

use super::{Attributes, Name, SameSite, Template, TemplateError};

/// The changes of one request to its app's cookie. `None` leaves the app's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieChanges<'r> {
    pub name: Option<&'r str>,
    /// Empty for a cookie of one host only.
    pub domain: Option<&'r str>,
    pub path: Option<&'r str>,
    pub secure: Option<bool>,
    /// `Some(None)` leaves the attribute out.
    pub samesite: Option<Option<SameSite>>,
}

impl<'r> CookieChanges<'r> {
    /// Another name, and the app's attributes.
    pub fn named(name: Option<&'r str>) -> Self {
        Self { name, ..Self::default() }
    }

    /// Whether an attribute is changed, besides the name.
    pub fn has_attributes(&self) -> bool {
        *self != Self::named(self.name)
    }
}

impl Template {
    /// Returns the cookie with these changes.
    ///
    /// Fails if browsers would refuse it, or if it would be sent without TLS although the app's is not.
    pub fn changed(&self, changes: &CookieChanges<'_>) -> Result<Cow<'_, Self>, CookieChangesError> {
        if *changes == CookieChanges::default() {
            return Ok(Cow::Borrowed(self));
        }
        let changed = self.apply(changes).map_err(|error| match error {
            TemplateError::Name => CookieChangesError::Name(error),
            _ if changes.has_attributes() => CookieChangesError::Attributes(error),
            _ => CookieChangesError::Name(error),
        });
        changed.map(Cow::Owned)
    }

    fn apply(&self, changes: &CookieChanges<'_>) -> Result<Self, TemplateError> {
        let own = self.attributes().clone();
        if own.secure && changes.secure == Some(false) {
            return Err(TemplateError::Insecure);
        }
        let domain = changes.domain.map(|domain| Some(domain.to_owned()).filter(|domain| !domain.is_empty()));
        Self::new(Attributes {
            name: changes.name.map_or(Ok(own.name), Name::parse)?,
            domain: domain.unwrap_or(own.domain),
            path: changes.path.map_or(own.path, str::to_owned),
            secure: changes.secure.unwrap_or(own.secure),
            samesite: changes.samesite.unwrap_or(own.samesite),
            ..own
        })
    }
}

/// The refused one of a request's changes of the cookie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CookieChangesError {
    #[error("cookie_name: {0}")]
    Name(#[source] TemplateError),
    #[error("cookie_attributes: {0}")]
    Attributes(#[source] TemplateError),
}
