//! Numbers that every thread counts in a copy of its own, so that no two of them write to one cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A few copies of `T`, one to a thread; with more threads, some share.
#[derive(Debug)]
pub struct Striped<T>(Box<[CacheLine<T>]>);

/// Keeps neighbours out of its cache line, and of the one that is fetched with it.
#[derive(Debug)]
#[repr(align(128))]
struct CacheLine<T>(T);

impl<T> Striped<T> {
    /// Copies that are all made by `make`.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self((0..STRIPES).map(|_| CacheLine(make())).collect())
    }

    /// The copy that this thread counts in.
    pub fn mine(&self) -> &T {
        &self.0[stripe()].0
    }

    /// What all copies come to.
    pub fn sum(&self, read: impl Fn(&T) -> u64) -> u64 {
        // A thread may take away what another one added: each copy may be below zero, all of them never are.
        self.0.iter().map(|line| read(&line.0)).fold(0, u64::wrapping_add)
    }
}

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        mine.get()
    })
}

const STRIPES: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counter = Striped::<AtomicU64>::default();

        thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1000).for_each(|_| _ = counter.mine().fetch_add(1, Ordering::Relaxed)));
            }
        });

        assert_eq!(counter.sum(|copy| copy.load(Ordering::Relaxed)), 40_000);
    }
}
