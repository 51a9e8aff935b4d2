//! `cloakroom check`: is the configuration right, and what does it come to?

use clap::Args;

use super::{ConfigFile, Failure, output};

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let loaded = self.config.load()?;
        let settings = &loaded.settings;
        settings.server.tls.check_files()?;
        settings.admin.tls.check_files()?;
        let origin = match loaded.file() {
            Some(path) => format!("# From {} and the environment. Secrets are left out.", path.display()),
            None => "# From the environment alone: there is no file. Secrets are left out.".to_owned(),
        };
        Ok(output::answer(&format!("{origin}\n\n{}", loaded.effective()))?)
    }
}
