//! The signals that ask a process to end. A service stops in order at the first one, and ends at once at the second.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Exit;

/// Returns a token that the first SIGTERM or SIGINT cancels.
pub(super) fn stop() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    tokio::spawn(watch(Signals::of_service()?, stop.clone()));
    Ok(stop)
}

/// Signals that do not end the process by themselves any more, each with the exit code of a process that it ends.
pub(super) struct Signals(Vec<(Signal, Exit)>);

impl Signals {
    /// Listens to those that end a service: SIGHUP reloads it. Needs a runtime.
    fn of_service() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self(vec![(terminate, Exit::Terminated), (interrupt, Exit::Interrupted)]))
    }

    /// Listens to those that end a command. Needs a runtime.
    pub(super) fn of_command() -> io::Result<Self> {
        let Self(mut signals) = Self::of_service()?;
        // Under nohup a command outlives its terminal.
        if !is_ignored(SignalKind::hangup()) {
            signals.push((signal(SignalKind::hangup())?, Exit::HungUp));
        }
        signals.push((signal(SignalKind::quit())?, Exit::Quit));
        Ok(Self(signals))
    }

    /// Waits for a signal. Returns the exit code for a process that it ends.
    pub(super) async fn next(&mut self) -> Exit {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            let received = signals.find_map(|(signal, exit)| signal.poll_recv(context).is_ready().then_some(*exit));
            received.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Whether this process was started to ignore a signal. `false` if the system does not say.
fn is_ignored(kind: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored & (1 << (kind.as_raw_value() - 1)) != 0)
}

async fn watch(mut signals: Signals, stop: CancellationToken) {
    let _first = signals.next().await;
    info!("stopping; a second signal ends the process at once");
    stop.cancel();
    let second = signals.next().await;
    #[expect(clippy::exit, reason = "a second signal skips the rest of the orderly stop")]
    std::process::exit(second.code().into());
}
