//! The `Set-Cookie` header: made from an app's template, to set a value or to delete the cookie.
//!
//! Templates are checked once, so none produces a header that a browser would refuse or misread.

use std::time::{Duration, SystemTime};

use crate::types::Time;

/// The most bytes of name and value together: browsers drop a longer cookie (RFC 6265bis section 5.7).
pub const MAX_COOKIE_BYTES: usize = 4096;

/// A cookie's name: a token of RFC 9110, at most 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Box<str>);

impl Name {
    /// Checks a name.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if text.is_empty() || text.len() > 256 || !text.bytes().all(is_token) {
            return Err(TemplateError::Name);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Ignores case, as browsers do.
    fn has_prefix(&self, prefix: &str) -> bool {
        self.0.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }
}

/// The `SameSite` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never sent from another site.
    Strict,
    /// Sent from another site only when the user follows a link.
    Lax,
    /// Sent from everywhere; needs `Secure`.
    None,
}

impl SameSite {
    /// The attribute's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// All of a cookie except its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub name: Name,
    /// `None` sends the cookie to the host that set it and to no other.
    pub domain: Option<String>,
    pub path: String,
    pub httponly: bool,
    pub secure: bool,
    /// `None` leaves the attribute out.
    pub samesite: Option<SameSite>,
    pub partitioned: bool,
}

/// When a browser deletes a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// When the browser is closed.
    WithBrowser,
    /// At `time`, or 400 days after `now` if that is earlier.
    At { time: Time, now: Time },
}

/// An app's cookie, checked once.
#[derive(Clone, Debug)]
pub struct Template(Attributes);

impl Template {
    /// Checks that browsers accept a cookie with these attributes.
    pub fn new(attributes: Attributes) -> Result<Self, TemplateError> {
        check_path(&attributes.path)?;
        attributes.domain.as_deref().map_or(Ok(()), check_domain)?;
        if attributes.partitioned && !attributes.secure {
            return Err(TemplateError::PartitionedInsecure);
        }
        if attributes.samesite == Some(SameSite::None) && !attributes.secure {
            return Err(TemplateError::SameSiteNoneInsecure);
        }
        check_prefix(&attributes)?;
        Ok(Self(attributes))
    }

    /// Returns the same cookie under another name.
    pub fn named(&self, name: &str) -> Result<Self, TemplateError> {
        Self::new(Attributes { name: Name::parse(name)?, ..self.0.clone() })
    }

    /// The attributes of the cookie.
    pub const fn attributes(&self) -> &Attributes {
        &self.0
    }

    /// Returns the header value that sets the cookie, with the attributes in Werkzeug's order.
    ///
    /// Fails if `value` has a byte that a cookie must not have, or if name and value exceed [`MAX_COOKIE_BYTES`].
    pub fn set(&self, value: &str, expiry: Expiry) -> Result<String, TemplateError> {
        if !value.bytes().all(is_cookie_octet) {
            return Err(TemplateError::Value);
        }
        let bytes = self.0.name.as_str().len() + value.len();
        if bytes > MAX_COOKIE_BYTES {
            return Err(TemplateError::TooLarge { bytes });
        }
        let expires = match expiry {
            Expiry::WithBrowser => None,
            Expiry::At { time, now } => Some(time.min(now + MAX_LIFETIME).min(LAST_DATE)),
        };
        Ok(self.write(value, expires, ""))
    }

    /// Returns the header value that deletes the cookie, with all its attributes.
    pub fn delete(&self) -> String {
        self.write("", Some(Time::default()), "; Max-Age=0")
    }

    fn write(&self, value: &str, expires: Option<Time>, max_age: &str) -> String {
        let Attributes { name, domain, path, httponly, secure, samesite, partitioned } = &self.0;
        let mut text = String::with_capacity(name.as_str().len() + value.len() + 128);
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
        add(&[name.as_str(), "=", value]);
        if let Some(domain) = domain {
            add(&["; Domain=", domain]);
        }
        if let Some(expires) = expires {
            add(&["; Expires=", &httpdate::fmt_http_date(SystemTime::from(expires))]);
        }
        add(&[max_age]);
        if *secure {
            add(&["; Secure"]);
        }
        if *httponly {
            add(&["; HttpOnly"]);
        }
        add(&["; Path=", path]);
        if let Some(samesite) = samesite {
            add(&["; SameSite=", samesite.as_str()]);
        }
        if *partitioned {
            add(&["; Partitioned"]);
        }
        text
    }
}

