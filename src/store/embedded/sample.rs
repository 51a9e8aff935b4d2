//! Samples of the sessions in the file: a position is the first eight bytes of an id.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::ops::Bound;

use super::rows::{Rows, RowsError, Table, View};
use super::tables::{MAX_FOREIGN, app_revocation, key};
use crate::session::{Entries, Record};
use crate::store::record::decode_head;
use crate::store::{Position, SampledKeys, SessionKey, Snapshot};
use crate::token::SessionId;
use crate::types::AppName;

/// See [`crate::store::Sample::sample_keys`].
///
/// The rows are in the order of apps and ids. So it reads from one place for each app, and merges what it finds.
pub(super) fn sample_keys(
    view: &View<'_>,
    apps: &BTreeSet<AppName>,
    from: Position,
    limit: usize,
) -> Result<SampledKeys, RowsError> {
    let ids = apps.iter().map(|app| AppIds::new(view, app, from));
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
pub(super) fn sample_heads(view: &View<'_>, session_keys: &[SessionKey]) -> Result<Vec<Option<Snapshot>>, RowsError> {
    let read = |session_key: &SessionKey| {
        let bytes = view.get(Table::Sessions, &key(session_key))?;
        let Some(head) = bytes.and_then(|bytes| decode_head(&bytes)) else { return Ok(None) };
        let generation = app_revocation(view, &session_key.app)?.generation;
        Ok(Some(Snapshot { record: Record { head, entries: Entries::default() }, generation }))
    };
    session_keys.iter().map(read).collect()
}

/// The ids of an app's sessions in their order.
struct AppIds<'t> {
    view: &'t View<'t>,
    app: &'t AppName,
    rows: Rows<'t>,
    /// How many rows of other apps were read.
    foreign: usize,
    /// Where the rows of other apps were too many: the first position that was left out, and the one after the last.
    skipped: Vec<(Position, Position)>,
}

impl<'t> AppIds<'t> {
    fn new(view: &'t View<'t>, app: &'t AppName, from: Position) -> Result<Self, RowsError> {
        Ok(Self { view, app, rows: rows(view, app, from)?, foreign: 0, skipped: Vec::new() })
    }

    /// Returns the next id.
    ///
    /// Among the rows of `shop` are those of all apps whose names begin so: `shop2` where the ids of `shop` begin with
    /// the letter 2. If they are many, those few ids are skipped.
    fn next(&mut self) -> Result<Option<SessionId>, RowsError> {
        loop {
            let Some((key, _)) = self.rows.next().transpose()? else { return Ok(None) };
            let after_name = key.get(self.app.as_bytes().len()..).ok_or(RowsError::Corrupt)?;
            if let Ok(id) = after_name.try_into() {
                return Ok(Some(SessionId::from_bytes(id)));
            }
            self.foreign += 1;
            if self.foreign >= MAX_FOREIGN {
                let (begin, letter) =
                    (position(after_name), u64::from(after_name.first().copied().unwrap_or_default()));
                let end = Position((letter + 1).checked_shl(LETTER_SHIFT).unwrap_or(u64::MAX).max(begin.0));
                self.skipped.push((begin, end));
                self.rows = rows(self.view, self.app, end)?;
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
fn rows<'t>(view: &View<'t>, app: &AppName, from: Position) -> Result<Rows<'t>, RowsError> {
    let first = [app.as_bytes(), &from.0.to_be_bytes(), &[0; 8]].concat();
    let last = [app.as_bytes(), &[0xff; 16]].concat();
    view.range(Table::Sessions, (Bound::Included(&first), Bound::Included(&last)))
}

fn position(id: &[u8]) -> Position {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(id).for_each(|(byte, from)| *byte = *from);
    Position(u64::from_be_bytes(bytes))
}

/// The first byte of a position, as a letter of an app's name.
const LETTER_SHIFT: u32 = u64::BITS - u8::BITS;
