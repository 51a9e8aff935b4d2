//! `cloakroom check`: checks the configuration, and prints the settings that result from it.

use clap::Args;
use humantime::format_rfc3339_seconds;
use tokio::runtime;

use super::{CliError, ConfigFile, banner, output};
use crate::config::Settings;
use crate::store::{Handle, StoreKind};
use crate::types::{Clock as _, SystemClock};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Connect to Redis as well, if it is the store, and fail if the service could not work with it
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let loaded = self.config.load()?;
        let settings = &loaded.settings;
        let now = SystemClock.now();
        let mut comments = match loaded.file() {
            Some(path) => format!("# From {} and the environment. Secrets are left out.\n", path.display()),
            None => "# From the environment alone: there is no file. Secrets are left out.\n".to_owned(),
        };
        for (table, tls) in [("server", &settings.server.tls), ("admin", &settings.admin.tls)] {
            if let Some(end) = tls.check_files(now)? {
                let verb = if end > now { "expires" } else { "has expired" };
                let end = format_rfc3339_seconds(end.into());
                comments += &format!("# The certificate of [{table}.tls] {verb}: {end}.\n");
            }
        }
        if self.connect {
            comments += connect(settings)?;
        }
        output::print(&format!("{comments}\n{}", loaded.effective()))?;
        for app in loaded.keyless_apps() {
            let how = banner::how_to_get_key(app);
            output::print_note(&format!("warning: app {} has no key and so no sessions; {how}", app.name));
        }
        Ok(())
    }
}

/// Checks what health checks when the service runs. Returns a comment that says so.
fn connect(settings: &Settings) -> Result<&'static str, CliError> {
    if settings.store.kind != StoreKind::Redis {
        return Ok("# The store is a part of the service: there is nothing to connect to.\n");
    }
    let store = Handle::open(&settings.store)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let checked = runtime.block_on(store.ping());
    checked.map_err(|error| CliError::Failed(error.into()))?;
    Ok("# Redis answers, and the service can work with it.\n")
}
