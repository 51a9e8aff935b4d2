//! Tokens: their format, and how one replaces another.

mod format;
mod privilege_rotation;
mod renewal;
mod rotation;
