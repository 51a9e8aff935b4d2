//! Bodies by HTTP/1.1 that a call does not want: they break no connection, and a refusal always arrives.

use cloakroom::server::Settings;

use super::support::raw_http1::{Answer, RawHttp1, head, request, request_with};
use super::support::test_server::{TestServer, ms, settings};

/// Requests that are refused before their body is read: method, path, headers, and the status.
const REFUSED: [(&str, &str, &str, u16); 9] = [
    ("PUT", "/test.Echo/Echo", "content-type: application/proto\r\n", 405),
    ("GET", "/test.Echo/Echo", "content-type: application/proto\r\n", 405),
    ("POST", "/test.Echo/Echo", "content-type: text/plain\r\n", 415),
    ("POST", "/test.Echo/Echo", "", 415),
    ("POST", "/test.Echo/Echo", "content-type: application/grpc\r\n", 505),
    ("POST", "/test.Echo/Echo", "content-type: application/json\r\norigin: http://a.example\r\n", 403),
    ("POST", "/test.Echo/Echo", "content-type: application/json\r\nconnect-timeout-ms: soon\r\n", 400),
    ("POST", "/test.Echo/Echo", "content-type: application/json\r\nconnect-protocol-version: 2\r\n", 400),
    ("POST", "/test.Echo/Echo", "content-type: application/json\r\ncontent-encoding: gzip\r\n", 501),
];

#[tokio::test]
async fn a_refusal_by_the_headers_alone_keeps_the_connection_though_the_body_comes_later() {
    let server = TestServer::start(&settings()).await;
    let mut other = RawHttp1::connect(server.address()).await;
    let body = "x".repeat(1000);
    for (method, path, headers, status) in REFUSED {
        for is_chunked in [false, true] {
            let mut raw = RawHttp1::connect(server.address()).await;
            let (length, body) = match is_chunked {
                true => ("transfer-encoding: chunked".to_owned(), format!("3e8\r\n{body}\r\n0\r\n\r\n")),
                false => (format!("content-length: {}", body.len()), body.clone()),
            };

            raw.send(format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}{length}\r\n\r\n")).await;
            other.call("").await;
            raw.send(&body[..500]).await;
            other.call("").await;
            raw.send(&body[500..]).await;
            let answer = raw.answer().await;

            assert_eq!(answer.status, status, "{headers}: {answer:?}");
            assert!(!answer.is_last(), "{headers}: {answer:?}");
            assert_eq!(raw.call("next").await.body, "next", "{headers}");
        }
    }
}

#[tokio::test]
async fn a_refusal_arrives_although_its_long_body_is_not_read() {
    let server = TestServer::start(&settings()).await;
    let body = "x".repeat(8 << 20);
    for (method, path, headers, status) in REFUSED {
        let mut raw = RawHttp1::connect(server.address()).await;
        let length = body.len();

        // All of it is sent before the answer is read, as simple clients do.
        raw.send(format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: {length}\r\n\r\n"))
            .await;
        raw.send(&body).await;
        let answer = raw.answer().await;

        assert_eq!((answer.status, answer.is_last()), (status, true), "{headers}: {answer:?}");
        assert_eq!(raw.ended().await.as_deref(), Some(""), "{headers}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_its_refusal_arrives() {
    let server = TestServer::start(&settings()).await;
    let body = "x".repeat(5 << 20);
    let chunked = format!("transfer-encoding: chunked\r\n\r\n500000\r\n{body}\r\n0\r\n\r\n");
    for rest in [format!("content-length: {}\r\n\r\n{body}", body.len()), chunked] {
        let mut raw = RawHttp1::connect(server.address()).await;

        raw.send(head("Echo", &rest)).await;
        let answer = raw.answer().await;

        assert!(answer.body.contains("REQUEST_TOO_LARGE") && answer.is_last(), "{answer:?}");
        assert_eq!(raw.ended().await.as_deref(), Some(""));
    }
}

#[tokio::test]
async fn a_refusal_that_is_expected_asks_for_no_body_and_closes() {
    let server = TestServer::start(&settings()).await;
    for (method, path, headers, status) in REFUSED {
        let mut raw = RawHttp1::connect(server.address()).await;

        raw.send(format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}expect: 100-continue\r\ncontent-length: 9\r\n\r\n"
        ))
        .await;
        let answer = raw.answer().await;

        assert_eq!((answer.status, answer.is_last()), (status, true), "{headers}: {answer:?}");
        assert_eq!(raw.ended().await.as_deref(), Some(""), "{headers}");
    }
}

#[tokio::test]
async fn an_expected_body_is_asked_for() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp1::connect(server.address()).await;

    raw.send(head("Echo", "expect: 100-continue\r\ncontent-length: 4\r\n\r\n")).await;
    let asked = raw.answer().await;
    raw.send("body").await;
    let answer = raw.answer().await;

    assert_eq!((asked.status, answer.body.as_str(), answer.is_last()), (100, "body", false));
    assert_eq!(raw.call("next").await.body, "next");
}

