//! Hand-written HTTP/1.1, for peers that break the rules and for those that look closely.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::test_server::with_timeout;

/// A connection that sends any bytes, and reads what the server answers.
#[derive(Debug)]
pub(crate) struct RawHttp1(BufReader<TcpStream>);

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// Tells whether the server says that it closes the connection.
    pub(crate) fn is_last(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

impl RawHttp1 {
    /// Connects and sends nothing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// Uses a connected socket.
    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self(BufReader::new(socket))
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends bytes, of which the server may read only a part.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = with_timeout(self.0.get_mut().write_all(bytes.as_ref())).await;
    }

    /// Sends up to so many bytes. Returns how many the kernel took before the connection was reset.
    pub(crate) async fn send_until_reset(&mut self, limit: usize) -> usize {
        let mut sent = 0;
        while sent < limit
            && let Ok(written) = with_timeout(self.0.get_mut().write(&[0; 16 * 1024])).await
        {
            sent += written;
        }
        sent
    }

    /// Calls Echo with a body, and returns the answer.
    pub(crate) async fn call(&mut self, body: &str) -> Answer {
        self.send(request("Echo", body)).await;
        self.answer().await
    }

    /// Sends a request and reads its answer. `None`: the server has closed the connection.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Option<Answer> {
        self.try_send(request).await;
        self.try_answer().await
    }

    /// Reads the next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("the server answers")
    }

    /// Reads the next answer. `None`: the server has closed the connection instead.
    pub(crate) async fn try_answer(&mut self) -> Option<Answer> {
        with_timeout(self.read_answer()).await
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        head.make_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                self.0.read_exact(&mut body).await.ok()?;
            }
            None if head.contains("\r\ntransfer-encoding: chunked\r\n") => {
                while let size @ 1.. = self.chunk_size().await? {
                    let begin = body.len();
                    body.resize(begin + size + 2, 0);
                    self.0.read_exact(&mut body[begin..]).await.ok()?;
                    body.truncate(begin + size);
                }
                self.0.read_line(&mut String::new()).await.ok()?;
            }
            None => {}
        }
        Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned(), bytes: body })
    }

    async fn chunk_size(&mut self) -> Option<usize> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok()?;
        usize::from_str_radix(line.trim_end(), 16).ok()
    }

    /// Reads until the server closes. `None`: it has reset the connection.
    pub(crate) async fn ended(mut self) -> Option<String> {
        let mut rest = Vec::new();
        with_timeout(self.0.read_to_end(&mut rest)).await.ok()?;
        Some(String::from_utf8_lossy(&rest).into_owned())
    }
}

/// Builds a call of a method of the echo service.
pub(crate) fn request(method: &str, body: &str) -> String {
    request_with(method, "", body)
}

/// Builds a call with more headers, each of which ends with a line break.
pub(crate) fn request_with(method: &str, headers: &str, body: &str) -> String {
    format!("{}content-length: {}\r\n\r\n{body}", head(method, headers), body.len())
}

/// Builds a call of any RPC, with a message in protobuf.
pub(crate) fn post(path: &str, message: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\n");
    [head.as_bytes(), format!("content-length: {}\r\n\r\n", message.len()).as_bytes(), message].concat()
}

/// Builds the head of a call, without its end.
pub(crate) fn head(method: &str, headers: &str) -> String {
    format!("POST /test.Echo/{method} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/proto\r\n{headers}")
}
