//! `cloakroom import`: writes the sessions of an export into a store.

mod identities;
mod input;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::runtime;

use self::identities::IdentityArgs;
use self::input::decrypted;
use super::export::{chosen_apps, open_store, open_unchanged_store};
use super::progress::Progress;
use super::{CliError, ConfigFile, output};
use crate::age::Identity;
use crate::config::LoadedConfig;
use crate::session::TOMBSTONE_TTL;
use crate::store::{Import, ImportApp, ImportMode, ImportSummary, Reader};
use crate::types::{AppName, Clock as _, SystemClock, Time, counted, duration, noun, with_causes};

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The export; `-` for stdin, which is read once, as any pipe. It may be imported again: a second time it writes only
    /// what is missing
    file: PathBuf,
    /// Import this app only; may be repeated [default: all apps of the file, which have to be in the configuration]
    #[arg(long = "app", value_name = "NAME")]
    apps: Vec<String>,
    /// Check the file and say what an import would do, and write no session
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    decryption: IdentityArgs,
    #[command(flatten)]
    config: ConfigFile,
}

impl ImportArgs {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let loaded = self.config.load()?;
        let apps = self.import_apps(&loaded)?;
        let identities = self.decryption.identities()?;
        let (summary, export_time) = if self.file == Path::new("-") {
            self.import(&loaded, apps, self.read(io::stdin().lock(), &identities)?)?
        } else {
            let mut file = open(&self.file)?;
            // A pipe can be read once only, as stdin.
            if file.metadata()?.is_file() {
                // Nothing is written from a file that is not complete.
                self.check(self.read(BufReader::new(&file), &identities)?, &apps)
                    .map_err(|error| self.at_file(error))?;
                file.rewind()?;
            }
            self.import(&loaded, apps, self.read(BufReader::new(file), &identities)?)?
        };
        output::print(&text(&summary, self.dry_run))?;
        if let Some(warning) = warning(&summary, export_time, SystemClock.now()) {
            output::print_note(&warning);
        }
        let has_left_out = self.apps.is_empty() && !summary.left_out.is_empty();
        if has_left_out { Err(unknown_apps(summary.left_out.keys())) } else { Ok(()) }
    }

    fn import_apps(&self, loaded: &LoadedConfig) -> Result<BTreeMap<AppName, ImportApp>, CliError> {
        let chosen = chosen_apps(loaded, &self.apps)?;
        let apps = loaded.apps.iter().filter(|app| chosen.contains(&app.name));
        Ok(apps.map(|app| (app.name.clone(), ImportApp { absolute_timeout: app.lifetimes.absolute_timeout })).collect())
    }

    /// Returns the bytes of the export, decrypted.
    fn read<'i>(&self, input: impl BufRead + 'i, identities: &[Identity]) -> Result<Box<dyn BufRead + 'i>, CliError> {
        decrypted(input, identities).map_err(|error| self.at_file(error))
    }

    /// Reads the whole export, and checks that its apps are to be imported.
    fn check(&self, input: impl BufRead, apps: &BTreeMap<AppName, ImportApp>) -> Result<(), CliError> {
        let contents = Reader::new(input).and_then(Reader::check_all).map_err(super::export::failed)?;
        let mut unknown = contents.keys().filter(|app| !apps.contains_key(*app)).peekable();
        if self.apps.is_empty() && unknown.peek().is_some() { Err(unknown_apps(unknown)) } else { Ok(()) }
    }

    fn import(
        &self,
        loaded: &LoadedConfig,
        apps: BTreeMap<AppName, ImportApp>,
        input: impl BufRead,
    ) -> Result<(ImportSummary, Option<Time>), CliError> {
        let (mode, (store, _folder)) = if self.dry_run {
            (ImportMode::DryRun, open_unchanged_store(loaded)?)
        } else {
            let store = open_store(loaded)?;
            // Not before: a start that has the store open needs the key.
            loaded.discard_unfinished_key()?;
            (ImportMode::Write, (store, None))
        };
        let mut reader = Reader::new(input).map_err(|error| self.at_file(super::export::failed(error)))?;
        let mut import = Import::new(store, Arc::new(SystemClock), apps, mode);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let mut progress = Progress::new();
        loop {
            match runtime.block_on(import.advance(&mut reader)) {
                Ok(true) => progress.show(import.summary().sessions()),
                Ok(false) => return Ok((import.summary().clone(), import.export_time())),
                Err(error) => {
                    drop(progress);
                    let done = text(import.summary(), self.dry_run);
                    let why = with_causes(&error);
                    return Err(self.at_file(CliError::Failed(format!("{why}\n{done}so far; import it again").into())));
                }
            }
        }
    }

    /// Puts the name of the file before an error.
    fn at_file(&self, error: CliError) -> CliError {
        match error {
            CliError::Failed(error) => {
                CliError::Failed(format!("{}: {}", self.file.display(), with_causes(error.as_ref())).into())
            }
            other => other,
        }
    }
}

