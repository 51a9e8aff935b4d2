//! `cloakroom serve`: the life of the process, in order.

use std::sync::Arc;

use std::time::Duration;

use clap::Args;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::reload::{self, Reloading};
use super::{Address, CliError, ConfigFile, banner, output, signal};
use crate::config::{ActiveConfig, Settings};
use crate::server::{Cloakroom, Dependencies};
use crate::store::Handle;
use crate::telemetry;
use crate::types::SystemClock;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let in_force = self.config.load()?.activate()?;
        let _logs = telemetry::init(&in_force.loaded.settings.log).map_err(|error| CliError::Failed(error.into()))?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        let done = runtime.block_on(async {
            let stop = signal::stop()?;
            serve(in_force, stop).await
        });
        // Dropping a runtime waits for its blocking threads however long they take, deaf to signals.
        runtime.shutdown_timeout(LAST_WAIT);
        done
    }
}

async fn serve(in_force: ActiveConfig, stop: CancellationToken) -> Result<(), CliError> {
    let hangups = reload::hangups()?;
    let ActiveConfig { loaded, key } = &in_force;
    let Settings { server, admin, store, .. } = &loaded.settings;
    let (apps, callers) = (loaded.apps.clone(), loaded.callers.clone());
    let store = Handle::open(store)?;
    let dependencies = Dependencies { apps, store, clock: Arc::new(SystemClock), callers };
    let cloakroom = Cloakroom::bind(server, admin, dependencies).await?;

    let tcp = cloakroom.tcp_addr().map(Address::reached_at);
    let unix = server.unix_path().map(|path| Address::Unix(path.to_owned()));
    let addresses: Vec<Address> = tcp.into_iter().chain(unix).collect();
    let admin = cloakroom.admin_addr().map(Address::reached_at);
    output::tell(&banner(loaded, key, &addresses, admin.as_ref()));
    let reloading = Reloading::new(hangups, cloakroom.reloader().clone(), in_force);
    let report = tokio::select! {
        report = cloakroom.run(stop) => report?,
        never = reloading.run() => match never {},
    };
    tracing::info!(connections.cut = report.cut, "stopped");
    Ok(())
}

/// Long enough for a write to disk that is under way.
const LAST_WAIT: Duration = Duration::from_secs(5);
