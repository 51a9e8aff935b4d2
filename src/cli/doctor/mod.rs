//! `cloakroom doctor`: looks at everything that a service needs on this machine, and says what to do.
//!
//! Changes nothing, and prints no secret. One file for each subject; the list of all is [`DoctorArgs::examine`].

mod audit_log;
mod bundle;
mod certificates;
mod data_files;
mod file_rights;
mod finding;
mod folder;
mod listeners;
mod platform;
mod process;
mod redis;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::runtime::{self, Runtime};

use self::finding::Finding;
use self::report::DoctorReport;
use super::{CliError, ConfigFile, banner, layout, output};
use crate::config::{self, LoadedConfig};
use crate::types::{Clock as _, SystemClock, counted, duration};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// How to print the findings
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ReportFormat,
    /// Also write the findings, the configuration without secrets, and facts of the build and the machine into a new
    /// file, to send with a bug report
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// The time to wait for the answer of a running service
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration::parse)]
    timeout: Duration,
    #[command(flatten)]
    config: ConfigFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// Lines for people
    Text,
    /// One JSON document
    Json,
}

impl DoctorArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let loaded = config::load(self.config.config.as_deref());
        let findings = match &loaded {
            Ok(loaded) => self.examine(loaded, &runtime),
            Err(error) => error.problems().iter().map(wrong_setting).collect(),
        };
        let report = DoctorReport { findings };
        match self.format {
            ReportFormat::Text => output::print(&report.text(layout::terminal_columns()))?,
            ReportFormat::Json => output::print(&report.json())?,
        }
        if let Some(file) = &self.bundle {
            bundle::write(file, &report, loaded.as_ref().ok())?;
        }
        if report.has_failures() { Err(CliError::NegativeAnswer) } else { Ok(()) }
    }

    /// Looks at everything.
    fn examine(&self, loaded: &LoadedConfig, runtime: &Runtime) -> Vec<Finding> {
        let now = SystemClock.now();
        let mut findings = configuration(loaded);
        findings.extend(file_rights::examine(loaded));
        findings.extend(process::examine(loaded));
        findings.extend(certificates::examine(loaded, now));
        findings.extend(data_files::examine(loaded));
        findings.extend(audit_log::examine(loaded));
        findings.extend(runtime.block_on(redis::examine(loaded)));
        findings.extend(runtime.block_on(listeners::examine(&loaded.settings, self.timeout)));
        findings
    }
}

fn wrong_setting(problem: &config::Problem) -> Finding {
    Finding::failed("configuration", problem.to_string(), "correct it; everything else is looked at after that")
}

fn configuration(loaded: &LoadedConfig) -> Vec<Finding> {
    let source = loaded.file().map_or_else(|| "the environment alone".to_owned(), |file| file.display().to_string());
    let (apps, callers) = (loaded.apps.iter().count(), loaded.settings.callers.len());
    let (apps, callers) = (counted(apps, "app", "apps"), counted(callers, "caller", "callers"));
    let found = format!("it is right; from {source}, with {apps} and {callers}");
    let keyless = loaded.keyless_apps().map(|app| {
        let found = format!("the app {} has no key and so no sessions", app.name);
        Finding::warning("configuration", found, banner::how_to_get_key(app))
    });
    [Finding::ok("configuration", found)].into_iter().chain(keyless).collect()
}
