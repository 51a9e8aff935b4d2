//! WatchSession: the stream that says when and why a token stops to open its session.

use tonic::Status;

use super::stream::{Step, Steps, permitted};
use super::{convert, wire};
use crate::auth::StreamPermit;
use crate::service::{Credential, Service, SessionWatch, WatchRequest, WatchStart};
use crate::session::EndReason;

/// What a WatchSession answers.
pub(super) type WatchSessionStream = Steps<wire::WatchSessionResponse, WatchPhase>;

/// What is still to be said.
pub(super) enum WatchPhase {
    Alive(Box<SessionWatch>, StreamPermit),
    Waiting(Box<SessionWatch>, StreamPermit),
    Ended(Option<EndReason>),
}

/// Begins to watch; fails if that can't be.
pub(super) async fn watch_session(
    service: &Service,
    permit: StreamPermit,
    request: wire::WatchSessionRequest,
) -> Result<WatchSessionStream, Status> {
    use wire::watch_session_request::Credential as Wire;

    let watch = service.watch(WatchRequest {
        app: &request.app,
        credential: match &request.credential {
            Some(Wire::Token(token)) => Credential::Token(token),
            Some(Wire::CookieHeader(header)) => Credential::CookieHeader(header),
            None => Credential::Absent,
        },
        cookie_name: convert::cookie_name(&request.cookie_name),
    });
    let state = match watch.await? {
        WatchStart::Alive(watching) => WatchPhase::Alive(watching, permit),
        WatchStart::Ended(reason) => WatchPhase::Ended(reason),
    };
    Ok(Steps::new(state, step))
}

fn step(state: WatchPhase) -> Step<wire::WatchSessionResponse, WatchPhase> {
    Box::pin(async move {
        Ok(match state {
            WatchPhase::Alive(watching, permit) => {
                let alive = wire::WatchSessionResponse {
                    state: wire::WatchState::Alive.into(),
                    expire_time: Some(convert::timestamp(watching.expire_time())),
                    ..Default::default()
                };
                (alive, Some(WatchPhase::Waiting(watching, permit)))
            }
            WatchPhase::Waiting(watching, mut permit) => {
                let reason = permitted(&mut permit, async { Ok(watching.ended().await?) }).await?;
                (ended(reason), None)
            }
            WatchPhase::Ended(reason) => (ended(reason), None),
        })
    })
}

fn ended(reason: Option<EndReason>) -> wire::WatchSessionResponse {
    let end_reason = reason.map_or(wire::EndReason::Unspecified, convert::end_reason);
    wire::WatchSessionResponse {
        state: wire::WatchState::Ended.into(),
        end_reason: end_reason.into(),
        expire_time: None,
    }
}
