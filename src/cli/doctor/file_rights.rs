//! The rights of the configuration file, and of the files that settings name.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::config::LoadedConfig;

/// Looks at the rights of all files of the configuration.
pub(super) fn examine(loaded: &LoadedConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(file) = loaded.file() {
        let secrecy = if loaded.has_secrets_in_file() { Secrecy::Secret } else { Secrecy::Public };
        findings.push(file_finding("configuration file", file, secrecy));
    }
    findings.extend(loaded.named_files().iter().map(|file| {
        let secrecy = if file.is_secret() { Secrecy::Secret } else { Secrecy::Public };
        file_finding(&file.key.to_string(), &file.path, secrecy)
    }));
    findings
}

/// Whether a file holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secrecy {
    Secret,
    Public,
}

fn file_finding(check: &str, path: &Path, secrecy: Secrecy) -> Finding {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) => Finding::failed(check, format!("{shown}: it cannot be read: {error}"), "restore it"),
        // A pipe or a device has no content that stays.
        Ok(metadata) if !metadata.is_file() => Finding::ok(check, format!("{shown}: it is no file on a disk")),
        Ok(metadata) => rights_finding(check, path, &metadata, secrecy),
    }
}

fn rights_finding(check: &str, path: &Path, metadata: &Metadata, secrecy: Secrecy) -> Finding {
    let (shown, mode) = (path.display(), metadata.permissions().mode() & 0o777);
    if mode & 0o002 != 0 {
        let found = format!("{shown}: everybody on this machine may change it (mode {mode:o})");
        return Finding::failed(check, found, format!("chmod o-w {shown}"));
    }
    // No failure: it is how Kubernetes mounts secrets, in a container that nobody else is in.
    if secrecy == Secrecy::Secret && mode & 0o004 != 0 {
        let found = format!("{shown}: everybody on this machine may read this secret (mode {mode:o})");
        return Finding::warning(check, found, format!("chmod o= {shown}, unless nobody else is in this container"));
    }
    Finding::ok(check, format!("{shown}: mode {mode:o}"))
}
