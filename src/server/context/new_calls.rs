//! How many calls have arrived and not begun, on this thread.
//!
//! The memory that a request holds counts from when its call begins. One read may bring hundreds of requests, and each
//! connection reads when it has its turn, so many connections could begin far more calls than the budget has room for,
//! before the first of them counts. So while many calls have not begun, a connection with unfinished requests reads
//! nothing, and the others little.

use std::cell::Cell;

/// A call that has not begun. It begins when its task runs, and this is dropped.
#[derive(Debug)]
pub(in crate::server) struct NewCall(());

thread_local! {
    // A connection and its calls are on one thread.
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

impl NewCall {
    pub(in crate::server) fn arrive() -> Self {
        COUNT.set(COUNT.get() + 1);
        Self(())
    }

    /// Whether so many have to begin that less is read meanwhile.
    pub(super) fn are_many() -> bool {
        COUNT.get() >= MAX_UNBEGUN
    }
}

impl Drop for NewCall {
    fn drop(&mut self) {
        COUNT.set(COUNT.get().saturating_sub(1));
    }
}

/// On one thread. They use less than a MiB, and one more read may bring as much.
const MAX_UNBEGUN: u32 = 128;
