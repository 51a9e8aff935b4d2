//! Requests by HTTP/1.1 whose end or whose host two readers could understand differently.

use super::support::raw_http1::{RawHttp1, head, request};
use super::support::test_server::{TestServer, settings};

/// Heads of a call that are refused; each follows the request line, and ends itself.
const REFUSED: [(&str, &str); 26] = [
    ("two lengths", "host: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\n"),
    ("a list of lengths", "host: a\r\ncontent-length: 4, 4\r\n\r\n"),
    ("a signed length", "host: a\r\ncontent-length: +4\r\n\r\n"),
    ("a negative length", "host: a\r\ncontent-length: -4\r\n\r\n"),
    ("an empty length", "host: a\r\ncontent-length:\r\n\r\n"),
    ("a hexadecimal length", "host: a\r\ncontent-length: 0x4\r\n\r\n"),
    ("a length in other digits", "host: a\r\ncontent-length: \u{664}\r\n\r\n"),
    ("an endless length", "host: a\r\ncontent-length: 99999999999999999999999999\r\n\r\n"),
    ("a space before a colon", "host: a\r\ncontent-length : 4\r\n\r\n"),
    ("a folded line", "host: a\r\ncontent-length: 4\r\n 4\r\n\r\n"),
    ("a folded first line", " host: a\r\ncontent-length: 4\r\n\r\n"),
    ("a bare CR", "host: a\rcontent-length: 4\r\n\r\n"),
    ("a NUL", "host: a\r\nx: \0\r\n\r\n"),
    ("a line without a colon", "host: a\r\nx\r\n\r\n"),
    ("an empty name", "host: a\r\n: x\r\n\r\n"),
    ("a coding that is not chunked", "host: a\r\ntransfer-encoding: identity\r\n\r\n"),
    ("chunked in front of another", "host: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n"),
    ("chunked behind another", "host: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", "host: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in two lines", "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a disguised chunked", "host: a\r\ntransfer-encoding: \x0bchunked\r\n\r\n"),
    ("no host", "content-length: 0\r\n\r\n"),
    ("two hosts", "host: a\r\nhost: b\r\ncontent-length: 0\r\n\r\n"),
    ("the same host twice", "host: 127.0.0.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n"),
    ("a host with a path", "host: 127.0.0.1/a\r\ncontent-length: 0\r\n\r\n"),
    ("a list of hosts", "host: 127.0.0.1, 127.0.0.1\r\ncontent-length: 0\r\n\r\n"),
];

#[tokio::test]
async fn an_ambiguous_request_is_refused_and_nothing_behind_it_is_read() {
    let server = TestServer::start(&settings()).await;
    for (name, head) in REFUSED {
        let head = head.replace("host: a", "host: 127.0.0.1");
        let mut raw = RawHttp1::connect(server.address()).await;

        raw.send(format!("POST /test.Echo/Echo HTTP/1.1\r\ncontent-type: application/proto\r\n{head}")).await;
        raw.try_send(request("Echo", "smuggled")).await;
        let answer = raw.answer().await;

        assert_eq!((answer.status, answer.is_last()), (400, true), "{name}: {answer:?}");
        assert_eq!(raw.ended().await.as_deref(), Some(""), "{name}");
    }
}

#[tokio::test]
async fn an_ambiguous_request_line_is_refused() {
    let server = TestServer::start(&settings()).await;
    for line in [
        "POST  /test.Echo/Echo HTTP/1.1",
        "POST /test.Echo/Echo  HTTP/1.1",
        "POST /test.Echo/Echo HTTP/1.1 ",
        "POST /test.Echo/Echo HTTP/1.10",
        "POST /test.Echo/Echo HTTP/2.0",
        "POST /test.Echo/Echo HTTP/1.2",
        "POST /test.Echo/Echo http/1.1",
        "POST /test.Echo/\tEcho HTTP/1.1",
        "POST\t/test.Echo/Echo\tHTTP/1.1",
        "POST test.Echo/Echo x HTTP/1.1",
        "POST /test.Echo/Echo",
    ] {
        let mut raw = RawHttp1::connect(server.address()).await;

        raw.send(format!("{line}\r\nhost: 127.0.0.1\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"))
            .await;
        let answer = raw.answer().await;

        assert_eq!((answer.status, answer.is_last()), (400, true), "{line}: {answer:?}");
        assert_eq!(raw.ended().await.as_deref(), Some(""), "{line}");
    }
}

