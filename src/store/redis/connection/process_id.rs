//! The process of Redis that a cursor of SCAN is from.
//!
//! Each process has the keys in an order of its own, so the cursor of one says nothing to another: not to the replica that
//! takes its place, and not to a server that was started again.

use crate::store::redis::answer::field;

/// Tells the processes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::redis) struct ProcessId([u8; 8]);

impl ProcessId {
    /// Reads it from the answer to `INFO server`. `None`: it does not say.
    pub(in crate::store::redis) fn read(info: &str) -> Option<Self> {
        // The rest of the 40 digits need not be kept: they are random.
        let digits = field(info, "run_id")?.get(..16)?;
        u64::from_str_radix(digits, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    /// Writes it; zeros for one that is not known.
    pub(in crate::store::redis) fn encode(id: Option<Self>) -> [u8; 8] {
        id.map(|Self(bytes)| bytes).unwrap_or_default()
    }

    /// Reads what [`Self::encode()`] has written.
    pub(in crate::store::redis) fn decode(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_was_written_is_read_again() {
        let id = ProcessId::read("# Server\r\nrun_id:00112233445566778899aabbccddeeff00112233\r\n");

        assert!(id.is_some());
        assert_eq!(ProcessId::decode(ProcessId::encode(id)), id);
        assert_eq!(ProcessId::decode(ProcessId::encode(None)), None);
    }
}
