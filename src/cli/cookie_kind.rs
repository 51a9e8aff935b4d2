//! `cloakroom cookie` for an app of kind `cookie`: explains whether Flask's own cookie verifies, and why not.
//!
//! Prints no key, no entry and no whole cookie.

use crate::app::App;
use crate::cookie;
use crate::flask::{CookieRejection, Signer, VerifiedCookie};
use crate::types::{Time, counted};

use super::cookie::SignatureExplanation;

/// Explains one cookie value, or each cookie of the app in a header.
pub(super) fn explain(app: &App, signer: &Signer, text: &str, now: Time) -> SignatureExplanation {
    let name = app.cookie.attributes().name.as_str();
    let keys = signer.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
    let mut explanation = SignatureExplanation {
        text: format!("app {}, Flask's own cookie {name}, keys {keys}\n", app.name),
        verified: false,
    };
    let values = if text.contains('=') { cookie::values(text, name).collect() } else { vec![text] };
    if values.is_empty() {
        explanation.text += &format!("no cookie is called {name}\n");
    }
    for (index, value) in values.into_iter().enumerate() {
        let result = signer.verify(value, app.lifetimes.idle_timeout, now);
        explanation.verified |= result.is_ok();
        explanation.text += &format!("cookie {}: {}\n", index + 1, describe(&result, now));
    }
    explanation
}

fn describe(result: &Result<VerifiedCookie, CookieRejection>, now: Time) -> String {
    match result {
        Ok(cookie) => {
            let (count, age) = (cookie.entries.count(), now.since(cookie.issued).as_secs());
            let permanent = if cookie.permanent == Some(true) { ", permanent" } else { "" };
            let (entries, age) = (counted(count, "entry", "entries"), counted(age, "second", "seconds"));
            format!("verified: {entries}{permanent}, signed {age} ago")
        }
        Err(why) => format!("refused: {why}"),
    }
}
