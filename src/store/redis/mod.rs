//! The Redis store: one hash for each session, one script for each write, one round trip for each call.
//!
//! The key of a session is `<prefix>:{<tag>}:<app>:<id>`. The first bits of the id are its partition, and the tag is that
//! of the partition, so that a session is in the same slot as the generation and the feed of its app in this partition.
//! [`partitions`] has the tags.
//!
//! Scripts write only what the judge would surely allow (the fast path). Otherwise they return the head, and the judge
//! decides here. A save has two scripts, which differ only in cost: `set_entries.lua` sets and unsets entries, as most
//! saves do, and `edit.lua` can do everything.

mod acknowledge;
mod answer;
mod arguments;
mod cluster;
mod connection;
mod failure;
mod feed;
mod index;
mod inspection;
mod node_ids;
mod node_metrics;
mod partitions;
mod replace;
mod reply;
mod router;
mod scan;
mod scripts;
mod sequence;
mod server_address;
mod settings;
mod settings_check;
mod tls_problem;
mod transfer;

use std::sync::Arc;

use futures_util::TryFutureExt as _;
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::{Cmd, FromRedisValue, Value};

pub use self::acknowledge::Acknowledge;
use self::acknowledge::WriteKind;
use self::answer::parse_one;
use self::arguments::optional_context;
use self::cluster::answered_write::AnsweredWrite;
pub(super) use self::connection::connections::Connections;
pub(super) use self::connection::target::ServerRole;
use self::connection::waiter::{is_elsewhere, not_acknowledged};
use self::failure::{Cause, Failure};
use self::feed::verified_cursors::VerifiedCursors;
use self::inspection::LastInspection;
pub use self::inspection::fsync::FsyncWarning;
use self::inspection::fsync::FsyncWatch;
use self::inspection::layout::Layout;
use self::inspection::replicas::ReplicaWatch;
pub use self::inspection::server_info::{Eviction, Persistence, ServerAnswer, ServerClock, ServerInfo};
pub use self::node_metrics::{ClusterMetrics, NodeMetrics, RedisMetrics};
pub use self::partitions::PartitionCount;
use self::partitions::{Partition, Partitions, Slot, all_slots};
use self::reply::{Reply, SnapshotReply};
use self::router::{AnyServer, Router};
use self::scan::sample::KnownCursors;
use self::scripts::{EXPIRY_STEP, Script, Scripts};
use self::sequence::{ScriptCall, Sequence};
pub use self::settings::cluster::ClusterSettings;
pub use self::settings::sentinel::SentinelSettings;
pub use self::settings::{Mode, Settings};
use super::encoding::EncodedHead;
use super::metrics::{Location, StoreMetrics};
use super::{Applied, Created, Cursor, Error, Page, SessionKey, Snapshot, Store, Touch, Write};
use crate::session::{Changes, Edit, Precondition, Record, judge};
use crate::types::{AppName, SettingError, Time};

/// Sessions in Redis.
#[derive(Debug)]
pub struct Redis {
    router: Router,
    prefix: String,
    partitions: Partitions,
    scripts: Scripts,
    allow_eviction: bool,
    layout: Layout,
    last_inspection: LastInspection,
    verified_cursors: VerifiedCursors,
    known_cursors: Mutex<Option<KnownCursors>>,
    replica_watch: ReplicaWatch,
    fsync_watch: FsyncWatch,
    metrics: Arc<StoreMetrics>,
}

impl Redis {
    /// Makes a store that connects to Redis at its first call. Reads the files of the settings.
    pub fn new(settings: &Settings) -> Result<Self, SettingError> {
        let router = Router::new(settings)?;
        router.read_files()?;
        Ok(Self {
            router,
            prefix: settings.key_prefix.clone(),
            partitions: Partitions::new(settings.partition_count()),
            scripts: Scripts::new(),
            allow_eviction: settings.allow_eviction,
            layout: Layout::default(),
            last_inspection: LastInspection::default(),
            verified_cursors: VerifiedCursors::default(),
            known_cursors: Mutex::default(),
            replica_watch: ReplicaWatch::default(),
            fsync_watch: FsyncWatch::default(),
            metrics: Arc::new(StoreMetrics::new(Location::Redis)),
        })
    }

