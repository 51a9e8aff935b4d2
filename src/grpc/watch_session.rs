//! WatchSession: the stream that reports when and why a token no longer opens its session.

use std::future::ready;

use futures_util::stream::{self, StreamExt as _};
use tonic::Status;
use tonic::codegen::BoxStream;

use super::stream::next_permitted;
use super::{convert, wire};
use crate::auth::StreamPermit;
use crate::service::{Service, WatchRequest, WatchStart};
use crate::session::EndReason;

/// Starts a watch. The stream has at most two responses: the session is alive, and the session has ended.
pub(super) async fn watch_session(
    service: &Service,
    mut permit: StreamPermit,
    request: wire::WatchSessionRequest,
) -> Result<BoxStream<wire::WatchSessionResponse>, Status> {
    let start = service.watch(WatchRequest {
        app: &request.app,
        credential: (&request.credential).into(),
        cookie_name: convert::cookie_name(&request.cookie_name),
    });
    Ok(match start.await? {
        WatchStart::Ended(reason) => Box::pin(stream::once(ready(Ok(ended(reason))))),
        WatchStart::Alive(watch) => {
            let alive = wire::WatchSessionResponse {
                state: wire::WatchState::Alive.into(),
                expire_time: Some(convert::timestamp(watch.expire_time())),
                ..Default::default()
            };
            let end = async move { next_permitted(&mut permit, async { Ok(watch.ended().await?) }).await.map(ended) };
            Box::pin(stream::once(ready(Ok(alive))).chain(stream::once(end)))
        }
    })
}

fn ended(reason: Option<EndReason>) -> wire::WatchSessionResponse {
    wire::WatchSessionResponse {
        state: wire::WatchState::Ended.into(),
        end_reason: convert::end_reason(reason),
        expire_time: None,
    }
}
