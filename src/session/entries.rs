//! The entries of a session, packed into one allocation that clones share.
//!
//! They are sorted by name, so that equal entries are equal bytes in every store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Names and stored values.
#[derive(Clone, PartialEq, Eq)]
pub struct Entries(Arc<[u8]>);

impl Entries {
    /// The longest name that [`Self::pack`] accepts.
    pub const MAX_NAME_BYTES: usize = u16::MAX as usize;

    /// Packs entries that are sorted by name. A name has at most [`Self::MAX_NAME_BYTES`], a value at most 4 GiB.
    pub fn pack<'e>(entries: impl IntoIterator<Item = (&'e str, &'e [u8])> + Clone) -> Self {
        let size = entries.clone().into_iter().map(|(name, value)| HEADER + name.len() + value.len()).sum();
        let mut packed = Vec::with_capacity(size);
        for (name, value) in entries {
            packed.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
            packed.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
            packed.extend_from_slice(name.as_bytes());
            packed.extend_from_slice(value);
        }
        Self(packed.into())
    }

    /// Reads packed entries; `None` if [`Self::pack`] did not pack them.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        let mut rest = packed;
        while !rest.is_empty() {
            (_, _, rest) = split_entry(rest)?;
        }
        Some(Self(packed.into()))
    }

    /// The packed bytes.
    pub fn packed(&self) -> &[u8] {
        &self.0
    }

    /// The names and stored values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (name, value, after) = split_entry(rest)?;
            rest = after;
            Some((name, value))
        })
    }

    /// The number of entries.
    pub fn count(&self) -> u32 {
        self.sizes().0
    }

    /// The bytes of all names and values together.
    pub fn bytes(&self) -> u32 {
        self.sizes().1
    }

    /// The number of entries, and the bytes of all names and values together.
    pub fn sizes(&self) -> (u32, u32) {
        let count = self.iter().count();
        let bytes = self.0.len() - count * HEADER;
        (u32::try_from(count).unwrap_or(u32::MAX), u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// The entries by name.
    pub fn to_map(&self) -> BTreeMap<&str, &[u8]> {
        self.iter().collect()
    }
}

impl Default for Entries {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, bytes) = self.sizes();
        write!(f, "Entries({count} of {bytes} bytes)")
    }
}

fn split_entry(packed: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (name_length, rest) = packed.split_first_chunk::<2>()?;
    let (value_length, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name_length)))?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*value_length)).ok()?)?;
    Some((std::str::from_utf8(name).ok()?, value, rest))
}

const HEADER: usize = 6;
