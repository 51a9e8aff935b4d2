//! The memory store: for tests, and for services that may lose their sessions at a restart.
//!
//! A hash table in 64 shards. Each has its own lock, which is never held across an await.

mod export;
mod feed;
mod index;
mod sample;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, RwLock};
use tokio::task;

use self::feed::Feeds;
use self::index::SubjectIndex;
use super::{
    AppRevocation, Applied, Created, Cursor, Error, Feed, FeedEntry, FeedRead, Index, IndexEntry, IndexPage, Page,
    Revocation, SessionKey, Snapshot, Store, SubjectRef, Touch, Write, apply_touch, apply_write,
};
use crate::session::{Event, EventKind, Generation, Precondition, Record};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// Sessions in memory.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    /// When to check each record for deletion: at least one row for each record, at its purge time or earlier.
    ///
    /// A save or touch that makes the purge time later leaves the row as it is. The sweep moves the row when its time
    /// comes. Locked after the shard of a record, never before it.
    purges: Mutex<BTreeSet<(Time, SessionKey)>>,
    revocations: RwLock<BTreeMap<AppName, AppRevocation>>,
    index: SubjectIndex,
    feeds: Feeds,
}

type Shard = HashTable<Box<Session>>;

#[derive(Debug)]
struct Session {
    session_key: SessionKey,
    record: Record,
}

impl Memory {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            purges: Mutex::default(),
            revocations: RwLock::default(),
            index: SubjectIndex::default(),
            feeds: Feeds::new(),
        }
    }

    fn shard(&self, session_key: &SessionKey) -> &Mutex<Shard> {
        &self.shards[shard_number(session_key.id)]
    }

    fn generation(&self, app: &AppName) -> Generation {
        self.revocations.read().get(app).copied().unwrap_or_default().generation
    }

    /// Reads the sessions of an app in a shard that are new to a scan: those with the smallest ids, in order.
    fn scan_shard(
        &self,
        number: usize,
        app: &AppName,
        is_new: impl Fn(SessionId) -> bool,
        limit: usize,
    ) -> Vec<(SessionId, Snapshot)> {
        let shard = self.shards[number].lock();
        let generation = self.generation(app);
        let found = shard.iter().map(|session| &**session);
        let mut found: Vec<&Session> =
            found.filter(|session| session.session_key.app == *app && is_new(session.session_key.id)).collect();
        // To sort a whole shard would take long under its lock.
        if found.len() > limit {
            found.select_nth_unstable_by_key(limit, |session| session.session_key.id);
            found.truncate(limit);
        }
        found.sort_unstable_by_key(|session| session.session_key.id);
        let snapshot = |session: &Session| Snapshot { record: session.record.clone(), generation };
        found.into_iter().map(|session| (session.session_key.id, snapshot(session))).collect()
    }

    fn schedule_purge(&self, session_key: &SessionKey, record: &Record) {
        self.purges.lock().insert((record.head.purge_time(), session_key.clone()));
    }

    /// Takes some of the rows that are due.
    fn take_due(&self, now: Time) -> Vec<SessionKey> {
        let mut purges = self.purges.lock();
        let next = || purges.first().is_some_and(|(time, _)| *time <= now).then(|| purges.pop_first()).flatten();
        std::iter::from_fn(next).take(MAX_SWEEP).map(|(_, session_key)| session_key).collect()
    }

    /// Deletes a record, or schedules it for later. Returns whether it deleted it.
    fn purge(&self, session_key: &SessionKey, now: Time) -> bool {
        let mut shard = self.shard(session_key).lock();
        let found = shard.find_entry(session_key.id.table_hash(), |session| session.session_key == *session_key);
        let Ok(entry) = found else { return false };
        if now < entry.get().record.head.purge_time() {
            self.schedule_purge(session_key, &entry.get().record);
            return false;
        }
        let (session, _) = entry.remove();
        let Session { session_key, record } = *session;
        if let Some(subject) = record.head.subject {
            self.index.remove_purged(&SubjectRef { app: session_key.app, subject }, session_key.id, now);
        }
        true
    }

    fn append_event(&self, session_key: &SessionKey, kind: EventKind, time: Time) {
        self.feeds.append(&session_key.app, FeedEntry::Session(Event { id: session_key.id, kind, time }));
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for Memory {
    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        let shard = self.shard(session_key).lock();
        let record = find(&shard, session_key).map(|session| session.record.clone());
        Ok(record.map(|record| Snapshot { record, generation: self.generation(&session_key.app) }))
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        let mut shard = self.shard(session_key).lock();
        match shard.entry(
            session_key.id.table_hash(),
            |other| other.session_key == *session_key,
            |other| other.session_key.id.table_hash(),
        ) {
            Entry::Occupied(_) => Ok(Created::Occupied),
            Entry::Vacant(vacant) => {
                let mut record = record.clone();
                // Locked until the event is written, so that the feed has no later revocation before it.
                let revocations = self.revocations.read();
                let revocation = revocations.get(&session_key.app).copied().unwrap_or_default();
                if record.head.imported_from.is_some_and(|imported_from| revocation.covers(&imported_from)) {
                    return Ok(Created::Revoked);
                }
                record.head.generation = revocation.generation;
                self.append_event(session_key, EventKind::Created, record.head.create_time);
                self.schedule_purge(session_key, &record);
                vacant.insert(Box::new(Session { session_key: session_key.clone(), record }));
                Ok(Created::Stored)
            }
        }
    }

    async fn apply(
        &self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, Error> {
        let mut shard = self.shard(session_key).lock();
        let Some(session) = find_mut(&mut shard, session_key) else { return Ok(Applied::Missing) };
        let snapshot = Snapshot { record: session.record.clone(), generation: self.generation(&session_key.app) };
        Ok(match apply_write(&snapshot, precondition, write) {
            Ok((record, done)) => {
                if let Some(kind) = EventKind::between(&snapshot.record.head, &record.head) {
                    self.append_event(session_key, kind, precondition.now);
                }
                if record.head.purge_time() < snapshot.record.head.purge_time() {
                    self.schedule_purge(session_key, &record);
                }
                session.record = record;
                Applied::Done(Box::new(done))
            }
            Err(not_applied) => not_applied,
        })
    }

    async fn touch(&self, session_key: &SessionKey, touch: &Touch) -> Result<(), Error> {
        let mut shard = self.shard(session_key).lock();
        if let Some(session) = find_mut(&mut shard, session_key)
            && let Some(record) = apply_touch(&session.record, touch)
        {
            session.record = record;
        }
        Ok(())
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        let mut revocations = self.revocations.write();
        let revocation = revocations.entry(app.clone()).or_default();
        *revocation = revocation.next(now);
        self.feeds.append(app, FeedEntry::AppRevoked { time: now });
        Ok(())
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        let after = <[u8; 16]>::try_from(from.0.as_slice()).ok().map(SessionId::from_bytes);
        let first = after.map_or(0, shard_number);
        let mut sessions = Vec::new();
        for number in first..SHARDS {
            let is_new = |id| number != first || after.is_none_or(|after| id > after);
            sessions.extend(self.scan_shard(number, app, is_new, limit - sessions.len()));
            if sessions.len() == limit {
                break;
            }
            // Others get their turn.
            task::yield_now().await;
        }
        let last = sessions.last().filter(|_| sessions.len() == limit);
        let next = last.map(|(id, _)| Cursor(id.as_bytes().to_vec()));
        Ok(Page { sessions, next })
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        self.index.sweep(now);
        loop {
            let due = self.take_due(now);
            let deleted = due.iter().filter(|session_key| self.purge(session_key, now)).count();
            // Rows may be due although all of their records have a later purge time by now.
            if deleted > 0 || due.len() < MAX_SWEEP {
                return Ok(deleted);
            }
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Index for Memory {
    async fn add_to_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<Vec<IndexEntry>, Error> {
        Ok(self.index.add(subject_ref, entry))
    }

    async fn remove_from_index(&self, subject_ref: &SubjectRef, entry: &IndexEntry) -> Result<(), Error> {
        self.index.remove(subject_ref, entry);
        Ok(())
    }

    async fn remove_session_from_index(&self, subject_ref: &SubjectRef, id: SessionId) -> Result<(), Error> {
        self.index.remove_session(subject_ref, id);
        Ok(())
    }

    async fn list_index(&self, subject_ref: &SubjectRef, from: &Cursor) -> Result<IndexPage, Error> {
        Ok(self.index.list(subject_ref, from))
    }

    async fn has_more_entries(&self, subject_ref: &SubjectRef, count: usize) -> Result<bool, Error> {
        Ok(self.index.has_more(subject_ref, count))
    }

    async fn record_revocation(&self, subject_ref: &SubjectRef, revocation: &Revocation) -> Result<(), Error> {
        self.index.record_revocation(subject_ref, revocation);
        Ok(())
    }

    async fn load_revocation(&self, subject_ref: &SubjectRef) -> Result<Option<Revocation>, Error> {
        Ok(self.index.load_revocation(subject_ref))
    }
}

impl Feed for Memory {
    async fn feed_end(&self, app: &AppName) -> Result<Cursor, Error> {
        Ok(self.feeds.end(app))
    }

    async fn read_feed(&self, app: &AppName, cursor: &Cursor) -> Result<FeedRead, Error> {
        Ok(self.feeds.read(app, cursor))
    }
}

fn find<'s>(shard: &'s Shard, session_key: &SessionKey) -> Option<&'s Session> {
    shard.find(session_key.id.table_hash(), |session| session.session_key == *session_key).map(|session| &**session)
}

fn find_mut<'s>(shard: &'s mut Shard, session_key: &SessionKey) -> Option<&'s mut Session> {
    shard
        .find_mut(session_key.id.table_hash(), |session| session.session_key == *session_key)
        .map(|session| &mut **session)
}

