//! Reloading: a running service loads its configuration again at SIGHUP, or when one of its files has changed.
//!
//! A reload is all or nothing: if anything is wrong, the log says what, and the old configuration stays in force.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::file_reader::FileReader;
use crate::config::{self, ActiveConfig, AppChanges, ConfigKey, LoadedConfig, Settings, WatchedFiles};
use crate::server::{Reloadable, Reloader};
use crate::types::{AppName, with_causes};

/// Reloads the configuration for as long as it runs.
#[derive(Debug)]
pub(super) struct ConfigReloader {
    hangups: Signal,
    reloader: Reloader,
    active: ActiveConfig,
    /// The settings at the start of the process. Some of them change only with a restart.
    started_with: Settings,
    /// The files that the last configuration was read from, even if it was refused.
    files: WatchedFiles,
    reads: FileReader,
}

/// Returns a stream of SIGHUPs. From now on SIGHUP does not end the process.
pub(super) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

impl ConfigReloader {
    /// Creates a reloader. It reloads nothing before [`Self::run`].
    pub(super) fn new(hangups: Signal, reloader: Reloader, active: ActiveConfig) -> Self {
        let (started_with, files) = (active.loaded.settings.clone(), active.loaded.files().clone());
        Self { hangups, reloader, active, started_with, files, reads: FileReader::new(MAX_READ) }
    }

    /// Reloads at each SIGHUP and each change of a file. Never returns, but may be dropped while it waits.
    pub(super) async fn run(mut self) -> Infallible {
        let mut unsettled: Option<WatchedFiles> = None;
        loop {
            let interval = self.active.loaded.settings.reload.poll_interval;
            tokio::select! {
                _ = self.hangups.recv() => self.reload().await,
                () = sleep(interval), if !interval.is_zero() => {
                    let Some(current) = self.current_files().await else { continue };
                    if current.are_same(&self.files) {
                        unsettled = None;
                        continue;
                    }
                    // A file may be half written. So it has to be the same at two polls.
                    if !unsettled.as_ref().is_some_and(|before| before.are_same(&current)) {
                        unsettled = Some(current);
                        continue;
                    }
                    self.reload().await;
                }
            }
            unsettled = None;
        }
    }

    /// Reads the state of the files again. `None`: that takes too long.
    async fn current_files(&mut self) -> Option<WatchedFiles> {
        let files = self.files.clone();
        self.reads.run(move || files.again()).await
    }

    async fn reload(&mut self) {
        // The file has to exist still: without it the defaults would apply, and log everybody out.
        let path = self.active.loaded.file().map(Path::to_owned);
        let reloader = self.reloader.clone();
        let read = move || {
            reloader.refresh_certificates();
            config::load_again(path.as_deref())
        };
        let Some((loaded, files)) = self.reads.run(read).await else {
            return self.refuse(&format!("its files cannot be read within {} seconds", MAX_READ.as_secs()));
        };
        self.files = files;
        match loaded.map_err(reasons).and_then(|loaded| self.check(loaded)) {
            Ok(next) => self.activate(next),
            Err(reasons) => self.refuse(&reasons),
        }
    }

    fn refuse(&self, reasons: &str) {
        self.reloader.refuse();
        error!(reasons, "the new configuration is wrong and is refused; the old one stays in force");
    }

    /// Checks that the running process can use a configuration.
    fn check(&self, loaded: LoadedConfig) -> Result<ActiveConfig, String> {
        // The listeners stay those of the start. Without callers they could be open to everybody.
        let Settings { server, admin, .. } = &self.started_with;
        server.check_exposure(&loaded.callers).map_err(|error| format!("server.{error}"))?;
        admin.check_exposure(server, &loaded.callers).map_err(|error| format!("admin.{error}"))?;
        loaded.activate_after(&self.active, &self.started_with.store).map_err(|error| with_causes(&error))
    }

    fn activate(&mut self, next: ActiveConfig) {
        let LoadedConfig { apps, callers, .. } = &next.loaded;
        self.reloader.reload(&Reloadable { apps: apps.clone(), callers: callers.clone() });
        let AppChanges { added, removed, changed } = next.app_changes(&self.active);
        let (added, removed, changed) = (names(&added), names(&removed), names(&changed));
        info!(apps.added = added, apps.removed = removed, apps.changed = changed, "the configuration is reloaded");
        if callers.is_empty() && !self.active.loaded.callers.is_empty() {
            let Settings { server, admin, .. } = &self.started_with;
            let listen = server.listen.map(|listen| listen.to_string());
            let admin_listen = admin.listen.map(|listen| listen.to_string());
            warn!(
                server.listen = listen,
                admin.listen = admin_listen,
                "the last caller is taken out: these addresses are now OPEN to every program that reaches them"
            );
        }
        for app in apps.iter().filter(|app| !app.has_keys()) {
            warn!(app = %app.name, "the app has no key and so no sessions");
        }
        let need_restart = next.loaded.needs_restart(&self.started_with);
        if !need_restart.is_empty() {
            let settings = need_restart.iter().map(ConfigKey::to_string).collect::<Vec<_>>().join(", ");
            warn!(settings, "these settings have changed and need a restart; until then the old ones are in force");
        }
        self.active = next;
    }
}

/// Far longer than files on a disk take, and short enough for a person who waits for a reload.
const MAX_READ: Duration = Duration::from_secs(30);

/// Returns all problems in one line.
fn reasons(error: config::Error) -> String {
    error.problems().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn names(apps: &[AppName]) -> String {
    apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(",")
}
