//! `cloakroom cookie` for an app of kind `cookie`: whether Flask's own cookie opens, and why not.
//!
//! Prints no key, no entry and no whole cookie.

use std::fmt::Write as _;

use crate::app::App;
use crate::cookie;
use crate::flask::{CookieRejection, Signer, VerifiedCookie};
use crate::types::Time;

/// What the cookie's text, or each of the app's cookies in a header, is worth; and whether any of them opens.
pub(super) fn explain(app: &App, signer: &Signer, text: &str, now: Time) -> (String, bool) {
    let name = app.cookie.attributes().name.as_str();
    let keys = signer.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
    let mut out = format!("app {}, Flask's own cookie {name}, keys {keys}\n", app.name);
    let values = if text.contains('=') { cookie::values(text, name).collect() } else { vec![text] };
    if values.is_empty() {
        let _ = writeln!(out, "no cookie is called {name}");
    }
    let mut verified = false;
    for (n, value) in values.into_iter().enumerate() {
        let opened = signer.verify(value, app.lifetimes.idle_timeout, now);
        verified |= opened.is_ok();
        let _ = writeln!(out, "cookie {}: {}", n + 1, said(&opened, now));
    }
    (out, verified)
}

fn said(opened: &Result<VerifiedCookie, CookieRejection>, now: Time) -> String {
    match opened {
        Ok(opened) => {
            let (count, age) = (opened.entries.count(), now.since(opened.issued).as_secs());
            let permanent = if opened.permanent == Some(true) { ", permanent" } else { "" };
            format!("verified: {count} entries{permanent}, signed {age} seconds ago")
        }
        Err(why) => format!("refused: {why}"),
    }
}
