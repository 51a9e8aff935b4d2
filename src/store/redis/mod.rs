//! The Redis store: one hash for each session, one script for each write, one round trip for each call.
//!
//! The key of a session is `<prefix>:{<partition>}:<app>:<id>`. The partition, which is the first six bits of the id,
//! is the hash tag, so that a session is in the same slot as the generation and the feed of its app in this partition.
//!
//! Scripts write only what the judge would surely allow (the fast path). Otherwise they return the head, and the judge
//! decides here. A save has two scripts, which differ only in cost: `set_entries.lua` sets and unsets entries, as most
//! saves do, and `edit.lua` can do everything.

mod acknowledge;
mod arguments;
mod connection;
mod connections;
mod endpoint;
mod failure;
mod feed;
mod files;
mod index;
mod inspection;
mod reconnecting;
mod replicas;
mod reply;
mod rounds;
mod sample;
mod scripts;
mod sentinel_settings;
mod sentinels;
mod settings;
mod target;
mod term;
mod tls;
mod transfer;
mod waiter;

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, Pipeline, Script, ScriptInvocation};

pub use self::acknowledge::Acknowledge;
use self::acknowledge::WriteKind;
use self::arguments::{entry_field, optional_context};
pub(super) use self::connections::Connections;
use self::inspection::LastInspection;
use self::replicas::ReplicaWatch;
use self::reply::{Reply, SnapshotReply};
use self::scripts::{EXPIRY_STEP, Scripts};
pub use self::sentinel_settings::SentinelSettings;
pub use self::settings::{Mode, Settings};
pub(super) use self::target::Server;
use self::waiter::Receipt;
use super::encoding::{EncodedHead, HEAD_FIELDS};
use super::handle::{Backend, Handle};
use super::metrics::StoreMetrics;
use super::{Applied, Created, Cursor, Error, Page, SessionKey, Snapshot, Store, Touch, Write};
use crate::session::{Precondition, Record, judge};
use crate::token::SessionId;
use crate::types::{AppName, SettingError, Time};

/// Sessions in Redis.
#[derive(Debug)]
pub struct Redis {
    connections: Connections,
    prefix: String,
    scripts: Scripts,
    allow_eviction: bool,
    last_inspection: LastInspection,
    replica_watch: ReplicaWatch,
    metrics: Arc<StoreMetrics>,
}

impl Redis {
    /// Makes a store that connects to Redis at its first call. Reads the files of the settings.
    pub fn new(settings: &Settings) -> Result<Self, SettingError> {
        let connections = Connections::new(settings, Server::Primary)?;
        connections.read_files()?;
        Ok(Self {
            connections,
            prefix: settings.key_prefix.clone(),
            scripts: Scripts::new(),
            allow_eviction: settings.allow_eviction,
            last_inspection: LastInspection::default(),
            replica_watch: ReplicaWatch::default(),
            metrics: Arc::default(),
        })
    }

    /// The key of a session's hash.
    fn record_key(&self, session_key: &SessionKey) -> Vec<u8> {
        self.key(&session_key.app, session_key.id.partition(), &session_key.id.digits())
    }

    /// The key of an app's generation in a partition. It cannot be a session's, because no id is written like this.
    fn generation_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"generation")
    }

    /// The key of the time when that generation was raised last.
    fn revocation_time_key(&self, app: &AppName, partition: u8) -> Vec<u8> {
        self.key(app, partition, b"revoked")
    }

    fn key(&self, app: &AppName, partition: u8, last: &[u8]) -> Vec<u8> {
        // Not by `format!`: each open needs two keys, and to format them took a tenth of what an open costs in this
        // module.
        let tag = [b':', b'{', b'0' + partition / 10, b'0' + partition % 10, b'}', b':'];
        [self.prefix.as_bytes(), &tag, app.as_bytes(), b":", last].concat()
    }

    /// Runs a script that writes, and waits until that is acknowledged.
    ///
    /// Waits whatever the answer is: that a write was done before, or a session has ended, is acknowledged by the same
    /// rule. Only so may a call be repeated whose first try was not acknowledged.
    async fn write<T: FromRedisValue>(&self, kind: WriteKind, script: &ScriptInvocation<'_>) -> Result<T, Error> {
        if !self.connections.acknowledges_later(kind) {
            return self.connections.invoke(script).await;
        }
        let (answer, receipt) = self.connections.invoke_with_receipt(script).await?;
        self.acknowledge(kind, receipt).await?;
        Ok(answer)
    }

    async fn acknowledge(&self, kind: WriteKind, receipt: Receipt) -> Result<(), Error> {
        self.metrics.measure(kind.operation(), self.connections.acknowledge(kind, receipt)).await
    }

    /// Prepares the script that does this write.
    fn write_script(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> ScriptInvocation<'_> {
        match write {
            Write::End(reason) => {
                let mut script = self.invoke_with_feed(&self.scripts.end, session_key);
                arguments::push_end(&mut script, precondition, *reason);
                script
            }
            Write::Edit(edit) => match arguments::changes_for_set(edit) {
                Some(changes) => {
                    let mut script = self.invoke(&self.scripts.set, session_key);
                    arguments::push_set(&mut script, precondition, (edit, changes));
                    script
                }
                None => {
                    let mut script = self.invoke_with_feed(&self.scripts.edit, session_key);
                    arguments::push_edit(&mut script, precondition, edit);
                    script
                }
            },
        }
    }

    /// Prepares a script with the keys of a session.
    fn invoke<'s>(&self, script: &'s Script, session_key: &SessionKey) -> ScriptInvocation<'s> {
        let mut invocation = script.key(self.record_key(session_key));
        invocation.key(self.generation_key(&session_key.app, session_key.id.partition()));
        invocation
    }

    /// As [`Self::invoke()`], for a script that may append an entry to the feed.
    fn invoke_with_feed<'s>(&self, script: &'s Script, session_key: &SessionKey) -> ScriptInvocation<'s> {
        let mut invocation = self.invoke(script, session_key);
        let partition = session_key.id.partition();
        invocation
            .key(self.feed_key(&session_key.app, partition))
            .key(self.feed_count_key(&session_key.app, partition));
        invocation
    }
}

