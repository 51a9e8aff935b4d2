//! `cloakroom serve`: runs the service from its start to its orderly stop.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use clap::Args;
use tokio::runtime;
use tokio::signal::unix::Signal;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::reload::{self, ConfigReloader};
use super::{Address, CliError, ConfigFile, banner, output, signal};
use crate::audit::AuditLog;
use crate::config::{ActiveConfig, LoadedConfig, Settings};
use crate::server::{Cloakroom, Dependencies, raise_file_limit};
use crate::store::{FileOpenError, Handle, OpenError};
use crate::telemetry::{self, Colors};
use crate::types::{SystemClock, duration};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigFile,
}

impl ServeArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        // First of all, so that no signal ends a start before it has left everything in order.
        let (stop, hangups) = runtime.block_on(async { Ok::<_, CliError>((signal::stop()?, reload::hangups()?)) })?;
        let Some(loaded) = runtime.block_on(stop.run_until_cancelled(self.config.load_aside())).transpose()? else {
            // Nothing was written yet.
            runtime.shutdown_background();
            return Ok(());
        };
        let has_colors = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        let colors = if has_colors { Colors::OnTerminal } else { Colors::Never };
        let _logs = telemetry::init(&loaded.settings.log, colors).map_err(|error| CliError::Failed(error.into()))?;
        raise_file_limit();
        let result = runtime.block_on(serve(loaded, stop, hangups));
        // Dropping the runtime would wait for its blocking threads without a limit, and ignore signals meanwhile.
        runtime.shutdown_timeout(BLOCKING_TIMEOUT);
        result
    }
}

async fn serve(loaded: LoadedConfig, stop: CancellationToken, hangups: Signal) -> Result<(), CliError> {
    let Some(store) = open_store(&loaded, &stop).await? else { return Ok(()) };
    let active = loaded.activate()?;
    let ActiveConfig { loaded, key } = &active;
    let Settings { server, admin, traces, metrics, audit, .. } = &loaded.settings;
    let (apps, callers) = (loaded.apps.clone(), loaded.callers.clone());
    let (audit_log, _audit_guard) = AuditLog::open(audit, Arc::new(SystemClock))?;
    let (traces, metrics) = (traces.clone(), metrics.clone());
    let clock = Arc::new(SystemClock);
    let dependencies = Dependencies { apps, store, clock, callers, traces, metrics, audit_log };
    let cloakroom = Cloakroom::bind(server, admin, dependencies).await?;

    let bound = |address: SocketAddr| Address::Tcp(address.to_string());
    let tcp = cloakroom.tcp_addr().map(bound);
    let unix = server.unix_path().map(|path| Address::Unix(path.to_owned()));
    let addresses: Vec<Address> = tcp.into_iter().chain(unix).collect();
    let admin = cloakroom.admin_addr().map(bound);
    let console_key = cloakroom.console_key().filter(|_| io::stderr().is_terminal());
    output::print_note(&banner(loaded, key, &addresses, admin.as_ref(), console_key));
    report_readiness();
    let config_reloader = ConfigReloader::new(hangups, cloakroom.reloader().clone(), active);
    let report = tokio::select! {
        report = cloakroom.run(stop) => report?,
        never = config_reloader.run() => match never {},
    };
    tracing::info!(connections.cut = report.cut_connections, "stopped");
    Ok(())
}

/// Opens the store, with a new key beside it at the first start. While another process has its files open, tries again for
/// as long as the settings say: that process may be stopping. `None`: this one is told to stop meanwhile.
async fn open_store(loaded: &LoadedConfig, stop: &CancellationToken) -> Result<Option<Handle>, CliError> {
    let settings = &loaded.settings.store;
    let begin = Instant::now();
    let timeout = settings.lock_timeout();
    let mut is_waiting = false;
    loop {
        loaded.prepare_default_key()?;
        let path = match Handle::open(settings) {
            Err(OpenError::Embedded(FileOpenError::InUse { path })) if begin.elapsed() < timeout => path,
            opened => return Ok(Some(opened?)),
        };
        if !is_waiting {
            is_waiting = true;
            let (path, timeout) = (path.display(), duration::text(timeout));
            tracing::warn!(%path, timeout, "another process has the data file open; waiting until it has stopped");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = sleep(LOCK_RETRY_DELAY) => {}
        }
    }
}

/// How long a start waits before it tries to open files again that another process has open.
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Tells systemd that the sockets are bound, if it has started this process and waits for that.
fn report_readiness() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::error!(error = &error as &dyn std::error::Error, "systemd cannot be told that the service is ready");
    }
}

/// The time that blocking threads get at the end: enough to finish a write to disk.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(5);