#[tokio::test]
async fn a_body_with_a_length_and_in_chunks_ends_with_its_chunks_and_the_connection_with_it() {
    let server = TestServer::start(&settings()).await;
    for headers in
        ["content-length: 4\r\ntransfer-encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 4\r\n"]
    {
        let mut raw = RawHttp1::connect(server.address()).await;

        raw.send(head("Echo", &format!("{headers}\r\n5\r\nwhole\r\n0\r\n\r\n"))).await;
        raw.try_send(request("Echo", "smuggled")).await;
        let answer = raw.answer().await;

        assert_eq!((answer.body.as_str(), answer.is_last()), ("whole", true), "{answer:?}");
        assert_eq!(raw.ended().await.as_deref(), Some(""));
    }
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_connection() {
    let server = TestServer::start(&settings()).await;
    let extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(100_000));
    let trailers = format!("1\r\nx\r\n0\r\nx: {}\r\n\r\n", "t".repeat(100_000));
    let many_trailers = format!("1\r\nx\r\n0\r\n{}\r\n", "x: y\r\n".repeat(1000));
    for chunks in [
        "0x1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "\r\n",
        "1\nx\n0\n\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "1;a\nb\r\nx\r\n0\r\n\r\n",
        "1\r\nx\r\n0\r\nbad trailer\r\n\r\n",
        &extension,
        &trailers,
        &many_trailers,
    ] {
        let mut raw = RawHttp1::connect(server.address()).await;
        let shown = &chunks[..chunks.len().min(30)];

        raw.send(head("Echo", "transfer-encoding: chunked\r\n\r\n")).await;
        raw.try_send([chunks, request("Echo", "smuggled").as_str()].concat()).await;
        let answer = raw.answer().await;

        assert_eq!((answer.status, answer.is_last()), (400, true), "{shown:?}: {answer:?}");
        assert_eq!(raw.ended().await.as_deref(), Some(""), "{shown:?}");
    }
}

#[tokio::test]
async fn extensions_and_trailers_that_are_short_are_ignored() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp1::connect(server.address()).await;

    let chunks = "2;name=value\r\nwh\r\n3\r\nole\r\n0\r\ncontent-length: 1\r\nhost: b\r\n\r\n";
    raw.send(head("Echo", &format!("transfer-encoding: chunked\r\n\r\n{chunks}"))).await;

    assert_eq!(raw.answer().await.body, "whole");
    assert_eq!(raw.call("next").await.body, "next");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = TestServer::start(&settings()).await;
    let many = (0..100).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for (headers, status) in [(format!("x: {}\r\n", "y".repeat(100_000)), 431), (many, 431)] {
        let mut raw = RawHttp1::connect(server.address()).await;

        raw.try_send(head("Echo", &format!("{headers}content-length: 0\r\n\r\n"))).await;
        let answer = raw.answer().await;

        assert_eq!((answer.status, answer.is_last()), (status, true), "{answer:?}");
        raw.ended().await;
    }
}

#[tokio::test]
async fn a_target_in_another_form_reaches_no_other_service() {
    let server = TestServer::start(&settings()).await;
    let rest = "content-type: application/proto\r\ncontent-length: 4\r\n\r\nbody";
    for (line, status) in [
        ("POST http://127.0.0.1/test.Echo/Echo HTTP/1.1\r\nhost: 127.0.0.1", 200),
        ("POST http://127.0.0.1/test.Echo/Echo HTTP/1.1\r\nhost: evil.example", 421),
        ("POST http://evil.example/test.Echo/Echo HTTP/1.1\r\nhost: 127.0.0.1", 421),
        ("POST http://127.0.0.1/test.Echo/Echo HTTP/1.1", 400),
        ("POST * HTTP/1.1\r\nhost: 127.0.0.1", 501),
        ("OPTIONS * HTTP/1.1\r\nhost: 127.0.0.1", 405),
        ("CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: 127.0.0.1", 405),
        ("POST /test.Echo/Echo HTTP/1.0", 200),
        ("POST /test.Echo/Echo HTTP/1.0\r\nhost: a\r\nhost: b", 400),
    ] {
        let mut raw = RawHttp1::connect(server.address()).await;

        raw.send(format!("{line}\r\n{rest}")).await;

        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
    }
}