/// Why browsers would refuse a cookie, and what they accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("name: it has to be 1 to 256 letters, digits and !#$%&'*+-.^_`|~ (RFC 6265bis)")]
    Name,
    #[error("value: it has a byte that no cookie may hold (RFC 6265bis)")]
    Value,
    #[error("path: it has to begin with / and be at most 1024 printable characters without ; and space")]
    Path,
    #[error("domain: it has to be a host name such as example.com, without port or leading dot")]
    Domain,
    #[error("partitioned: browsers refuse it without secure = true")]
    PartitionedInsecure,
    #[error("samesite: browsers refuse None without secure = true")]
    SameSiteNoneInsecure,
    #[error(
        "secure: the app's cookie is sent over TLS only; leave it unset, or set secure = false in the app's settings"
    )]
    Insecure,
    /// The name's prefix, such as `__Secure-`, requires other attributes.
    #[error("name: browsers refuse a {prefix} cookie without {needs}")]
    Prefix { prefix: &'static str, needs: &'static str },
    #[error("value: name and value have {bytes} bytes; browsers drop a cookie over 4096")]
    TooLarge { bytes: usize },
}

impl TemplateError {
    /// The part of the cookie that has to change.
    pub const fn attribute(&self) -> &'static str {
        match self {
            Self::Name | Self::Prefix { .. } => "name",
            Self::Value | Self::TooLarge { .. } => "value",
            Self::Path => "path",
            Self::Domain => "domain",
            Self::PartitionedInsecure => "partitioned",
            Self::SameSiteNoneInsecure => "samesite",
            Self::Insecure => "secure",
        }
    }
}

fn check_path(path: &str) -> Result<(), TemplateError> {
    let is_valid = path.starts_with('/') && path.len() <= 1024 && path.bytes().all(is_path_octet);
    if is_valid { Ok(()) } else { Err(TemplateError::Path) }
}

fn check_domain(domain: &str) -> Result<(), TemplateError> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() <= 253 && domain.split('.').all(is_label) { Ok(()) } else { Err(TemplateError::Domain) }
}

fn check_prefix(attributes: &Attributes) -> Result<(), TemplateError> {
    let Attributes { name, domain, path, httponly, secure, .. } = attributes;
    let host_only = *secure && domain.is_none() && path == "/";
    let rules: [(&'static str, &'static str, bool); 4] = [
        ("__Host-Http-", "secure = true, httponly = true, path = \"/\" and no domain", host_only && *httponly),
        ("__Host-", "secure = true, path = \"/\" and no domain", host_only),
        ("__Http-", "secure = true and httponly = true", *secure && *httponly),
        ("__Secure-", "secure = true", *secure),
    ];
    match rules.into_iter().find(|(prefix, _, _)| name.has_prefix(prefix)) {
        Some((prefix, needs, false)) => Err(TemplateError::Prefix { prefix, needs }),
        _ => Ok(()),
    }
}

/// Whether the byte is a `cookie-octet` of RFC 6265bis section 4.1.1.
const fn is_cookie_octet(c: u8) -> bool {
    matches!(c, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// Whether the byte is an `av-octet` of RFC 6265bis section 4.1.1, and no space: browsers trim spaces, and no request's
/// path has one.
const fn is_path_octet(c: u8) -> bool {
    matches!(c, 0x21..=0x3a | 0x3c..=0x7e)
}

/// The longest lifetime that browsers allow (RFC 6265bis section 5.5).
const MAX_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The end of 31 December 9999, the last date with a year of four digits.
const LAST_DATE: Time = Time::from_millis(253_402_300_799_000);
