//! The slots of running calls: how many calls run at once, in total, for each peer address and for each caller.
//!
//! A call takes its slot when its request is whole, so a half-open call takes none. A slot is free again when the
//! response begins. Calls that need no authentication, such as health checks, take none either: they do no work that
//! waits, and they have to be answered at any load.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::connection_limits::ConnectionPermit;
use crate::auth::KnownCaller;
use crate::grpc::Rejection;
use crate::server::Settings;

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

    /// Takes a slot for a call of this connection and this caller, which has to be given back.
    pub(in crate::server) fn take(
        &self,
        connection: &ConnectionPermit,
        caller: Option<&KnownCaller>,
    ) -> Result<(), Rejection> {
        // All are counted before any is compared, because all are given back.
        let total = self.running.fetch_add(1, Ordering::Relaxed);
        let of_peer = connection.calls.fetch_add(1, Ordering::Relaxed);
        let of_caller = caller.map_or(0, |caller| caller.running_calls().fetch_add(1, Ordering::Relaxed));
        // The processes on the Unix socket share no address.
        let is_peer_over = of_peer >= self.max_per_peer && connection.control.network.is_some();
        let taken = if total >= self.max {
            Err(Rejection::Overloaded)
        } else if is_peer_over || of_caller >= self.max_per_peer {
            Err(Rejection::ShareExhausted)
        } else {
            Ok(())
        };
        taken.inspect_err(|_| self.give_back(connection, caller))
    }

    /// Gives back the slot of a call of this connection and this caller.
    pub(in crate::server) fn give_back(&self, connection: &ConnectionPermit, caller: Option<&KnownCaller>) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        connection.calls.fetch_sub(1, Ordering::Relaxed);
        if let Some(caller) = caller {
            caller.running_calls().fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Default for CallSlots {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}
