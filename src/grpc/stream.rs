//! The common parts of the response streams.

use tonic::{Code, Status};

use super::status::status;
use crate::auth::StreamPermit;

/// Waits for the next response of a stream, or fails when its permit ends.
pub(super) async fn next_permitted<T>(
    permit: &mut StreamPermit,
    next: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let goaway = permit.goaway();
    tokio::select! {
        biased;
        error = permit.revoked() => Err(error.into()),
        response = next => response,
        () = goaway.cancelled() => Err(status(Code::Unavailable, "GOING_AWAY", GOING_AWAY)),
    }
}

const GOING_AWAY: &str = "this connection ends, because it is old or the service stops; go on on another one";
