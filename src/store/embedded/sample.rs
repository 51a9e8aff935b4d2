//! Samples of the sessions in the file: a position is the first eight bytes of an id.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use redb::{Range, ReadOnlyTable, ReadTransaction};

use super::record::decode_head;
use super::tables::{GENERATIONS, MAX_FOREIGN, SESSIONS, TablesError, app_revocation, key};
use crate::session::{Entries, Record};
use crate::store::{Position, SampledKeys, SessionKey, Snapshot};
use crate::token::SessionId;
use crate::types::AppName;

/// See [`crate::store::Sample::sample_keys`].
///
/// The rows are in the order of apps and ids. So it reads from one place for each app, and merges what it finds.
pub(super) fn sample_keys(
    reading: &ReadTransaction,
    apps: &BTreeSet<AppName>,
    from: Position,
    limit: usize,
) -> Result<SampledKeys, TablesError> {
    let table = reading.open_table(SESSIONS)?;
    let ids = apps.iter().map(|app| AppIds::new(&table, app, from));
    let mut ids: Vec<AppIds<'_>> = ids.collect::<Result<_, _>>()?;
    let mut heads = BinaryHeap::new();
    for (app, ids) in ids.iter_mut().enumerate() {
        heads.extend(ids.next()?.map(|id| Reverse((position(id.as_bytes()), app, id))));
    }
    let (mut sampled, mut last) = (SampledKeys::default(), from);
    while let Some(Reverse((position_of_id, app, id))) = heads.pop() {
        if sampled.session_keys.len() >= limit && position_of_id > last {
            sampled.next = Some(position_of_id);
            break;
        }
        last = position_of_id;
        sampled.session_keys.push(SessionKey { app: ids[app].app.clone(), id });
        heads.extend(ids[app].next()?.map(|id| Reverse((position(id.as_bytes()), app, id))));
    }
    let skipped = ids.iter().map(|ids| (ids.app.clone(), ids.skipped_before(sampled.next)));
    sampled.skipped = skipped.filter(|(_, positions)| *positions > 0).collect();
    Ok(sampled)
}

/// See [`crate::store::Sample::sample_heads`].
pub(super) fn sample_heads(
    reading: &ReadTransaction,
    session_keys: &[SessionKey],
) -> Result<Vec<Option<Snapshot>>, TablesError> {
    let (sessions, generations) = (reading.open_table(SESSIONS)?, reading.open_table(GENERATIONS)?);
    let read = |session_key: &SessionKey| {
        let bytes = sessions.get(key(session_key).as_slice())?;
        let Some(head) = bytes.and_then(|bytes| decode_head(bytes.value())) else { return Ok(None) };
        let generation = app_revocation(&generations, &session_key.app)?.generation;
        Ok(Some(Snapshot { record: Record { head, entries: Entries::default() }, generation }))
    };
    session_keys.iter().map(read).collect()
}

/// The ids of an app's sessions in their order.
struct AppIds<'t> {
    table: &'t BytesTable,
    app: &'t AppName,
    rows: Range<'static, &'static [u8], &'static [u8]>,
    /// How many rows of other apps were read.
    foreign: usize,
    /// Where the rows of other apps were too many: the first position that was left out, and the one after the last.
    skipped: Vec<(Position, Position)>,
}

type BytesTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl<'t> AppIds<'t> {
    fn new(table: &'t BytesTable, app: &'t AppName, from: Position) -> Result<Self, TablesError> {
        Ok(Self { table, app, rows: rows(table, app, from)?, foreign: 0, skipped: Vec::new() })
    }

    /// Returns the next id.
    ///
    /// Among the rows of `shop` are those of all apps whose names begin so: `shop2` where the ids of `shop` begin with
    /// the letter 2. If they are many, those few ids are skipped.
    fn next(&mut self) -> Result<Option<SessionId>, TablesError> {
        loop {
            let Some(row) = self.rows.next().transpose()? else { return Ok(None) };
            let after_name = row.0.value().get(self.app.as_bytes().len()..).ok_or(TablesError::Corrupt)?;
            if let Ok(id) = after_name.try_into() {
                return Ok(Some(SessionId::from_bytes(id)));
            }
            self.foreign += 1;
            if self.foreign >= MAX_FOREIGN {
                let (begin, letter) =
                    (position(after_name), u64::from(after_name.first().copied().unwrap_or_default()));
                let end = Position((letter + 1).checked_shl(LETTER_SHIFT).unwrap_or(u64::MAX).max(begin.0));
                self.skipped.push((begin, end));
                self.rows = rows(self.table, self.app, end)?;
            }
        }
    }

    /// Returns how many positions were skipped before this one; `None`: before the end.
    fn skipped_before(&self, end: Option<Position>) -> u64 {
        let end = end.unwrap_or(Position(u64::MAX));
        self.skipped.iter().map(|(from, to)| (*to).min(end).0.saturating_sub(from.0)).sum()
    }
}

/// All rows of an app from a position on. There may be rows of other apps between them.
fn rows(
    table: &BytesTable,
    app: &AppName,
    from: Position,
) -> Result<Range<'static, &'static [u8], &'static [u8]>, TablesError> {
    let first = [app.as_bytes(), &from.0.to_be_bytes(), &[0; 8]].concat();
    let last = [app.as_bytes(), &[0xff; 16]].concat();
    Ok(table.range::<&[u8]>(first.as_slice()..=last.as_slice())?)
}

fn position(id: &[u8]) -> Position {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(id).for_each(|(byte, from)| *byte = *from);
    Position(u64::from_be_bytes(bytes))
}

/// The first byte of a position, as a letter of an app's name.
const LETTER_SHIFT: u32 = u64::BITS - u8::BITS;
