//! The bytes of responses, which the connection holds until its peer has read them.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::connection_context::ConnectionContext;
use crate::server::limits::OVERHEAD;

/// Bytes of a response, which count as held until they are written to the socket.
#[derive(Debug)]
pub(in crate::server) struct ResponseBytes {
    bytes: Bytes,
    /// `None` for no bytes.
    held: Option<HeldBytes>,
    /// Whether they are the first of their response.
    is_first: bool,
}

/// Counts bytes as held until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct HeldBytes {
    connection: Arc<ConnectionContext>,
    bytes: usize,
    period: usize,
}

impl ResponseBytes {
    pub(in crate::server) fn new(bytes: Bytes, connection: &Arc<ConnectionContext>, is_first: bool) -> Self {
        let held = (!bytes.is_empty()).then(|| HeldBytes::new(bytes.len(), connection));
        if let (Some(held), true) = (&held, is_first) {
            connection.pending.add_begun(held.bytes);
        }
        Self { bytes, held, is_first }
    }
}

impl Drop for ResponseBytes {
    fn drop(&mut self) {
        if let Some(HeldBytes { connection, bytes, .. }) = &self.held {
            connection.credit.add_for_response(bytes - OVERHEAD);
            if self.is_first {
                connection.pending.remove_begun(*bytes);
            }
        }
    }
}

impl HeldBytes {
    pub(in crate::server) fn new(bytes: usize, connection: &Arc<ConnectionContext>) -> Self {
        let bytes = bytes + OVERHEAD;
        let period = connection.pending.add_response(bytes);
        Self { connection: Arc::clone(connection), bytes, period }
    }
}

impl Buf for ResponseBytes {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.connection.pending.remove_response(self.bytes, self.period);
    }
}
