//! `cloakroom export`: writes the sessions of a store into a file.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tempfile::NamedTempFile;
use tokio::runtime;

use super::progress::Progress;
use super::{CliError, ConfigFile, output};
use crate::app::Kind;
use crate::config::LoadedConfig;
use crate::store::{Export, FileOpenError, Handle, OpenError, StoreKind};
use crate::types::{AppName, SystemClock};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// The file to make, which only its owner may read; `-` for stdout. It has the data of all sessions: encrypt it
    file: PathBuf,
    /// Export this app only; may be repeated [default: all apps of the configuration]
    #[arg(long = "app", value_name = "NAME")]
    apps: Vec<String>,
    #[command(flatten)]
    config: ConfigFile,
}

impl ExportArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let loaded = self.config.load()?;
        let apps = chosen_apps(&loaded, &self.apps)?;
        let mut output = ExportOutput::open(&self.file)?;
        let mut export = Export::new(open_store(&loaded)?, Arc::new(SystemClock), apps);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let mut progress = Progress::new();
        while let Some(bytes) = runtime.block_on(export.next()).map_err(failed)? {
            output.write(&bytes)?;
            progress.show(export.sessions());
        }
        drop(progress);
        let bytes = output.finish(&self.file)?;
        output::print_note(&format!("{} sessions exported, {bytes} bytes", export.sessions()));
        Ok(())
    }
}

/// Opens the store of the configuration, if its sessions can be exported and imported.
pub(super) fn open_store(loaded: &LoadedConfig) -> Result<Handle, CliError> {
    let settings = &loaded.settings.store;
    if settings.kind == StoreKind::Memory {
        return Err(
            "the memory store is a part of the service: there is nothing to export from or to import into".into()
        );
    }
    Handle::open(settings).map_err(|error| match error {
        OpenError::Embedded(FileOpenError::InUse { path }) => {
            CliError::Failed(format!("{}: a service has it open; stop it first", path.display()).into())
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

/// Where an export goes.
enum ExportOutput {
    Stdout(u64),
    /// A file that gets its name when it is complete.
    File(NamedTempFile, u64),
}

impl ExportOutput {
    fn open(path: &Path) -> Result<Self, CliError> {
        if path == Path::new("-") {
            if io::stdout().is_terminal() {
                return Err("an export is no text for a terminal; name a file, or send it through a pipe".into());
            }
            return Ok(Self::Stdout(0));
        }
        if path.exists() {
            return Err(exists(path));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Its mode is 600.
        let file = NamedTempFile::new_in(folder)
            .map_err(|error| CliError::Failed(format!("{}: {error}", folder.display()).into()))?;
        Ok(Self::File(file, 0))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let (result, count) = match self {
            Self::Stdout(count) => (io::stdout().lock().write_all(bytes), count),
            Self::File(file, count) => (file.write_all(bytes), count),
        };
        *count += bytes.len() as u64;
        Ok(result?)
    }

    /// Makes sure that everything is written. Returns how many bytes that are.
    fn finish(self, path: &Path) -> Result<u64, CliError> {
        match self {
            Self::Stdout(count) => {
                io::stdout().lock().flush()?;
                Ok(count)
            }
            Self::File(file, count) => {
                file.as_file().sync_all()?;
                file.persist_noclobber(path).map_err(|error| match error.error.kind() {
                    io::ErrorKind::AlreadyExists => exists(path),
                    _ => failed(error.error),
                })?;
                Ok(count)
            }
        }
    }
}

fn exists(path: &Path) -> CliError {
    CliError::Failed(format!("{}: it is there already; name another file", path.display()).into())
}
