//! `cloakroom check`: checks the configuration, and prints the settings that result from it.

use clap::Args;
use humantime::format_rfc3339_seconds;
use tokio::runtime;

use super::style::{WARNING, styled};
use super::{CliError, ConfigFile, banner, config_checks, output};
use crate::config::{LoadedConfig, Settings};
use crate::types::{Clock as _, SystemClock, Time};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Connect to Redis as well, as a store and as a migration source, and fail if the service could not work with it
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    config: ConfigFile,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let loaded = self.config.load()?;
        let now = SystemClock.now();
        let mut comments = match loaded.file() {
            Some(path) => format!("# From {} and the environment. Secrets are left out.\n", path.display()),
            None => "# From the environment alone: there is no file. Secrets are left out.\n".to_owned(),
        };
        let mut note_expiry = |certificate: &str, end: Option<Time>| {
            if let Some(end) = end {
                let verb = if end > now { "expires" } else { "has expired" };
                comments += &format!("# The {certificate} {verb}: {}.\n", format_rfc3339_seconds(end.into()));
            }
        };
        for certificate in config_checks::certificates(&loaded, now) {
            note_expiry(&certificate.name, certificate.end?);
        }
        let Settings { traces, metrics, .. } = &loaded.settings;
        traces.check_files().map_err(|error| CliError::Failed(error.under("traces").into()))?;
        metrics.check_files().map_err(|error| CliError::Failed(error.under("metrics").into()))?;
        loaded.check_moved_key()?;
        let mut warnings = Vec::new();
        if self.connect {
            let connected = connect(&loaded)?;
            comments += &connected.comments;
            warnings = connected.warnings;
        }
        output::print(&format!("{comments}\n{}", loaded.effective()))?;
        for app in loaded.keyless_apps() {
            let how = banner::how_to_get_key(app);
            warnings.push(format!("app {} has no key and so no sessions; {how}", app.name));
        }
        for warning in warnings {
            output::print_note(&format!("{} {warning}", styled(WARNING, "warning:")));
        }
        Ok(())
    }
}

/// The comments and warnings about the connections to Redis.
struct ConnectionReport {
    comments: String,
    warnings: Vec<String>,
}

/// Checks each connection to Redis.
fn connect(loaded: &LoadedConfig) -> Result<ConnectionReport, CliError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut comments, mut warnings) = (String::new(), Vec::new());
    let stores = config_checks::redis_stores(loaded);
    if stores.is_empty() {
        comments += "# The store is a part of the service: there is nothing to connect to.\n";
    }
    let mut opened = Vec::new();
    for redis in stores {
        let store = redis.store?;
        runtime.block_on(config_checks::check_store(&store))?;
        for warning in runtime.block_on(config_checks::store_warnings(&store))? {
            warnings.push(format!("Redis at {}: {warning}", warning.address));
        }
        opened.push(store);
        comments += &match redis.table {
            "store" => "# Redis answers, and the service can work with it.\n".to_owned(),
            other => format!("# The Redis of [{other}] answers, and the service can work with it.\n"),
        };
    }
    runtime.block_on(config_checks::check_places(&opened))?;
    for source in runtime.block_on(config_checks::check_legacy_sources(loaded)) {
        source.result?;
        comments += &format!("# The Redis of the {} answers the app {}.\n", source.name, source.app);
    }
    Ok(ConnectionReport { comments, warnings })
}