#[tokio::test]
async fn an_overloaded_server_keeps_connections() {
    let server = TestServer::start(&Settings { max_calls: 1, ..settings() }).await;
    let (mut busy, mut raw) = (RawHttp1::connect(server.address()).await, RawHttp1::connect(server.address()).await);
    busy.send(request("Wait", "")).await;
    server.echo.has_begun().await;

    for _ in 0..3 {
        let answer: Answer = raw.call(&"x".repeat(50_000)).await;
        assert!(answer.status == 429 && answer.body.contains("OVERLOADED") && !answer.is_last(), "{answer:?}");
    }

    server.echo.release();
    assert_eq!(busy.answer().await.status, 200);
    assert_eq!(raw.call("next").await.body, "next");
}

#[tokio::test]
async fn chunked_bodies_pay_the_budget_of_large_requests() {
    let (request_timeout, call_timeout) = (ms(60_000), ms(60_000));
    // With one worker the first that is refused has given its bytes back before the other takes more.
    let settings = Settings { workers: 1, request_budget_bytes: 4 << 20, request_timeout, call_timeout, ..settings() };
    let server = TestServer::start(&settings).await;
    let three = format!("300000\r\n{}\r\n", "x".repeat(3 << 20));
    let begin = head("Echo", "transfer-encoding: chunked\r\n\r\n");
    let (mut first, mut second) =
        (RawHttp1::connect(server.address()).await, RawHttp1::connect(server.address()).await);
    let mut small = RawHttp1::connect(server.address()).await;

    // Either may be refused.
    first.send([&begin, &three].map(String::as_str).concat()).await;
    second.send([&begin, &three].map(String::as_str).concat()).await;
    let (refused, mut accepted) = tokio::select! {
        answer = first.answer() => (answer, second),
        answer = second.answer() => (answer, first),
    };

    assert!(refused.status == 429 && refused.body.contains("large") && refused.is_last(), "{refused:?}");
    assert_eq!(small.call("small").await.body, "small");
    accepted.send("0\r\n\r\n").await;
    assert_eq!(accepted.answer().await.body.len(), 3 << 20);
    assert_eq!(small.call(&"x".repeat(3 << 20)).await.status, 200);
}

#[tokio::test]
async fn pipelined_calls_are_answered_in_order() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    let mut other = RawHttp1::connect(server.address()).await;

    let calls: Vec<_> = (0..500).map(|number: u32| request("Echo", &number.to_string())).collect();
    raw.send(calls.concat()).await;
    assert_eq!(other.call("other").await.body, "other");

    for number in 0..500_u32 {
        assert_eq!(raw.answer().await.body, number.to_string());
    }
}

#[tokio::test]
async fn calls_behind_the_last_answer_are_not_made_and_the_answer_arrives() {
    let server = TestServer::start(&settings()).await;
    let mut raw = RawHttp1::connect(server.address()).await;
    let large = request("Echo", &"x".repeat(1 << 20));

    raw.send(request_with("Echo", "connect-timeout-ms: soon\r\nexpect: 100-continue\r\n", "late")).await;
    raw.try_send([large, request("Wait", "")].concat()).await;
    let answer = raw.answer().await;

    assert_eq!((answer.status, answer.is_last()), (400, true));
    assert_eq!(raw.ended().await.as_deref(), Some(""));
}
