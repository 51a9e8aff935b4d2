//! The Connect protocol of the whole service, where it differs from gRPC: its HTTP requests, its JSON, its streams.
//!
//! What both protocols have in common is tested over both, where it is tested: `errors.rs`, `server/caller_access.rs`.

mod ext_authz;
mod forward_auth;
mod health;
mod json;
mod protocols;
mod refusals;
mod streams;
