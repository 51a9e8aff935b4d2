//! Flask's session interface, and apps of kind `cookie`, whose cookie is Flask's own.

mod cookie_kind;
mod differential;
mod interface;
mod signer;
mod vectors;
