//! Where connections lead, as the settings and their files say it now.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::endpoint::{self, Endpoint};
use super::files::Files;
use super::sentinels::Sentinels;
use crate::store::redis::acknowledge::Acknowledge;
use crate::store::redis::failure::{Cause, Failure};
use crate::store::redis::node_ids::KnownNodes;
use crate::store::redis::partitions::marker_key;
use crate::store::redis::settings::{Mode, Settings};
use crate::types::SettingError;

/// The server that connections go to.
pub(in crate::store::redis) struct Target {
    settings: Settings,
    files: Files,
    /// `None`: the url names the server.
    pub(in crate::store::redis) sentinels: Option<Sentinels>,
    /// The endpoint of new connections, or why there is none. After the first one that was usable it always is one.
    endpoint: ArcSwap<Result<Endpoint, Failure>>,
    last_read: Mutex<LastRead>,
    /// The address at the start.
    pub(in crate::store::redis) address: Arc<str>,
    pub(in crate::store::redis) role: ServerRole,
    /// The key of the layout marker, which each Redis with sessions has.
    pub(in crate::store::redis) marker_key: String,
    /// The acknowledgement of saves, and that of writes that end sessions.
    pub(in crate::store::redis) acknowledges: [Acknowledge; 2],
    /// Whether something besides the primary acknowledges writes. See [`super::term`].
    pub(in crate::store::redis) needs_terms: bool,
    /// How long opening a connection may take, and each operation.
    pub(in crate::store::redis) timeout: Duration,
    /// How many connections each runtime has.
    pub(in crate::store::redis) connections: usize,
    /// The nodes of the cluster. Empty: nobody knows yet which cluster it is, or there is none.
    pub(in crate::store::redis) known_nodes: ArcSwap<KnownNodes>,
    /// How many connections for commands were opened, to all nodes of a cluster together.
    opened: AtomicU64,
}

/// The role that the server has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum ServerRole {
    Primary,
    PrimaryOrReplica,
}

/// When the files were read last, and what was found. Locked while they are read.
#[derive(Debug, Default)]
struct LastRead {
    time: Option<Instant>,
    /// The digest of the contents, usable or not.
    found: Option<Result<[u8; 32], SettingError>>,
}

impl Target {
    /// Checks the settings. Reads no file.
    pub(in crate::store::redis) fn new(settings: &Settings, role: ServerRole) -> Result<Self, SettingError> {
        let info = endpoint::check_settings(settings)?;
        let (address, sentinels) = match settings.mode {
            Mode::Standalone | Mode::Cluster => (endpoint::address(&info), None),
            Mode::Sentinel => (settings.sentinel.service_name.as_str().into(), Some(Sentinels::new(settings)?)),
        };
        let unread = Failure { address: Arc::clone(&address), cause: Cause::NotConnected(settings.timeout) };
        Ok(Self {
            settings: settings.clone(),
            files: Files::of(settings),
            sentinels,
            endpoint: ArcSwap::from_pointee(Err(unread)),
            last_read: Mutex::default(),
            address,
            role,
            marker_key: marker_key(&settings.key_prefix),
            acknowledges: [settings.acknowledge, settings.for_endings()],
            needs_terms: settings.acknowledges_later(),
            timeout: settings.timeout,
            connections: settings.connections.max(1),
            known_nodes: ArcSwap::default(),
            opened: AtomicU64::new(0),
        })
    }

    /// Makes the failure of a server that does not answer in time.
    pub(in crate::store::redis) fn not_connected(&self) -> Failure {
        Failure { address: Arc::clone(&self.address), cause: Cause::NotConnected(self.timeout) }
    }

    /// Counts a connection that calls may use from now on.
    pub(in crate::store::redis) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::store::redis) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Returns what a connection is opened with now.
    pub(in crate::store::redis) async fn endpoint(self: &Arc<Self>) -> Arc<Result<Endpoint, Failure>> {
        if self.endpoint.load().is_err() {
            self.refresh().await;
        }
        self.endpoint.load_full()
    }

    /// Reads the files again, unless that was done a moment ago.
    ///
    /// New connections get what is in them. If that cannot be used, they get what was in them before.
    pub(in crate::store::redis) async fn refresh(self: &Arc<Self>) {
        let is_due = match self.last_read.try_lock() {
            Some(last) if last.found.is_none() => true,
            Some(last) => !self.files.is_empty() && last.time.is_none_or(|time| time.elapsed() >= MIN_INTERVAL),
            // A disk that hangs keeps one thread waiting, and not one for each try.
            None => false,
        };
        if is_due {
            let target = Arc::clone(self);
            // On a blocking thread, because the files may be on a network.
            let _ = timeout(self.timeout, spawn_blocking(move || target.read_files())).await;
        }
    }

    /// Reads the files, and those for the Sentinels. Blocks on the disk.
    ///
    /// Fails if no connection could be opened with what is in them.
    pub(in crate::store::redis) fn read_all_files(&self) -> Result<(), SettingError> {
        self.read_files()?;
        self.sentinels.as_ref().map_or(Ok(()), Sentinels::read_files).map_err(|error| error.under("sentinel"))
    }

    /// Reads the files. Blocks on the disk. Fails if no connection could be opened with what is in them.
    pub(in crate::store::redis) fn read_files(&self) -> Result<(), SettingError> {
        let Some(mut last) = self.last_read.try_lock() else { return Ok(()) };
        let contents = self.files.read();
        let found = contents.as_ref().map(|contents| contents.digest()).map_err(Clone::clone);
        let is_first = last.found.is_none();
        let is_same = last.found.as_ref() == Some(&found);
        *last = LastRead { time: Some(Instant::now()), found: Some(found) };
        if is_same {
            return Ok(());
        }
        let built = contents.and_then(|contents| Endpoint::build(&self.settings, &self.files, &contents));
        match built {
            Ok(endpoint) => {
                if !is_first {
                    info!(address = %endpoint.address, "new connections to Redis use the new files");
                }
                self.endpoint.store(Arc::new(Ok(endpoint)));
                Ok(())
            }
            Err(error) => {
                if self.endpoint.load().is_ok() {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "a new file for Redis is refused, the old one stays"
                    );
                } else {
                    let failure = Failure { address: Arc::clone(&self.address), cause: Cause::Setting(error.clone()) };
                    self.endpoint.store(Arc::new(Err(failure)));
                }
                Err(error)
            }
        }
    }

    /// Whether new connections lead to another database than this one, or to another server that the url names.
    pub(in crate::store::redis) fn leads_elsewhere(&self, address: &str, database: i64) -> bool {
        let endpoint = self.endpoint.load();
        let Ok(endpoint) = &**endpoint else { return false };
        let names_another = self.sentinels.is_none() && &*endpoint.address != address;
        names_another || endpoint.info.redis_settings().db() != database
    }
}

impl fmt::Debug for Target {
    /// Leaves out the url, because it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// The shortest time between two looks at the files, however many connections ask for one.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
