//! A client of the Connect protocol by HTTP/1.1, with one connection that it keeps.

use std::net::SocketAddr;

use prost::Message;
use tokio::net::TcpStream;
use tonic::Status;

use crate::server::raw_http1::{RawHttp1, post};

/// A client of one replica. Clones have connections of their own.
#[derive(Debug)]
pub(super) struct ConnectClient {
    address: SocketAddr,
    idle: Option<RawHttp1>,
}

impl ConnectClient {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self { address, idle: None }
    }

    /// Makes a call of SessionService. UNAVAILABLE: the call has no answer, so it may be repeated at another replica.
    pub(super) async fn call<R: Message + Default>(
        &mut self,
        method: &str,
        request: &impl Message,
    ) -> Result<R, Status> {
        let mut connection = match self.idle.take() {
            Some(idle) => idle,
            None => match TcpStream::connect(self.address).await {
                Ok(socket) => RawHttp1::over(socket),
                Err(error) => return Err(Status::unavailable(error.to_string())),
            },
        };
        let request = post(&format!("/cloakroom.v1.SessionService/{method}"), &request.encode_to_vec());
        let Some(answer) = connection.exchange(&request).await else {
            return Err(Status::unavailable("the connection was closed"));
        };
        if !answer.is_last() {
            self.idle = Some(connection);
        }
        match answer.status {
            200 => Ok(R::decode(answer.bytes.as_slice()).unwrap()),
            503 => Err(Status::unavailable(answer.body)),
            _ => Err(Status::unknown(format!("{answer:?}"))),
        }
    }
}
