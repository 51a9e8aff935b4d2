//! `cloakroom serve`: the life of the process, in order.

use clap::Args;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

use super::{Address, ConfigFile, Failure, banner, output, signal};
use crate::app::Apps;
use crate::config::Loaded;
use crate::config::default_key::DefaultKey;
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let loaded = self.config.load()?;
        let (apps, key) = loaded.apps_to_serve()?;
        let _logs = telemetry::init(&loaded.settings.log).map_err(|error| Failure::Failed(error.into()))?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let stop = signal::stop()?;
            serve(&loaded, apps, &key, stop).await
        })
    }
}

// PLACEHOLDER: open the store, bind, tell, serve until `stop`, drain.
async fn serve(loaded: &Loaded, _apps: Apps, key: &DefaultKey, stop: CancellationToken) -> Result<(), Failure> {
    let addresses = [Address::reached_at(loaded.settings.server.listen)];
    output::tell(&banner(loaded, key, &addresses));
    stop.cancelled().await;
    Ok(())
}
