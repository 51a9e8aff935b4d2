//! Signals: the first asks for an orderly stop, the second ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Exit;

/// A token that is cancelled at the first SIGTERM or SIGINT.
pub(super) fn stop() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(watch(terminate, interrupt, stop.clone()));
    Ok(stop)
}

async fn watch(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    let _first = either(&mut terminate, &mut interrupt).await;
    info!("stopping; a second signal ends the process at once");
    stop.cancel();
    let second = either(&mut terminate, &mut interrupt).await;
    #[expect(clippy::exit, reason = "whoever asks twice wants no more order")]
    std::process::exit(second.code().into());
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> Exit {
    tokio::select! {
        _ = terminate.recv() => Exit::Terminated,
        _ = interrupt.recv() => Exit::Interrupted,
    }
}
