//! The operations of the store on the rows of its tables.
//!
//! Keys and values are plain bytes, because the types of redb may change with its next version.

use std::borrow::Cow;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::rows::{KeyRange, Row, RowChanges, RowsError, Table, View};
use crate::session::{Event, EventKind, Generation, Head, Precondition, Record};
use crate::store::record::{decode, decode_head, encode};
use crate::store::transfer::ExportPage;
use crate::store::{
    AppRevocation, Applied, Created, Cursor, FeedEntry, SessionKey, Snapshot, SubjectRef, Touch, Write, apply_touch,
    apply_write,
};
use crate::telemetry::LogThrottle;
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// The tables as one operation sees and changes them.
pub(super) struct Tables<'t> {
    view: View<'t>,
    /// The changes of the operation.
    changes: RowChanges,
}

/// The result of one step of a sweep of the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swept {
    /// The number of records.
    pub(super) deleted: usize,
    /// Whether more records may be due.
    pub(super) has_more: bool,
}

impl<'t> Tables<'t> {
    pub(super) fn new(view: View<'t>) -> Self {
        Self { view, changes: RowChanges::default() }
    }

    pub(super) fn into_changes(self) -> RowChanges {
        self.changes
    }

    /// The rows, with what this operation has changed so far.
    pub(super) fn view(&self) -> View<'_> {
        let [_, batch, active, frozen] = self.view.changes;
        View { changes: [Some(&self.changes), batch, active, frozen], stored: self.view.stored }
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, RowsError> {
        self.view().get(table, key)
    }

    pub(super) fn insert(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.changes.set(table, key, Some(value));
    }

    pub(super) fn remove(&mut self, table: Table, key: &[u8]) {
        self.changes.set(table, key, None);
    }

    /// Returns the keys of the first rows of a range.
    pub(super) fn first_keys(&self, table: Table, range: KeyRange<'_>, most: usize) -> Result<Vec<Vec<u8>>, RowsError> {
        let key = |row: Result<Row<'_>, _>| row.map(|(key, _)| key.into_owned());
        self.view().range(table, range)?.take(most).map(key).collect()
    }

    /// See [`crate::store::Store::create`].
    pub(super) fn create(&mut self, session_key: &SessionKey, mut record: Record) -> Result<Created, RowsError> {
        let key = key(session_key);
        if self.get(Table::Sessions, &key)?.is_some() {
            return Ok(Created::Occupied);
        }
        let revocation = app_revocation(&self.view(), &session_key.app)?;
        if record.head.imported_from.is_some_and(|imported_from| revocation.covers(&imported_from)) {
            return Ok(Created::Revoked);
        }
        record.head.generation = revocation.generation;
        self.write_record(&key, &record);
        self.schedule_purge(&key, &record.head);
        self.append_event(session_key, EventKind::Created, record.head.create_time)?;
        Ok(Created::Stored)
    }

    /// See [`crate::store::Store::apply`].
    pub(super) fn apply(
        &mut self,
        session_key: &SessionKey,
        precondition: &Precondition,
        write: &Write,
    ) -> Result<Applied, RowsError> {
        let key = key(session_key);
        let Some(snapshot) = load(&self.view(), session_key)? else {
            return Ok(Applied::Missing);
        };
        match apply_write(&snapshot, precondition, write) {
            Err(not_applied) => Ok(not_applied),
            Ok((record, done)) => {
                self.write_record(&key, &record);
                if record.head.purge_time() < snapshot.record.head.purge_time() {
                    self.schedule_purge(&key, &record.head);
                }
                if let Some(kind) = EventKind::between(&snapshot.record.head, &record.head) {
                    self.append_event(session_key, kind, precondition.now)?;
                }
                Ok(Applied::Done(Box::new(done)))
            }
        }
    }

    /// See [`crate::store::Store::touch`].
    pub(super) fn touch(&mut self, session_key: &SessionKey, touch: &Touch) -> Result<(), RowsError> {
        let key = key(session_key);
        if let Some(record) = read_record(&self.view(), &key)?
            && let Some(record) = apply_touch(&record, touch)
        {
            self.write_record(&key, &record);
        }
        Ok(())
    }

    /// See [`crate::store::Store::revoke_app`].
    pub(super) fn revoke_app(&mut self, app: &AppName, now: Time) -> Result<(), RowsError> {
        let revocation = app_revocation(&self.view(), app)?.next(now);
        self.write_app_revocation(app, revocation);
        self.append_to_feed(app, &FeedEntry::AppRevoked { time: now })
    }

    pub(super) fn write_app_revocation(&mut self, app: &AppName, AppRevocation { generation, time }: AppRevocation) {
        let mut bytes = generation.0.to_be_bytes().to_vec();
        bytes.extend(time.iter().flat_map(|time| time.millis().to_be_bytes()));
        self.insert(Table::Generations, app.as_bytes(), &bytes);
    }

