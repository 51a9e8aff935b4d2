//! The common parts of the response streams.

use tonic::Status;

use super::Rejection;
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
        () = goaway.cancelled() => Err(Rejection::GoingAway.into()),
    }
}
