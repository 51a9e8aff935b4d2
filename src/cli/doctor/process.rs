//! The user of a process and the number of files that it may open, as the operating system gives them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use rustix::process::geteuid;

use super::finding::Finding;
use crate::config::LoadedConfig;
use crate::server::FileLimit;

/// Looks at the process that this command is, as a service that is started in the same way would find itself.
pub(super) fn examine(loaded: &LoadedConfig) -> Vec<Finding> {
    vec![user(loaded), open_files(loaded)]
}

/// Whether the files of the store belong to this user. Rights that another user has say nothing of the service.
fn user(loaded: &LoadedConfig) -> Finding {
    let own = geteuid().as_raw();
    let folder = loaded.settings.store.data_folder();
    let owner = folder.and_then(|folder| fs::metadata(folder).ok()).map(|metadata| metadata.uid());
    match owner.filter(|owner| *owner != own) {
        Some(owner) => Finding::warning(
            "user",
            format!("this is user {own}, and the data folder belongs to user {owner}"),
            "run doctor as the user of the service; what others may read and write says little",
        ),
        None => Finding::ok("user", format!("this is user {own}")),
    }
}

fn open_files(loaded: &LoadedConfig) -> Finding {
    let FileLimit { limit, needed } = FileLimit::of_service(loaded.settings.server.max_connections);
    match limit {
        Some(limit) if limit < needed => Finding::warning(
            "open files",
            format!("a service that is started like this command may open {limit}, and max_connections needs {needed}"),
            "raise the limit (LimitNOFILE=, --ulimit nofile=), or lower server.max_connections",
        ),
        Some(limit) => Finding::ok("open files", format!("{limit} are allowed, {needed} are needed at most")),
        None => Finding::ok("open files", "there is no limit"),
    }
}
