//! The wire: from messages to what can be done, and back.

pub mod wire;
