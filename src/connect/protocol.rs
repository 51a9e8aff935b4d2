//! The protocol of a call, by its content type.

use http::{HeaderMap, HeaderValue, header};

/// The protocol of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    /// One request message and one response message.
    ConnectUnary(Codec),
    /// A stream of response messages.
    ConnectStream(Codec),
    /// The check request of a reverse proxy, a plain HTTP request.
    ForwardAuth,
    /// The same by Envoy's gRPC service.
    ExtAuthz,
}

/// How the messages of a Connect call are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Proto,
    Json,
}

impl Protocol {
    /// Returns the protocol that the content type names. `None`: it names none, or the request has not exactly one.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        // A parameter, such as the charset, changes nothing: JSON is always UTF-8.
        let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        // Case does not count (RFC 9110, section 8.3.1).
        let named = CONTENT_TYPES.iter().find(|(name, _)| essence.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, protocol)| *protocol)
    }

    /// Returns the name for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::ConnectUnary(_) | Self::ConnectStream(_) => "connect",
            Self::ForwardAuth => "forward_auth",
            Self::ExtAuthz => "ext_authz",
        }
    }

    /// Returns the content type of a response.
    pub(super) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Grpc | Self::ExtAuthz => "application/grpc",
            Self::ConnectUnary(Codec::Proto) => "application/proto",
            Self::ConnectUnary(Codec::Json) | Self::ForwardAuth => "application/json",
            Self::ConnectStream(Codec::Proto) => "application/connect+proto",
            Self::ConnectStream(Codec::Json) => "application/connect+json",
        })
    }
}

/// The content types of requests.
const CONTENT_TYPES: [(&str, Protocol); 6] = [
    ("application/grpc", Protocol::Grpc),
    ("application/grpc+proto", Protocol::Grpc),
    ("application/proto", Protocol::ConnectUnary(Codec::Proto)),
    ("application/json", Protocol::ConnectUnary(Codec::Json)),
    ("application/connect+proto", Protocol::ConnectStream(Codec::Proto)),
    ("application/connect+json", Protocol::ConnectStream(Codec::Json)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &str) -> Option<Protocol> {
        Protocol::of(&HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]))
    }

    #[test]
    fn a_content_type_names_one_protocol() {
        assert_eq!(of("application/grpc"), Some(Protocol::Grpc));
        assert_eq!(of("application/grpc+proto"), Some(Protocol::Grpc));
        assert_eq!(of("application/proto"), Some(Protocol::ConnectUnary(Codec::Proto)));
        assert_eq!(of("application/json"), Some(Protocol::ConnectUnary(Codec::Json)));
        assert_eq!(of("application/json; charset=utf-8"), Some(Protocol::ConnectUnary(Codec::Json)));
        assert_eq!(of("Application/JSON;charset=UTF-8"), Some(Protocol::ConnectUnary(Codec::Json)));
        assert_eq!(of("application/json ;x"), Some(Protocol::ConnectUnary(Codec::Json)));
        assert_eq!(of("application/connect+proto"), Some(Protocol::ConnectStream(Codec::Proto)));
        assert_eq!(of("application/connect+json"), Some(Protocol::ConnectStream(Codec::Json)));
    }

    #[test]
    fn what_a_page_can_send_without_asking_names_no_protocol() {
        for content_type in [
            "text/plain",
            "text/plain;application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=application/json",
            "application/grpc-web",
            "application/jsonx",
            " application/json,text/plain",
            "",
        ] {
            assert_eq!(of(content_type), None, "{content_type:?}");
        }
        assert_eq!(Protocol::of(&HeaderMap::new()), None);

        let mut two = HeaderMap::new();
        two.append(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        two.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        assert_eq!(Protocol::of(&two), None);
    }
}
