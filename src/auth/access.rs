//! What each RPC demands of its caller. What does not stand here is closed to everybody.

use super::Role;

/// Who may call an RPC, where callers have to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody, known or not.
    Anybody,
    /// Every caller that is known.
    Callers,
    /// Callers with this role, on behalf of their apps.
    Role(Role),
    /// Nobody: nobody has said who may.
    Nobody,
}

/// What an RPC demands, by its name: `package.Service/Method`.
pub fn access(rpc: &str) -> Access {
    match rpc {
        "cloakroom.v1.SessionService/OpenSession"
        | "cloakroom.v1.SessionService/SaveSession"
        | "cloakroom.v1.SessionService/ShouldSetCookie"
        | "cloakroom.v1.SessionService/GetAppPolicy"
        | "cloakroom.v1.SessionService/GetExpirationTime"
        | "cloakroom.v1.SessionService/MakeNullSession"
        | "cloakroom.v1.SessionService/RotateSession"
        | "cloakroom.v1.SessionService/DestroySession"
        | "cloakroom.v1.SessionService/WatchSession" => Access::Role(Role::Frontend),
        "cloakroom.v1.AdminService/ListSessions"
        | "cloakroom.v1.AdminService/GetSession"
        | "cloakroom.v1.AdminService/RevokeSession"
        | "cloakroom.v1.AdminService/RevokeSubject"
        | "cloakroom.v1.AdminService/RevokeApp"
        | "cloakroom.v1.AdminService/GetStats"
        | "cloakroom.v1.AdminService/WatchEvents" => Access::Role(Role::Admin),
        // Load balancers and orchestrators ask; the answer says no more than whether it serves.
        "grpc.health.v1.Health/Check" | "grpc.health.v1.Health/Watch" => Access::Anybody,
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Access::Callers,
        _ => Access::Nobody,
    }
}