    /// Deletes some of the records whose time has come. See [`crate::store::Store::sweep`].
    pub(super) fn sweep_records(&mut self, now: Time) -> Result<Swept, RowsError> {
        let mut deleted = 0;
        let has_more = self.for_each_due(Table::Purges, now, |tables, purge_key| {
            deleted += usize::from(tables.purge(purge_key, now)?);
            Ok(())
        })?;
        Ok(Swept { deleted, has_more })
    }

    /// Calls `remove` for the first [`MAX_SWEEP`] rows that are due: the key of a row begins with its time. Returns whether
    /// there may be more.
    ///
    /// `remove` must read everything before its first change. A row at which it meets damage is then as it was, and is moved
    /// to a later time, so that the others are removed.
    pub(super) fn for_each_due(
        &mut self,
        table: Table,
        now: Time,
        mut remove: impl FnMut(&mut Self, &[u8]) -> Result<(), RowsError>,
    ) -> Result<bool, RowsError> {
        let after = (now.millis() + 1).to_be_bytes();
        let due = self.first_keys(table, (Bound::Unbounded, Bound::Excluded(after.as_slice())), MAX_SWEEP)?;
        for row_key in &due {
            // The database panics at some kinds of damage.
            let removed = catch_unwind(AssertUnwindSafe(|| remove(self, row_key)));
            match removed.unwrap_or(Err(RowsError::Corrupt)) {
                Ok(()) => {}
                Err(error) if error.is_damage() => self.postpone(table, row_key, now),
                Err(error) => return Err(error),
            }
        }
        Ok(due.len() == MAX_SWEEP)
    }

    /// Moves a row whose key begins with its time to a later time.
    fn postpone(&mut self, table: Table, row_key: &[u8], now: Time) {
        static THROTTLE: LogThrottle = LogThrottle::new();
        if let Some(count) = THROTTLE.count() {
            tracing::error!(
                count,
                "what has expired cannot be read, and is left for a day: the data file may be damaged"
            );
        }
        let key = row_key.get(TIME_BYTES..).unwrap_or_default();
        self.remove(table, row_key);
        self.insert(table, &[&(now + DAMAGE_RETRY).millis().to_be_bytes(), key].concat(), &[]);
    }

    /// Deletes the record of a row of the table, or moves the row to a later time. Returns whether it deleted a record.
    fn purge(&mut self, purge_key: &[u8], now: Time) -> Result<bool, RowsError> {
        let key = purge_key.get(TIME_BYTES..).ok_or(RowsError::Corrupt)?;
        let head = self.get(Table::Sessions, key)?.map(|bytes| decode_head(&bytes));
        let is_deleted = match head {
            Some(Some(head)) if now < head.purge_time() => {
                self.schedule_purge(key, &head);
                false
            }
            Some(Some(head)) => {
                if let (Some(subject), Some(SessionKey { app, id })) = (head.subject, decode_key(key)) {
                    self.remove_purged_from_index(&SubjectRef { app, subject }, id, now)?;
                }
                self.remove(Table::Sessions, key);
                true
            }
            Some(None) => {
                tracing::warn!("a record to forget is no session; it is left where it is");
                false
            }
            None => false,
        };
        self.remove(Table::Purges, purge_key);
        Ok(is_deleted)
    }

    fn append_event(&mut self, session_key: &SessionKey, kind: EventKind, time: Time) -> Result<(), RowsError> {
        self.append_to_feed(&session_key.app, &FeedEntry::Session(Event { id: session_key.id, kind, time }))
    }

    pub(super) fn write_record(&mut self, key: &[u8], record: &Record) {
        self.insert(Table::Sessions, key, &encode(record));
    }

    pub(super) fn schedule_purge(&mut self, key: &[u8], head: &Head) {
        let purge_key = [&head.purge_time().millis().to_be_bytes(), key].concat();
        self.insert(Table::Purges, &purge_key, &[]);
    }
}

/// See [`crate::store::Store::load`].
pub(super) fn load(view: &View<'_>, session_key: &SessionKey) -> Result<Option<Snapshot>, RowsError> {
    let Some(record) = read_record(view, &key(session_key))? else { return Ok(None) };
    Ok(Some(Snapshot { record, generation: app_revocation(view, &session_key.app)?.generation }))
}

