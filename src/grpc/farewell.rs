//! The farewell: how a stream learns that its connection is to end.

use tokio_util::sync::CancellationToken;
use tonic::{Code, Extensions, Status};

use super::status::explain;

/// Stands in a request's extensions, and is cancelled when the connection is told to go away.
///
/// A call that ends by itself need not look at it. A stream that does not would hold up its connection's end until it
/// is cut, and its reader would not know why.
#[derive(Clone, Debug, Default)]
pub struct Farewell(pub CancellationToken);

impl Farewell {
    /// That of a request; one that never comes, if no server has put one there.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// What `next` answers, or how the stream ends if the connection is to end first.
    pub(super) async fn or<T>(&self, next: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        tokio::select! {
            biased;
            answer = next => answer,
            () = self.0.cancelled() => Err(going_away()),
        }
    }
}

fn going_away() -> Status {
    let message = "this connection ends, because it is old or the service stops; go on on another one";
    explain(Code::Unavailable, "GOING_AWAY", message.to_owned())
}
