//! Moves the sessions of the old store to the new one, while both are in use.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    AuthoritativeStore, InOld, MAX_ATTEMPTS, MoveMark, Moving, RecordReplacement, arriving, has_mark, is_outdated,
    lacks_last_step, mark_of, moved, without_mark,
};
use crate::session::Record;
use crate::store::transfer::{exported_record, imported_revocations, index_entry};
use crate::store::{Cursor, Error, ImportApp, Position, SessionKey, Snapshot, SubjectRef};
use crate::types::{AppName, Clock, Time};

/// A move of all sessions of some apps. Whatever it has done when it is dropped is right, and another one goes on.
///
/// Several may run at once, in any number of processes.
#[derive(Debug)]
pub struct Mover {
    moving: Arc<Moving>,
    clock: Arc<dyn Clock>,
    mode: MoveMode,
    apps: BTreeMap<AppName, ImportApp>,
    step: MoveStep,
    report: MoveReport,
    /// The number of sessions that this pass has left or moved.
    in_pass: u64,
    passes: usize,
}

/// Whether a move writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveMode {
    Write,
    /// It only counts what it would move.
    DryRun,
}

/// The results of a move so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Live sessions that were moved.
    pub live: u64,
    /// Ended sessions that were moved, so that they stay ended.
    pub ended: u64,
    /// Sessions that had expired so long ago that nothing has to be known of them.
    pub expired: u64,
    /// The revocations of apps and subjects that the new store has now.
    pub revocations: u64,
    /// About how many records of the old store this pass still has to look at.
    pub left: u64,
    /// The sessions that the last pass left in the old store.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Whether the last pass found nothing in the old store that has to move.
    pub is_complete: bool,
}

/// Why a session stays in the old store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// Its bytes are not a session.
    Corrupt,
    /// The new store has a session of this id that did not come from a move.
    InBoth,
    /// It was written again and again.
    Busy,
}

#[derive(Debug)]
enum MoveStep {
    AppRevocations,
    Revocations(Cursor),
    BeginPass,
    Sessions {
        apps: VecDeque<AppName>,
        cursor: Cursor,
    },
    /// The marks that an earlier move in the other direction, or one that stopped, left in the new store.
    Marks(Position),
    Done,
}

/// The result for one session.
enum MoveOutcome {
    Live,
    Ended,
    Expired,
    /// The old store has nothing of it any more.
    Gone,
    Skipped(SkipReason),
}

impl Mover {
    /// Begins a move of these apps' sessions. Nothing is done before the first step.
    pub fn new(moving: Arc<Moving>, clock: Arc<dyn Clock>, apps: BTreeMap<AppName, ImportApp>, mode: MoveMode) -> Self {
        let step = MoveStep::AppRevocations;
        Self { moving, clock, mode, apps, step, report: MoveReport::default(), in_pass: 0, passes: 0 }
    }

    /// Returns the results so far.
    pub const fn report(&self) -> &MoveReport {
        &self.report
    }

    /// Makes one step, which reads a page of the old store at most. Returns whether there are more.
    pub async fn advance(&mut self) -> Result<bool, Error> {
        self.step = match mem::replace(&mut self.step, MoveStep::Done) {
            MoveStep::AppRevocations => self.move_app_revocations().await?,
            MoveStep::Revocations(cursor) => self.move_revocations(&cursor).await?,
            MoveStep::BeginPass => self.begin_pass().await?,
            MoveStep::Sessions { apps, cursor } => self.move_page(apps, &cursor).await?,
            MoveStep::Marks(position) => self.remove_marks(position).await?,
            MoveStep::Done => return Ok(false),
        };
        Ok(true)
    }

    async fn move_app_revocations(&mut self) -> Result<MoveStep, Error> {
        if self.mode == MoveMode::Write {
            for app in self.apps.keys() {
                self.moving.bring_app_revocation(app, self.clock.now()).await?;
            }
        }
        Ok(MoveStep::Revocations(Cursor::default()))
    }

    async fn move_revocations(&mut self, cursor: &Cursor) -> Result<MoveStep, Error> {
        let page = self.moving.old.list_revocations(cursor).await?;
        let next = page.next.clone();
        let apps: Vec<AppName> = self.apps.keys().cloned().collect();
        for revocation in imported_revocations(page, self.clock.now()) {
            if self.mode == MoveMode::Write {
                self.moving.new.restore_revocation(&revocation, &apps).await?;
            }
            self.report.revocations += 1;
        }
        Ok(next.map_or(MoveStep::BeginPass, MoveStep::Revocations))
    }

    async fn begin_pass(&mut self) -> Result<MoveStep, Error> {
        self.passes += 1;
        self.in_pass = 0;
        self.report.skipped.clear();
        self.report.left = self.estimate_records().await?;
        Ok(MoveStep::Sessions { apps: self.apps.keys().cloned().collect(), cursor: Cursor::default() })
    }

