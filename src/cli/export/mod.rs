//! `cloakroom export`: writes the sessions of a store into a file, from the store itself or from a running service.

mod check;
mod output;
mod partial_file;
mod recipients;
mod report;
mod service;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tempfile::TempDir;
use tokio::runtime;

use self::output::ExportOutput;
use self::recipients::RecipientArgs;
use self::report::ExportReport;
use self::service::ServiceArgs;
use super::{CliError, ConfigFile};
use crate::age::Recipient;
use crate::app::Kind;
use crate::config::LoadedConfig;
use crate::store::{self, EmbeddedSettings, Export, ExportPart, FileOpenError, Handle, OpenError, StoreKind};
use crate::types::{AppName, SystemClock};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The file to make, which only its owner may read; `-` for stdout. It has the data of all sessions: encrypt it
    /// by --recipient
    file: PathBuf,
    /// Export this app only; may be repeated [default: all apps of the configuration]
    #[arg(long = "app", value_name = "NAME")]
    apps: Vec<String>,
    #[command(flatten)]
    encryption: RecipientArgs,
    #[command(flatten)]
    service: ServiceArgs,
    #[command(flatten)]
    config: ConfigFile,
}

impl ExportArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let recipients = self.encryption.recipients()?;
        let mut report = ExportReport::new();
        let output = match self.service.address() {
            Some(address) => {
                let mut output = ExportOutput::open_checked(&self.file, &recipients)?;
                self.service.export(address, &self.apps, &mut output, &mut report)?;
                output
            }
            None => self.export_store(&recipients, &mut report)?,
        };
        let bytes = output.finish(&self.file)?;
        report.finish(bytes)
    }

    /// Exports from the store of the configuration.
    fn export_store(&self, recipients: &[Recipient], report: &mut ExportReport) -> Result<ExportOutput, CliError> {
        let loaded = self.config.load()?;
        let apps = chosen_apps(&loaded, &self.apps)?;
        let mut output = ExportOutput::open(&self.file, recipients)?;
        let mut export = Export::new(open_existing_store(&loaded)?, Arc::new(SystemClock), apps);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        while let Some(part) = runtime.block_on(export.next()).map_err(failed)? {
            let ExportPart { bytes, corrupt_sessions, corrupt_revocations } = part;
            output.write(&bytes)?;
            for session_key in &corrupt_sessions {
                report.leave_out(session_key.app.as_str(), &session_key.id.to_string());
            }
            report.add_unread_revocations(corrupt_revocations as u64);
            report.show(export.sessions());
        }
        Ok(output)
    }
}

/// Opens the store of the configuration. Fails if the embedded store has no data file: an empty one that is made now would be
/// taken for the sessions.
fn open_existing_store(loaded: &LoadedConfig) -> Result<Handle, CliError> {
    if let Some(path) = missing_data_file(&loaded.settings.store)? {
        let why = "it is not there; run this where the service runs, with its configuration";
        return Err(CliError::Failed(format!("{}: {why}", path.display()).into()));
    }
    open_store(loaded)
}

/// Returns the path of the embedded store's data file if it is not there. Fails if it could not be opened.
fn missing_data_file(settings: &store::Settings) -> Result<Option<PathBuf>, CliError> {
    let is_missing =
        settings.kind == StoreKind::Embedded && settings.embedded.check_data_file().map_err(OpenError::from)?.is_none();
    Ok(is_missing.then(|| settings.embedded.data_file()))
}

/// Opens the store of the configuration for an import that writes nothing. If the embedded store has no data file, opens an
/// empty one in a folder of its own, which is removed with the returned guard, because opening creates the file.
pub(super) fn open_unchanged_store(loaded: &LoadedConfig) -> Result<(Handle, Option<TempDir>), CliError> {
    let settings = &loaded.settings.store;
    if missing_data_file(settings)?.is_none() {
        return Ok((open_store(loaded)?, None));
    }
    let folder = tempfile::tempdir().map_err(|error| {
        let remedy = "a dry run needs a folder for an empty store; set TMPDIR to a folder that can be written";
        CliError::Failed(format!("{error}; {remedy}").into())
    })?;
    let embedded = EmbeddedSettings { path: folder.path().to_owned(), ..settings.embedded.clone() };
    let store = Handle::open(&store::Settings { embedded, ..settings.clone() })?;
    Ok((store, Some(folder)))
}

/// Opens the store of the configuration, if its sessions can be exported and imported.
pub(super) fn open_store(loaded: &LoadedConfig) -> Result<Handle, CliError> {
    let settings = &loaded.settings.store;
    if settings.kind == StoreKind::Memory {
        return Err(
            "the memory store is a part of the service: nothing can be imported into it, and an export needs --address"
                .into(),
        );
    }
    Handle::open(settings).map_err(|error| match error {
        OpenError::Embedded(FileOpenError::InUse { path }) => {
            let why = "a service has it open; stop it first, or export from it with --address";
            CliError::Failed(format!("{}: {why}", path.display()).into())
        }
        error => error.into(),
    })
}

/// Returns the apps of these names, or all of them. Only those that have sessions in the store.
pub(super) fn chosen_apps(loaded: &LoadedConfig, names: &[String]) -> Result<BTreeSet<AppName>, CliError> {
    let apps = loaded.apps.iter().filter(|app| !matches!(app.kind, Kind::Cookie(_)));
    let all: BTreeSet<AppName> = apps.map(|app| app.name.clone()).collect();
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let unknown =
            || CliError::Failed(format!("the configuration has no app {name} with sessions in a store").into());
        all.get(name.as_str()).cloned().ok_or_else(unknown)
    };
    names.iter().map(find).collect()
}

pub(super) fn failed(error: impl std::error::Error + 'static) -> CliError {
    CliError::Failed(Box::new(error))
}
