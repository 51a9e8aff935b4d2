//! The tables: what is read and written inside one transaction.
//!
//! Keys and values are plain bytes, because the database's own types may change with its next version.
//! Everything is judged before anything is written: a transaction takes back all of its calls or none.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::feed::FEED;
use super::file::{COMMIT, FORMAT, IDENTITY};
use super::index::{INDEX, INDEX_ENDS};
use super::record::{decode, decode_head, encode};
use crate::app::AppName;
use crate::clock::Time;
use crate::entropy;
use crate::session::{Event, Generation, Guard, Happening, Head, Record};
use crate::store::{
    Applied, Created, Cursor, Error, Kept, Notice, Owner, Page, Place, Revoked, Touch, Write, touched, written,
};
use crate::token::Id;

/// The tables, open for writing.
pub(super) struct Tables<'t> {
    sessions: Bytes<'t>,
    generations: Bytes<'t>,
    /// When which record may be forgotten: an entry for every record, at its forget time or earlier.
    ///
    /// A save or touch that lengthens a life leaves the entry where it is; the sweeper moves it on when it
    /// gets there. So the many pay nothing and an entry that is met too early costs one look.
    forgetting: Bytes<'t>,
    /// See [`super::index`].
    pub(super) index: Bytes<'t>,
    pub(super) index_ends: Bytes<'t>,
    /// See [`super::feed`].
    pub(super) feed: Bytes<'t>,
    format: Bytes<'t>,
    pub(super) dirty: bool,
}

type Bytes<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// What a sweep did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    /// How many records went.
    pub(super) gone: usize,
    /// Whether it stopped before the end.
    pub(super) left: bool,
}

/// Why a call failed inside its transaction.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database failed, and the transaction with it.
    Storage(redb::Error),
    /// What is kept there is no session. The rest of the transaction is well.
    Corrupt,
}