    /// Estimates how many records the old store has, marks included.
    async fn estimate_records(&self) -> Result<u64, Error> {
        let apps = self.apps.keys().cloned().collect();
        let (mut records, mut from) = (0_u64, Position::default());
        for _ in 0..SAMPLE_PAGES {
            let page = self.moving.old.sample_keys(&apps, from, SAMPLE_PAGE).await?;
            records += page.session_keys.len() as u64;
            let Some(next) = page.next else { return Ok(records) };
            from = next;
        }
        let total = u128::from(records) * u128::from(u64::MAX) / u128::from(from.0.max(1));
        Ok(u64::try_from(total).unwrap_or(u64::MAX))
    }

    async fn move_page(&mut self, mut apps: VecDeque<AppName>, cursor: &Cursor) -> Result<MoveStep, Error> {
        let Some(app) = apps.front().cloned() else { return Ok(self.end_pass()) };
        let page = self.moving.old.export_page(&app, cursor, PAGE).await?;
        self.report.left = self.report.left.saturating_sub(page.sessions.len() as u64);
        let (mut unmoved, mut marked) = (Vec::new(), Vec::new());
        for (id, snapshot) in page.sessions {
            let session_key = SessionKey { app: app.clone(), id };
            match snapshot.map(|snapshot| mark_of(&snapshot.record)) {
                None => self.count(MoveOutcome::Skipped(SkipReason::Corrupt)),
                // A copy may be what an earlier move in the other direction did not finish.
                Some(None | Some(MoveMark::Arriving)) => unmoved.push(session_key),
                Some(Some(MoveMark::Moved)) => marked.push(session_key),
            }
        }
        for batch in unmoved.chunks(CONCURRENT_MOVES) {
            for outcome in join_all(batch.iter().map(|session_key| self.move_session(session_key))).await {
                self.count(match outcome {
                    Err(Error::Corrupt) => MoveOutcome::Skipped(SkipReason::Corrupt),
                    outcome => outcome?,
                });
            }
        }
        if self.mode == MoveMode::Write {
            self.complete_moves(&marked).await?;
            sleep(PAUSE).await;
        }
        Ok(match page.next {
            Some(cursor) => MoveStep::Sessions { apps, cursor },
            None => {
                apps.pop_front();
                MoveStep::Sessions { apps, cursor: Cursor::default() }
            }
        })
    }

    /// Does the last step of moves that stopped before it.
    async fn complete_moves(&self, session_keys: &[SessionKey]) -> Result<(), Error> {
        let heads = self.moving.new.sample_heads(session_keys).await?;
        for (session_key, head) in session_keys.iter().zip(heads) {
            if has_mark(head.as_ref(), MoveMark::Arriving) {
                self.moving.load_from_new(session_key, InOld::Moved).await?;
            }
        }
        Ok(())
    }

    fn end_pass(&mut self) -> MoveStep {
        self.report.left = 0;
        self.report.is_complete = self.mode == MoveMode::Write && self.in_pass == 0;
        let is_last = self.in_pass == self.report.skipped.values().sum::<u64>() || self.passes == MAX_PASSES;
        match (self.mode, self.report.is_complete, is_last) {
            (MoveMode::DryRun, ..) => MoveStep::Done,
            (MoveMode::Write, false, false) => MoveStep::BeginPass,
            (MoveMode::Write, ..) => MoveStep::Marks(Position::default()),
        }
    }

    /// Removes marks from the new store of sessions that the old one has nothing of.
    async fn remove_marks(&self, from: Position) -> Result<MoveStep, Error> {
        let apps = self.apps.keys().cloned().collect();
        let page = self.moving.new.sample_keys(&apps, from, SAMPLE_PAGE).await?;
        let heads = self.moving.new.sample_heads(&page.session_keys).await?;
        for (session_key, head) in page.session_keys.iter().zip(heads) {
            if head.is_some_and(|head| mark_of(&head.record).is_some()) {
                match self.remove_mark(session_key).await {
                    // What the old store has is not known, so the mark stays.
                    Err(Error::Corrupt) => {}
                    removed => removed?,
                }
            }
        }
        sleep(PAUSE).await;
        Ok(page.next.map_or(MoveStep::Done, MoveStep::Marks))
    }

