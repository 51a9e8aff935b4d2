//! The folder of the audit log, its files, and the room on its disk.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::finding::Finding;
use super::folder::{FolderCheck, existing};
use crate::audit;
use crate::config::LoadedConfig;
use crate::types::with_causes;

/// Looks at the folder, if there is an audit log. Writes nothing there, because a service may do so.
pub(super) fn examine(loaded: &LoadedConfig) -> Vec<Finding> {
    let Some(folder) = loaded.settings.audit.folder() else { return Vec::new() };
    let mut findings = vec![folder_finding(folder)];
    if folder.is_dir() {
        findings.push(files(folder));
    }
    findings.extend(existing(folder).map(room));
    findings
}

fn folder_finding(path: &Path) -> Finding {
    let check = "audit folder";
    FolderCheck { check, setting: "audit.folder", path }.examine(|metadata| {
        (metadata.permissions().mode() & 0o002 != 0).then(|| {
            let shown = path.display();
            Finding::failed(
                check,
                format!("{shown}: every user of this machine may write there, so the service does not start"),
                format!("chmod o-w {shown}"),
            )
        })
    })
}

/// Whether ends can be found: one file that cannot be read makes the answer incomplete.
fn files(folder: &Path) -> Finding {
    match audit::check_readable(folder) {
        Ok(()) => Finding::ok("audit files", "this user may read them"),
        Err(error) => Finding::failed(
            "audit files",
            with_causes(&error),
            "give it to the user of the service, or move it out of the folder: a search that comes to it finds no older ends",
        ),
    }
}

fn room(folder: &Path) -> Finding {
    let (check, shown) = ("audit disk", folder.display());
    match audit::check_room(folder) {
        Ok(()) => Finding::ok(check, format!("{shown}: there is room for ends")),
        Err(error) => Finding::failed(
            check,
            format!("{shown}: ends of sessions are lost: {error}"),
            "make room, take a larger disk, or lower audit.keep_days",
        ),
    }
}
