//! How the Connect protocol writes the status of a failed call: as JSON, as an HTTP status and as headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use prost::Message as _;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tonic_types::pb;

/// The JSON of an error, in the order in which a person reads it.
#[derive(Serialize)]
pub(super) struct ErrorJson {
    code: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<DetailJson>,
}

#[derive(Serialize)]
struct DetailJson {
    r#type: String,
    value: String,
    /// The content of the value, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<InfoJson>,
}

/// A `google.rpc.ErrorInfo`.
#[derive(Serialize)]
struct InfoJson {
    reason: String,
    domain: String,
}

impl ErrorJson {
    pub(super) fn new(status: &Status) -> Self {
        let details = pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
        Self {
            code: code_name(status.code()),
            message: status.message().to_owned(),
            details: details.into_iter().map(|detail| DetailJson::new(&detail)).collect(),
        }
    }
}

impl DetailJson {
    fn new(detail: &prost_types::Any) -> Self {
        let name = detail.type_url.rsplit('/').next().unwrap_or_default();
        let info = (name == "google.rpc.ErrorInfo").then(|| pb::ErrorInfo::decode(&*detail.value).ok()).flatten();
        Self {
            r#type: name.to_owned(),
            value: STANDARD_NO_PAD.encode(&detail.value),
            debug: info.map(|info| InfoJson { reason: info.reason, domain: info.domain }),
        }
    }
}

/// Returns the headers or trailers that a service added itself.
pub(super) fn custom(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().filter(|(name, _)| !name.as_str().starts_with("grpc-") && *name != header::CONTENT_TYPE)
}

pub(super) fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// The name of each code in JSON, <https://connectrpc.com/docs/protocol#error-codes>.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Cancelled => "canceled",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
        // An error is never OK.
        Code::Unknown | Code::Ok => "unknown",
    }
}

/// The HTTP status of each code, by the same table.
pub(super) fn http_status_of(code: Code) -> StatusCode {
    match code {
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Ok | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The reason of a failure, for clients without protobuf.
pub(super) const REASON: HeaderName = HeaderName::from_static("cloakroom-reason");
