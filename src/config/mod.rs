//! The tree of settings.

pub mod span;
