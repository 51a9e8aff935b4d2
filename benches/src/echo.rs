//! A bare tonic echo: what a call costs before anybody does anything for it.
//!
//! In runtimes of the service's kind: one single-threaded one a core, and connections dealt out evenly. Everything else
//! is as tonic has it: its server, its router, its codec, its buffers.

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

use crate::Outcome;

#[derive(Debug, Args)]
pub(crate) struct Echo {
    /// Where
    #[arg(long)]
    listen: SocketAddr,
    /// Threads that serve
    #[arg(long)]
    workers: usize,
}

impl Echo {
    pub(crate) fn run(&self) -> Outcome {
        let workers = (0..self.workers).map(|_| worker()).collect::<Result<Vec<_>, _>>()?;
        let listener = std::net::TcpListener::bind(self.listen)?;
        for (accepted, socket) in listener.incoming().enumerate() {
            workers[accepted % workers.len()].blocking_send(socket?)?;
        }
        Ok(())
    }
}

/// A thread that serves the connections it is given.
fn worker() -> io::Result<mpsc::Sender<std::net::TcpStream>> {
    let (queue, waiting) = mpsc::channel(128);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().spawn(move || {
        let sockets = ReceiverStream::new(waiting).map(prepared);
        runtime.block_on(Server::builder().add_service(Echoes).serve_with_incoming(sockets))
    })?;
    Ok(queue)
}

fn prepared(socket: std::net::TcpStream) -> io::Result<TcpStream> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    TcpStream::from_std(socket)
}

#[derive(Clone, PartialEq, Message)]
struct Ask {
    #[prost(uint32, tag = "1")]
    answer_bytes: u32,
    #[prost(bytes = "bytes", tag = "2")]
    padding: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(bytes = "bytes", tag = "1")]
    padding: Bytes,
}

/// The service, as tonic would generate it.
#[derive(Clone, Debug)]
struct Echoes;

impl NamedService for Echoes {
    const NAME: &'static str = "bench.Echo";
}

impl Service<Request<Body>> for Echoes {
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

impl UnaryService<Ask> for Unary {
    type Response = Answer;
    type Future = Ready<Result<Response<Answer>, Status>>;

    fn call(&mut self, request: tonic::Request<Ask>) -> Self::Future {
        let bytes = (request.get_ref().answer_bytes as usize).min(PADDING.len());
        ready(Ok(Response::new(Answer { padding: Bytes::from_static(&PADDING[..bytes]) })))
    }
}

static PADDING: [u8; 64 * 1024] = [b'x'; 64 * 1024];
