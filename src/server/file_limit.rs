//! The limit of open files: raised as far as the process may, and then obeyed.
//!
//! Every connection is an open file. Connections that fill the limit would leave no file for the listener of operators,
//! for the store and for the next health check.

use std::error::Error;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use super::settings::half_of_connections;
use super::{Settings, admin_settings};

/// Raises the soft limit of open files of this process to its hard limit.
pub fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        warn!(error = &error as &dyn Error, "the limit of open files stays as it is");
    }
}

/// How many files a service may open here, and how many it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimit {
    /// `None`: there is no limit.
    pub limit: Option<u64>,
    /// For as many connections as the settings allow, and for all else.
    pub needed: u64,
}

impl FileLimit {
    /// Reads the limit that a service would have if this process started it.
    pub fn of_service(max_connections: usize) -> Self {
        let needed = u64::try_from(max_connections.saturating_add(RESERVED_FILES)).unwrap_or(u64::MAX);
        Self { limit: getrlimit(Resource::Nofile).maximum, needed }
    }
}

/// Returns the settings with as many connections, at most, as leave files for all else.
pub(super) fn fit(settings: &Settings) -> Settings {
    let wanted = settings.max_connections;
    match getrlimit(Resource::Nofile).current {
        None => settings.clone(),
        Some(files) => {
            let max = connections_with(usize::try_from(files).unwrap_or(usize::MAX), wanted);
            let fitting = with_connections(settings, max);
            if max < wanted {
                warn!(
                    files.limit = files,
                    files.needed = wanted + RESERVED_FILES,
                    connections.max = max,
                    connections.max_per_peer = fitting.max_connections_per_peer,
                    "{TOO_FEW_FILES}"
                );
            }
            fitting
        }
    }
}

/// Returns the settings with this many connections. If one address could not take all of them before, it can take half.
fn with_connections(settings: &Settings, max_connections: usize) -> Settings {
    let Settings { max_connections: wanted, max_connections_per_peer: mut max_per_peer, .. } = *settings;
    if max_connections < wanted && max_per_peer < wanted {
        max_per_peer = max_per_peer.min(half_of_connections(max_connections));
    }
    Settings { max_connections, max_connections_per_peer: max_per_peer, ..settings.clone() }
}

/// Returns how many of the wanted connections fit a limit of files.
fn connections_with(files: usize, wanted: usize) -> usize {
    let reserved = RESERVED_FILES.min(files / 2);
    wanted.min(files - reserved).max(1)
}

/// For the connections of operators, the store, certificates and logs.
const RESERVED_FILES: usize = admin_settings::MAX_CONNECTIONS + 128;

const TOO_FEW_FILES: &str =
    "max_connections is above what the limit of open files allows; raise that limit (LimitNOFILE=, --ulimit nofile=)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_for_all_else() {
        assert_eq!(connections_with(1_048_576, 10_000), 10_000);
        assert_eq!(connections_with(10_256, 10_000), 10_000);
        assert_eq!(connections_with(10_255, 10_000), 9999);
        assert_eq!(connections_with(1024, 10_000), 768);
        assert_eq!(connections_with(64, 10_000), 32);
        assert_eq!(connections_with(1, 10_000), 1);
    }

    #[test]
    fn one_address_takes_all_connections_only_if_the_settings_allow_it() {
        let per_peer = |max_connections_per_peer, max| {
            let settings = Settings { max_connections: 10_000, max_connections_per_peer, ..Settings::default() };
            with_connections(&settings, max).max_connections_per_peer
        };

        assert_eq!((per_peer(1024, 10_000), per_peer(1024, 5000)), (1024, 1024));
        assert_eq!((per_peer(1024, 768), per_peer(1024, 1)), (384, 1));
        assert_eq!(per_peer(10_000, 768), 10_000);
    }
}