impl Store for Redis {
    fn into_handle(self: Arc<Self>) -> Handle {
        let metrics = Arc::clone(&self.metrics);
        Handle::new(Backend::Redis(self), metrics)
    }

    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        let mut pipe = Pipeline::with_capacity(2);
        pipe.add_command(key_command("HGETALL", &self.record_key(session_key)));
        pipe.add_command(key_command("GET", &self.generation_key(&session_key.app, session_key.id.partition())));
        let SnapshotReply(snapshot) = self.connections.pipeline(pipe).await?;
        Ok(snapshot)
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        let EncodedHead([meta, parts @ ..]) = EncodedHead::encode(&record.head);
        let mut script = self.invoke_with_feed(&self.scripts.create, session_key);
        if record.head.imported_from.is_some() {
            script.key(self.revocation_time_key(&session_key.app, session_key.id.partition()));
        }
        script
            .arg((record.head.purge_time() + EXPIRY_STEP).millis())
            .arg(&meta[..meta.len() - 4])
            .arg(session_key.id.as_bytes());
        let issued = record.head.imported_from.and_then(|imported_from| imported_from.issued);
        script.arg(issued.map_or(0, Time::millis));
        for (field, bytes) in HEAD_FIELDS[1..].iter().zip(parts).filter(|(_, bytes)| !bytes.is_empty()) {
            script.arg(&[*field]).arg(bytes);
        }
        for (name, value) in record.entries.iter() {
            script.arg(entry_field(name)).arg(value);
        }
        match self.write(WriteKind::Save, &script).await? {
            0_u8 => Ok(Created::Occupied),
            1 => Ok(Created::Stored),
            2 => Ok(Created::Revoked),
            _ => Err(Error::Corrupt),
        }
    }

    async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        let script = self.write_script(session_key, precondition, write);
        Ok(match self.write(WriteKind::of(write), &script).await? {
            Reply::Missing => Applied::Missing,
            Reply::Refused(edit_error) => Applied::Refused(edit_error),
            Reply::Done(done) => Applied::Done(done),
            Reply::Undecided { head, generation } => match judge(&head, generation, precondition) {
                // The judge would allow what the script does not: a defect that the conformance suite would show.
                Ok(()) => return Err(Error::Corrupt),
                Err(denial) => Applied::Denied(denial),
            },
        })
    }

    /// Waits for no acknowledgement: if it is lost, the session only expires a little earlier.
    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        let mut script = self.scripts.touch.key(self.record_key(session_key));
        script.arg(touch.verifier_hash.as_bytes()).arg(touch.used.millis());
        script.arg(optional_context(touch.context.as_ref()));
        self.connections.invoke(&script).await
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        let mut receipts: Vec<Receipt> = Vec::new();
        for partition in 0..PARTITIONS {
            let mut script = self.scripts.revoke_app.key(self.generation_key(app, partition));
            script.key(self.feed_key(app, partition)).key(self.feed_count_key(app, partition));
            script.key(self.revocation_time_key(app, partition)).arg(now.millis());
            let ((), receipt) = self.connections.invoke_with_receipt(&script).await?;
            receipts.push(receipt);
        }
        if self.connections.acknowledges_later(WriteKind::Ending) {
            // One wait covers everything before it that the same primary did.
            receipts.reverse();
            receipts.dedup_by(|earlier, later| earlier.term == later.term);
            for receipt in receipts {
                self.acknowledge(WriteKind::Ending, receipt).await?;
            }
        }
        Ok(())
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        let session_key = |id| SessionKey { app: app.clone(), id };
        let cursor = <[u8; 8]>::try_from(from.0.as_slice()).map_or(0, u64::from_be_bytes);
        let mut command = redis::cmd("SCAN");
        let pattern = format!("{}:{{??}}:{app}:????????????????????????????????", escape(&self.prefix));
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(limit.max(10));
        let (next, mut keys): (u64, Vec<String>) = self.connections.query(&command).await?;
        keys.sort_unstable();
        keys.dedup();
        let mut sessions = Vec::with_capacity(keys.len());
        for id in keys.iter().filter_map(|key| SessionId::parse(key.get(key.len().checked_sub(32)?..)?)) {
            if let Some(snapshot) = self.load(&session_key(id)).await? {
                sessions.push((id, snapshot));
            }
        }
        let next = (next != 0).then(|| Cursor(next.to_be_bytes().to_vec()));
        Ok(Page { sessions, next })
    }

    /// Does nothing: Redis expires records by itself.
    async fn sweep(&self, _now: Time) -> Result<usize, Error> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.check_health().await
    }
}

/// Makes a command whose only argument is a key, in exactly as much memory as it needs.
fn key_command(name: &str, key: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(2, name.len() + key.len());
    command.arg(name).arg(key);
    command
}

/// Makes a pattern that matches only this prefix.
fn escape(prefix: &str) -> String {
    prefix.chars().flat_map(|c| ['\\', c]).collect()
}

/// The number of partitions of an app. It can never change, because keys depend on it.
const PARTITIONS: u8 = 64;

/// The prefix of the fields of entries.
const ENTRY_PREFIX: &str = "e:";
