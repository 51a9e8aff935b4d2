//! HTTP as this server speaks it: every bound that a hostile peer runs into.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;

use crate::server::Settings;

/// Makes connections of sockets.
pub(crate) type Builder = auto::Builder<TokioExecutor>;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// What gRPC needs, and nothing else.
    Http2,
    /// HTTP/1.1 too, which is told by its first bytes.
    Both,
}

/// Nothing is left to a library's default that could become "no limit" in its next version.
pub(crate) fn builder(settings: &Settings, protocols: Protocols) -> Builder {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .half_close(false)
        // It runs between requests as well: a connection without one is closed after it.
        .header_read_timeout(settings.first_request_timeout)
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
    match protocols {
        Protocols::Http2 => builder.http2_only(),
        Protocols::Both => builder,
    }
}

/// Connections that may wait to be accepted: a whole fleet of frontends that comes back at once.
pub(crate) const BACKLOG: u32 = 1024;

// A Cookie header travels in a message, so metadata is small. h2 refuses a stream above it, and closes above four times
// as much; it is also what bounds a CONTINUATION flood.
const MAX_HEADER_LIST_SIZE: u32 = 16 * 1024;

// HTTP/1.1: a page is asked for with a line and a dozen headers. Above it a request is refused and its connection closed.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

// The least that HTTP/2 allows: one big message can't hold up the others for long.
const MAX_FRAME_SIZE: u32 = 16 * 1024;

// Four sessions of the default size without a round trip.
const STREAM_WINDOW: u32 = 256 * 1024;

// What one connection can make the server hold of unread requests; h2 derives its budget for tiny frames from it, and
// closes honest streams if it is much smaller.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

// What one call can make the server hold of an unread response. hyper's default is 400 KiB.
const MAX_SEND_BUFFER: usize = 64 * 1024;

// Rapid reset (CVE-2023-44487): streams that were opened and reset before the server saw them.
const MAX_PENDING_ACCEPT_RESET_STREAMS: usize = 20;

// MadeYouReset (CVE-2025-8671): resets that the peer provokes, in a connection's life.
const MAX_LOCAL_ERROR_RESET_STREAMS: usize = 1024;

// A caller on a working network answers a ping within this, however busy it is.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
