//! The files of stores, and the room on their disk.

use std::path::Path;

use rustix::fs::{StatVfs, statvfs};

use super::finding::Finding;
use super::folder::{FolderCheck, existing};
use crate::config::LoadedConfig;
use crate::store::{EmbeddedSettings, SideSettings, StoreKind, is_open_to_all};
use crate::types::{counted, with_causes};

/// Looks at the folder of each store that has one. Opens no file of it, because a service may have them open.
pub(super) fn examine(loaded: &LoadedConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (table, place) in loaded.settings.store.places() {
        findings.extend(place_findings(&place).into_iter().map(|finding| finding.of_store(table)));
    }
    findings.extend(key_file(loaded));
    findings
}

fn place_findings(settings: &SideSettings) -> Vec<Finding> {
    let folder = settings.data_folder();
    let mut findings = Vec::from_iter(folder.map(folder_finding));
    if settings.kind == StoreKind::Embedded {
        findings.push(data_file(&settings.embedded));
    }
    findings.extend(folder.and_then(existing).map(room));
    if settings.kind == StoreKind::Memory {
        findings.push(Finding::warning(
            "store",
            "sessions are in memory: a restart logs everybody out",
            "set store.kind to embedded or redis, unless this is for tests",
        ));
    }
    findings
}

fn folder_finding(path: &Path) -> Finding {
    let check = "data folder";
    FolderCheck { check, setting: "store.embedded.path", path }.examine(|metadata| {
        is_open_to_all(metadata).then(|| {
            Finding::warning(
                check,
                format!("{}: everybody on this machine may replace its files", path.display()),
                "give it mode 700, unless nobody else is in this container",
            )
        })
    })
}

fn data_file(settings: &EmbeddedSettings) -> Finding {
    let shown = settings.data_file().display().to_string();
    match settings.check_data_file() {
        Ok(Some(bytes)) => Finding::ok("data file", format!("{shown}: {}", size(bytes))),
        Ok(None) => Finding::ok("data file", format!("{shown}: it is not there yet")),
        Err(error) => Finding::failed("data file", with_causes(&error), SEE_DATA_FILES),
    }
}

/// Returns the error of the key that the service has made. `None`: there is none, or the configuration has a key.
fn key_file(loaded: &LoadedConfig) -> Option<Finding> {
    let error = loaded.check_default_key().err()?;
    Some(Finding::failed("key of the app default", with_causes(&error), SEE_DATA_FILES))
}

fn room(folder: &Path) -> Finding {
    let check = "disk";
    let StatVfs { f_bavail, f_blocks, f_frsize, .. } = match statvfs(folder) {
        Ok(found) => found,
        Err(error) => {
            let found = format!("{}: its free room is not known: {error}", folder.display());
            return Finding::warning(check, found, "look at it with df");
        }
    };
    let (free, all) = (f_bavail.saturating_mul(f_frsize), f_blocks.saturating_mul(f_frsize));
    let found = format!("{}: {} of {} are free", folder.display(), size(free), size(all));
    if free < LEAST_ROOM {
        return Finding::failed(check, found, "make room: a full disk refuses all new sessions and saves");
    }
    if free < all / 10 {
        return Finding::warning(check, found, "make room, or a larger disk, before it is full");
    }
    Finding::ok(check, found)
}

/// Writes a number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => counted(bytes, "byte", "bytes"),
    }
}

/// The errors say themselves what to do about each file.
const SEE_DATA_FILES: &str = "do what it says before the next start; docs/runbook.md says how to restore";

/// The log of the store and a few checkpoints of it.
const LEAST_ROOM: u64 = 64 << 20;