    /// The metrics that waits for acknowledgements are counted in.
    pub(super) fn shared_metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.metrics)
    }

    /// The key of a session's hash.
    fn record_key(&self, session_key: &SessionKey) -> Vec<u8> {
        self.key(&session_key.app, self.partitions.of(&session_key.id), &session_key.id.digits())
    }

    /// The key of an app's generation in a partition. It cannot be a session's, because no id is written like this.
    fn generation_key(&self, app: &AppName, partition: Partition) -> Vec<u8> {
        self.key(app, partition, b"generation")
    }

    /// The key of the time when that generation was raised last.
    fn revocation_time_key(&self, app: &AppName, partition: Partition) -> Vec<u8> {
        self.key(app, partition, b"revoked")
    }

    fn key(&self, app: &AppName, partition: Partition, last: &[u8]) -> Vec<u8> {
        // Not by `format!`: each open needs two keys, and to format them took a tenth of what an open costs in this
        // module.
        [self.prefix.as_bytes(), b":{", self.partitions.tag(partition), b"}:", app.as_bytes(), b":", last].concat()
    }

    /// A key with this tag that never exists.
    fn absent_key(&self, tag: &[u8]) -> Vec<u8> {
        [self.prefix.as_bytes(), b":{", tag, b"}:health"].concat()
    }

    /// Does one command.
    async fn query<T: FromRedisValue>(&self, sequence: impl Into<Sequence<'_>>) -> Result<T, Error> {
        let sequence = sequence.into();
        self.router_to(sequence.slot).await?.query(sequence).await
    }

    /// Does one command that writes, and waits until that is acknowledged.
    ///
    /// Waits whatever the answer is: that a write was done before, or a session has ended, is acknowledged by the same
    /// rule. Only so may a call be repeated whose first try was not acknowledged.
    async fn write<T: FromRedisValue>(&self, kind: WriteKind, sequence: impl Into<Sequence<'_>>) -> Result<T, Error> {
        let (answer, acknowledged) = self.written(kind, sequence).await?;
        acknowledged.map(|()| answer)
    }

    /// The same. Returns the answer even if the write is not acknowledged.
    async fn written<T: FromRedisValue>(
        &self,
        kind: WriteKind,
        sequence: impl Into<Sequence<'_>>,
    ) -> Result<(T, Result<(), Error>), Error> {
        let sequence = sequence.into();
        let router = self.router_to(sequence.slot).await?;
        if !router.waits(kind) {
            return Ok((router.query(sequence).await?, Ok(())));
        }
        let (answers, written) = router.write(&sequence).await?;
        let acknowledged = self.acknowledge(kind, written).await;
        Ok((parse_one(answers)?, acknowledged))
    }

    /// The same; `None` if the slot is being moved and the keys are at two nodes.
    async fn write_unless_split<T: FromRedisValue>(
        &self,
        kind: WriteKind,
        sequence: impl Into<Sequence<'_>>,
    ) -> Result<Option<T>, Error> {
        let sequence = sequence.into();
        let router = self.router_to(sequence.slot).await?;
        if !router.waits(kind) {
            return router.query_unless_split(sequence).await;
        }
        let Some((answers, written)) = router.write_unless_split(&sequence).await? else { return Ok(None) };
        self.acknowledge(kind, written).await?;
        parse_one(answers).map(Some)
    }

    /// Does the same script many times, in one round trip to each server, and waits until that is acknowledged.
    async fn write_all(
        &self,
        kind: WriteKind,
        sequences: &[Sequence<'_>],
    ) -> Result<Vec<Result<Vec<Value>, Failure>>, Error> {
        let router = self.router().await?;
        if !router.waits(kind) {
            return Ok(router.all(sequences).await);
        }
        let (mut results, mut waiting) = (Vec::with_capacity(sequences.len()), Vec::new());
        for (number, result) in router.write_all(sequences).await.into_iter().enumerate() {
            results.push(result.map(|(answers, written)| {
                waiting.push((number, written));
                answers
            }));
        }
        let wait = async |(number, written)| (number, self.await_acknowledgement(kind, written).await);
        let waited = async {
            let mut first = Ok(());
            for (number, acknowledged) in join_all(waiting.into_iter().map(wait)).await {
                if let Err(failure) = acknowledged {
                    first = first.and_then(|()| Err(failure.clone().into()));
                    results[number] = Err(failure);
                }
            }
            first
        };
        // It is in the results, too.
        let _ = self.metrics.measure(kind.operation(), waited).await;
        Ok(results)
    }

    async fn acknowledge(&self, kind: WriteKind, written: AnsweredWrite) -> Result<(), Error> {
        self.metrics.measure(kind.operation(), self.await_acknowledgement(kind, written).map_err(Error::from)).await
    }

    async fn await_acknowledgement(
        &self,
        kind: WriteKind,
        AnsweredWrite { node, slot, receipt }: AnsweredWrite,
    ) -> Result<(), Failure> {
        let Some(node) = node else {
            let key = [self.prefix.as_bytes(), b":waited"].concat();
            return self.router.acknowledge(kind, &AnyServer::Single, receipt, key).await.map_err(done_but);
        };
        let server = AnyServer::Node(node);
        let wait = async |slot| self.router.acknowledge(kind, &server, receipt.clone(), self.waited_key(slot)).await;
        let mut result = wait(slot).await;
        // The slot is being moved away, or has been. Any other one of the node does as well.
        for other in self.router.some_slots(&server) {
            if !result.as_ref().is_err_and(is_elsewhere) {
                break;
            }
            result = wait(other).await;
        }
        result.map_err(|failure| match is_elsewhere(&failure) {
            true => not_acknowledged(&failure.address, "the slot of the session was moved meanwhile"),
            false => done_but(failure),
        })
    }

    /// The key in this slot that is written to before a wait.
    fn waited_key(&self, slot: Slot) -> Vec<u8> {
        let tag = all_slots().get(usize::from(slot.0)).map_or(&b""[..], |(_, tag)| tag);
        [self.prefix.as_bytes(), b":{", tag, b"}:waited"].concat()
    }

    /// The number of the node that has a session, as far as is known; 0 if there is one server.
    pub(super) fn node_number(&self, session_key: &SessionKey) -> u16 {
        self.router.node_number(self.slot(session_key))
    }

    fn slot(&self, session_key: &SessionKey) -> Slot {
        self.partitions.slot(self.partitions.of(&session_key.id))
    }

    /// Prepares the reading of a session and of its app's generation.
    fn load_sequence(&self, session_key: &SessionKey) -> Sequence<'static> {
        let partition = self.partitions.of(&session_key.id);
        let record = key_command("HGETALL", &self.record_key(session_key));
        let generation = key_command("GET", &self.generation_key(&session_key.app, partition));
        Sequence::read(self.partitions.slot(partition), [record, generation])
    }

    /// Prepares the script that does this write, if it needs the session's events or can do more than set entries.
    fn write_script(&self, session_key: &SessionKey, precondition: &Precondition, write: &Write) -> ScriptCall<'_> {
        match write {
            Write::End(reason) => {
                let mut call = self.call_with_feed(&self.scripts.end, session_key, None);
                arguments::push_end(&mut call.command, precondition, *reason);
                call
            }
            Write::Edit(edit) => {
                let mut call = self.call_with_feed(&self.scripts.edit, session_key, None);
                arguments::push_edit(&mut call.command, precondition, edit);
                call
            }
        }
    }

    /// Sets entries.
    async fn set_entries(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        edit: &Edit,
        changes: &Changes,
    ) -> Result<Reply, Error> {
        let partition = self.partitions.of(&session_key.id);
        let slot = self.partitions.slot(partition);
        let (record, generation) = (self.record_key(session_key), self.generation_key(&session_key.app, partition));
        let mut call = ScriptCall::new(&self.scripts.set, slot, &[&record, &generation]);
        arguments::push_set(&mut call.command, precondition, edit, changes, None);
        if let Some(reply) = self.write_unless_split(WriteKind::Save, call).await? {
            return Ok(reply);
        }
        // The slot is being moved, and the two keys may be at two nodes until all of it has been. With the generation of
        // this moment the script needs one key. A revocation that comes in between counts as later than this save.
        let read = Sequence::read(slot, [key_command("GET", &generation)]);
        let generation = self.query(read).await?;
        let mut call = ScriptCall::new(&self.scripts.set, slot, &[&record]);
        arguments::push_set(
            &mut call.command,
            precondition,
            edit,
            changes,
            Some(Option::unwrap_or_default(generation)),
        );
        self.write(WriteKind::Save, call).await
    }

    /// Begins a call of a script with the keys of a session, which may append an entry to the feed, and with this key.
    fn call_with_feed<'s>(&self, script: &'s Script, session_key: &SessionKey, last: Option<&[u8]>) -> ScriptCall<'s> {
        let (app, partition) = (&session_key.app, self.partitions.of(&session_key.id));
        let keys = [
            self.record_key(session_key),
            self.generation_key(app, partition),
            self.feed_key(app, partition),
            self.feed_count_key(app, partition),
        ];
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).chain(last).collect();
        ScriptCall::new(script, self.partitions.slot(partition), &keys)
    }
}

