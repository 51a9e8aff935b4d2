//! `cloakroom check`: is the configuration right, and what does it come to?

use clap::Args;
use humantime::format_rfc3339_seconds;

use super::{CliError, ConfigFile, output};
use crate::types::{Clock as _, SystemClock};

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let loaded = self.config.load()?;
        let settings = &loaded.settings;
        let now = SystemClock.now();
        let certificates = [("server", &settings.server.tls), ("admin", &settings.admin.tls)];
        let mut remarks = match loaded.file() {
            Some(path) => format!("# From {} and the environment. Secrets are left out.\n", path.display()),
            None => "# From the environment alone: there is no file. Secrets are left out.\n".to_owned(),
        };
        for (table, tls) in certificates {
            if let Some(end) = tls.check_files(now)? {
                let (verb, end) =
                    (if end > now { "expires" } else { "has expired" }, format_rfc3339_seconds(end.into()));
                remarks += &format!("# The certificate of [{table}.tls] {verb}: {end}.\n");
            }
        }
        Ok(output::answer(&format!("{remarks}\n{}", loaded.effective()))?)
    }
}
