//! Rows of the tables: those in the file, and under them those that are so far in the log alone.
//!
//! Keys and values are plain bytes. This module does not know what they mean.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, WriteTransaction};

use crate::store::Error;
use crate::store::encoding::ByteReader;

/// A table of the file. Its number stands in the log, so it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// From app and id to the record.
    Sessions = 0,
    /// From the app's name to its generation in four bytes, and the time of its last revocation in eight.
    ///
    /// The time is missing if an earlier version of the service wrote the row.
    Generations = 1,
    /// The purge times of records: a time in eight bytes, and the key in [`Self::Sessions`]. No value.
    ///
    /// At least one row for each record, at its purge time or earlier. A save or touch that makes the purge time later
    /// leaves the row as it is, and so costs nothing. The sweep moves the row when its time comes.
    Purges = 2,
    /// From the hash of app and subject, and the session's id, to the times of the entry of the index; from the hash
    /// alone to the revocation.
    Index = 3,
    /// The expiry of each row of [`Self::Index`]: its time in eight bytes, and its key. Exactly one for each row; no
    /// value.
    IndexExpiries = 4,
    /// From app and number to the entry of the feed.
    Feed = 5,
    /// The file's own data.
    Format = 6,
}

impl Table {
    /// All tables, in the order of their numbers.
    const ALL: [Self; 7] =
        [Self::Sessions, Self::Generations, Self::Purges, Self::Index, Self::IndexExpiries, Self::Feed, Self::Format];

    /// The table by its name in the file.
    pub(super) const fn definition(self) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(match self {
            Self::Sessions => "sessions",
            Self::Generations => "generations",
            Self::Purges => "forgetting",
            Self::Index => "index",
            Self::IndexExpiries => "index_ends",
            Self::Feed => "feed",
            Self::Format => "format",
        })
    }
}

/// Rows that were written or removed.
#[derive(Debug, Default)]
pub(super) struct RowChanges {
    /// By table and key; `None` for a removed row.
    tables: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; Table::ALL.len()],
    /// The most bytes that the encoded changes take.
    bytes: usize,
}

impl RowChanges {
    pub(super) fn set(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        self.bytes += ROW_BYTES + key.len() + value.map_or(0, <[u8]>::len);
        self.tables[table as usize].insert(key.to_vec(), value.map(<[u8]>::to_vec));
    }

    /// Adds changes that were made later.
    pub(super) fn extend(&mut self, later: Self) {
        self.bytes += later.bytes;
        for (table, rows) in self.tables.iter_mut().zip(later.tables) {
            if table.is_empty() {
                *table = rows;
            } else {
                table.extend(rows);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    /// The most bytes that [`Self::encode`] adds.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        for (number, rows) in (0_u8..).zip(&self.tables) {
            for (key, value) in rows {
                bytes.extend_from_slice(&[number, u8::from(value.is_some())]);
                bytes.extend_from_slice(&length(key));
                bytes.extend_from_slice(key);
                if let Some(value) = value {
                    bytes.extend_from_slice(&length(value));
                    bytes.extend_from_slice(value);
                }
            }
        }
    }

    /// Reads encoded changes; `None` if the bytes are no changes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        fn part<'b>(reader: &mut ByteReader<'b>) -> Option<&'b [u8]> {
            let length = reader.u32()?;
            reader.slice(usize::try_from(length).ok()?)
        }
        let mut changes = Self::default();
        let mut reader = ByteReader(bytes);
        while !reader.0.is_empty() {
            let table = *Table::ALL.get(usize::from(reader.u8()?))?;
            let has_value = reader.u8()? == 1;
            let key = part(&mut reader)?;
            let value = if has_value { Some(part(&mut reader)?) } else { None };
            changes.set(table, key, value);
        }
        Some(changes)
    }

    /// Writes the changes to the file's tables.
    pub(super) fn write(&self, writing: &WriteTransaction) -> Result<(), redb::Error> {
        for (table, rows) in Table::ALL.iter().zip(&self.tables).filter(|(_, rows)| !rows.is_empty()) {
            let mut stored = writing.open_table(table.definition())?;
            for (key, value) in rows {
                match value {
                    Some(value) => drop(stored.insert(key.as_slice(), value.as_slice())?),
                    None => drop(stored.remove(key.as_slice())?),
                }
            }
        }
        Ok(())
    }

    /// The row as it was changed; `None` if it was not.
    fn get(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        self.tables[table as usize].get(key).map(Option::as_deref)
    }
}

/// The tables of the file, as of one commit. While it lives, the file keeps what that commit has.
pub(super) struct StoredTables {
    tables: [ReadOnlyTable<&'static [u8], &'static [u8]>; Table::ALL.len()],
    has_failed: AtomicBool,
}