impl Store for Redis {
    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        let sequence = self.load_sequence(session_key);
        let slot = sequence.slot;
        let SnapshotReply(snapshot) = self.router_to(slot).await?.query_several(sequence).await?;
        if snapshot.is_none() {
            // Another server may have answered than the one whose layout was known.
            self.router_to(slot).await?;
        }
        Ok(snapshot)
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        let EncodedHead([meta, parts @ ..]) = EncodedHead::encode(&record.head);
        let partition = self.partitions.of(&session_key.id);
        let imported_from = record.head.imported_from;
        let revocation_time = imported_from.map(|_| self.revocation_time_key(&session_key.app, partition));
        let mut script = self.call_with_feed(&self.scripts.create, session_key, revocation_time.as_deref());
        script
            .arg((record.head.purge_time() + EXPIRY_STEP).millis())
            .arg(&meta[..meta.len() - 4])
            .arg(session_key.id.as_bytes());
        let issued = imported_from.and_then(|imported_from| imported_from.issued);
        script.arg(issued.map_or(0, Time::millis));
        arguments::push_fields(&mut script.command, parts, &record.entries);
        match self.write(WriteKind::Save, script).await? {
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
        let changes = match write {
            Write::Edit(edit) => arguments::changes_for_set(edit).map(|changes| (&**edit, changes)),
            Write::End(_) => None,
        };
        let (reply, acknowledged) = match changes {
            Some((edit, changes)) => (self.set_entries(session_key, precondition, edit, changes).await?, Ok(())),
            None => self.written(WriteKind::of(write), self.write_script(session_key, precondition, write)).await?,
        };
        let applied = match reply {
            Reply::Missing => {
                // As in a load.
                self.router_to(self.slot(session_key)).await?;
                Applied::Missing
            }
            Reply::Refused(edit_error) => Applied::Refused(edit_error),
            Reply::Done(done) => Applied::Done(done),
            Reply::Undecided { head, generation } => match judge(&head, generation, precondition) {
                // The judge would allow what the script does not: a defect that the conformance suite would show.
                Ok(()) => return Err(Error::Corrupt),
                Err(denial) => Applied::Denied(denial),
            },
        };
        match acknowledged {
            Ok(()) => Ok(applied),
            Err(cause) => Err(Error::NotAcknowledged { applied: Some(Box::new(applied)), cause: Box::new(cause) }),
        }
    }

