//! Headers and trailers of responses, also of those that tonic gives no way to set.
//!
//! tonic sends trailers of a call that failed, and no others; and both of a call that failed at once end up in one
//! block. So an RPC leaves them in the request's [`ResponseMetadata`], and [`WithMetadata`] adds them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use cloakroom::server::ResponseFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::proto::Header;

/// The headers and trailers that the response to one request is to have. It is among the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResponseMetadata(Arc<Mutex<Metadata>>);

#[derive(Debug, Default)]
struct Metadata {
    headers: HeaderMap,
    trailers: HeaderMap,
}

impl ResponseMetadata {
    /// Sets the headers and the trailers. Has to be called before the RPC returns.
    pub(crate) fn set(&self, headers: &[Header], trailers: &[Header]) -> Result<(), Status> {
        *self.0.lock() = Metadata { headers: header_map(headers)?, trailers: header_map(trailers)? };
        Ok(())
    }
}

fn header_map(headers: &[Header]) -> Result<HeaderMap, Status> {
    let mut map = HeaderMap::new();
    for header in headers {
        let name = header.name.parse::<HeaderName>().map_err(invalid)?;
        for value in &header.value {
            map.append(name.clone(), HeaderValue::from_str(value).map_err(invalid)?);
        }
    }
    Ok(map)
}

fn invalid(error: impl ToString) -> Status {
    Status::invalid_argument(error.to_string())
}

/// A gRPC service whose RPCs may leave headers and trailers in [`ResponseMetadata`].
#[derive(Clone, Debug)]
pub(crate) struct WithMetadata<S>(pub(crate) S);

impl<S: NamedService> NamedService for WithMetadata<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for WithMetadata<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> ResponseFuture {
        let metadata = ResponseMetadata::default();
        request.extensions_mut().insert(metadata.clone());
        let response = self.0.call(request);
        Box::pin(async move {
            let response = response.await?;
            let metadata = std::mem::take(&mut *metadata.0.lock());
            Ok(add(response, metadata))
        })
    }
}

fn add(mut response: Response<Body>, metadata: Metadata) -> Response<Body> {
    let Metadata { headers, trailers } = metadata;
    response.headers_mut().extend(headers);
    // A response that has its status in its headers has no trailers.
    if response.headers().contains_key("grpc-status") {
        response.headers_mut().extend(trailers);
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(mut of_status) => {
                of_status.extend(trailers.clone());
                Frame::trailers(of_status)
            }
            Err(data) => data,
        }))
    })
}
