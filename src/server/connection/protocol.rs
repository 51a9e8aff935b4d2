//! The HTTP settings of connections: the limits that a hostile peer meets.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;

use crate::server::Settings;
use crate::server::http_versions::HttpVersions;
use crate::server::limits::MAX_HEADERS;

/// Serves HTTP on a socket.
pub(in crate::server) type Builder = auto::Builder<TokioExecutor>;

/// Configures HTTP. Every limit is set, because a library's default may become "no limit" in its next version.
pub(in crate::server) fn builder(settings: &Settings, versions: HttpVersions) -> Builder {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .half_close(false)
        // It would also run between requests, and cost each call a timer. `Http1Io` and `ConnectionTimeouts` do it.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .adaptive_window(false)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_header_list_size(MAX_HEADER_LIST_SIZE)
        .max_frame_size(MAX_FRAME_SIZE)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_PENDING_ACCEPT_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_LOCAL_ERROR_RESET_STREAMS)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_interval.min(KEEPALIVE_TIMEOUT));
    match versions {
        HttpVersions::Http2 => builder.http2_only(),
        HttpVersions::Both => builder,
    }
}

// A Cookie header is part of a message, so metadata is small. Above this h2 refuses the stream, and above four times
// this it closes the connection. It also limits a CONTINUATION flood.
const MAX_HEADER_LIST_SIZE: u32 = 16 * 1024;

// HTTP/1.1: a request above this is refused and its connection closed.
const MAX_HEADER_BYTES: usize = 16 * 1024;

// The minimum of HTTP/2, so that one large message does not delay the others for long.
const MAX_FRAME_SIZE: u32 = 16 * 1024;

// Four sessions of the default size fit into it without a round trip.
const STREAM_WINDOW: u32 = 256 * 1024;

// The most unread request bytes of one connection. h2 derives its budget for tiny frames from it, and closes honest
// streams if it is much smaller.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

// The most unread response bytes of one call. hyper's default is 400 KiB.
const MAX_SEND_BUFFER: usize = 64 * 1024;

// Rapid reset (CVE-2023-44487): the streams that were opened and reset before the server handled them.
const MAX_PENDING_ACCEPT_RESET_STREAMS: usize = 20;

// MadeYouReset (CVE-2025-8671): the resets that the peer provokes during the life of the connection.
const MAX_LOCAL_ERROR_RESET_STREAMS: usize = 1024;

// A busy peer on a working network answers a ping within this time.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
