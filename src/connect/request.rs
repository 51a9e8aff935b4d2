//! Finds the protocol of a request.

use http::Request;

use super::protocol::Protocol;
use super::{ext_authz, forward_auth};

impl Protocol {
    /// Returns the protocol of a request. The check request of a proxy gets the path of the call that answers it.
    pub fn of_request<B>(request: &mut Request<B>) -> Option<Self> {
        if let Some((app, uri)) = forward_auth::take(request.uri()) {
            *request.uri_mut() = uri;
            request.extensions_mut().insert(app);
            return Some(Self::ForwardAuth);
        }
        match Self::of(request.headers()) {
            Some(Self::Grpc) if let Some(uri) = ext_authz::take(request) => {
                *request.uri_mut() = uri;
                Some(Self::ExtAuthz)
            }
            protocol => protocol,
        }
    }
}
