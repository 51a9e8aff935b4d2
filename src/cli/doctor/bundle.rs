//! The file for a bug report: findings, configuration without secrets, and facts of the build and the machine.

use std::io::{self, Write as _};
use std::path::Path;

use humantime::format_rfc3339_seconds;
use tempfile::NamedTempFile;

use super::platform;
use super::report::DoctorReport;
use crate::cli::style::plain;
use crate::cli::{CliError, output, version};
use crate::config::LoadedConfig;
use crate::types::{Clock as _, SystemClock};

/// Writes a new file that only its owner may read. One that exists is not replaced.
pub(super) fn write(file: &Path, report: &DoctorReport, loaded: Option<&LoadedConfig>) -> Result<(), CliError> {
    let failed =
        |error: io::Error| CliError::Failed(format!("{}: it cannot be written: {error}", file.display()).into());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut new = NamedTempFile::new_in(folder).map_err(failed)?;
    new.write_all(text(report, loaded).as_bytes()).map_err(failed)?;
    new.persist_noclobber(file).map_err(|error| failed(error.error))?;
    output::print_note(&format!("{}: written; it has no secret, but read it before you send it", file.display()));
    Ok(())
}

fn text(report: &DoctorReport, loaded: Option<&LoadedConfig>) -> String {
    let now = format_rfc3339_seconds(SystemClock.now().into());
    let configuration = loaded.map_or_else(|| "it is wrong; see the findings".to_owned(), LoadedConfig::effective);
    let sections = [
        ("Build", version::FACTS.to_owned()),
        ("Machine", platform::facts()),
        ("Findings", plain(&report.text(None))),
        ("Configuration, without secrets", configuration),
    ];
    let section = |(title, text): (&str, String)| format!("\n## {title}\n\n```text\n{}\n```\n", text.trim_end());
    format!("# cloakroom doctor, {now}\n{}", sections.map(section).concat())
}
