//! The responses to calls that failed before their first message, by each protocol.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;

use super::protocol::Protocol;
use super::status_format::{ErrorJson, REASON, custom, http_status_of, reason};
use super::{envelope, ext_authz, forward_auth};

impl Protocol {
    /// Builds the response to a call that failed before its first message. The status is in its extensions.
    ///
    /// `http_status` replaces the one of the code, where that says less.
    pub fn error_response(self, status: Status, http_status: Option<StatusCode>) -> Response<Body> {
        let (body, http_status) = match self {
            Self::Grpc => return status.into_http(),
            Self::ExtAuthz => return ext_authz::respond(Self::ForwardAuth.error_response(status, None)),
            Self::ConnectUnary(_) | Self::ForwardAuth => {
                let http_status = match self {
                    Self::ForwardAuth => forward_auth::status_of_failure(status.code()),
                    _ => http_status.unwrap_or_else(|| http_status_of(status.code())),
                };
                let json = serde_json::to_vec(&ErrorJson::new(&status)).expect("texts are always JSON");
                (json.into(), http_status)
            }
            Self::ConnectStream(_) => (envelope::end(Some(&status), &HeaderMap::new()), StatusCode::OK),
        };
        let mut response = Response::new(Body::new(Full::new(body)));
        *response.status_mut() = http_status;
        let headers = response.headers_mut();
        let content_type = match self {
            Self::ConnectUnary(_) => HeaderValue::from_static("application/json"),
            Self::Grpc | Self::ConnectStream(_) | Self::ForwardAuth | Self::ExtAuthz => self.content_type(),
        };
        headers.insert(header::CONTENT_TYPE, content_type);
        if let Some(reason) = reason(&status).and_then(|reason| HeaderValue::try_from(reason).ok()) {
            headers.insert(REASON, reason);
        }
        for (name, value) in custom(status.metadata().as_ref()) {
            headers.append(name, value.clone());
        }
        response.extensions_mut().insert(status);
        response
    }
}
