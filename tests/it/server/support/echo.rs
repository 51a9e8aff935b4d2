//! An echo service, with a method for each situation that tests need.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use bytes::Bytes;
use cloakroom::server::ResponseFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

/// `test.Echo`: Echo, Large, ReadAndWait, Wait, Stream, Panic, PanicLate, Thread.
#[derive(Clone, Debug)]
pub(in crate::server) struct Echo {
    begun: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Echo {
    pub(in crate::server) fn new() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), released: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until a call of Wait or ReadAndWait, or the body of Stream, has begun.
    pub(in crate::server) async fn has_begun(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    /// Ends one Wait, ReadAndWait or Stream.
    pub(in crate::server) fn release(&self) {
        self.released.add_permits(1);
    }

    /// Returns how many clones exist, including this one.
    pub(in crate::server) fn holders(&self) -> usize {
        Arc::strong_count(&self.begun)
    }

    async fn pause(self) {
        self.begun.add_permits(1);
        self.released.acquire().await.unwrap().forget();
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        match method.as_str() {
            "Echo" => match request.into_body().collect().await {
                Ok(body) => ok(body.to_bytes()),
                Err(status) => status.into_http(),
            },
            // More than the sockets of a connection hold.
            "Large" => ok(vec![7; 16 << 20]),
            "ReadAndWait" => {
                drop(request.into_body().collect().await);
                self.pause().await;
                ok(Bytes::new())
            }
            "Wait" => {
                self.pause().await;
                ok(Bytes::new())
            }
            "Stream" => streamed(async move {
                self.pause().await;
                Some(Ok(trailers(Code::Ok)))
            }),
            "Panic" => panic!("the test asked for it"),
            "PanicLate" => streamed(async { panic!("the test asked for it") }),
            "Thread" => ok(thread::current().name().unwrap_or_default().to_owned()),
            _ => Status::unimplemented("").into_http(),
        }
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture {
        let echo = self.clone();
        Box::pin(async { Ok(echo.answer(request).await) })
    }
}

fn ok(body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).with_trailers(async { Some(Ok(trailers(Code::Ok))) });
    Response::new(Body::new(body))
}

fn streamed(end: impl Future<Output = Option<Result<HeaderMap, Infallible>>> + Send + 'static) -> Response<Body> {
    // One byte first, because an empty body is never polled for its trailers.
    Response::new(Body::new(Full::new(Bytes::from_static(b"+")).with_trailers(end)))
}

fn trailers(code: Code) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from(code as i32))])
}
