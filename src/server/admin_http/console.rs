//! The files of the console, a page for operators that calls AdminService by the Connect protocol.
//!
//! They are the same for everybody and contain no secret.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use tonic::body::Body;

/// Whether this is the path of a file of the console.
pub(in crate::server) fn is_file(path: &str) -> bool {
    file(path).is_some()
}

/// Returns a file of the console. `None`: there is no such file.
pub(super) fn respond(path: &str) -> Option<Response<Body>> {
    let (content_type, text) = file(path)?;
    let mut response = super::page(StatusCode::OK, content_type, Bytes::from_static(text.as_bytes()));
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

fn file(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/console" => Some(("text/html; charset=utf-8", include_str!("console/console.html"))),
        "/console/console.css" => Some(("text/css; charset=utf-8", include_str!("console/console.css"))),
        "/console/console.js" => script(include_str!("console/console.js")),
        "/console/connect.js" => script(include_str!("console/connect.js")),
        "/console/dom.js" => script(include_str!("console/dom.js")),
        "/console/sessions.js" => script(include_str!("console/sessions.js")),
        "/console/service.js" => script(include_str!("console/service.js")),
        _ => None,
    }
}

const fn script(text: &'static str) -> Option<(&'static str, &'static str)> {
    Some(("text/javascript; charset=utf-8", text))
}

const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    // A window of another page that opens the console cannot read it.
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (CACHE_CONTROL, "no-cache"),
];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
