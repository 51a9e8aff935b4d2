//! The answer of a Redis to INFO, as far as operators and this store need it.

use crate::store::Error;
use crate::store::redis::answer::field;
use crate::types::Time;

/// The answer of one server of a store that was asked about itself.
#[derive(Debug)]
pub struct ServerAnswer {
    /// The address of a node of a cluster.
    pub node: Option<String>,
    /// `None`: this user may not ask.
    pub info: Result<Option<ServerInfo>, Error>,
}

/// The clock of one of the servers of a store, which expires sessions by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerClock {
    /// The address of a node of a cluster.
    pub node: Option<String>,
    pub time: Time,
}

/// The facts that a Redis states about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// `Redis`, `Valkey` or `KeyDB`.
    pub product: &'static str,
    /// The version of the product, such as `7.2.4`.
    pub version: String,
    /// The version of Redis that it is compatible with.
    pub redis_version: String,
    /// `master` or `slave`.
    pub role: String,
    /// Whether sessions may be evicted.
    pub eviction: Eviction,
    /// The bytes that it uses.
    pub used_memory: Option<u64>,
    /// The most bytes that it may use. `None`: there is no limit.
    pub maxmemory: Option<u64>,
    /// How much of what was written is on its disk.
    pub persistence: Persistence,
}

/// Whether a Redis that is full makes room by removing sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// It has no limit, or refuses writes when it is full.
    Never,
    /// By the policy of this name.
    By(String),
    /// It does not say.
    Unknown,
}

/// How much of what was written is on the disk of a Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It could not write to its disk the last time.
    Failing,
    /// It has an append-only file.
    AppendOnly,
    /// It makes snapshots at most, and none has this number of changes yet.
    Snapshots { unsaved_changes: u64 },
    /// It does not say.
    Unknown,
}

impl ServerInfo {
    pub(in crate::store::redis) fn parse(info: &str) -> Self {
        let text = |name| field(info, name).unwrap_or_default().to_owned();
        let number = |name| field(info, name)?.parse::<u64>().ok();
        let redis_version = text("redis_version");
        // KeyDB says its own version as that of Redis, and names itself nowhere; only it has this field.
        let is_keydb = field(info, "mvcc_depth").is_some();
        let (product, version) = match field(info, "valkey_version") {
            Some(version) => ("Valkey", version.to_owned()),
            None if is_keydb => ("KeyDB", redis_version.clone()),
            None => ("Redis", redis_version.clone()),
        };
        let maxmemory = number("maxmemory");
        let eviction = match (maxmemory, field(info, "maxmemory_policy")) {
            (Some(0), _) | (_, Some("noeviction")) => Eviction::Never,
            (Some(_), Some(policy)) => Eviction::By(policy.to_owned()),
            _ => Eviction::Unknown,
        };
        let fails = |name| field(info, name).is_some_and(|status| status != "ok");
        let persistence = match field(info, "aof_enabled") {
            _ if fails("rdb_last_bgsave_status") || fails("aof_last_write_status") => Persistence::Failing,
            Some("1") => Persistence::AppendOnly,
            None => Persistence::Unknown,
            Some(_) => {
                Persistence::Snapshots { unsaved_changes: number("rdb_changes_since_last_save").unwrap_or_default() }
            }
        };
        Self {
            product,
            version,
            redis_version,
            role: text("role"),
            eviction,
            used_memory: number("used_memory"),
            maxmemory: maxmemory.filter(|bytes| *bytes > 0),
            persistence,
        }
    }

    /// Whether it lacks commands that the service needs, by its version. A server that hides its version does not.
    pub fn is_too_old(&self) -> bool {
        let major = self.redis_version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        major.is_some_and(|major| major < OLDEST)
    }

    /// Whether it answers WAITAOF after its disk has the writes, whatever `appendfsync` is. By its version.
    pub(super) fn syncs_before_it_answers(&self) -> bool {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        self.product == "Redis" && major.is_some_and(|major| major >= 8)
    }
}

/// The oldest major version of Redis that has all commands of the scripts.
const OLDEST: u32 = 7;
