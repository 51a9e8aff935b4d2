//! Requests on HTTP/1.1 that are answered before they have been read.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::test_server::{TestServer, settings, with_timeout};

/// Sends a request to an RPC that does not read it, with a part of its body, and returns the head of the response.
async fn response(connection: &mut TcpStream, length: usize, sent: usize) -> String {
    let head = format!(
        "POST /test.Echo/Unknown HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+proto\r\n\
         content-length: {length}\r\n\r\n"
    );
    let request = [head.into_bytes(), vec![b'x'; sent]].concat();
    with_timeout(connection.write_all(&request)).await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(with_timeout(connection.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(response).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
    with_timeout(connection.read_exact(&mut vec![0; length])).await.unwrap();
    head
}

#[tokio::test]
async fn a_request_that_was_not_read_does_not_disturb_the_next_one() {
    let server = TestServer::start(&settings()).await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();

    for length in [0, 10, 100_000, 500_000] {
        let head = response(&mut connection, length, length).await;

        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("connection: close"), "{length}: {head}");
    }
}

#[tokio::test]
async fn a_response_says_that_its_connection_ends_with_a_long_request() {
    let server = TestServer::start(&settings()).await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();

    let head = response(&mut connection, 1_000_000, 10).await;

    assert!(head.contains("connection: close\r\n"), "{head}");
    assert_eq!(with_timeout(connection.read(&mut [0])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_response_does_not_wait_for_a_request_that_goes_on_for_ever() {
    let server = TestServer::start(&settings()).await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();

    let head = response(&mut connection, 1000, 10).await;

    assert!(head.contains("connection: close\r\n"), "{head}");
}
