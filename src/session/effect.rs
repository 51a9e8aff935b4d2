//! The effect of a write on its session, as an idempotency record stores it.

/// The effect of a call on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum WriteEffect {
    /// The call had nothing to write.
    Unchanged = 1,
    /// The session was stored for the first time.
    Created = 2,
    /// The changes were stored.
    Updated = 3,
    /// The call ended the session.
    Deleted = 4,
}

impl WriteEffect {
    /// Reads the byte that an effect is stored as.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Unchanged,
            2 => Self::Created,
            3 => Self::Updated,
            4 => Self::Deleted,
            _ => return None,
        })
    }
}
