//! The messages that describe the apps, the service and its callers to an operator, without any secret.

use super::{convert, wire};
use crate::app::App;
use crate::auth::{Caller, Callers, KnownCaller, Role};
use crate::service::Service;

/// Describes an app.
pub(super) fn app(app: &App) -> wire::AppInfo {
    wire::AppInfo {
        policy: Some(convert::policy(app)),
        key_ids: app.key_ids().iter().map(ToString::to_string).collect(),
        max_sessions_per_subject: app.subject_limit.map_or(0, |limit| limit.max_sessions.get()),
    }
}

/// Describes the service to this caller.
pub(super) fn service(service: &Service, caller: &Caller, callers: &Callers) -> wire::GetServiceInfoResponse {
    wire::GetServiceInfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        start_time: Some(convert::timestamp(service.start_time())),
        store: service.store().kind().as_str().to_owned(),
        caller: match caller {
            Caller::Known(known) => known.name().to_owned(),
            Caller::Trusted | Caller::Unauthenticated => String::new(),
        },
        may_end_sessions: caller.has_role(Role::Admin),
        callers: if caller.may_use_all() { callers.iter().map(self::caller).collect() } else { Vec::new() },
    }
}

fn caller(caller: &KnownCaller) -> wire::CallerInfo {
    wire::CallerInfo {
        name: caller.name().to_owned(),
        roles: caller.roles().iter().map(|role| role.as_str().to_owned()).collect(),
        apps: caller.apps().unwrap_or_default().iter().map(ToString::to_string).collect(),
        all_apps: caller.apps().is_none(),
    }
}
