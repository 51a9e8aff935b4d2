//! The rest of a request's body that a call by HTTP/1.1 left unread.
//!
//! The next request of the connection is behind it. A short rest is read and dropped, so that a refusal breaks no
//! connection. With a longer one the connection ends.

use http_body::Body as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{self, Instant};

/// The rest of the present request's body. HTTP/1.1 has one request at a time.
#[derive(Debug, Default)]
pub(in crate::server) struct UnreadBody(Mutex<Rest>);

#[derive(Debug, Default)]
enum Rest {
    /// The response has begun, or there was no request. A body that is dropped now is hyper's concern.
    #[default]
    Unwanted,
    /// The call may leave one.
    Expected,
    /// With the time when the request has to be whole.
    Left(Incoming, Instant),
    /// Nobody knows where it ends.
    Broken,
}

impl UnreadBody {
    /// Begins a request.
    pub(in crate::server) fn expect_rest(&self) {
        *self.0.lock() = Rest::Expected;
    }

    /// Leaves a body that was not read to its end.
    pub(in crate::server) fn leave(&self, body: Incoming, deadline: Instant) {
        let mut rest = self.0.lock();
        if let Rest::Expected = *rest {
            *rest = Rest::Left(body, deadline);
        }
    }

    /// Records that a body is malformed.
    pub(in crate::server) fn break_off(&self) {
        let mut rest = self.0.lock();
        if let Rest::Expected = *rest {
            *rest = Rest::Broken;
        }
    }

    /// Reads and drops the rest. Returns whether the next request can follow: not behind a long rest or a slow one.
    pub(in crate::server) async fn discard(&self) -> bool {
        match self.take() {
            Rest::Unwanted | Rest::Expected => true,
            Rest::Broken => false,
            Rest::Left(body, _) if body.size_hint().lower() > MAX_DISCARDED => false,
            Rest::Left(body, deadline) => {
                let deadline = deadline.min(Instant::now() + MAX_WAIT);
                time::timeout_at(deadline, discard(body)).await.unwrap_or(false)
            }
        }
    }

    /// Whether a call has left a rest.
    pub(in crate::server) fn is_left(&self) -> bool {
        matches!(*self.0.lock(), Rest::Left(..) | Rest::Broken)
    }

    /// Drops the rest without reading it, and every one that is left later.
    pub(in crate::server) fn drop_rest(&self) {
        self.take();
    }

    fn take(&self) -> Rest {
        mem::take(&mut *self.0.lock())
    }
}

async fn discard(mut body: Incoming) -> bool {
    let mut discarded = 0;
    while discarded <= MAX_DISCARDED {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => discarded += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => return false,
            None => return true,
        }
    }
    false
}

const MAX_DISCARDED: u64 = 512 * 1024;

/// The peer waits for its response meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(1);
