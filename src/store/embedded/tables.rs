//! The tables: what is read and written inside one transaction.
//!
//! Keys and values are plain bytes, because the database's own types may change with its next version.
//! Everything is judged before anything is written: a transaction takes back all of its calls or none.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::feed::FEED;
use super::file::{COMMIT, FORMAT, IDENTITY};
use super::index::{INDEX, INDEX_ENDS};
use super::record::{decode, decode_head, encode};
use crate::session::{Event, EventKind, Generation, Head, Precondition, Record};
use crate::store::{
    AppRevocation, Applied, Created, Cursor, Error, FeedEntry, Page, SessionKey, Snapshot, SubjectRef, Touch, Write,
    touched, written,
};
use crate::token::SessionId;
use crate::types::{AppName, Time, random};

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
pub(super) enum TablesError {
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
    pub(super) fn create(&mut self, session_key: &SessionKey, mut record: Record) -> Result<Created, TablesError> {
        let key = key(session_key);
        if self.sessions.get(key.as_slice())?.is_some() {
            return Ok(Created::Occupied);
        }
        let revoked = revoked(&self.generations, &session_key.app)?;
        if record.head.imported_from.is_some_and(|imported_from| revoked.covers(&imported_from)) {
            return Ok(Created::Revoked);
        }
        record.head.generation = revoked.generation;
        self.put(&key, &record)?;
        self.remember(&key, &record.head)?;
        self.tell_of(session_key, EventKind::Created, record.head.create_time)?;
        Ok(Created::Stored)
    }

