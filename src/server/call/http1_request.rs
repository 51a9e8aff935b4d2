//! A request by HTTP/1.1: that it has one meaning only, and how its connection goes on behind it.
//!
//! hyper refuses what has no meaning. What RFC 9112 leaves to the server is refused here, because a proxy in front may
//! have understood it differently.

use std::sync::Arc;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use tonic::body::Body;

use crate::grpc::Rejection;
use crate::server::context::{Activity, ConnectionContext};

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Http1Request {
    activity: Activity,
    connection: Arc<ConnectionContext>,
    /// Whether the peer waits for a 100 Continue with its body. It is sent when the body is read.
    awaits_continue: bool,
}

impl Http1Request {
    /// Begins a request. `None`: it is one of HTTP/2.
    pub(super) fn begin(
        request: &Request<Incoming>,
        activity: &Activity,
        connection: &Arc<ConnectionContext>,
    ) -> Option<Self> {
        if request.version() >= Version::HTTP_2 {
            return None;
        }
        connection.unread_body.expect_rest();
        let awaits_continue = request.headers().contains_key(header::EXPECT);
        Some(Self { activity: activity.clone(), connection: Arc::clone(connection), awaits_continue })
    }

    /// Waits until the request may take its time, if the peer has sent many at once.
    pub(super) async fn take_turn(&self) {
        self.connection.take_turn().await;
    }

    /// Checks that the request has one host and one body. Otherwise nothing that follows it is read.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        let checked = if !has_one_host(request) {
            Err(Rejection::RequestMalformed(HOST.to_owned()))
        } else if !has_one_coding(request) {
            Err(Rejection::RequestMalformed(TRANSFER_ENCODING.to_owned()))
        } else {
            Ok(())
        };
        checked.inspect_err(|_| self.activity.end_with_next_response())
    }

    /// Reads what the call left of a short body, and says in the response if it is the last one of its connection.
    pub(super) async fn finish(self, response: &mut Response<Body>) {
        let Self { activity, connection, awaits_continue } = self;
        let unread_body = &connection.unread_body;
        let mut goes_on = true;
        if unread_body.is_left() {
            goes_on = !awaits_continue && !activity.is_end_due() && Box::pin(unread_body.discard()).await;
        }
        unread_body.drop_rest();
        // Asked again, because the end may have come meanwhile.
        if !goes_on || activity.is_end_due() {
            activity.announce_end();
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Whether it names one host, as RFC 9112 demands; by HTTP/1.0 one at most.
fn has_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes().iter().all(|byte| byte.is_ascii_graphic() && !b"/?#@,\\".contains(byte)),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// Whether its body is in chunks and in no other coding, if it has a coding.
fn has_one_coding<B>(request: &Request<B>) -> bool {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (None, _) => true,
        (Some(_), Some(_)) => false,
    }
}

const HOST: &str = "send one header host, with a host and perhaps a port";
const TRANSFER_ENCODING: &str = "the only transfer-encoding is chunked, once";
