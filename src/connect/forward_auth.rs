//! Forward authentication: a reverse proxy asks for each request whether its cookie opens a session with a subject.
//!
//! The check request is an HTTP request of any method to `/forward-auth/<app>` with the `Cookie` header of the request.
//! It is an OpenSession call in another form. The answer is in the status and the headers, for the proxies read nothing
//! else:
//!
//! - 200: the session has a subject. [`SUBJECT`] and [`SESSION_ID`] name it and the session.
//! - 401: no cookie opens a session, or the session has no subject. [`REASON`] says which.
//! - Another status: there is no answer. It is never 401, or a proxy would send its users to the login page.
//!
//! A 200 and a 401 have the headers of a request that reads the session, among them a cookie that has to be renewed.
//!
//! Envoy asks by gRPC as well. [`super::ext_authz`] turns that check request and this answer into messages.

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::status_format::{REASON, http_status_of};
use crate::grpc::wire::open_session_request::Credential;
use crate::grpc::wire::{OpenSessionRequest, OpenSessionResponse, Session};

/// The app whose session is asked for, in the extensions of a request.
#[derive(Clone, Debug)]
pub(super) struct RequestedApp(String);

/// Reads the path of a check request: returns the app, and the path of the call that answers it.
///
/// Ignores the rest of the path after the app, because Envoy adds the path of the request there.
pub(super) fn take(uri: &Uri) -> Option<(RequestedApp, Uri)> {
    let rest = uri.path().strip_prefix(PATH)?;
    let app = match rest.strip_prefix('/') {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None if rest.is_empty() => "",
        None => return None,
    };
    Some((RequestedApp(app.to_owned()), answering(uri)?))
}

/// Returns the path of the call that answers a check request, in place of its own path.
pub(super) fn answering(uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static(OPEN_SESSION));
    Uri::from_parts(parts).ok()
}

/// Builds the request for the session of the cookies of a check request.
pub(super) fn request(parts: &Parts) -> OpenSessionRequest {
    let app = parts.extensions.get().map(|RequestedApp(app)| app.clone()).unwrap_or_default();
    open(app, parts.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes))
}

/// Builds the request for the session of these lines of cookies.
pub(super) fn open<'l>(app: String, lines: impl Iterator<Item = &'l [u8]>) -> OpenSessionRequest {
    let mut cookies = lines.map(latin1);
    let first = cookies.next();
    let cookie_header = first.map(|first| cookies.fold(first, |all, next| all + "; " + &next));
    OpenSessionRequest { app, credential: cookie_header.map(Credential::CookieHeader), ..Default::default() }
}

/// Builds the answer from the response of OpenSession.
pub(super) fn respond(opened: Bytes) -> Result<Response<Body>, Status> {
    let opened = OpenSessionResponse::decode(opened).map_err(|error| Status::internal(error.to_string()))?;
    let session = opened.session.unwrap_or_default();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    for read in opened.read_headers {
        append(headers, read.name, &read.value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (status, reason) = judge(&session);
    if status == StatusCode::OK {
        append(headers, SUBJECT, &utf8_percent_encode(&session.subject, ENCODED).to_string());
        append(headers, SESSION_ID, &session.id);
    } else {
        append(headers, REASON, reason);
    }
    *response.status_mut() = status;
    Ok(response)
}

/// Returns the HTTP status of a failed check request. It is not the user's fault, so it is neither 401 nor 403.
pub(super) fn status_of_failure(code: Code) -> StatusCode {
    match http_status_of(code) {
        status @ (StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS) => status,
        status if status.is_client_error() => StatusCode::INTERNAL_SERVER_ERROR,
        status => status,
    }
}

/// Returns the status of the answer, and why nobody passes.
///
/// An app that can have no sessions with a subject gets no 401: its users would log in again and again.
fn judge(session: &Session) -> (StatusCode, &str) {
    match &session.null_session {
        Some(null) if null.reason == "NO_KEY" => (StatusCode::INTERNAL_SERVER_ERROR, &null.reason),
        Some(null) => (StatusCode::UNAUTHORIZED, &null.reason),
        None if session.id.is_empty() => (StatusCode::INTERNAL_SERVER_ERROR, "NOT_IN_COOKIE_KIND"),
        None if !session.subject.is_empty() => (StatusCode::OK, ""),
        None if session.new => (StatusCode::UNAUTHORIZED, "NO_SESSION"),
        None => (StatusCode::UNAUTHORIZED, "NO_SUBJECT"),
    }
}

fn append(headers: &mut HeaderMap, name: impl TryInto<HeaderName>, value: &str) {
    if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::try_from(value)) {
        headers.append(name, value);
    }
}

/// Reads bytes as Latin-1: each of them is one character.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The path of a check request for the app `default`; another app follows after a slash.
const PATH: &str = "/forward-auth";
const OPEN_SESSION: &str = "/cloakroom.v1.SessionService/OpenSession";

/// The subject of the session, with each character that is not visible ASCII, and each `%`, percent-encoded (RFC 3986).
pub(super) const SUBJECT: HeaderName = HeaderName::from_static("cloakroom-subject");
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("cloakroom-session-id");
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_path_names_the_app_and_what_follows_is_ignored() {
        for (path, app) in [
            ("/forward-auth", Some("")),
            ("/forward-auth/", Some("")),
            ("/forward-auth/shop", Some("shop")),
            ("/forward-auth/shop/orders/7?app=desk", Some("shop")),
            ("http://service/forward-auth/shop?x", Some("shop")),
            ("/forward-authority", None),
            ("/forward", None),
            ("/cloakroom.v1.SessionService/OpenSession", None),
        ] {
            let taken = take(&path.parse().unwrap());
            assert_eq!(taken.as_ref().map(|(RequestedApp(app), _)| app.as_str()), app, "{path}");
            assert!(taken.is_none_or(|(_, uri)| uri.path_and_query().unwrap() == OPEN_SESSION), "{path}");
        }
    }

    #[test]
    fn lines_of_cookies_are_joined_and_each_byte_is_a_character() {
        let (mut parts, ()) = Request::new(()).into_parts();
        let cookies = |parts: &Parts| match request(parts).credential {
            Some(Credential::CookieHeader(cookies)) => Some(cookies),
            _ => None,
        };
        assert_eq!(cookies(&parts), None);
        parts.headers.append(header::COOKIE, HeaderValue::from_bytes(b"a=\xff").unwrap());
        parts.headers.append(header::COOKIE, HeaderValue::from_static("b=2"));

        assert_eq!(cookies(&parts).as_deref(), Some("a=\u{ff}; b=2"));
    }

    #[test]
    fn every_subject_is_a_header_value() {
        for (subject, encoded) in
            [("anna@example.com", "anna@example.com"), ("Zoë", "Zo%C3%AB"), ("a b\r\nc%41", "a%20b%0D%0Ac%2541")]
        {
            let session = Session { subject: subject.to_owned(), id: "1".to_owned(), ..Default::default() };
            let opened = OpenSessionResponse { session: Some(session), ..Default::default() };

            let response = respond(opened.encode_to_vec().into()).unwrap();

            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[SUBJECT], encoded);
        }
    }
}
