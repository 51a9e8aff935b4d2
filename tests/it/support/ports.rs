//! Ports for what a test starts.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::Mutex;

/// Returns a port of 127.0.0.1 that no other test gets until this process ends, whether it listens there or not yet.
///
/// It is below those that the system gives to outgoing connections, one of which could take it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Far from those of processes with the next ids, which run at the same time.
    let offset = std::process::id().wrapping_mul(499) % u32::from(PORTS);
    first_free(std::iter::repeat_with(|| {
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + offset;
        FIRST_PORT + u16::try_from(number % u32::from(PORTS)).expect("it is below PORTS")
    }))
}

fn first_free(mut ports: impl Iterator<Item = u16>) -> u16 {
    /// Holds the ports that were given: a listener each, on an address that nothing else uses. Tests in other languages
    /// hold theirs in the same way. It has another number, so that programs can listen on the port at all addresses.
    static CLAIMS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    ports
        .find(|port| {
            let Ok(claim) = TcpListener::bind(("127.255.255.254", port + CLAIM_OFFSET)) else { return false };
            CLAIMS.lock().push(claim);
            TcpListener::bind(("127.0.0.1", *port)).is_ok()
        })
        .expect("a port is free")
}

const FIRST_PORT: u16 = 10_000;
const PORTS: u16 = 22_000;
const CLAIM_OFFSET: u16 = 32_768;

#[test]
fn a_port_that_one_test_has_is_given_to_no_other_test() {
    let taken = free_port();

    assert_ne!(first_free(std::iter::once(taken).chain(FIRST_PORT..FIRST_PORT + PORTS)), taken);
}
