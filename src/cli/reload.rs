//! Reloading: a running service takes up its configuration anew, at SIGHUP or when a file of it has changed.
//!
//! All of it or nothing: what is wrong is refused with its reason, and the old configuration stays in force.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::config::{self, ActiveConfig, AppChanges, ConfigKey, LoadedConfig, Settings, WatchedFiles, load_watched};
use crate::server::{Reloadable, Reloader};
use crate::types::AppName;

/// Takes up new configurations for as long as it is run.
#[derive(Debug)]
pub(super) struct Reloading {
    hangups: Signal,
    reloader: Reloader,
    in_force: ActiveConfig,
    /// What the process was started with: some of it only a restart changes.
    started_with: Settings,
    /// What the last configuration was read from, right or wrong.
    files: WatchedFiles,
}

/// Catches SIGHUP from now on, which would end the process otherwise.
pub(super) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

impl Reloading {
    /// Nothing is reloaded before [`Self::run`].
    pub(super) fn new(hangups: Signal, reloader: Reloader, in_force: ActiveConfig) -> Self {
        let (started_with, files) = (in_force.loaded.settings.clone(), in_force.loaded.files().clone());
        Self { hangups, reloader, in_force, started_with, files }
    }

    /// Reloads whenever there is a reason to. Never ends; may be dropped while it waits.
    pub(super) async fn run(mut self) -> Infallible {
        let mut unsettled: Option<WatchedFiles> = None;
        loop {
            let interval = self.in_force.loaded.settings.reload.poll_interval;
            tokio::select! {
                _ = self.hangups.recv() => self.reload().await,
                () = sleep(interval), if !interval.is_zero() => {
                    let now = self.look().await;
                    if now.are_same(&self.files) {
                        unsettled = None;
                        continue;
                    }
                    // Somebody may be writing it at this moment.
                    if !unsettled.as_ref().is_some_and(|before| before.are_same(&now)) {
                        unsettled = Some(now);
                        continue;
                    }
                    self.reload().await;
                }
            }
            unsettled = None;
        }
    }

    /// The files as they are now.
    async fn look(&self) -> WatchedFiles {
        let files = self.files.clone();
        spawn_blocking(move || files.again()).await.expect("looking at files neither panics nor is stopped")
    }

    async fn reload(&mut self) {
        // The file that was there has to be there: without it, the defaults would do, and log everybody out.
        let path = self.in_force.loaded.file().map(Path::to_owned);
        let load = move || load_watched(path.as_deref());
        let reloader = self.reloader.clone();
        spawn_blocking(move || reloader.refresh_certificates()).await.expect("reading certificates does not panic");
        let (loaded, files) = spawn_blocking(load).await.expect("loading neither panics nor is stopped");
        self.files = files;
        match loaded.map_err(reasons).and_then(|loaded| self.next(loaded)) {
            Ok(next) => self.take_up(next),
            Err(reasons) => {
                self.reloader.refuse();
                error!(reasons, "the new configuration is wrong and is refused; the old one stays in force");
            }
        }
    }

    fn next(&self, loaded: LoadedConfig) -> Result<ActiveConfig, String> {
        // Without callers, an address that the process was started on would be open to everybody.
        let Settings { server, admin, .. } = &self.started_with;
        server.check_exposure(&loaded.callers).map_err(|error| format!("server.{error}"))?;
        admin.check_exposure(server, &loaded.callers).map_err(|error| format!("admin.{error}"))?;
        loaded.activate_after(&self.in_force, &self.started_with.store).map_err(|error| error.to_string())
    }

    fn take_up(&mut self, next: ActiveConfig) {
        let LoadedConfig { apps, callers, .. } = &next.loaded;
        self.reloader.reload(&Reloadable { apps: apps.clone(), callers: callers.clone() });
        let AppChanges { added, removed, changed } = next.app_changes(&self.in_force);
        let (added, removed, changed) = (names(&added), names(&removed), names(&changed));
        info!(apps.added = added, apps.removed = removed, apps.changed = changed, "the configuration is reloaded");
        for app in apps.iter().filter(|app| !app.has_keys()) {
            warn!(app = %app.name, "the app has no key and so no sessions");
        }
        let waiting = next.loaded.needs_restart(&self.started_with);
        if !waiting.is_empty() {
            let settings = waiting.iter().map(ConfigKey::to_string).collect::<Vec<_>>().join(", ");
            warn!(settings, "these settings have changed and need a restart; until then the old ones are in force");
        }
        self.in_force = next;
    }
}

/// All that is wrong, in one line.
fn reasons(error: config::Error) -> String {
    error.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn names(apps: &[AppName]) -> String {
    apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(",")
}
