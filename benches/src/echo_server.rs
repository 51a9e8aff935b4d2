//! A bare tonic echo service: the cost of a call that does nothing.
//!
//! It has the runtimes that the service has: one single-threaded runtime for each worker, with connections spread evenly
//! over them. Everything else is tonic's own: server, router, codec, buffers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::{io, thread};

use bytes::Bytes;
use clap::Args;
use http::Request;
use prost::Message;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codegen::tokio_stream::StreamExt as _;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;

use crate::Result;

#[derive(Debug, Args)]
pub(crate) struct Echo {
    /// Address
    #[arg(long)]
    listen: SocketAddr,
    /// Worker threads
    #[arg(long)]
    workers: usize,
}

impl Echo {
    pub(crate) fn run(&self) -> Result {
        let workers = (0..self.workers).map(|_| start_worker()).collect::<Result<Vec<_>, _>>()?;
        let listener = std::net::TcpListener::bind(self.listen)?;
        for (accepted, socket) in listener.incoming().enumerate() {
            workers[accepted % workers.len()].blocking_send(socket?)?;
        }
        Ok(())
    }
}

/// Starts a thread that serves the connections that are sent to it.
fn start_worker() -> io::Result<mpsc::Sender<std::net::TcpStream>> {
    let (sender, receiver) = mpsc::channel(128);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().spawn(move || {
        let sockets = ReceiverStream::new(receiver).map(configure);
        runtime.block_on(Server::builder().add_service(EchoService).serve_with_incoming(sockets))
    })?;
    Ok(sender)
}

fn configure(socket: std::net::TcpStream) -> io::Result<TcpStream> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    TcpStream::from_std(socket)
}

#[derive(Clone, PartialEq, Message)]
struct EchoRequest {
    #[prost(uint32, tag = "1")]
    response_bytes: u32,
    #[prost(bytes = "bytes", tag = "2")]
    padding: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct EchoResponse {
    #[prost(bytes = "bytes", tag = "1")]
    padding: Bytes,
}

/// The service as tonic would generate it.
#[derive(Clone, Debug)]
struct EchoService;

impl NamedService for EchoService {
    const NAME: &'static str = "bench.Echo";
}

impl Service<Request<Body>> for EchoService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.uri().path() {
            "/bench.Echo/Echo" => {
                let codec = ProstCodec::default();
                Box::pin(async move { Ok(Grpc::new(codec).unary(Unary, request).await) })
            }
            _ => Box::pin(ready(Ok(Status::unimplemented("").into_http()))),
        }
    }
}

struct Unary;

impl UnaryService<EchoRequest> for Unary {
    type Response = EchoResponse;
    type Future = Ready<Result<Response<EchoResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<EchoRequest>) -> Self::Future {
        let bytes = (request.get_ref().response_bytes as usize).min(PADDING.len());
        ready(Ok(Response::new(EchoResponse { padding: Bytes::from_static(&PADDING[..bytes]) })))
    }
}

static PADDING: [u8; 64 * 1024] = [b'x'; 64 * 1024];
