//! The access table: what each RPC needs from its caller.

use super::Role;

/// The requirement of an RPC on its caller, where callers are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: an unauthenticated caller may call it.
    Public,
    /// Any known caller.
    AnyCaller,
    /// A known caller with this role. The call is limited to the caller's apps.
    Role(Role),
}

/// Returns what an RPC (`package.Service/Method`) needs. `None`: it is not in the table, so it is closed to all
/// callers.
pub fn access(rpc: &str) -> Option<Access> {
    match rpc {
        "cloakroom.v1.SessionService/OpenSession"
        | "cloakroom.v1.SessionService/SaveSession"
        | "cloakroom.v1.SessionService/ShouldSetCookie"
        | "cloakroom.v1.SessionService/GetAppPolicy"
        | "cloakroom.v1.SessionService/GetExpirationTime"
        | "cloakroom.v1.SessionService/MakeNullSession"
        | "cloakroom.v1.SessionService/RotateSession"
        | "cloakroom.v1.SessionService/DestroySession"
        | "cloakroom.v1.SessionService/WatchSession" => Some(Access::Role(Role::Frontend)),
        "cloakroom.v1.AdminService/ListSessions"
        | "cloakroom.v1.AdminService/GetSession"
        | "cloakroom.v1.AdminService/ExplainCredential"
        | "cloakroom.v1.AdminService/ListSessionEnds"
        | "cloakroom.v1.AdminService/GetStats"
        | "cloakroom.v1.AdminService/WatchEvents"
        | "cloakroom.v1.AdminService/ListApps"
        | "cloakroom.v1.AdminService/GetServiceInfo" => Some(Access::Role(Role::Viewer)),
        "cloakroom.v1.AdminService/RevokeSession"
        | "cloakroom.v1.AdminService/RevokeSubject"
        | "cloakroom.v1.AdminService/RevokeApp"
        | "cloakroom.v1.AdminService/MigrateStore" => Some(Access::Role(Role::Admin)),
        "cloakroom.v1.AdminService/ExportSessions" => Some(Access::Role(Role::Backup)),
        // Load balancers and orchestrators call it; the response says only whether the service is serving.
        "grpc.health.v1.Health/Check" | "grpc.health.v1.Health/Watch" => Some(Access::Public),
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Some(Access::AnyCaller),
        _ => None,
    }
}
