//! Sessions in memory: for tests, and where losing them at a restart is fine.
//!
//! A map in 64 shards, each under a lock of its own that is never held across an await.

use std::collections::BTreeMap;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::{Mutex, RwLock};

use super::{Applied, Created, Error, Kept, Place, Store, Touch, Write, touched, written};
use crate::app::AppName;
use crate::clock::Time;
use crate::session::{Generation, Guard, Record};

/// Sessions in memory.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    generations: RwLock<BTreeMap<AppName, Generation>>,
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
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), generations: RwLock::default() }
    }

    fn shard(&self, place: &Place) -> &Mutex<Shard> {
        &self.shards[usize::from(place.id.as_bytes()[15]) % SHARDS]
    }

    fn generation(&self, app: &AppName) -> Generation {
        self.generations.read().get(app).copied().unwrap_or_default()
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
            Entry::Occupied(_) => Ok(Created::Occupied),
            Entry::Vacant(vacant) => {
                let mut record = record.clone();
                record.head.generation = self.generation(&place.app);
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

    async fn revoke_app(&self, app: &AppName) -> Result<(), Error> {
        self.generations.write().entry(app.clone()).or_default().0 += 1;
        Ok(())
    }

    async fn sweep(&self, now: Time) -> Result<usize, Error> {
        let swept = self.shards.iter().map(|shard| {
            let mut shard = shard.lock();
            let before = shard.len();
            shard.retain(|slot| now < slot.record.head.forget_time());
            before - shard.len()
        });
        Ok(swept.sum())
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn find<'s>(shard: &'s Shard, place: &Place) -> Option<&'s Slot> {
    shard.find(hash(place), |slot| slot.place == *place).map(|slot| &**slot)
}

fn find_mut<'s>(shard: &'s mut Shard, place: &Place) -> Option<&'s mut Slot> {
    shard.find_mut(hash(place), |slot| slot.place == *place).map(|slot| &mut **slot)
}

/// Ids are hashes that nobody can choose, so eight of their bytes are hash enough.
fn hash(place: &Place) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&place.id.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

const SHARDS: usize = 64;
