//! The dispatch of calls to services by the name in their path.

use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::grpc::{ADMIN_SERVICE, Rejection, SESSION_SERVICE};
use crate::server::GrpcService;

/// The future of a response, as generated servers return it.
pub type ResponseFuture = BoxFuture<Response<Body>, Infallible>;

/// Several gRPC services on one address, selected by the name in the path.
///
/// The main service, which gets most calls, is called without dynamic dispatch.
#[derive(Clone)]
pub struct Services<M> {
    main: M,
    others: Arc<[Other]>,
}

#[derive(Clone)]
struct Other {
    name: &'static str,
    service: BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>,
}

impl<M: NamedService> Services<M> {
    /// Starts with one service, the main one.
    pub fn new(main: M) -> Self {
        Self { main, others: Arc::new([]) }
    }

    /// Adds another service.
    #[must_use]
    pub fn and<S>(self, service: S) -> Self
    where
        S: GrpcService + NamedService + Sync,
        S::Future: Send,
    {
        let other = Other { name: S::NAME, service: BoxCloneSyncService::new(service) };
        Self { others: self.others.iter().cloned().chain([other]).collect(), ..self }
    }
}

impl<M> Service<Request<Body>> for Services<M>
where
    M: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = ResponseFuture> + NamedService,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The others are polled for readiness when they are called.
        self.main.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        let name = service_name(request.uri().path());
        if name == M::NAME {
            return self.main.call(request);
        }
        match self.others.iter().find(|other| other.name == name) {
            Some(other) => Box::pin(other.service.clone().oneshot(request)),
            None => Box::pin(ready(Ok(Rejection::ServiceUnknown(where_is(name)).into_response()))),
        }
    }
}

impl<M> fmt::Debug for Services<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.others.iter().map(|other| other.name)).finish_non_exhaustive()
    }
}

/// Returns `package.Service` of `/package.Service/Method`.
fn service_name(path: &str) -> &str {
    path.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(service, _)| service)
}

/// Says where a service is that this address does not serve.
fn where_is(name: &str) -> &'static str {
    match name {
        ADMIN_SERVICE => {
            "this address does not serve AdminService: AdminService has the address of `listen` in [admin]"
        }
        SESSION_SERVICE => "this address serves operators: SessionService has the address of `listen` in [server]",
        _ => "this address does not serve that service",
    }
}