impl<'t> Tables<'t> {
    /// Opens all tables.
    pub(super) fn open(writing: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            sessions: writing.open_table(SESSIONS)?,
            generations: writing.open_table(GENERATIONS)?,
            forgetting: writing.open_table(FORGETTING)?,
            index: writing.open_table(INDEX)?,
            index_ends: writing.open_table(INDEX_ENDS)?,
            feed: writing.open_table(FEED)?,
            format: writing.open_table(FORMAT)?,
            dirty: false,
        })
    }

    /// Numbers the commit to come; nothing if there is nothing to commit.
    pub(super) fn finish(mut self) -> Result<Option<u64>, redb::Error> {
        if !self.dirty {
            return Ok(None);
        }
        let last = self.format.get(COMMIT)?.and_then(|bytes| bytes.value().try_into().ok());
        let number = last.map_or(0, u64::from_be_bytes).wrapping_add(1);
        self.format.insert(COMMIT, number.to_be_bytes().as_slice())?;
        Ok(Some(number))
    }

    /// See [`crate::store::Store::create`].
    pub(super) fn create(&mut self, place: &Place, mut record: Record) -> Result<Created, Fault> {
        let key = key(place);
        if self.sessions.get(key.as_slice())?.is_some() {
            return Ok(Created::Occupied);
        }
        let revoked = revoked(&self.generations, &place.app)?;
        if record.head.origin.is_some_and(|origin| revoked.covers(&origin)) {
            return Ok(Created::Revoked);
        }
        record.head.generation = revoked.generation;
        self.put(&key, &record)?;
        self.remember(&key, &record.head)?;
        self.tell_of(place, Happening::Created, record.head.create_time)?;
        Ok(Created::Stored)
    }

    /// See [`crate::store::Store::apply`].
    pub(super) fn apply(&mut self, place: &Place, guard: &Guard, write: &Write) -> Result<Applied, Fault> {
        let key = key(place);
        let Some(kept) = kept(&self.sessions, &self.generations, place)? else { return Ok(Applied::Missing) };
        match written(&kept, guard, write) {
            Err(refused) => Ok(refused),
            Ok((record, done)) => {
                self.put(&key, &record)?;
                if record.head.forget_time() < kept.record.head.forget_time() {
                    self.remember(&key, &record.head)?;
                }
                if let Some(happening) = Happening::between(&kept.record.head, &record.head) {
                    self.tell_of(place, happening, guard.now)?;
                }
                Ok(Applied::Done(Box::new(done)))
            }
        }
    }

    /// See [`crate::store::Store::touch`].
    pub(super) fn touch(&mut self, place: &Place, touch: &Touch) -> Result<(), Fault> {
        let key = key(place);
        if let Some(record) = record(&self.sessions, &key)?
            && let Some(record) = touched(&record, touch)
        {
            self.put(&key, &record)?;
        }
        Ok(())
    }

    /// See [`crate::store::Store::revoke_app`].
    pub(super) fn revoke_app(&mut self, app: &AppName, now: Time) -> Result<(), Fault> {
        let Revoked { generation, time } = revoked(&self.generations, app)?.again(now);
        let mut bytes = generation.0.to_be_bytes().to_vec();
        bytes.extend(time.iter().flat_map(|time| time.millis().to_be_bytes()));
        self.dirty = true;
        self.generations.insert(app.as_bytes(), bytes.as_slice())?;
        self.tell(app, &Notice::AppRevoked { time: now })
    }

    /// Forgets what is due, as much as one transaction may.
    pub(super) fn sweep(&mut self, now: Time) -> Result<Swept, Fault> {
        let after = (now.millis() + 1).to_be_bytes();
        let due = self.forgetting.range::<&[u8]>(..after.as_slice())?.take(MAX_SWEEP);
        let due = due.map(|entry| entry.map(|(due, _)| due.value().to_vec())).collect::<Result<Vec<_>, _>>()?;
        let mut gone = 0;
        for due in &due {
            gone += usize::from(self.forget(due, now)?);
        }
        let entries_left = self.sweep_entries(now, MAX_SWEEP)?;
        Ok(Swept { gone, left: due.len() == MAX_SWEEP || entries_left })
    }

    /// Follows one entry; answers whether a record went.
    fn forget(&mut self, due: &[u8], now: Time) -> Result<bool, Fault> {
        self.dirty = true;
        self.forgetting.remove(due)?;
        let key = due.get(TIME_BYTES..).ok_or(Fault::Corrupt)?;
        let Some(head) = self.sessions.get(key)?.map(|bytes| decode_head(bytes.value())) else { return Ok(false) };
        match head {
            Some(head) if now < head.forget_time() => self.remember(key, &head).map(|()| false),
            Some(head) => {
                self.sessions.remove(key)?;
                if let (Some(subject), Some(Place { app, id })) = (head.subject, place(key)) {
                    self.forget_entry(&Owner { app, subject }, id)?;
                }
                Ok(true)
            }
            None => {
                tracing::warn!("a record to forget is no session; it is left where it is");
                Ok(false)
            }
        }
    }

    fn tell_of(&mut self, place: &Place, happening: Happening, time: Time) -> Result<(), Fault> {
        self.tell(&place.app, &Notice::Session(Event { id: place.id, happening, time }))
    }

    fn put(&mut self, key: &[u8], record: &Record) -> Result<(), Fault> {
        self.dirty = true;
        self.sessions.insert(key, encode(record).as_slice())?;
        Ok(())
    }

    fn remember(&mut self, key: &[u8], head: &Head) -> Result<(), Fault> {
        let due = [&head.forget_time().millis().to_be_bytes(), key].concat();
        self.forgetting.insert(due.as_slice(), [].as_slice())?;
        Ok(())
    }
}

/// See [`crate::store::Store::load`].
pub(super) fn load(reading: &ReadTransaction, place: &Place) -> Result<Option<Kept>, Fault> {
    kept(&reading.open_table(SESSIONS)?, &reading.open_table(GENERATIONS)?, place)
}

/// See [`crate::store::Store::scan`].
pub(super) fn scan(reading: &ReadTransaction, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Fault> {
    let generation = revoked(&reading.open_table(GENERATIONS)?, app)?.generation;
    let sessions = reading.open_table(SESSIONS)?;
    let first =
        if from.0.is_empty() { key(&Place { app: app.clone(), id: Id::from_bytes([0; 16]) }) } else { from.0.clone() };
    let last = key(&Place { app: app.clone(), id: Id::from_bytes([0xff; 16]) });
    let mut page = Page { sessions: Vec::new(), next: None };
    for row in sessions.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
        let (key, bytes) = row?;
        // Between the sessions of an app lie those of apps whose name begins with its name.
        let Some(place) = place(key.value()).filter(|place| place.app == *app) else { continue };
        if page.sessions.len() == limit {
            page.next = Some(Cursor(key.value().to_vec()));
            break;
        }
        let record = decode(bytes.value()).ok_or(Fault::Corrupt)?;
        page.sessions.push((place.id, Kept { record, generation }));
    }
    Ok(page)
}

