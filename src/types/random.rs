//! Random bytes. Nothing else in the crate makes any.
//!
//! They come from the operating system, so there is no state that could be forked or leaked.

/// Returns unpredictable random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel always answers a request for a few random bytes");
    bytes
}
