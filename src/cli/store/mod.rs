//! `cloakroom store`: gives unused room of a stopped service's file back, and moves sessions of a running one to another store.

mod migrate;
mod move_progress;

use clap::{Args, Subcommand};

use self::migrate::MigrateArgs;
use super::{CliError, ConfigFile, output};
use crate::store::{Embedded, StoreKind};

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Give the room in the embedded store's data file that no session uses back to the disk. The service has to be
    /// stopped, and the disk needs some room
    Compact {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Move all sessions from the service's previous store to its present one, while it is in use. Needs
    /// `[store.previous]` in its configuration. May be interrupted and run again. Exit code 65: some sessions stay
    Migrate(MigrateArgs),
}

impl StoreArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        match &self.command {
            StoreCommand::Compact { config } => compact(config),
            StoreCommand::Migrate(migrate) => migrate.run(),
        }
    }
}

fn compact(config: &ConfigFile) -> Result<(), CliError> {
    let settings = config.load()?.settings.store;
    if settings.kind != StoreKind::Embedded {
        return Err("only the embedded store has a file; store.kind is another one".into());
    }
    let (before, after) = Embedded::compact(&settings.embedded).map_err(crate::store::OpenError::from)?;
    let path = settings.embedded.data_file();
    Ok(output::print(&format!("{}: {before} bytes before, {after} bytes now\n", path.display()))?)
}
