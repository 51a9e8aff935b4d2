//! The headers that a response to the browser gets.

use super::{AppCall, Error, SessionView, Tokens};
use crate::cookie::{self, Expiry};

/// One response header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: &'static str,
    pub value: String,
}

impl Header {
    /// Returns `Vary: Cookie`.
    pub fn vary() -> Self {
        Self { name: "Vary", value: "Cookie".to_owned() }
    }

    /// Returns the headers of a response that deletes the cookie.
    pub(super) fn delete_cookie(cookie: &cookie::Template) -> Vec<Self> {
        vec![Self::set_cookie(cookie.delete()), Self::vary()]
    }

    pub(super) fn set_cookie(value: String) -> Self {
        Self { name: "Set-Cookie", value }
    }
}

/// The action of a response on the session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CookieAction {
    /// It leaves the cookie as the browser has it.
    Keep,
    Set,
}

impl AppCall<'_> {
    /// Returns the headers of a response that deletes the cookie. An app of kind `external` has none.
    pub(super) fn delete_cookie(&self) -> Vec<Header> {
        self.tokens.as_ref().map(|tokens| Header::delete_cookie(&tokens.cookie)).unwrap_or_default()
    }

    /// Returns the headers of a response with this session, in order. An app of kind `external` has none.
    pub(super) fn headers(
        &self,
        view: &SessionView,
        cookie_action: CookieAction,
        vary: bool,
    ) -> Result<Vec<Header>, Error> {
        let Some(Tokens { cookie, .. }) = &self.tokens else { return Ok(Vec::new()) };
        let mut headers = Vec::with_capacity(2);
        if cookie_action == CookieAction::Set && !view.token.is_empty() {
            let expiry = match view.times {
                Some(times) if view.permanent == Some(true) => Expiry::At { time: times.expire_time, now: self.now },
                _ => Expiry::WithBrowser,
            };
            headers.push(Header::set_cookie(cookie.set(&view.token, expiry).map_err(Error::Cookie)?));
        }
        if vary || !headers.is_empty() {
            headers.push(Header::vary());
        }
        Ok(headers)
    }

    /// Returns the headers that delete the cookie, and the request's cookies of open migration sources.
    ///
    /// Their legacy credentials open nothing here any more, but the old application may still accept them.
    pub(super) fn delete_cookie_headers(&self, header: &str) -> Vec<Header> {
        let Some(Tokens { cookie, .. }) = &self.tokens else { return Vec::new() };
        let mut headers = Header::delete_cookie(cookie);
        let legacy_names = self.open_migration().into_iter().flat_map(|migration| {
            migration
                .sources()
                .filter_map(|source| migration.cookie_name(source))
                .filter(|name| **name != cookie.attributes().name)
        });
        let mut legacy_names = legacy_names.map(cookie::Name::as_str).collect::<Vec<_>>();
        legacy_names.sort_unstable();
        legacy_names.dedup();
        let in_request = legacy_names.into_iter().filter(|name| cookie::values(header, name).next().is_some());
        let deletions = in_request.filter_map(|name| Some(Header::set_cookie(cookie.named(name).ok()?.delete())));
        headers.splice(1..1, deletions.collect::<Vec<_>>());
        headers
    }
}