impl StoredTables {
    pub(super) fn open(reading: &ReadTransaction) -> Result<Self, redb::Error> {
        let tables = Table::ALL.iter().map(|table| reading.open_table(table.definition()));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let tables = tables.try_into().map_err(|_| redb::Error::Corrupted("a table is missing".to_owned()))?;
        Ok(Self { tables, has_failed: AtomicBool::new(false) })
    }

    /// Whether the disk failed to read. The database then reads nothing more until it is opened again.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    fn error(&self, error: redb::StorageError) -> RowsError {
        if matches!(error, redb::StorageError::Io(_) | redb::StorageError::PreviousIo) {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        error.into()
    }

    /// Creates the tables that do not exist: a read transaction cannot open them.
    pub(super) fn create(writing: &WriteTransaction) -> Result<(), redb::Error> {
        for table in Table::ALL {
            writing.open_table(table.definition())?;
        }
        Ok(())
    }
}

/// Where a row is read: the changes from the newest to the oldest, and then the file.
#[derive(Clone, Copy)]
pub(super) struct View<'v> {
    pub(super) changes: [Option<&'v RowChanges>; 4],
    pub(super) stored: &'v StoredTables,
}

/// The bounds of a range of keys.
pub(super) type KeyRange<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// A row: its key and its value.
pub(super) type Row<'v> = (Cow<'v, [u8]>, Cow<'v, [u8]>);

impl<'v> View<'v> {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Cow<'v, [u8]>>, RowsError> {
        if let Some(value) = self.changes.iter().flatten().find_map(|changes| changes.get(table, key)) {
            return Ok(value.map(Cow::Borrowed));
        }
        let stored = self.stored.tables[table as usize].get(key).map_err(|error| self.stored.error(error))?;
        Ok(stored.map(|value| Cow::Owned(value.value().to_vec())))
    }

    /// Returns the rows of a range, in the order of their keys.
    pub(super) fn range(&self, table: Table, range: KeyRange<'_>) -> Result<Rows<'v>, RowsError> {
        self.rows(table, range, RowOrder::Ascending)
    }

    /// Returns the last row of a range.
    pub(super) fn last(&self, table: Table, range: KeyRange<'_>) -> Result<Option<Row<'v>>, RowsError> {
        self.rows(table, range, RowOrder::Descending)?.next().transpose()
    }

    fn rows(&self, table: Table, range: KeyRange<'_>, order: RowOrder) -> Result<Rows<'v>, RowsError> {
        let mut sources: Vec<ChangedRows<'v>> = Vec::new();
        if let (Bound::Included(first), Bound::Included(last) | Bound::Excluded(last)) = range
            && first > last
        {
            // A foreign cursor. The map panics at such a range.
            return Ok(Rows { sources, order });
        }
        for changes in self.changes.iter().flatten() {
            let rows = &changes.tables[table as usize];
            if !rows.is_empty() {
                let rows = rows.range::<[u8], _>(range);
                let row = |(key, value): (&'v Vec<u8>, &'v Option<Vec<u8>>)| {
                    Ok((Cow::Borrowed(key.as_slice()), value.as_deref().map(Cow::Borrowed)))
                };
                sources.push(order.apply(rows.map(row)).peekable());
            }
        }
        let file = self.stored;
        let stored = file.tables[table as usize].range::<&[u8]>(range).map_err(|error| file.error(error))?;
        let stored = stored.map(|row| -> ChangedRow<'v> {
            let (key, value) = row.map_err(|error| file.error(error))?;
            Ok((Cow::Owned(key.value().to_vec()), Some(Cow::Owned(value.value().to_vec()))))
        });
        sources.push(order.apply(stored).peekable());
        Ok(Rows { sources, order })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RowOrder {
    Ascending,
    Descending,
}

impl RowOrder {
    fn apply<'v, I>(self, rows: I) -> Box<dyn Iterator<Item = ChangedRow<'v>> + 'v>
    where
        I: DoubleEndedIterator<Item = ChangedRow<'v>> + 'v,
    {
        match self {
            Self::Ascending => Box::new(rows),
            Self::Descending => Box::new(rows.rev()),
        }
    }
}

type ChangedRow<'v> = Result<(Cow<'v, [u8]>, Option<Cow<'v, [u8]>>), RowsError>;

type ChangedRows<'v> = std::iter::Peekable<Box<dyn Iterator<Item = ChangedRow<'v>> + 'v>>;

/// The rows of a range, of all sources as one.
pub(super) struct Rows<'v> {
    /// From the newest to the oldest.
    sources: Vec<ChangedRows<'v>>,
    order: RowOrder,
}

impl<'v> Iterator for Rows<'v> {
    type Item = Result<Row<'v>, RowsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut next: Option<usize> = None;
            for index in 0..self.sources.len() {
                let (before, source) = self.sources.split_at_mut(index);
                let key = match source[0].peek() {
                    None => continue,
                    Some(Ok((key, _))) => key,
                    Some(Err(_)) => return source[0].next()?.err().map(Err),
                };
                let best = next.and_then(|best| before[best].peek()).and_then(|row| row.as_ref().ok());
                let is_next = best.is_none_or(|(best, _)| match self.order {
                    RowOrder::Ascending => key < best,
                    RowOrder::Descending => key > best,
                });
                if is_next {
                    next = Some(index);
                }
            }
            let newest = next?;
            let (key, value) = self.sources[newest].next()?.ok()?;
            for older in &mut self.sources[newest + 1..] {
                older.next_if(|row| row.as_ref().is_ok_and(|(other, _)| *other == key));
            }
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}

/// Why rows cannot be read.
#[derive(Debug)]
pub(super) enum RowsError {
    /// The database failed.
    Storage(redb::Error),
    /// The bytes of a row are not valid. Other rows are not affected.
    Corrupt,
}

impl RowsError {
    /// Whether the rows that were read are damaged. Other rows can be read.
    pub(super) const fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt | Self::Storage(redb::Error::Corrupted(_)))
    }
}

