//! The folder of the audit log, its files, and the room on its disk.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{Access, access};

use super::data_files::existing;
use super::finding::Finding;
use crate::audit;
use crate::cli::with_causes;
use crate::config::LoadedConfig;

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

fn folder_finding(folder: &Path) -> Finding {
    let (check, shown) = ("audit folder", folder.display());
    let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    match fs::metadata(folder) {
        Ok(metadata) if !metadata.is_dir() => {
            Finding::failed(check, format!("{shown}: it is no folder"), "name another one in audit.folder")
        }
        Ok(metadata) if metadata.permissions().mode() & 0o002 != 0 => Finding::failed(
            check,
            format!("{shown}: every user of this machine may write there, so the service does not start"),
            format!("chmod o-w {shown}"),
        ),
        Ok(_) => match access(folder, all) {
            Ok(()) => Finding::ok(check, format!("{shown}: this user may write there")),
            Err(error) => Finding::failed(
                check,
                format!("{shown}: this user may not write there: {error}"),
                "give it to the user of the service, with mode 700, on a disk that takes writes",
            ),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => match existing(folder).map(|above| access(above, all))
        {
            Some(Ok(())) => Finding::ok(check, format!("{shown}: it is not there yet; the first start makes it")),
            _ => Finding::failed(
                check,
                format!("{shown}: it is not there, and this user may not make it"),
                "make it, and give it to the user of the service, with mode 700",
            ),
        },
        Err(error) => {
            Finding::failed(check, format!("{shown}: {error}"), "let the user of the service into the folders above it")
        }
    }
}

/// Whether ends can be found: one file that cannot be read makes the answer incomplete.
fn files(folder: &Path) -> Finding {
    match audit::check_readable(folder) {
        Ok(()) => Finding::ok("audit files", "this user may read them"),
        Err(error) => Finding::failed(
            "audit files",
            with_causes(&error),
            "give it to the user of the service, or move it away: without it no end can be found",
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
