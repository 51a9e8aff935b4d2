//! Signals: the first one starts an orderly stop, the second one ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Exit;

/// Returns a token that the first SIGTERM or SIGINT cancels.
pub(super) fn stop() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(watch(terminate, interrupt, stop.clone()));
    Ok(stop)
}

async fn watch(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    let _first = next_signal(&mut terminate, &mut interrupt).await;
    info!("stopping; a second signal ends the process at once");
    stop.cancel();
    let second = next_signal(&mut terminate, &mut interrupt).await;
    #[expect(clippy::exit, reason = "a second signal skips the rest of the orderly stop")]
    std::process::exit(second.code().into());
}

/// Waits for a signal. Returns the exit code for a process that it ends.
async fn next_signal(terminate: &mut Signal, interrupt: &mut Signal) -> Exit {
    tokio::select! {
        _ = terminate.recv() => Exit::Terminated,
        _ = interrupt.recv() => Exit::Interrupted,
    }
}
