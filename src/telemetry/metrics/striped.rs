//! Counters with a copy for each thread, so that no two threads write to the same cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// 16 copies of `T`, one for each thread. With more threads, some share a copy.
#[derive(Debug)]
pub struct Striped<T>(Box<[CacheLine<T>]>);

/// Aligned to two cache lines, because processors fetch the neighbour of a line with it.
#[derive(Debug)]
#[repr(align(128))]
struct CacheLine<T>(T);

impl<T> Striped<T> {
    /// Creates each copy with `make`.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self((0..STRIPES).map(|_| CacheLine(make())).collect())
    }

    /// Returns the copy of this thread.
    pub fn local(&self) -> &T {
        &self.0[local_index()].0
    }

    /// Adds up a number of all copies.
    pub fn sum(&self, read: impl Fn(&T) -> u64) -> u64 {
        // One thread may subtract what another has added. So a copy may be below zero, but the sum never is.
        self.0.iter().map(|line| read(&line.0)).fold(0, u64::wrapping_add)
    }
}

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

fn local_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    INDEX.with(|index| {
        if index.get() == usize::MAX {
            index.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        index.get()
    })
}

const STRIPES: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn the_counts_of_all_threads_are_added() {
        let counter = Striped::<AtomicU64>::default();

        thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1000).for_each(|_| _ = counter.local().fetch_add(1, Ordering::Relaxed)));
            }
        });

        assert_eq!(counter.sum(|copy| copy.load(Ordering::Relaxed)), 40_000);
    }
}
