//! Envoy's check request by gRPC, `envoy.service.auth.v3.Authorization/Check`.
//!
//! It is the check request of [`super::forward_auth`] in a message, and its answer is that one's answer in a message:
//! 200 is `ok_response`, and all others are `denied_response` with the same status. So a failure is an answer as well.
//! An error of gRPC would be a 403 by Envoy's default.

use bytes::{Buf as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body::Frame;
use prost::Message as _;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::pb;

use super::envelope::{self, PREFIX};
use super::forward_auth::{self, SESSION_ID, SUBJECT};
use super::protocol::Protocol;
use super::stream::frames;
use crate::grpc::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use crate::grpc::envoy::config::core::v3::{HeaderValue as EnvoyHeader, HeaderValueOption};
use crate::grpc::envoy::service::auth::v3::attribute_context::HttpRequest;
use crate::grpc::envoy::service::auth::v3::check_response::HttpResponse;
use crate::grpc::envoy::service::auth::v3::{CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse};
use crate::grpc::envoy::r#type::v3::HttpStatus;
use crate::grpc::wire::OpenSessionRequest;
use crate::grpc::{GRPC_STATUS, Rejection};

/// Returns the path of the call that answers a gRPC request, if that is a check request.
pub(super) fn take<B>(request: &Request<B>) -> Option<Uri> {
    let is_call = request.method() == Method::POST && request.version() == Version::HTTP_2;
    if is_call && request.uri().path() == CHECK { forward_auth::answering(request.uri()) } else { None }
}

/// Builds the request for the session of the cookies in a check request, a body with room for a prefix before it.
pub(super) fn request(mut body: BytesMut) -> Result<OpenSessionRequest, Rejection> {
    body.advance(PREFIX);
    let check_request = match envelope::take(&mut body) {
        Some((0, check_request)) if body.is_empty() => check_request,
        Some((1, _)) => return Err(Rejection::CompressionUnsupported),
        _ => return Err(Rejection::RequestMalformed(NOT_ONE_MESSAGE.to_owned())),
    };
    let check_request =
        CheckRequest::decode(check_request).map_err(|error| Rejection::RequestMalformed(error.to_string()))?;
    let mut attributes = check_request.attributes.unwrap_or_default();
    let app = attributes.context_extensions.remove(APP).unwrap_or_default();
    let http = attributes.request.and_then(|request| request.http).unwrap_or_default();
    Ok(forward_auth::open(app, cookies(&http)))
}

/// Returns the lines of cookies: the raw ones, or the only one that is text.
fn cookies(http: &HttpRequest) -> impl Iterator<Item = &[u8]> {
    let lines = http.header_map.iter().flat_map(|map| &map.headers);
    let lines = lines.filter(|line| line.key.eq_ignore_ascii_case(header::COOKIE.as_str()));
    let raw = lines.map(|line| if line.raw_value.is_empty() { line.value.as_bytes() } else { &*line.raw_value });
    raw.chain(http.headers.get(header::COOKIE.as_str()).map(String::as_bytes))
}

/// Builds the response with an answer of forward authentication.
pub(super) fn respond(answer: Response<Body>) -> Response<Body> {
    let (mut parts, _) = answer.into_parts();
    parts.headers.remove(header::CONTENT_TYPE);
    // Envoy reads this code first: with OK, it passes the request on as the browser sent it.
    let (code, message) = match parts.extensions.get::<Status>() {
        Some(failure) if failure.code() == Code::Ok => (Code::Unknown, failure.message()),
        Some(failure) => (failure.code(), failure.message()),
        None if parts.status == StatusCode::OK => (Code::Ok, ""),
        None => (Code::Unauthenticated, NOT_LOGGED_IN),
    };
    let check = CheckResponse {
        status: Some(pb::Status { code: code.into(), message: message.to_owned(), details: Vec::new() }),
        http_response: Some(match code {
            Code::Ok => HttpResponse::OkResponse(pass(parts.headers)),
            _ => HttpResponse::DeniedResponse(DeniedHttpResponse {
                status: Some(HttpStatus { code: parts.status.as_u16().into() }),
                headers: options(&parts.headers, HeaderAppendAction::OverwriteIfExistsOrAdd),
            }),
        }),
    };
    let trailers = HeaderMap::from_iter([(GRPC_STATUS.clone(), HeaderValue::from_static("0"))]);
    let mut response = Response::new(frames([Frame::data(envelope::of(&check)), Frame::trailers(trailers)]));
    response.headers_mut().insert(header::CONTENT_TYPE, Protocol::ExtAuthz.content_type());
    // The status of a failure, for the metrics and logs.
    *response.extensions_mut() = parts.extensions;
    response
}

/// Says who the user is, in the request, and what the browser gets, in the response.
///
/// Replaces or removes values that a browser sent in the headers of the user.
fn pass(mut to_browser: HeaderMap) -> OkHttpResponse {
    let named = [SUBJECT, SESSION_ID].map(|name| to_browser.remove(&name).map(|value| (name, value)));
    let to_application = HeaderMap::from_iter(named.into_iter().flatten());
    let mut replacing = HeaderMap::new();
    // The application says whether its pages may be cached, except one with a renewed cookie, which it does not know of.
    let caching = to_browser.remove(header::CACHE_CONTROL);
    if let Some(caching) = caching.filter(|_| to_browser.contains_key(header::SET_COOKIE)) {
        replacing.insert(header::CACHE_CONTROL, caching);
    }
    let mut response_headers_to_add = options(&to_browser, HeaderAppendAction::AppendIfExistsOrAdd);
    response_headers_to_add.extend(options(&replacing, HeaderAppendAction::OverwriteIfExistsOrAdd));
    OkHttpResponse {
        headers: options(&to_application, HeaderAppendAction::OverwriteIfExistsOrAdd),
        headers_to_remove: OTHER_SPELLINGS.map(str::to_owned).into(),
        response_headers_to_add,
    }
}

/// Returns headers, and what becomes of those that are there already.
fn options(headers: &HeaderMap, action: HeaderAppendAction) -> Vec<HeaderValueOption> {
    headers.iter().filter_map(|(name, value)| option(name, value, action)).collect()
}

fn option(name: &HeaderName, value: &HeaderValue, action: HeaderAppendAction) -> Option<HeaderValueOption> {
    let header =
        EnvoyHeader { key: name.as_str().to_owned(), value: value.to_str().ok()?.to_owned(), ..Default::default() };
    // Envoy has known `append` for longer, and where it knows both, `append` decides.
    let append = Some(action == HeaderAppendAction::AppendIfExistsOrAdd);
    Some(HeaderValueOption { header: Some(header), append, append_action: action.into() })
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// The entry of `context_extensions` that names the app.
const APP: &str = "app";

/// Names that many applications read as those of the user's headers.
const OTHER_SPELLINGS: [&str; 4] =
    ["cloakroom_subject", "cloakroom_session_id", "cloakroom_session-id", "cloakroom-session_id"];

const NOT_LOGGED_IN: &str = "nobody is logged in";
const NOT_ONE_MESSAGE: &str = "send one message of gRPC, envoy.service.auth.v3.CheckRequest";

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_failure_is_denied_whatever_its_code_is() {
        for code in (0..=16).map(Code::from_i32) {
            let response = Protocol::ExtAuthz.error_response(Status::new(code, "broken"), None);

            let body = response.into_body().collect().await.unwrap().to_bytes();
            let (_, message) = envelope::take(&mut BytesMut::from(&*body)).unwrap();
            let check = CheckResponse::decode(message).unwrap();

            assert_ne!(check.status.unwrap().code, 0, "{code:?}");
            let Some(HttpResponse::DeniedResponse(denied)) = check.http_response else { panic!("{code:?} has passed") };
            let status = denied.status.unwrap().code;
            assert!(![200, 401, 403].contains(&status), "{code:?} is {status}");
        }
    }
}
