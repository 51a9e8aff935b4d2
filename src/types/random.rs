//! Random bytes: the one place they come from.
//!
//! Straight from the operating system, so that there is no state to fork or to leak.

/// Fresh random bytes that nobody can predict.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel always answers a request for a few random bytes");
    bytes
}
