//! The tables of the file, and the operations of the store inside a transaction.
//!
//! Keys and values are plain bytes, because the types of redb may change with its next version. An operation checks
//! everything before it writes anything: a transaction can only be rolled back with all of its calls.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::feed::FEED;
use super::file::{COMMIT, FORMAT, IDENTITY};
use super::index::{INDEX, INDEX_EXPIRIES};
use super::record::{decode, decode_head, encode};
use crate::session::{Event, EventKind, Generation, Head, Precondition, Record};
use crate::store::{
    AppRevocation, Applied, Created, Cursor, Error, FeedEntry, Page, SessionKey, Snapshot, SubjectRef, Touch, Write,
    apply_touch, apply_write,
};
use crate::token::SessionId;
use crate::types::{AppName, Time, random};

/// The tables, open in a write transaction.
pub(super) struct Tables<'t> {
    sessions: BytesTable<'t>,
    generations: BytesTable<'t>,
    /// When to check each record for deletion: at least one row for each record, at its purge time or earlier.
    ///
    /// A save or touch that makes the purge time later leaves the row as it is, and so costs nothing. The sweep moves
    /// the row when its time comes.
    purges: BytesTable<'t>,
    /// See [`super::index`].
    pub(super) index: BytesTable<'t>,
    pub(super) index_expiries: BytesTable<'t>,
    /// See [`super::feed`].
    pub(super) feed: BytesTable<'t>,
    format: BytesTable<'t>,
    /// Whether there is anything to commit.
    pub(super) dirty: bool,
}

type BytesTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// What one transaction of a sweep did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    /// The number of records.
    pub(super) deleted: usize,
    /// Whether more records or index entries may be due.
    pub(super) has_more: bool,
}

/// Why a call failed inside its transaction.
#[derive(Debug)]
pub(super) enum TablesError {
    /// The database failed. The whole transaction has to be rolled back.
    Storage(redb::Error),
    /// The bytes of a row are not valid. The other calls of the transaction are not affected.
    Corrupt,
}

