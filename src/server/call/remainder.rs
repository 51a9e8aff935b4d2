//! What a call leaves unread of its request, on HTTP/1.1.
//!
//! The next request of the connection stands behind it. So it has to be read, or else the connection ends, and the
//! response has to say so: a peer that is not told sends its next request into a connection that is being closed.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time;

/// The place where the body of one request is left.
#[derive(Clone, Debug)]
pub(super) struct Remainder {
    body: Arc<Mutex<Option<Incoming>>>,
    /// The peer sends the body only after a 100 Continue, which reading would send.
    is_held_back: bool,
}

impl Remainder {
    /// Makes the place for a request with these headers.
    pub(super) fn new(headers: &HeaderMap) -> Self {
        Self { body: Arc::default(), is_held_back: headers.contains_key(header::EXPECT) }
    }

    /// Takes over a body that may not have been read to its end.
    pub(super) fn leave(&self, body: Incoming) {
        *self.body.lock() = Some(body);
    }

    /// Reads and drops what is left, if that is short. Otherwise the response says that the connection ends.
    pub(super) async fn discard(self, response: &mut HeaderMap) {
        let left = self.body.lock().take().filter(|body| !body.is_end_stream());
        let Some(body) = left else { return };
        let is_short = !self.is_held_back && body.size_hint().lower() <= MAX_BYTES;
        if !is_short || !time::timeout(TIMEOUT, read_to_end(body)).await.unwrap_or(false) {
            response.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Returns whether the body ended before it was too long.
async fn read_to_end(mut body: Incoming) -> bool {
    let mut read = 0;
    while read <= MAX_BYTES {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) => return false,
            None => return true,
        }
    }
    false
}

/// What is too large for a call is mostly not much larger.
const MAX_BYTES: u64 = 512 * 1024;
/// Short, for the response waits for it, and most of what is sent at once is there already.
const TIMEOUT: Duration = Duration::from_secs(1);