impl From<RowsError> for Error {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::Storage(error) => Self::unavailable(error),
            RowsError::Corrupt => Self::Corrupt,
        }
    }
}

impl From<redb::StorageError> for RowsError {
    fn from(error: redb::StorageError) -> Self {
        Self::Storage(error.into())
    }
}

/// The bytes that a row takes in the log beside its key and value.
const ROW_BYTES: usize = 2 + 2 * size_of::<u32>();

#[cfg(test)]
mod tests {
    use redb::{Database, ReadableDatabase as _, backends::InMemoryBackend};

    use super::*;

    fn changes(rows: &[(&str, Option<&str>)]) -> RowChanges {
        let mut changes = RowChanges::default();
        for (key, value) in rows {
            changes.set(Table::Feed, key.as_bytes(), value.map(str::as_bytes));
        }
        changes
    }

    fn stored(rows: &[(&str, Option<&str>)]) -> StoredTables {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let writing = database.begin_write().unwrap();
        StoredTables::create(&writing).unwrap();
        changes(rows).write(&writing).unwrap();
        writing.commit().unwrap();
        let reading = database.begin_read().unwrap();
        // The tables can no longer be read once the database is dropped.
        std::mem::forget(database);
        StoredTables::open(&reading).unwrap()
    }

    #[test]
    fn the_newest_change_of_a_row_wins_in_both_orders() {
        let file = stored(&[("a", Some("file")), ("b", Some("file")), ("d", Some("file")), ("f", Some("file"))]);
        let older = changes(&[("b", Some("older")), ("c", Some("older")), ("d", None)]);
        let newer = changes(&[("a", None), ("c", Some("newer")), ("e", Some("newer")), ("f", None)]);
        let view = View { changes: [Some(&newer), None, Some(&older), None], stored: &file };
        let all = (Bound::Unbounded, Bound::Unbounded);
        let text = |row: Row<'_>| String::from_utf8([&*row.0, b"=", &*row.1].concat()).unwrap();

        let rows = view.range(Table::Feed, all).unwrap().map(|row| text(row.unwrap())).collect::<Vec<_>>();
        let back = view.rows(Table::Feed, all, RowOrder::Descending).unwrap().map(|row| text(row.unwrap()));
        let mut back = back.collect::<Vec<_>>();
        back.reverse();

        assert_eq!(rows, ["b=older", "c=newer", "e=newer"]);
        assert_eq!(back, rows);
        assert_eq!(view.last(Table::Feed, all).unwrap().map(text).as_deref(), Some("e=newer"));
        assert_eq!(view.get(Table::Feed, b"a").unwrap(), None);
        assert_eq!(view.get(Table::Feed, b"b").unwrap().as_deref(), Some(b"older".as_slice()));
    }

    #[test]
    fn changes_are_decoded_as_they_were_encoded_and_cut_ones_are_not() {
        let before = changes(&[("a", Some("1")), ("b", None), ("c", Some(""))]);
        let mut bytes = Vec::new();
        before.encode(&mut bytes);

        let after = RowChanges::decode(&bytes).unwrap();

        assert_eq!(after.tables, before.tables);
        assert!(bytes.len() <= before.bytes());
        assert!(RowChanges::decode(&bytes[..bytes.len() - 1]).is_none());
    }
}