fn shard_number(id: SessionId) -> usize {
    usize::from(id.as_bytes()[15]) % SHARDS
}

const SHARDS: usize = 64;

/// How many records a sweep checks before it returns.
const MAX_SWEEP: usize = 1000;

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::session::{Entries, Head};
    use crate::token::VerifierHash;

    #[tokio::test]
    async fn a_sweep_with_nothing_to_delete_reads_no_record() {
        let store = Memory::new();
        let head = Head::new(VerifierHash::from_bytes([1; 16]), Time::default(), HOUR, HOUR);
        let record = Record { head, entries: Entries::default() };
        for number in 0..50_000_u128 {
            let id =
                SessionId::from_bytes((number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).to_be_bytes());
            store.create(&SessionKey { app: AppName::parse("shop").unwrap(), id }, &record).await.unwrap();
        }

        let begin = Instant::now();
        for _ in 0..1000 {
            assert_eq!(store.sweep(Time::default()).await.unwrap(), 0);
        }

        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_scan_of_an_app_with_few_sessions_gives_others_their_turn() {
        let (store, app, start) = (Memory::new(), AppName::parse("shop").unwrap(), Cursor::default());

        let mut scan = pin!(store.scan(&app, &start, 100));
        let first_turn = scan.as_mut().poll(&mut Context::from_waker(Waker::noop()));

        assert!(first_turn.is_pending());
        assert_eq!(scan.await.unwrap().sessions, []);
    }

    const HOUR: Duration = Duration::from_secs(3600);
}
