//! The cookies of one host in a browser, by RFC 6265bis.

use std::collections::BTreeMap;

use cloakroom::grpc::wire::Header;

use super::calls::set_cookies;

/// Cookies by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser(BTreeMap<String, String>);

impl Browser {
    /// A browser with this session cookie.
    pub(crate) fn with(token: &str) -> Self {
        Self([("session".to_owned(), token.to_owned())].into())
    }

    /// Applies the Set-Cookie headers of a response.
    pub(crate) fn receive(&mut self, headers: &[Header]) {
        for cookie in set_cookies(headers) {
            let (pair, attributes) = cookie.split_once("; ").unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The session cookie, if there is one.
    pub(crate) fn token(&self) -> Option<&str> {
        self.0.get("session").map(String::as_str)
    }
}