fn open(path: &Path) -> Result<File, CliError> {
    File::open(path).map_err(|error| CliError::Failed(format!("{}: {error}", path.display()).into()))
}

fn unknown_apps<'a>(apps: impl Iterator<Item = &'a AppName>) -> CliError {
    let names: Vec<&str> = apps.map(AppName::as_str).collect();
    let why = "the configuration does not have them; add them to it, or name those to import by --app";
    CliError::Failed(format!("sessions of the apps {} are not imported: {why}", names.join(", ")).into())
}

/// Says what an import has done.
fn text(summary: &ImportSummary, dry_run: bool) -> String {
    let ImportSummary { live, ended, kept, expired, revoked, left_out, revocations } = summary;
    let verb = if dry_run { "would be written" } else { "written" };
    let left_out: u64 = left_out.values().sum();
    let sessions = |count| noun(count, "session", "sessions");
    let lines = [
        (*live, format!("live {} {verb}", sessions(live))),
        (*ended, format!("ended {} {verb}, to stay ended", sessions(ended))),
        (*kept, format!("{} kept: the store has the same, a newer copy, or the end", sessions(kept))),
        (*expired, format!("{} left out: expired", sessions(expired))),
        (*revoked, format!("{} left out: the store has revoked all of the app since the export", sessions(revoked))),
        (left_out, format!("{} left out: of other apps", sessions(&left_out))),
        (*revocations, format!("{} {verb}, for legacy sessions", noun(revocations, "revocation", "revocations"))),
    ];
    let mut text = format!("{} in the export\n", counted(summary.sessions(), "session", "sessions"));
    for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!("{count:>10}  {what}\n");
    }
    text
}

/// Warns that the store, which has sessions already, no longer knows all that ended since the export.
fn warning(summary: &ImportSummary, export_time: Option<Time>, now: Time) -> Option<String> {
    let is_old = now.since(export_time?) > TOMBSTONE_TTL;
    let is_in_use = summary.kept > 0 && summary.live > 0;
    (is_old && is_in_use).then(|| {
        format!(
            "a store remembers for {} that a session has ended, and the export is older: some of these {} may have \
             ended since then, by a logout too; docs/backup.md says what to do",
            duration::text(TOMBSTONE_TTL),
            counted(summary.live, "live session", "live sessions"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_old_export_into_a_store_with_sessions_is_warned_of() {
        let export_time = Time::from_seconds(1_000_000);
        let now = |minutes: u64| export_time + Duration::from_secs(60 * minutes);
        let summary = |live, kept| ImportSummary { live, kept, ..Default::default() };

        let warned = warning(&summary(2, 1), Some(export_time), now(17)).unwrap();

        assert!(warned.contains("for 16m") && warned.contains("these 2 live sessions"), "{warned}");
        assert_eq!(warning(&summary(2, 1), Some(export_time), now(16)), None, "the store knows all ends");
        assert_eq!(warning(&summary(2, 0), Some(export_time), now(17)), None, "the store was empty");
        assert_eq!(warning(&summary(0, 9), Some(export_time), now(17)), None, "nothing comes back");
        assert_eq!(warning(&summary(2, 1), None, now(17)), None);
    }
}