    /// Waits for no acknowledgement: if it is lost, the session only expires a little earlier.
    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        let key = self.record_key(session_key);
        let mut script = ScriptCall::new(&self.scripts.touch, self.slot(session_key), &[&key]);
        script.arg(touch.verifier_hash.as_bytes()).arg(touch.used.millis());
        script.arg(optional_context(touch.context.as_ref()));
        self.query(script).await
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        let revoke = |partition| {
            let keys = [
                self.generation_key(app, partition),
                self.feed_key(app, partition),
                self.feed_count_key(app, partition),
                self.revocation_time_key(app, partition),
            ];
            let mut script = ScriptCall::new(
                &self.scripts.revoke_app,
                self.partitions.slot(partition),
                &keys.each_ref().map(Vec::as_slice),
            );
            script.arg(now.millis());
            script.into()
        };
        let sequences: Vec<Sequence<'_>> = self.partitions.all().map(revoke).collect();
        let results = self.write_all(WriteKind::Ending, &sequences).await?;
        let is_done = |failure: &Failure| matches!(failure.cause, Cause::NotAcknowledged(_));
        let done = results.iter().filter(|result| result.as_ref().err().is_none_or(is_done)).count();
        let failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
        let failure = failures.iter().find(|failure| !is_done(failure)).or(failures.first());
        let Some(failure) = failure.cloned() else { return Ok(()) };
        if is_done(&failure) {
            return Err(Error::NotAcknowledged { applied: None, cause: Box::new(failure.into()) });
        }
        if done == 0 {
            return Err(failure.into());
        }
        Err(Error::RevokedInPart { done, all: sequences.len(), cause: Box::new(failure.into()) })
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        Ok(self.scan_app(app, from, limit).await?.into_page(app))
    }

    /// Does nothing: Redis expires records by itself.
    async fn sweep(&self, _now: Time) -> Result<usize, Error> {
        Ok(0)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.check_health().await
    }
}

/// Makes the failure of a wait say that the write is done, whatever has failed: the write was answered before.
fn done_but(failure: Failure) -> Failure {
    match &failure.cause {
        Cause::NotAcknowledged(_) => failure,
        cause => not_acknowledged(&failure.address, &cause.to_string()),
    }
}

/// Makes a command whose only argument is a key, in exactly as much memory as it needs.
fn key_command(name: &str, key: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(2, name.len() + key.len());
    command.arg(name).arg(key);
    command
}

/// The prefix of the fields of entries.
const ENTRY_PREFIX: &str = "e:";
