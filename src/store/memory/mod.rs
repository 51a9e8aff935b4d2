//! Sessions in memory: for tests, and where losing them at a restart is fine.
//!
//! A map in 64 shards, each under a lock of its own that is never held across an await.

mod feed;
mod index;

use std::collections::BTreeMap;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slots;
use parking_lot::{Mutex, RwLock};

use self::feed::Feeds;
use self::index::Entries;
use super::{
    Applied, Created, Cursor, Entry, Error, Feed, Index, Kept, Notice, Owner, Page, Place, Revocation, Revoked, Since,
    Store, Touch, Write, touched, written,
};
use crate::app::AppName;
use crate::clock::Time;
use crate::session::{Event, Generation, Guard, Happening, Record};
use crate::token::Id;

/// Sessions in memory.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    revoked: RwLock<BTreeMap<AppName, Revoked>>,
    index: Entries,
    feeds: Feeds,
}

type Shard = HashTable<Box<Slot>>;

#[derive(Debug)]
struct Slot {
    place: Place,
    record: Record,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            revoked: RwLock::default(),
            index: Entries::default(),
            feeds: Feeds::new(),
        }
    }

    fn shard(&self, place: &Place) -> &Mutex<Shard> {
        &self.shards[shard_number(place.id)]
    }

    fn generation(&self, app: &AppName) -> Generation {
        self.revoked.read().get(app).copied().unwrap_or_default().generation
    }

    fn tell(&self, place: &Place, happening: Happening, time: Time) {
        self.feeds.tell(&place.app, Notice::Session(Event { id: place.id, happening, time }));
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for Memory {
    async fn load(&self, place: &Place) -> Result<Option<Kept>, Error> {
        let shard = self.shard(place).lock();
        let record = find(&shard, place).map(|slot| slot.record.clone());
        Ok(record.map(|record| Kept { record, generation: self.generation(&place.app) }))
    }

    async fn create(&self, place: &Place, record: &Record) -> Result<Created, Error> {
        let mut shard = self.shard(place).lock();
        match shard.entry(hash(place), |slot| slot.place == *place, |slot| hash(&slot.place)) {
            Slots::Occupied(_) => Ok(Created::Occupied),
            Slots::Vacant(vacant) => {
                let mut record = record.clone();
                // Held until it is told, so that no reader hears first of a revocation that does not cover it.
                let all_revoked = self.revoked.read();
                let revoked = all_revoked.get(&place.app).copied().unwrap_or_default();
                if record.head.origin.is_some_and(|origin| revoked.covers(&origin)) {
                    return Ok(Created::Revoked);
                }
                record.head.generation = revoked.generation;
                self.tell(place, Happening::Created, record.head.create_time);
                vacant.insert(Box::new(Slot { place: place.clone(), record }));
                Ok(Created::Stored)
            }
        }
    }

    async fn apply(&self, place: &Place, guard: &Guard, write: &Write) -> Result<Applied, Error> {
        let mut shard = self.shard(place).lock();
        let Some(slot) = find_mut(&mut shard, place) else { return Ok(Applied::Missing) };
        let kept = Kept { record: slot.record.clone(), generation: self.generation(&place.app) };
        Ok(match written(&kept, guard, write) {
            Ok((record, done)) => {
                if let Some(happening) = Happening::between(&kept.record.head, &record.head) {
                    self.tell(place, happening, guard.now);
                }
                slot.record = record;
                Applied::Done(Box::new(done))
            }
            Err(refused) => refused,
        })
    }

    async fn touch(&self, place: &Place, touch: &Touch) -> Result<(), Error> {
        let mut shard = self.shard(place).lock();
        if let Some(slot) = find_mut(&mut shard, place)
            && let Some(record) = touched(&slot.record, touch)
        {
            slot.record = record;
        }
        Ok(())
    }

    async fn revoke_app(&self, app: &AppName, now: Time) -> Result<(), Error> {
        let mut all_revoked = self.revoked.write();
        let revoked = all_revoked.entry(app.clone()).or_default();
        *revoked = revoked.again(now);
        self.feeds.tell(app, Notice::AppRevoked { time: now });
        Ok(())
    }

    async fn scan(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        let generation = self.generation(app);
        let after = <[u8; 16]>::try_from(from.0.as_slice()).ok().map(Id::from_bytes);
        let first = after.map_or(0, shard_number);
        let mut sessions = Vec::new();
        for number in first..SHARDS {
            let shard = self.shards[number].lock();
            let is_new = |id: Id| number != first || after.is_none_or(|after| id > after);
            let met = shard.iter().filter(|slot| slot.place.app == *app && is_new(slot.place.id));
            let mut met: Vec<&Slot> = met.map(|slot| &**slot).collect();
            met.sort_unstable_by_key(|slot| slot.place.id);
            let room = limit - sessions.len();
            sessions.extend(met.into_iter().take(room).map(|slot| {
                let record = slot.record.clone();
                (slot.place.id, Kept { record, generation })
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
        let swept = self.shards.iter().map(|shard| {
            let mut shard = shard.lock();
            let forgotten = shard.extract_if(|slot| now >= slot.record.head.forget_time());
            let forgotten = forgotten.map(|slot| {
                let Slot { place, record } = *slot;
                if let Some(subject) = record.head.subject {
                    self.index.forget(&Owner { app: place.app, subject }, place.id);
                }
            });
            forgotten.count()
        });
        Ok(swept.sum())
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl Index for Memory {
    async fn enter(&self, owner: &Owner, entry: &Entry) -> Result<Vec<Entry>, Error> {
        Ok(self.index.enter(owner, entry))
    }

    async fn leave(&self, owner: &Owner, entry: &Entry) -> Result<(), Error> {
        self.index.leave(owner, entry);
        Ok(())
    }

    async fn forget(&self, owner: &Owner, id: Id) -> Result<(), Error> {
        self.index.forget(owner, id);
        Ok(())
    }

    async fn entries(&self, owner: &Owner) -> Result<Vec<Entry>, Error> {
        Ok(self.index.of(owner))
    }

    async fn revoke(&self, owner: &Owner, revocation: &Revocation) -> Result<(), Error> {
        self.index.revoke(owner, revocation);
        Ok(())
    }

    async fn revocation(&self, owner: &Owner) -> Result<Option<Revocation>, Error> {
        Ok(self.index.revocation(owner))
    }
}

impl Feed for Memory {
    async fn latest(&self, app: &AppName) -> Result<Cursor, Error> {
        Ok(self.feeds.latest(app))
    }

    async fn since(&self, app: &AppName, cursor: &Cursor) -> Result<Since, Error> {
        Ok(self.feeds.since(app, cursor))
    }
}

fn find<'s>(shard: &'s Shard, place: &Place) -> Option<&'s Slot> {
    shard.find(hash(place), |slot| slot.place == *place).map(|slot| &**slot)
}

fn find_mut<'s>(shard: &'s mut Shard, place: &Place) -> Option<&'s mut Slot> {
    shard.find_mut(hash(place), |slot| slot.place == *place).map(|slot| &mut **slot)
}

fn shard_number(id: Id) -> usize {
    usize::from(id.as_bytes()[15]) % SHARDS
}

/// Ids are hashes that nobody can choose, so eight of their bytes are hash enough.
fn hash(place: &Place) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&place.id.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

const SHARDS: usize = 64;
