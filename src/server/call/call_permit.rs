//! The slot that a call holds while it runs, and its part of the budget for large requests.
//!
//! The body of the request takes both, when it knows what it needs; the body is read while the call is polled. The call
//! holds them until its response begins, not only until the body is dropped. A body that is dropped before its end leaves
//! its rest here.

use std::cell::Cell;
use std::mem;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::unread_rest::UnreadRest;
use crate::auth::{Caller, KnownCaller};
use crate::grpc::Rejection;
use crate::server::context::ConnectionContext;

/// The resources that one call holds until this is dropped.
#[derive(Debug, Default)]
pub(super) struct CallPermit {
    slot: SlotState,
    large_bytes: Option<OwnedSemaphorePermit>,
    rest: Option<Box<UnreadRest>>,
}

#[derive(Debug, Default)]
enum SlotState {
    /// The call needs none.
    #[default]
    Exempt,
    /// The request is not whole yet.
    Wanted(Caller),
    Held(#[expect(dead_code, reason = "it is held for its drop")] CallSlot),
}

/// The slot of one running call. It is free again when this is dropped.
#[derive(Debug)]
struct CallSlot {
    connection: Arc<ConnectionContext>,
    caller: Option<Arc<KnownCaller>>,
}

thread_local! {
    /// The permit of the call that this thread is polling now.
    static CURRENT: Cell<Option<CallPermit>> = const { Cell::new(None) };
}

impl CallPermit {
    /// Creates the permit of a call that needs a slot once its request is whole.
    pub(super) fn wanting_slot(caller: Caller) -> Self {
        Self { slot: SlotState::Wanted(caller), ..Self::default() }
    }

    /// Takes the slot that the call needs, if it has none. The request is whole.
    pub(super) fn take_slot(&mut self, connection: &Arc<ConnectionContext>) -> Result<(), Rejection> {
        if let SlotState::Wanted(caller) = &self.slot {
            connection.record_call();
            self.slot = SlotState::Held(CallSlot::take(connection, caller)?);
        }
        Ok(())
    }

    /// Adds a part of the budget for large requests.
    pub(super) fn add_large_bytes(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.large_bytes {
            Some(own) => own.merge(permit),
            None => self.large_bytes = Some(permit),
        }
    }

    /// Leaves what a body of HTTP/2 has unread.
    pub(super) fn leave(&mut self, rest: Option<Box<UnreadRest>>) {
        self.rest = rest;
    }

    /// Gives back what the call holds. Returns what it left unread.
    pub(super) fn into_rest(self) -> Option<Box<UnreadRest>> {
        self.rest
    }

    /// Drops a request that is not for a service. Returns what is left unread of its body.
    pub(super) fn rest_of<T>(request: T) -> Option<Box<UnreadRest>> {
        let mut permit = Self::default();
        permit.poll_with(|| drop(request));
        permit.rest
    }

    /// Polls a call, during which [`Self::with_current`] finds this permit.
    pub(super) fn poll_with<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        CURRENT.set(Some(mem::take(self)));
        let polled = poll();
        *self = CURRENT.take().unwrap_or_default();
        polled
    }

    /// Gives the permit of the call that this thread is polling. `None` outside of such a poll.
    pub(super) fn with_current<T>(change: impl FnOnce(Option<&mut Self>) -> T) -> T {
        let mut current = CURRENT.take();
        let result = change(current.as_mut());
        CURRENT.set(current);
        result
    }
}

impl CallSlot {
    /// Takes a slot for a call of this connection and this caller.
    fn take(connection: &Arc<ConnectionContext>, caller: &Caller) -> Result<Self, Rejection> {
        let caller = match caller {
            Caller::Known(known) => Some(Arc::clone(known)),
            Caller::Trusted | Caller::Unauthenticated => None,
        };
        connection.call_slots.take(&connection.permit, caller.as_deref())?;
        Ok(Self { connection: Arc::clone(connection), caller })
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.connection.call_slots.give_back(&self.connection.permit, self.caller.as_deref());
    }
}
