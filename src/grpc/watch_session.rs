//! WatchSession: the stream that says when and why a token stops to open its session.

use tonic::Status;

use super::leave::Leave;
use super::stream::{Step, Steps};
use super::{convert, wire};
use crate::service::{Credential, Service, Watch, Watched, Watching};
use crate::session::EndReason;
use crate::store::Store;

/// What a WatchSession answers.
pub(super) type WatchSessionStream<S> = Steps<wire::WatchSessionResponse, State<S>>;

/// What is still to be said.
pub(super) enum State<S: Store> {
    Alive(Box<Watching<S>>, Leave),
    Waiting(Box<Watching<S>>, Leave),
    Ended(Option<EndReason>),
}

/// Begins to watch; fails if that can't be.
pub(super) async fn watch_session<S: Store>(
    service: &Service<S>,
    leave: Leave,
    request: wire::WatchSessionRequest,
) -> Result<WatchSessionStream<S>, Status> {
    use wire::watch_session_request::Credential as Wire;

    let watch = service.watch(Watch {
        app: &request.app,
        credential: match &request.credential {
            Some(Wire::Token(token)) => Credential::Token(token),
            Some(Wire::CookieHeader(header)) => Credential::CookieHeader(header),
            None => Credential::None,
        },
        cookie_name: convert::cookie_name(&request.cookie_name),
    });
    let state = match watch.await? {
        Watched::Alive(watching) => State::Alive(watching, leave),
        Watched::Ended(reason) => State::Ended(reason),
    };
    Ok(Steps::new(state, step))
}

fn step<S: Store>(state: State<S>) -> Step<wire::WatchSessionResponse, State<S>> {
    Box::pin(async move {
        Ok(match state {
            State::Alive(watching, leave) => {
                let alive = wire::WatchSessionResponse {
                    state: wire::WatchState::Alive.into(),
                    expire_time: Some(convert::timestamp(watching.expire_time())),
                    ..Default::default()
                };
                (alive, Some(State::Waiting(watching, leave)))
            }
            State::Waiting(watching, mut leave) => {
                let reason = leave.or(async { Ok(watching.ended().await?) }).await?;
                (ended(reason), None)
            }
            State::Ended(reason) => (ended(reason), None),
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