    /// See [`crate::store::Store::apply`].
    pub(super) fn apply(
        &mut self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, TablesError> {
        let key = key(session_key);
        let Some(snapshot) = snapshot(&self.sessions, &self.generations, session_key)? else {
            return Ok(Applied::Missing);
        };
        match written(&snapshot, precondition, write) {
            Err(refused) => Ok(refused),
            Ok((record, done)) => {
                self.put(&key, &record)?;
                if record.head.purge_time() < snapshot.record.head.purge_time() {
                    self.remember(&key, &record.head)?;
                }
                if let Some(kind) = EventKind::between(&snapshot.record.head, &record.head) {
                    self.tell_of(session_key, kind, precondition.now)?;
                }
                Ok(Applied::Done(Box::new(done)))
            }
        }
    }

    /// See [`crate::store::Store::touch`].
    pub(super) fn touch(&mut self, session_key: &SessionKey, touch: &Touch) -> Result<(), TablesError> {
        let key = key(session_key);
        if let Some(record) = record(&self.sessions, &key)?
            && let Some(record) = touched(&record, touch)
        {
            self.put(&key, &record)?;
        }
        Ok(())
    }

    /// See [`crate::store::Store::revoke_app`].
    pub(super) fn revoke_app(&mut self, app: &AppName, now: Time) -> Result<(), TablesError> {
        let AppRevocation { generation, time } = revoked(&self.generations, app)?.again(now);
        let mut bytes = generation.0.to_be_bytes().to_vec();
        bytes.extend(time.iter().flat_map(|time| time.millis().to_be_bytes()));
        self.dirty = true;
        self.generations.insert(app.as_bytes(), bytes.as_slice())?;
        self.tell(app, &FeedEntry::AppRevoked { time: now })
    }

    /// Forgets what is due, as much as one transaction may.
    pub(super) fn sweep(&mut self, now: Time) -> Result<Swept, TablesError> {
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
    fn forget(&mut self, due: &[u8], now: Time) -> Result<bool, TablesError> {
        self.dirty = true;
        self.forgetting.remove(due)?;
        let key = due.get(TIME_BYTES..).ok_or(TablesError::Corrupt)?;
        let Some(head) = self.sessions.get(key)?.map(|bytes| decode_head(bytes.value())) else { return Ok(false) };
        match head {
            Some(head) if now < head.purge_time() => self.remember(key, &head).map(|()| false),
            Some(head) => {
                self.sessions.remove(key)?;
                if let (Some(subject), Some(SessionKey { app, id })) = (head.subject, session_key(key)) {
                    self.forget_entry(&SubjectRef { app, subject }, id)?;
                }
                Ok(true)
            }
            None => {
                tracing::warn!("a record to forget is no session; it is left where it is");
                Ok(false)
            }
        }
    }

    fn tell_of(&mut self, session_key: &SessionKey, kind: EventKind, time: Time) -> Result<(), TablesError> {
        self.tell(&session_key.app, &FeedEntry::Session(Event { id: session_key.id, kind, time }))
    }

    fn put(&mut self, key: &[u8], record: &Record) -> Result<(), TablesError> {
        self.dirty = true;
        self.sessions.insert(key, encode(record).as_slice())?;
        Ok(())
    }

    fn remember(&mut self, key: &[u8], head: &Head) -> Result<(), TablesError> {
        let due = [&head.purge_time().millis().to_be_bytes(), key].concat();
        self.forgetting.insert(due.as_slice(), [].as_slice())?;
        Ok(())
    }
}

/// See [`crate::store::Store::load`].
pub(super) fn load(reading: &ReadTransaction, session_key: &SessionKey) -> Result<Option<Snapshot>, TablesError> {
    snapshot(&reading.open_table(SESSIONS)?, &reading.open_table(GENERATIONS)?, session_key)
}

/// See [`crate::store::Store::scan`].
pub(super) fn scan(reading: &ReadTransaction, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, TablesError> {
    let generation = revoked(&reading.open_table(GENERATIONS)?, app)?.generation;
    let sessions = reading.open_table(SESSIONS)?;
    let first = if from.0.is_empty() {
        key(&SessionKey { app: app.clone(), id: SessionId::from_bytes([0; 16]) })
    } else {
        from.0.clone()
    };
    let last = key(&SessionKey { app: app.clone(), id: SessionId::from_bytes([0xff; 16]) });
    let mut page = Page { sessions: Vec::new(), next: None };
    for row in sessions.range::<&[u8]>(first.as_slice()..=last.as_slice())? {
        let (key, bytes) = row?;
        // Between the sessions of an app lie those of apps whose name begins with its name.
        let Some(session_key) = session_key(key.value()).filter(|session_key| session_key.app == *app) else {
            continue;
        };
        if page.sessions.len() == limit {
            page.next = Some(Cursor(key.value().to_vec()));
            break;
        }
        let record = decode(bytes.value()).ok_or(TablesError::Corrupt)?;
        page.sessions.push((session_key.id, Snapshot { record, generation }));
    }
    Ok(page)
}

/// Makes the tables, so that nobody meets a file without them.
pub(super) fn make_tables(writing: &WriteTransaction) -> Result<(), redb::Error> {
    let mut tables = Tables::open(writing)?;
    if tables.format.get(IDENTITY)?.is_none() {
        tables.format.insert(IDENTITY, random::bytes::<8>().as_slice())?;
    }
    Ok(())
}

impl From<TablesError> for Error {
    fn from(fault: TablesError) -> Self {
        match fault {
            TablesError::Storage(error) => Self::unavailable(error),
            TablesError::Corrupt => Self::Corrupt,
        }
    }
}

impl From<redb::StorageError> for TablesError {
    fn from(error: redb::StorageError) -> Self {
        Self::Storage(error.into())
    }
}

impl From<redb::TableError> for TablesError {
    fn from(error: redb::TableError) -> Self {
        Self::Storage(error.into())
    }
}

trait Read: ReadableTable<&'static [u8], &'static [u8]> {}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Read for T {}

fn snapshot(
    sessions: &impl Read,
    generations: &impl Read,
    session_key: &SessionKey,
) -> Result<Option<Snapshot>, TablesError> {
    let Some(record) = record(sessions, &key(session_key))? else { return Ok(None) };
    Ok(Some(Snapshot { record, generation: revoked(generations, &session_key.app)?.generation }))
}

fn record(sessions: &impl Read, key: &[u8]) -> Result<Option<Record>, TablesError> {
    sessions.get(key)?.map(|bytes| decode(bytes.value()).ok_or(TablesError::Corrupt)).transpose()
}

fn revoked(generations: &impl Read, app: &AppName) -> Result<AppRevocation, TablesError> {
    let Some(bytes) = generations.get(app.as_bytes())? else { return Ok(AppRevocation::default()) };
    let (generation, time) = bytes.value().split_first_chunk().ok_or(TablesError::Corrupt)?;
    let time = match time {
        [] => None,
        time => Some(Time::from_millis(u64::from_be_bytes(time.try_into().map_err(|_| TablesError::Corrupt)?))),
    };
    Ok(AppRevocation { generation: Generation(u32::from_be_bytes(*generation)), time })
}

/// The app's name, then the id: apps lie together, and the id's fixed length tells where the name ends.
fn key(session_key: &SessionKey) -> Vec<u8> {
    [session_key.app.as_bytes(), session_key.id.as_bytes()].concat()
}

fn session_key(key: &[u8]) -> Option<SessionKey> {
    let (app, id) = key.split_last_chunk()?;
    let app = AppName::parse(std::str::from_utf8(app).ok()?).ok()?;
    Some(SessionKey { app, id: SessionId::from_bytes(*id) })
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
    use crate::session::{Authority, EndReason};
    use crate::store::Store as _;
    use crate::token::{SessionId, VerifierHash};

    #[tokio::test]
    async fn what_is_no_session_is_told_and_left_as_it_is() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let session_key = SessionKey { app: AppName::parse("default").unwrap(), id: SessionId::from_bytes([1; 16]) };
        let precondition =
            Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now: Time::default() };
        let touch = Touch { verifier_hash: VerifierHash::from_bytes([1; 16]), used: Time::MAX, context: None };
        put_raw(&store, &key(&session_key), b"\x01no session");

        let loaded = store.load(&session_key).await;
        let applied = store.apply(&session_key, &precondition, &Write::End(EndReason::Revoked)).await;
        let touched = store.touch(&session_key, &touch).await;
        let swept = store.sweep(Time::MAX).await.unwrap();

        assert!(matches!(loaded, Err(Error::Corrupt)), "{loaded:?}");
        assert!(matches!(applied, Err(Error::Corrupt)), "{applied:?}");
        assert!(matches!(touched, Err(Error::Corrupt)), "{touched:?}");
        assert_eq!(swept, 0);
        assert!(matches!(store.load(&session_key).await, Err(Error::Corrupt)));
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