/// See [`crate::store::ExportSource::export_page`].
pub(super) fn scan(view: &View<'_>, app: &AppName, from: &Cursor, limit: usize) -> Result<ExportPage, RowsError> {
    let generation = app_revocation(view, app)?.generation;
    let first = if from.0.is_empty() {
        key(&SessionKey { app: app.clone(), id: SessionId::from_bytes([0; 16]) })
    } else {
        from.0.clone()
    };
    let last = key(&SessionKey { app: app.clone(), id: SessionId::from_bytes([0xff; 16]) });
    let mut page = ExportPage { sessions: Vec::new(), next: None };
    let rows = view.range(Table::Sessions, (Bound::Included(&first), Bound::Included(&last)))?;
    for (number, row) in rows.enumerate() {
        let (key, bytes) = row?;
        if page.sessions.len() == limit || number == limit + MAX_FOREIGN {
            page.next = Some(Cursor(key.into_owned()));
            break;
        }
        // The range also has sessions of apps whose names begin with this name.
        let Some(session_key) = decode_key(&key).filter(|session_key| session_key.app == *app) else {
            continue;
        };
        let snapshot = decode(&bytes).map(|record| Snapshot { record, generation });
        page.sessions.push((session_key.id, snapshot));
    }
    Ok(page)
}

fn read_record(view: &View<'_>, key: &[u8]) -> Result<Option<Record>, RowsError> {
    view.get(Table::Sessions, key)?.map(|bytes| decode(&bytes).ok_or(RowsError::Corrupt)).transpose()
}

