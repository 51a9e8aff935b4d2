//! The memory store: for tests, and for services that may lose their sessions at a restart.
//!
//! A hash table in 64 shards. Each has its own lock, which is never held across an await.

mod feed;
mod index;
mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, RwLock};

use self::feed::Feeds;
use self::index::SubjectIndex;
use super::handle::{Backend, Handle};
use super::{
    AppRevocation, Applied, Created, Cursor, Error, Feed, FeedEntry, FeedRead, Index, IndexEntry, Page, Revocation,
    SessionKey, Snapshot, Store, SubjectRef, Touch, Write, apply_touch, apply_write,
};
use crate::session::{Event, EventKind, Generation, Precondition, Record};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// Sessions in memory.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
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
    fn into_handle(self: Arc<Self>) -> Handle {
        Handle::new(Backend::Memory(self))
    }

    async fn load(&self, session_key: &SessionKey) -> Result<Option<Snapshot>, Error> {
        let shard = self.shard(session_key).lock();
        let record = find(&shard, session_key).map(|session| session.record.clone());
        Ok(record.map(|record| Snapshot { record, generation: self.generation(&session_key.app) }))
    }

    async fn create(&self, session_key: &SessionKey, record: &Record) -> Result<Created, Error> {
        let mut shard = self.shard(session_key).lock();
        match shard.entry(
            hash(session_key),
            |other| other.session_key == *session_key,
            |other| hash(&other.session_key),
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
        let generation = self.generation(app);
        let after = <[u8; 16]>::try_from(from.0.as_slice()).ok().map(SessionId::from_bytes);
        let first = after.map_or(0, shard_number);
        let mut sessions = Vec::new();
        for number in first..SHARDS {
            let shard = self.shards[number].lock();
            let is_new = |id: SessionId| number != first || after.is_none_or(|after| id > after);
            let found = shard.iter().map(|session| &**session);
            let mut found: Vec<&Session> =
                found.filter(|session| session.session_key.app == *app && is_new(session.session_key.id)).collect();
            found.sort_unstable_by_key(|session| session.session_key.id);
            let room = limit - sessions.len();
            sessions.extend(found.into_iter().take(room).map(|session| {
                let record = session.record.clone();
                (session.session_key.id, Snapshot { record, generation })
            }));
            if sessions.len() == limit {
                break;
            }
        }
        let last = sessions.last().filter(|_| sessions.len() == limit);
        let next = last.map(|(id, _)| Cursor(id.as_bytes().to_vec()));
        Ok(Page { sessions, next })
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        self.index.sweep(now);
        let deleted = self.shards.iter().map(|shard| {
            let mut shard = shard.lock();
            let purged = shard.extract_if(|session| now >= session.record.head.purge_time());
            let purged = purged.map(|session| {
                let Session { session_key, record } = *session;
                if let Some(subject) = record.head.subject {
                    self.index.remove_session(&SubjectRef { app: session_key.app, subject }, session_key.id);
                }
            });
            purged.count()
        });
        Ok(deleted.sum())
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

    async fn list_index(&self, subject_ref: &SubjectRef) -> Result<Vec<IndexEntry>, Error> {
        Ok(self.index.list(subject_ref))
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
    shard.find(hash(session_key), |session| session.session_key == *session_key).map(|session| &**session)
}

fn find_mut<'s>(shard: &'s mut Shard, session_key: &SessionKey) -> Option<&'s mut Session> {
    shard.find_mut(hash(session_key), |session| session.session_key == *session_key).map(|session| &mut **session)
}

fn shard_number(id: SessionId) -> usize {
    usize::from(id.as_bytes()[15]) % SHARDS
}

/// Returns eight bytes of the id, which is itself a hash of random bytes: nobody can choose ids that collide.
fn hash(session_key: &SessionKey) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&session_key.id.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

const SHARDS: usize = 64;
