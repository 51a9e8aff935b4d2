//! The slots of running calls: how many calls run at once, in total, for each peer address and for each caller.
//!
//! A call takes its slot when its request is whole, so a half-open call takes none. A slot is free again when the
//! response begins. Calls that need no authentication, such as health checks, take none either: they do no work that
//! waits, and they have to be answered at any load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::auth::{Caller, KnownCaller};
use crate::grpc::Rejection;
use crate::server::Settings;
use crate::server::connection::ConnectionContext;

/// The slots of one server.
#[derive(Debug)]
pub(in crate::server) struct CallSlots {
    max: usize,
    max_per_peer: usize,
    running: AtomicUsize,
}

impl CallSlots {
    pub(in crate::server) fn new(settings: &Settings) -> Self {
        let max_per_peer = match settings.max_calls_per_peer {
            0 => settings.max_calls.div_ceil(2),
            max => max,
        };
        Self { max: settings.max_calls, max_per_peer, running: AtomicUsize::default() }
    }

    /// Takes a slot for a call of this connection and this caller.
    pub(super) fn take(connection: &Arc<ConnectionContext>, caller: &Caller) -> Result<CallSlot, Rejection> {
        let slots = &connection.call_slots;
        let caller = match caller {
            Caller::Known(known) => Some(Arc::clone(known)),
            Caller::Trusted | Caller::Unauthenticated => None,
        };
        let slot = CallSlot { connection: Arc::clone(connection), caller };
        // All are taken before any is compared, because the drop gives all back.
        let total = slots.running.fetch_add(1, Ordering::Relaxed);
        let of_peer = connection.permit.calls.fetch_add(1, Ordering::Relaxed);
        let of_caller = slot.caller.as_ref().map_or(0, |caller| caller.running_calls().fetch_add(1, Ordering::Relaxed));
        // The processes on the Unix socket share no address.
        let is_peer_over = of_peer >= slots.max_per_peer && connection.permit.control.network.is_some();
        if total >= slots.max {
            Err(Rejection::Overloaded)
        } else if is_peer_over || of_caller >= slots.max_per_peer {
            Err(Rejection::ShareExhausted)
        } else {
            Ok(slot)
        }
    }
}

impl Default for CallSlots {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

/// The slot of one running call. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct CallSlot {
    connection: Arc<ConnectionContext>,
    caller: Option<Arc<KnownCaller>>,
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.connection.call_slots.running.fetch_sub(1, Ordering::Relaxed);
        self.connection.permit.calls.fetch_sub(1, Ordering::Relaxed);
        if let Some(caller) = &self.caller {
            caller.running_calls().fetch_sub(1, Ordering::Relaxed);
        }
    }
}
