//! Numbers for ids.

use std::cell::Cell;

use crate::types::random;

/// Returns a number that no other call has. Cheap, because every thread counts from a random start of its own.
pub(super) fn unique_number() -> u64 {
    thread_local! {
        static NEXT: Cell<u64> = Cell::new(u64::from_be_bytes(random::bytes()));
    }
    NEXT.with(|next| {
        // Steps of the golden ratio reach every u64 once, and successive numbers do not look alike.
        next.set(next.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        next.get()
    })
}
