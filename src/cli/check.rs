//! `cloakroom check`: checks the configuration, and prints the settings that result from it.

use clap::Args;
use humantime::format_rfc3339_seconds;

use super::{CliError, ConfigFile, output};
use crate::types::{Clock as _, SystemClock};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
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
        Ok(output::print(&format!("{comments}\n{}", loaded.effective()))?)
    }
}