impl<'t> Tables<'t> {
    /// Opens all tables.
    pub(super) fn open(writing: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            sessions: writing.open_table(SESSIONS)?,
            generations: writing.open_table(GENERATIONS)?,
            purges: writing.open_table(PURGES)?,
            index: writing.open_table(INDEX)?,
            index_expiries: writing.open_table(INDEX_EXPIRIES)?,
            feed: writing.open_table(FEED)?,
            format: writing.open_table(FORMAT)?,
            dirty: false,
        })
    }

    /// Writes the number of the commit and returns it; `None` if there is nothing to commit.
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
        let revocation = app_revocation(&self.generations, &session_key.app)?;
        if record.head.imported_from.is_some_and(|imported_from| revocation.covers(&imported_from)) {
            return Ok(Created::Revoked);
        }
        record.head.generation = revocation.generation;
        self.write_record(&key, &record)?;
        self.schedule_purge(&key, &record.head)?;
        self.append_event(session_key, EventKind::Created, record.head.create_time)?;
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
        let Some(snapshot) = read_snapshot(&self.sessions, &self.generations, session_key)? else {
            return Ok(Applied::Missing);
        };
        match apply_write(&snapshot, precondition, write) {
            Err(not_applied) => Ok(not_applied),
            Ok((record, done)) => {
                self.write_record(&key, &record)?;
                if record.head.purge_time() < snapshot.record.head.purge_time() {
                    self.schedule_purge(&key, &record.head)?;
                }
                if let Some(kind) = EventKind::between(&snapshot.record.head, &record.head) {
                    self.append_event(session_key, kind, precondition.now)?;
                }
                Ok(Applied::Done(Box::new(done)))
            }
        }
    }

    /// See [`crate::store::Store::touch`].
    pub(super) fn touch(&mut self, session_key: &SessionKey, touch: &Touch) -> Result<(), TablesError> {
        let key = key(session_key);
        if let Some(record) = read_record(&self.sessions, &key)?
            && let Some(record) = apply_touch(&record, touch)
        {
            self.write_record(&key, &record)?;
        }
        Ok(())
    }

    /// See [`crate::store::Store::revoke_app`].
    pub(super) fn revoke_app(&mut self, app: &AppName, now: Time) -> Result<(), TablesError> {
        let AppRevocation { generation, time } = app_revocation(&self.generations, app)?.next(now);
        let mut bytes = generation.0.to_be_bytes().to_vec();
        bytes.extend(time.iter().flat_map(|time| time.millis().to_be_bytes()));
        self.dirty = true;
        self.generations.insert(app.as_bytes(), bytes.as_slice())?;
        self.append_to_feed(app, &FeedEntry::AppRevoked { time: now })
    }

    /// See [`crate::store::Store::sweep`]. Checks at most [`MAX_SWEEP`] records and as many index entries.
    pub(super) fn sweep(&mut self, now: Time) -> Result<Swept, TablesError> {
        let after = (now.millis() + 1).to_be_bytes();
        let due = self.purges.range::<&[u8]>(..after.as_slice())?.take(MAX_SWEEP);
        let due = due.map(|row| row.map(|(purge_key, _)| purge_key.value().to_vec())).collect::<Result<Vec<_>, _>>()?;
        let mut deleted = 0;
        for purge_key in &due {
            deleted += usize::from(self.purge(purge_key, now)?);
        }
        let index_has_more = self.sweep_index(now, MAX_SWEEP)?;
        Ok(Swept { deleted, has_more: due.len() == MAX_SWEEP || index_has_more })
    }

    /// Deletes the record of a row of the table, or moves the row to a later time. Returns whether it deleted a record.
    fn purge(&mut self, purge_key: &[u8], now: Time) -> Result<bool, TablesError> {
        self.dirty = true;
        self.purges.remove(purge_key)?;
        let key = purge_key.get(TIME_BYTES..).ok_or(TablesError::Corrupt)?;
        let Some(head) = self.sessions.get(key)?.map(|bytes| decode_head(bytes.value())) else { return Ok(false) };
        match head {
            Some(head) if now < head.purge_time() => self.schedule_purge(key, &head).map(|()| false),
            Some(head) => {
                self.sessions.remove(key)?;
                if let (Some(subject), Some(SessionKey { app, id })) = (head.subject, decode_key(key)) {
                    self.remove_session_from_index(&SubjectRef { app, subject }, id)?;
                }
                Ok(true)
            }
            None => {
                tracing::warn!("a record to forget is no session; it is left where it is");
                Ok(false)
            }
        }
    }

    fn append_event(&mut self, session_key: &SessionKey, kind: EventKind, time: Time) -> Result<(), TablesError> {
        self.append_to_feed(&session_key.app, &FeedEntry::Session(Event { id: session_key.id, kind, time }))
    }

    fn write_record(&mut self, key: &[u8], record: &Record) -> Result<(), TablesError> {
        self.dirty = true;
        self.sessions.insert(key, encode(record).as_slice())?;
        Ok(())
    }

    fn schedule_purge(&mut self, key: &[u8], head: &Head) -> Result<(), TablesError> {
        let purge_key = [&head.purge_time().millis().to_be_bytes(), key].concat();
        self.purges.insert(purge_key.as_slice(), [].as_slice())?;
        Ok(())
    }
}

/// See [`crate::store::Store::load`].
pub(super) fn load(reading: &ReadTransaction, session_key: &SessionKey) -> Result<Option<Snapshot>, TablesError> {
    read_snapshot(&reading.open_table(SESSIONS)?, &reading.open_table(GENERATIONS)?, session_key)
}

