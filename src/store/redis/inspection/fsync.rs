//! Whether the disk has a write when Redis says so, for `acknowledge = "fsync"`.
//!
//! Redis before 8.0 and Valkey answer WAITAOF too early unless `appendfsync` is `always` (redis/redis#13793), and no
//! version answers it if that is `no`. The operator is told, and the service serves: another replica of it could do no
//! better, and this user need not have the right to ask.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use redis::ServerErrorKind;
use tracing::{info, warn};

use super::server_info::ServerInfo;
use crate::store::Error;
use crate::store::redis::Redis;
use crate::store::redis::acknowledge::Acknowledge;
use crate::store::redis::answer::{field, parse, server_error};
use crate::store::redis::router::AnyServer;
use crate::store::redis::sequence::pipeline;

/// The warning to an operator about a server whose disk acknowledges writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsyncWarning {
    /// The address of the server.
    pub address: Arc<str>,
    /// The possible loss, or why nobody knows.
    pub found: String,
    /// The action to take.
    pub advice: &'static str,
}

/// The warnings that the log has, by the address of the server.
#[derive(Debug, Default)]
pub(in crate::store::redis) struct FsyncWatch {
    logged: Mutex<BTreeMap<Arc<str>, FsyncWarning>>,
}

/// The answer of a server about `appendfsync`.
enum AppendfsyncAnswer {
    Is(String),
    /// This user may not ask.
    Forbidden,
    Nothing,
}

impl Redis {
    /// Returns a warning of each server that may acknowledge a write before its disk has it; in a cluster of the primaries.
    pub(in crate::store) async fn fsync_warnings(&self) -> Result<Vec<FsyncWarning>, Error> {
        let mut warnings = Vec::new();
        if self.fsync_setting().is_none() {
            return Ok(warnings);
        }
        for (server, info) in self.info_of_each(&redis::cmd("INFO")).await? {
            // Health says of a node that it does not answer.
            let Ok(Some(info)) = info else { continue };
            warnings.extend(self.fsync_warning(&server, &info).await?);
        }
        Ok(warnings)
    }

    /// Logs a warning of a server once, again after it changed, and that it is over.
    pub(in crate::store::redis) async fn watch_fsync(&self, server: &AnyServer, info: &str) {
        if self.fsync_setting().is_none() || info.contains("\nrole:slave") {
            return;
        }
        // Without an answer nothing is known to have changed.
        let Ok(warning) = self.fsync_warning(server, info).await else { return };
        let address = self.router.address(server);
        let mut logged = self.fsync_watch.logged.lock();
        match warning {
            Some(warning) => {
                if logged.get(&address) != Some(&warning) {
                    warn!(%address, "{warning}");
                    logged.insert(address, warning);
                }
            }
            None => {
                if logged.remove(&address).is_some() {
                    info!(%address, "the disk has each write that is acknowledged");
                }
            }
        }
    }

    /// Returns what is wrong with a server without an append-only file, if the disk has to acknowledge writes.
    pub(in crate::store::redis) fn missing_file(&self, info: &str) -> Option<String> {
        let setting = self.fsync_setting()?;
        (field(info, "aof_enabled") == Some("0"))
            .then(|| format!("{setting} is \"fsync\", but this Redis has no append-only file: set appendonly to yes"))
    }

    async fn fsync_warning(&self, server: &AnyServer, info: &str) -> Result<Option<FsyncWarning>, Error> {
        let Some(setting) = self.fsync_setting() else { return Ok(None) };
        let info = ServerInfo::parse(info);
        let answer = self.ask_appendfsync(server).await?;
        let name = format!("{} {}", info.product, info.version);
        let early = "acknowledges writes before its disk has them";
        let (found, advice) = match answer {
            AppendfsyncAnswer::Is(policy) if policy == "always" => return Ok(None),
            AppendfsyncAnswer::Is(policy) if policy == "no" => (
                format!("with appendfsync no {name} acknowledges no write, and calls that write end UNAVAILABLE"),
                SET_ALWAYS,
            ),
            _ if info.syncs_before_it_answers() => return Ok(None),
            AppendfsyncAnswer::Is(policy) => (
                format!(
                    "with appendfsync {policy} {name} {early}: a power loss may lose writes that were acknowledged"
                ),
                SET_ALWAYS,
            ),
            AppendfsyncAnswer::Forbidden => (
                format!(
                    "this user may not run CONFIG GET, so nobody knows whether appendfsync is always; otherwise {name} \
                     {early}, and a power loss may lose writes that were acknowledged"
                ),
                "look yourself, or grant +config|get, with which this user can read Redis' own passwords too",
            ),
            AppendfsyncAnswer::Nothing => (
                format!(
                    "the server does not say whether appendfsync is always; otherwise {name} {early}, and a power loss \
                     may lose writes that were acknowledged"
                ),
                "ask who runs it",
            ),
        };
        let found = format!("{setting} is \"fsync\", but {found}");
        Ok(Some(FsyncWarning { address: self.router.address(server), found, advice }))
    }

    async fn ask_appendfsync(&self, server: &AnyServer) -> Result<AppendfsyncAnswer, Error> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("appendfsync");
        let answer = self.router.read_on(server, &pipeline([command])).await?.into_iter().next();
        let Some(answer) = answer else { return Ok(AppendfsyncAnswer::Nothing) };
        Ok(match server_error(&answer) {
            Some(error) if error.kind() == Some(ServerErrorKind::NoPerm) => AppendfsyncAnswer::Forbidden,
            // A managed Redis may not have the command.
            Some(_) => AppendfsyncAnswer::Nothing,
            None => parse::<Vec<String>>(answer)?
                .into_iter()
                .nth(1)
                .map_or(AppendfsyncAnswer::Nothing, AppendfsyncAnswer::Is),
        })
    }

    /// The first setting by which writes wait for the disk.
    fn fsync_setting(&self) -> Option<&'static str> {
        let [saves, endings] = self.router.acknowledges();
        match (saves, endings) {
            (Acknowledge::Fsync, _) => Some("acknowledge"),
            (_, Acknowledge::Fsync) => Some("acknowledge_endings"),
            _ => None,
        }
    }
}

impl fmt::Display for FsyncWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.found, self.advice)
    }
}

const SET_ALWAYS: &str = "set appendfsync to always";
