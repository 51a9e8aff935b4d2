//! Reflection, old and new: what lets grpcurl know the services, and print an error's reason.

use tonic_reflection::server::v1::ServerReflectionServer;
use tonic_reflection::server::v1alpha::ServerReflectionServer as ServerReflectionServerV1Alpha;
use tonic_reflection::server::{Builder, v1, v1alpha};

use super::{MAX_QUESTION_BYTES, wire};

/// `grpc.reflection.v1`.
pub fn reflection_v1() -> ServerReflectionServer<impl v1::ServerReflection> {
    builder().build_v1().expect(BUILT_IN).max_decoding_message_size(MAX_QUESTION_BYTES)
}

/// `grpc.reflection.v1alpha`, which older tools ask for.
pub fn reflection_v1alpha() -> ServerReflectionServerV1Alpha<impl v1alpha::ServerReflection> {
    builder().build_v1alpha().expect(BUILT_IN).max_decoding_message_size(MAX_QUESTION_BYTES)
}

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

const BUILT_IN: &str = "the descriptors are built in and whole";
