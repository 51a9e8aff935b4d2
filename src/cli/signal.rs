//! SIGTERM and SIGINT. The first one starts an orderly stop of a service, the second one ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Exit;

/// Returns a token that the first SIGTERM or SIGINT cancels.
pub(super) fn stop() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    tokio::spawn(watch(Signals::listen()?, stop.clone()));
    Ok(stop)
}

/// The signals that ask a process to end. They do not end it by themselves any more.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens to them. Needs a runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal. Returns the exit code for a process that it ends.
    pub(super) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.terminate.recv() => Exit::Terminated,
            _ = self.interrupt.recv() => Exit::Interrupted,
        }
    }
}

async fn watch(mut signals: Signals, stop: CancellationToken) {
    let _first = signals.next().await;
    info!("stopping; a second signal ends the process at once");
    stop.cancel();
    let second = signals.next().await;
    #[expect(clippy::exit, reason = "a second signal skips the rest of the orderly stop")]
    std::process::exit(second.code().into());
}
