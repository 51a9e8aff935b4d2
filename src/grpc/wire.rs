//! The generated messages and services of `proto/cloakroom/v1/`.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::allow_attributes_without_reason,
    reason = "generated; its documentation is the .proto"
)]

tonic::include_proto!("cloakroom.v1");

/// The descriptors of the services, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
