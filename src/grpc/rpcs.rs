//! The names of all RPCs, as the descriptors have them: what a call may be named after in logs and metrics.

use std::sync::LazyLock;

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::wire;

/// Every RPC that is served, as `package.Service/Method`.
pub fn rpcs() -> &'static [String] {
    static RPCS: LazyLock<Vec<String>> = LazyLock::new(read);
    &RPCS
}

fn read() -> Vec<String> {
    let sets = [
        wire::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files = sets.into_iter().flat_map(|set| FileDescriptorSet::decode(set).expect(BUILT_IN).file);
    let services = files.flat_map(|file| {
        let package = file.package().to_owned();
        file.service.into_iter().map(move |service| (format!("{package}.{}", service.name()), service.method))
    });
    services.flat_map(|(name, methods)| methods.into_iter().map(move |rpc| format!("{name}/{}", rpc.name()))).collect()
}

const BUILT_IN: &str = "the descriptors are built in and whole";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Access, access};

    #[test]
    fn every_service_that_listens_is_named_once() {
        let has = |name: &str| rpcs().iter().filter(|rpc| *rpc == name).count();

        for rpc in [
            "cloakroom.v1.SessionService/OpenSession",
            "cloakroom.v1.AdminService/WatchEvents",
            "grpc.health.v1.Health/Check",
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(has(rpc), 1, "{rpc}: {:?}", rpcs());
        }
    }

    #[test]
    fn the_access_table_has_every_rpc() {
        for rpc in rpcs() {
            assert_ne!(access(rpc), Access::Nobody, "{rpc}: say in auth/access.rs who may call it");
        }
    }
}