    async fn remove_mark(&self, session_key: &SessionKey) -> Result<(), Error> {
        // The old store after the new one: what begins to move later changes what was read first.
        let Some(found) = self.moving.new.load(session_key).await? else { return Ok(()) };
        match (mark_of(&found.record), AuthoritativeStore::of(self.moving.load_from_old(session_key).await?)) {
            (None, _) | (Some(_), AuthoritativeStore::Old(_)) => {}
            (Some(MoveMark::Arriving), AuthoritativeStore::New(InOld::Moved)) => {
                self.moving.load_from_new(session_key, InOld::Moved).await?;
            }
            (Some(_), AuthoritativeStore::New(_)) => {
                self.moving.new.replace(session_key, Some(&found), RecordReplacement::Nothing).await?;
            }
        }
        Ok(())
    }

    fn count(&mut self, outcome: MoveOutcome) {
        let count = match outcome {
            MoveOutcome::Gone => return,
            MoveOutcome::Expired => {
                // It is found again in each pass, until the store deletes it.
                self.report.expired += u64::from(self.passes == 1);
                return;
            }
            MoveOutcome::Live => &mut self.report.live,
            MoveOutcome::Ended => &mut self.report.ended,
            MoveOutcome::Skipped(reason) => self.report.skipped.entry(reason).or_default(),
        };
        *count += 1;
        self.in_pass += 1;
    }

    async fn move_session(&self, session_key: &SessionKey) -> Result<MoveOutcome, Error> {
        for _ in 0..MAX_ATTEMPTS {
            // The new store first: what has changed there since then shows that another process moved the session.
            let begin = self.clock.now();
            let copy = self.moving.new.load(session_key).await?;
            let found = match self.mode {
                MoveMode::Write => self.moving.load_from_old(session_key).await?,
                MoveMode::DryRun => self.moving.old.load(session_key).await?,
            };
            let lacks_last_step = lacks_last_step(found.as_ref(), copy.as_ref());
            let Some(mut found) = found else { return Ok(MoveOutcome::Gone) };
            if lacks_last_step {
                found.record = without_mark(&found.record);
            }
            if mark_of(&found.record).is_some() {
                return Ok(MoveOutcome::Gone);
            }
            let Some(record) = exported_record(found.clone(), begin, begin) else { return Ok(MoveOutcome::Expired) };
            let (is_same_end, is_other) = match copy.as_ref().map(|copy| (mark_of(&copy.record), &copy.record.head)) {
                None | Some((Some(_), _)) => (false, false),
                Some((None, head)) => {
                    let is_same_end = head.end.is_some() && record.head.end.is_some();
                    (is_same_end, !is_same_end)
                }
            };
            if is_other {
                return Ok(MoveOutcome::Skipped(SkipReason::InBoth));
            }
            let outcome = if record.head.end.is_some() { MoveOutcome::Ended } else { MoveOutcome::Live };
            if self.mode == MoveMode::DryRun {
                return Ok(outcome);
            }
            let is_copied = is_same_end || self.copy(session_key, copy.as_ref(), record, begin).await?;
            if is_copied && self.mark_moved(session_key, &found).await? {
                return Ok(outcome);
            }
        }
        Ok(MoveOutcome::Skipped(SkipReason::Busy))
    }

    /// Writes the copy, unless the new store has changed. What has ended is final, and so is its copy.
    async fn copy(
        &self,
        session_key: &SessionKey,
        before: Option<&Snapshot>,
        record: Record,
        begin: Time,
    ) -> Result<bool, Error> {
        let has_ended = record.head.end.is_some();
        if !has_ended
            && let Some(subject) = record.head.subject.clone()
            && let Some(app) = self.apps.get(&session_key.app)
        {
            let entry = index_entry(session_key.id, &record, app, begin);
            self.moving.new.add_to_index(&SubjectRef { app: session_key.app.clone(), subject }, &entry).await?;
        }
        let record = if has_ended { record } else { arriving(record) };
        if is_outdated(begin, self.clock.now()) {
            return Ok(false);
        }
        self.moving.new.replace(session_key, before, RecordReplacement::Copy(record)).await
    }

    /// Makes the new store authoritative, unless the session has changed.
    async fn mark_moved(&self, session_key: &SessionKey, found: &Snapshot) -> Result<bool, Error> {
        let mark = RecordReplacement::Record(moved(&found.record));
        if !self.moving.old.replace(session_key, Some(found), mark).await? {
            return Ok(false);
        }
        self.moving.load_from_new(session_key, InOld::Moved).await?;
        Ok(true)
    }
}

/// How many sessions are read at once. They may be as large as a MiB each.
const PAGE: usize = 64;

/// How many sessions move at once: enough to hide the latency of a store, and little beside the calls of frontends.
const CONCURRENT_MOVES: usize = 8;

/// The pause after each page, so that calls keep their latency.
const PAUSE: Duration = Duration::from_millis(2);

/// How often the old store is read through: again, until nothing is found that has to move.
const MAX_PASSES: usize = 10;

/// How many records are listed to estimate how many there are.
const SAMPLE_PAGE: usize = 500;
const SAMPLE_PAGES: usize = 20;