/// See [`crate::store::Store::scan`].
pub(super) fn scan(reading: &ReadTransaction, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, TablesError> {
    let generation = app_revocation(&reading.open_table(GENERATIONS)?, app)?.generation;
    let sessions = reading.open_table(SESSIONS)?;
    let first = if from.0.is_empty() {
        key(&SessionKey { app: app.clone(), id: SessionId::from_bytes([0; 16]) })
    } else {
        from.0.clone()
    };
    let last = key(&SessionKey { app: app.clone(), id: SessionId::from_bytes([0xff; 16]) });
    let mut page = Page { sessions: Vec::new(), next: None };
    for (number, row) in sessions.range::<&[u8]>(first.as_slice()..=last.as_slice())?.enumerate() {
        let (key, bytes) = row?;
        if page.sessions.len() == limit || number == limit + MAX_FOREIGN {
            page.next = Some(Cursor(key.value().to_vec()));
            break;
        }
        // The range also has sessions of apps whose names begin with this name.
        let Some(session_key) = decode_key(key.value()).filter(|session_key| session_key.app == *app) else {
            continue;
        };
        let record = decode(bytes.value()).ok_or(TablesError::Corrupt)?;
        page.sessions.push((session_key.id, Snapshot { record, generation }));
    }
    Ok(page)
}

/// Creates the tables: a read transaction cannot open one that does not exist.
pub(super) fn create_tables(writing: &WriteTransaction) -> Result<(), redb::Error> {
    let mut tables = Tables::open(writing)?;
    if tables.format.get(IDENTITY)?.is_none() {
        tables.format.insert(IDENTITY, random::bytes::<8>().as_slice())?;
    }
    Ok(())
}

impl From<TablesError> for Error {
    fn from(error: TablesError) -> Self {
        match error {
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

/// A table that is open for reading or for writing.
pub(super) trait ReadBytes: ReadableTable<&'static [u8], &'static [u8]> {}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> ReadBytes for T {}

fn read_snapshot(
    sessions: &impl ReadBytes,
    generations: &impl ReadBytes,
    session_key: &SessionKey,
) -> Result<Option<Snapshot>, TablesError> {
    let Some(record) = read_record(sessions, &key(session_key))? else { return Ok(None) };
    Ok(Some(Snapshot { record, generation: app_revocation(generations, &session_key.app)?.generation }))
}

fn read_record(sessions: &impl ReadBytes, key: &[u8]) -> Result<Option<Record>, TablesError> {
    sessions.get(key)?.map(|bytes| decode(bytes.value()).ok_or(TablesError::Corrupt)).transpose()
}

pub(super) fn app_revocation(generations: &impl ReadBytes, app: &AppName) -> Result<AppRevocation, TablesError> {
    let Some(bytes) = generations.get(app.as_bytes())? else { return Ok(AppRevocation::default()) };
    let (generation, time) = bytes.value().split_first_chunk().ok_or(TablesError::Corrupt)?;
    let time = match time {
        [] => None,
        time => Some(Time::from_millis(u64::from_be_bytes(time.try_into().map_err(|_| TablesError::Corrupt)?))),
    };
    Ok(AppRevocation { generation: Generation(u32::from_be_bytes(*generation)), time })
}

/// The key of a session: the app's name and the id, whose fixed length says where the name ends.
pub(super) fn key(session_key: &SessionKey) -> Vec<u8> {
    [session_key.app.as_bytes(), session_key.id.as_bytes()].concat()
}

fn decode_key(key: &[u8]) -> Option<SessionKey> {
    let (app, id) = key.split_last_chunk()?;
    let app = AppName::parse(std::str::from_utf8(app).ok()?).ok()?;
    Some(SessionKey { app, id: SessionId::from_bytes(*id) })
}

/// From [`key`] to the record.
pub(super) const SESSIONS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("sessions");

/// From the app's name to its generation in four bytes, and the time of its last revocation in eight.
///
/// The time is missing if an earlier version of the service wrote the row.
pub(super) const GENERATIONS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("generations");

/// The purge times of records: a time in eight bytes, and [`key`]. No value. See [`Tables::purges`].
const PURGES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("forgetting");

const TIME_BYTES: usize = 8;

/// The most rows of other apps that one call reads in search of those of an app.
pub(super) const MAX_FOREIGN: usize = 1000;

/// The most records that one transaction of a sweep checks, so that other writes do not wait for long.
const MAX_SWEEP: usize = 1000;

#[cfg(test)]
mod tests {
    use super::super::{Embedded, Settings};
    use super::*;
    use crate::session::{Authority, EndReason};
    use crate::store::Store as _;
    use crate::token::{SessionId, VerifierHash};

    #[tokio::test]
    async fn bytes_that_are_not_a_session_are_an_error_and_stay_as_they_are() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let session_key = SessionKey { app: AppName::parse("default").unwrap(), id: SessionId::from_bytes([1; 16]) };
        let precondition =
            Precondition { authority: Authority::Admin, etag: None, fingerprint: None, now: Time::default() };
        let touch = Touch { verifier_hash: VerifierHash::from_bytes([1; 16]), used: Time::MAX, context: None };
        write_raw(&store, &key(&session_key), b"\x01no session");

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

    /// Writes bytes in place of a record, and a purge time that has passed.
    fn write_raw(store: &Embedded, key: &[u8], bytes: &[u8]) {
        let writing = store.file.database().as_ref().unwrap().begin_write().unwrap();
        let purge_key = [[0; TIME_BYTES].as_slice(), key].concat();
        writing.open_table(SESSIONS).unwrap().insert(key, bytes).unwrap();
        writing.open_table(PURGES).unwrap().insert(purge_key.as_slice(), [].as_slice()).unwrap();
        writing.commit().unwrap();
    }
}