/// Makes the tables, so that nobody meets a file without them.
pub(super) fn make_tables(writing: &WriteTransaction) -> Result<(), redb::Error> {
    let mut tables = Tables::open(writing)?;
    if tables.format.get(IDENTITY)?.is_none() {
        tables.format.insert(IDENTITY, entropy::bytes::<8>().as_slice())?;
    }
    Ok(())
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Storage(error) => Self::unavailable(error),
            Fault::Corrupt => Self::Corrupt,
        }
    }
}

impl From<redb::StorageError> for Fault {
    fn from(error: redb::StorageError) -> Self {
        Self::Storage(error.into())
    }
}

impl From<redb::TableError> for Fault {
    fn from(error: redb::TableError) -> Self {
        Self::Storage(error.into())
    }
}

trait Read: ReadableTable<&'static [u8], &'static [u8]> {}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Read for T {}

fn kept(sessions: &impl Read, generations: &impl Read, place: &Place) -> Result<Option<Kept>, Fault> {
    let Some(record) = record(sessions, &key(place))? else { return Ok(None) };
    Ok(Some(Kept { record, generation: revoked(generations, &place.app)?.generation }))
}

fn record(sessions: &impl Read, key: &[u8]) -> Result<Option<Record>, Fault> {
    sessions.get(key)?.map(|bytes| decode(bytes.value()).ok_or(Fault::Corrupt)).transpose()
}

fn revoked(generations: &impl Read, app: &AppName) -> Result<Revoked, Fault> {
    let Some(bytes) = generations.get(app.as_bytes())? else { return Ok(Revoked::default()) };
    let (generation, time) = bytes.value().split_first_chunk().ok_or(Fault::Corrupt)?;
    let time = match time {
        [] => None,
        time => Some(Time::from_millis(u64::from_be_bytes(time.try_into().map_err(|_| Fault::Corrupt)?))),
    };
    Ok(Revoked { generation: Generation(u32::from_be_bytes(*generation)), time })
}

/// The app's name, then the id: apps lie together, and the id's fixed length tells where the name ends.
fn key(place: &Place) -> Vec<u8> {
    [place.app.as_bytes(), place.id.as_bytes()].concat()
}

fn place(key: &[u8]) -> Option<Place> {
    let (app, id) = key.split_last_chunk()?;
    let app = AppName::parse(std::str::from_utf8(app).ok()?).ok()?;
    Some(Place { app, id: Id::from_bytes(*id) })
}

/// By app and id: the record.
const SESSIONS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("sessions");

/// By app: its generation in four bytes, and when it was raised in eight, which files of earlier versions lack.
const GENERATIONS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("generations");

/// Time in eight bytes, then app and id: nothing.
const FORGETTING: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("forgetting");

const TIME_BYTES: usize = 8;
const MAX_SWEEP: usize = 1000;

#[cfg(test)]
mod tests {
    use super::super::{Embedded, Settings};
    use super::*;
    use crate::session::{By, EndReason};
    use crate::store::Store as _;
    use crate::token::{Id, Proof};

    #[tokio::test]
    async fn what_is_no_session_is_told_and_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let place = Place { app: AppName::parse("default").unwrap(), id: Id::from_bytes([1; 16]) };
        let guard = Guard { by: By::Admin, etag: None, fingerprint: None, now: Time::default() };
        let touch = Touch { proof: Proof::from_bytes([1; 16]), used: Time::MAX, context: None };
        put_raw(&store, &key(&place), b"\x01no session");

        let loaded = store.load(&place).await;
        let applied = store.apply(&place, &guard, &Write::End(EndReason::Revoked)).await;
        let touched = store.touch(&place, &touch).await;
        let swept = store.sweep(Time::MAX).await.unwrap();

        assert!(matches!(loaded, Err(Error::Corrupt)), "{loaded:?}");
        assert!(matches!(applied, Err(Error::Corrupt)), "{applied:?}");
        assert!(matches!(touched, Err(Error::Corrupt)), "{touched:?}");
        assert_eq!(swept, 0);
        assert!(matches!(store.load(&place).await, Err(Error::Corrupt)));
        store.ping().await.unwrap();
    }

    /// Keeps bytes, with an entry that is due at once.
    fn put_raw(store: &Embedded, key: &[u8], bytes: &[u8]) {
        let writing = store.file.database().as_ref().unwrap().begin_write().unwrap();
        let due = [[0; TIME_BYTES].as_slice(), key].concat();
        writing.open_table(SESSIONS).unwrap().insert(key, bytes).unwrap();
        writing.open_table(FORGETTING).unwrap().insert(due.as_slice(), [].as_slice()).unwrap();
        writing.commit().unwrap();
    }
}