pub(super) fn app_revocation(view: &View<'_>, app: &AppName) -> Result<AppRevocation, RowsError> {
    let Some(bytes) = view.get(Table::Generations, app.as_bytes())? else { return Ok(AppRevocation::default()) };
    let (generation, time) = bytes.split_first_chunk().ok_or(RowsError::Corrupt)?;
    let time = match time {
        [] => None,
        time => Some(Time::from_millis(u64::from_be_bytes(time.try_into().map_err(|_| RowsError::Corrupt)?))),
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

/// The length of a time at the beginning of a key.
pub(super) const TIME_BYTES: usize = 8;

/// The most rows of other apps that one call reads in search of those of an app.
pub(super) const MAX_FOREIGN: usize = 1000;

/// The most rows that one step of a sweep checks, so that other writes do not wait for long.
const MAX_SWEEP: usize = 1000;

/// When a sweep tries again to remove what is damaged.
const DAMAGE_RETRY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::path::Path;

    use futures_util::future::join_all;

    use super::super::log::WritePurpose;
    use super::super::{Embedded, Settings};
    use super::*;
    use crate::session::{Authority, EndReason, Entries, Subject};
    use crate::store::encoding::subject_hash;
    use crate::store::{Error, Index as _, IndexEntry, Store as _};
    use crate::token::{SessionId, VerifierHash};

    #[tokio::test]
    async fn bytes_that_are_not_a_session_are_an_error_and_stay_as_they_are() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let session_key = SessionKey { app: AppName::parse("default").unwrap(), id: SessionId::from_bytes([1; 16]) };
        let precondition = Precondition::unconditional(Authority::Admin, Time::default());
        let touch = Touch { verifier_hash: VerifierHash::from_bytes([1; 16]), used: Time::MAX, context: None };
        write_raw(&store, key(&session_key), b"\x01no session").await;

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

    #[tokio::test]
    async fn a_write_that_meets_damage_at_which_the_database_panics_fails_no_other() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let write = |key: &'static [u8]| {
            store.writer.write(WritePurpose::Ordinary, move |tables| {
                tables.insert(Table::Generations, key, &[]);
                assert!(key != b"damaged", "as the database does");
                Ok(())
            })
        };
        // The writer takes what has arrived meanwhile as one batch.
        let (release, released) = std::sync::mpsc::channel();
        let begun = store.writer.write(WritePurpose::Ordinary, move |_| Ok(released.recv().is_ok()));

        let (_, before, damaged, after, ()) =
            tokio::join!(begun, write(b"before"), write(b"damaged"), write(b"after"), async {
                release.send(()).unwrap()
            });

        assert!(matches!(damaged, Err(Error::Corrupt)), "{damaged:?}");
        before.and(after).unwrap();
        let is_written =
            |key: &str| store.shared.read(|view| Ok(view.get(Table::Generations, key.as_bytes())?.is_some()));
        assert_eq!(["before", "damaged", "after"].map(|key| is_written(key).unwrap()), [true, false, true]);
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_nothing_of_itself() {
        let home = tempfile::tempdir().unwrap();
        let open = || Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        let is_written = |store: &Embedded| store.shared.read(|view| Ok(view.get(Table::Feed, b"half")?.is_some()));
        let store = open();

        let write = |tables: &mut Tables<'_>| -> Result<(), _> {
            tables.insert(Table::Feed, b"half", &[]);
            Err(RowsError::Corrupt)
        };
        let failed = store.writer.write(WritePurpose::Ordinary, write).await;

        assert!(matches!(failed, Err(Error::Corrupt)), "{failed:?}");
        assert!(!is_written(&store).unwrap());
        drop(store);
        assert!(!is_written(&open()).unwrap());
    }

    #[tokio::test]
    async fn a_damaged_page_keeps_no_session_of_another_page_from_being_removed() {
        let home = tempfile::tempdir().unwrap();
        let settings = Settings { path: home.path().to_owned(), ..Settings::default() };
        let store = Embedded::open(&settings).unwrap();
        let create = async |n| {
            store.create(&session_key(n), &record(n)).await.unwrap();
            store.add_to_index(&subject_ref(n), &index_entry(n)).await.unwrap();
        };
        join_all((0..200).map(create)).await;
        drop(store);
        let store = Embedded::open(&Settings { cache_bytes: 0, ..settings.clone() }).unwrap();
        zero_page(&settings.data_file(), subject_ref(150).subject.as_str().as_bytes());
        let mut damaged = Vec::new();
        for n in 0..200 {
            if store.load(&session_key(n)).await.is_err() {
                damaged.push(n);
            }
        }
        assert!(damaged.contains(&150) && damaged.len() < 100, "{damaged:?}");

        while store.sweep(LATER).await.unwrap() > 0 {}

        for n in 0..200 {
            let is_left = match store.load(&session_key(n)).await {
                Ok(None) => false,
                Err(Error::Corrupt) => true,
                other => panic!("{n}: {other:?}"),
            };
            assert_eq!(is_left, damaged.contains(&n), "{n}");
        }
        assert_eq!(count(&store, Table::IndexExpiries), 0);
        assert_eq!(count(&store, Table::Purges), damaged.len(), "they are tried again");
        assert_eq!(store.sweep(LATER).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_damaged_index_entry_keeps_no_other_session_from_being_removed() {
        let home = tempfile::tempdir().unwrap();
        let store = Embedded::open(&Settings { path: home.path().to_owned(), ..Settings::default() }).unwrap();
        for n in 0..3 {
            store.create(&session_key(n), &record(n)).await.unwrap();
        }
        let key = [subject_hash(&subject_ref(1)), *session_key(1).id.as_bytes()].concat();
        let write = move |tables: &mut Tables<'_>| {
            tables.insert(Table::Index, &key, b"no entry");
            Ok(())
        };
        store.writer.write(WritePurpose::Ordinary, write).await.unwrap();

        let swept = store.sweep(LATER).await.unwrap();

        assert_eq!(swept, 2);
        store.load(&session_key(1)).await.unwrap().expect("it is removed as a whole or not at all");
        assert_eq!(count(&store, Table::Purges), 1, "it is tried again");
    }

    const LATER: Time = Time::from_seconds(1_000_000_000);

    fn session_key(n: u8) -> SessionKey {
        SessionKey { app: AppName::parse("default").unwrap(), id: SessionId::from_bytes([n; 16]) }
    }

    fn subject_ref(n: u8) -> SubjectRef {
        let subject = Subject::parse(&format!("subject-{n}-{}", "x".repeat(200))).unwrap();
        SubjectRef { app: session_key(n).app, subject }
    }

    fn record(n: u8) -> Record {
        let head = Head::new(VerifierHash::from_bytes([n; 16]), Time::default(), Duration::ZERO, Duration::ZERO);
        Record { head: Head { subject: Some(subject_ref(n).subject), ..head }, entries: Entries::default() }
    }

    fn index_entry(n: u8) -> IndexEntry {
        IndexEntry { id: session_key(n).id, add_time: Time::default(), until: Time::from_seconds(1) }
    }

    fn count(store: &Embedded, table: Table) -> usize {
        store.shared.read(|view| Ok(view.range(table, (Bound::Unbounded, Bound::Unbounded))?.count())).unwrap()
    }

    /// Zeros the page of a file with these bytes.
    fn zero_page(path: &Path, bytes: &[u8]) {
        let file = std::fs::read(path).unwrap();
        let at = file.windows(bytes.len()).position(|window| window == bytes).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(&[0; PAGE], (at - at % PAGE) as u64).unwrap();
    }

    const PAGE: usize = 4096;

    /// Writes bytes in place of a record, and a purge time that has passed.
    async fn write_raw(store: &Embedded, key: Vec<u8>, bytes: &'static [u8]) {
        let write = move |tables: &mut Tables<'_>| {
            tables.insert(Table::Sessions, &key, bytes);
            tables.insert(Table::Purges, &[[0; TIME_BYTES].as_slice(), &key].concat(), &[]);
            Ok(())
        };
        store.writer.write(WritePurpose::Ordinary, write).await.unwrap();
    }
}
