//! Counts the live sessions of every app, from samples.
//!
//! A count reads no more of a large store than of a middling one. First it lists sessions in the order of their
//! positions, until it knows how many records an app has: of few sessions all, of many about [`MAX_KEYS`]. Then it reads
//! the heads of some of them, until it knows which part lives. A number that may be wrong by more than 5 % is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::sleep;

use super::liveness::is_live;
use super::{Error, Service};
use crate::app::Kind;
use crate::store::{Position, SessionKey, Snapshot, StoreKind};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// A count of the live sessions of an app.
///
/// Each number is exact or right within 5 %, but for one count in 500. It is `None` if the sample was too small
/// for that: if the app is small in a large store, or few of its records live, or few of the live ones are of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveCount {
    pub live: Option<u64>,
    /// Those of `live` without a subject. `None` too if the number of the others is not known.
    pub live_anonymous: Option<u64>,
    /// The time when the count ended.
    pub time: Time,
}

/// How long a count pauses, so that it slows nothing else down.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountPace {
    /// The pause after a page of keys.
    pub per_page: Duration,
    /// The pause for each head.
    pub per_head: Duration,
}

impl CountPace {
    /// The pace for a store: at most 33 commands a second for a shared one, because health and the connections' own checks
    /// need some fifty, and an idle replica may send it a hundred.
    pub const fn of(store: StoreKind) -> Self {
        if store.is_shared() {
            Self { per_page: Duration::from_millis(30), per_head: Duration::from_millis(30) }
        } else {
            Self { per_page: Duration::from_millis(10), per_head: Duration::from_micros(50) }
        }
    }
}

impl Service {
    /// Counts the live sessions of every app of kind `stored`, for [`AppStats::live_count`](super::AppStats).
    ///
    /// If there are so many apps that one call cannot count them all, the next call goes on with the others. Fails if
    /// the store does not answer.
    pub async fn count_live_sessions(&self, pace: CountPace) -> Result<(), Error> {
        let mut samples = self.sample_keys(pace).await?;
        samples.sort_by_key(|sample| self.stats.live_count(&sample.app).map(|count| count.time));
        let mut heads_left = MAX_HEADS;
        loop {
            let now = self.clock.now();
            samples.retain(|sample| {
                let (count, is_done) = (sample.count(now), sample.heads_wanted() == 0);
                // Better the total alone than nothing, until a first count is complete.
                if is_done || (count.live.is_some() && self.stats.live_count(&sample.app).is_none()) {
                    self.stats.set_live_count(&sample.app, count);
                }
                !is_done
            });
            let batch = next_batch(&samples, heads_left.min(BATCH));
            if batch.is_empty() {
                return Ok(());
            }
            heads_left -= batch.len();
            let heads = self.store.sample_heads(&batch).await?;
            let now = self.clock.now();
            for (session_key, snapshot) in batch.iter().zip(heads) {
                if let Some(sample) = samples.iter_mut().find(|sample| sample.app == session_key.app) {
                    sample.add_head(snapshot.filter(|snapshot| is_live(snapshot, now)));
                }
            }
            sleep(pace.per_head * u32::try_from(batch.len()).unwrap_or(u32::MAX)).await;
        }
    }

    /// Lists sessions of every app, until there are enough of each, or all.
    async fn sample_keys(&self, pace: CountPace) -> Result<Vec<AppSample>, Error> {
        let apps = self.apps.all();
        let apps =
            apps.values().filter(|app| matches!(app.kind, Kind::Stored | Kind::External)).map(|app| app.name.clone());
        let mut wanting: BTreeSet<AppName> = apps.collect();
        let new_sample = |app: &AppName| (app.clone(), AppSample::new(app.clone(), wanting.len()));
        let mut samples: BTreeMap<AppName, AppSample> = wanting.iter().map(new_sample).collect();
        let max_ids = (MAX_HEADS / samples.len().max(1)).max(MIN_IDS);
        let mut from = Position::default();
        for _ in 0..MAX_PAGES {
            let page = self.store.sample_keys(&wanting, from, PAGE).await?;
            for SessionKey { app, id } in page.session_keys {
                if let Some(sample) = samples.get_mut(&app) {
                    sample.add_key(id, max_ids);
                }
            }
            wanting.retain(|app| {
                let Some(sample) = samples.get_mut(app) else { return false };
                sample.end = page.next;
                sample.skipped += page.skipped.get(app).copied().unwrap_or_default();
                sample.records < MAX_KEYS
            });
            match page.next {
                Some(next) if !wanting.is_empty() => from = next,
                _ => break,
            }
            sleep(pace.per_page).await;
        }
        Ok(samples.into_values().collect())
    }
}

/// Returns the next sessions whose heads are to be read: those of the first samples that want some.
fn next_batch(samples: &[AppSample], limit: usize) -> Vec<SessionKey> {
    let wanted = samples.iter().flat_map(|sample| {
        let ids = sample.ids.iter().skip(sample.read).take(sample.heads_wanted());
        ids.map(|id| SessionKey { app: sample.app.clone(), id: *id })
    });
    wanted.take(limit).collect()
}

/// A sample of an app's sessions.
#[derive(Debug)]
struct AppSample {
    app: AppName,
    /// How many records were listed.
    records: usize,
    /// The first of them.
    ids: Vec<SessionId>,
    /// Where the list ends; `None`: it has all records.
    end: Option<Position>,
    /// The positions before `end` that are not in the list.
    skipped: u64,
    /// How many heads are read in any case.
    first_heads: usize,
    /// How many heads were read, in the order of `ids`.
    read: usize,
    live: usize,
    /// Those of `live` without a subject.
    anonymous: usize,
}

impl AppSample {
    fn new(app: AppName, apps: usize) -> Self {
        let first_heads = (MAX_HEADS / apps).clamp(*FIRST_HEADS.start(), *FIRST_HEADS.end());
        Self { app, records: 0, ids: Vec::new(), end: None, skipped: 0, first_heads, read: 0, live: 0, anonymous: 0 }
    }

    fn add_key(&mut self, id: SessionId, max_ids: usize) {
        self.records += 1;
        if self.ids.len() < max_ids {
            self.ids.push(id);
        }
    }

    /// Adds the head of the next id; `None`: it does not live.
    fn add_head(&mut self, live: Option<Snapshot>) {
        self.read += 1;
        self.live += usize::from(live.is_some());
        self.anonymous += usize::from(live.is_some_and(|snapshot| snapshot.record.head.subject.is_none()));
    }

    fn count(&self, time: Time) -> LiveCount {
        let [live, anonymous, authenticated] = self.parts().map(|found| self.estimate(found));
        LiveCount { live, live_anonymous: live.and(authenticated).and(anonymous), time }
    }

    /// How many more heads would make the numbers good enough, as far as that is possible.
    fn heads_wanted(&self) -> usize {
        let first = self.ids.len().min(self.first_heads);
        if self.read < first {
            return first - self.read;
        }
        let [live, anonymous, authenticated] = self.parts().map(|found| self.heads_needed(found));
        // The kinds are reported together or not at all.
        let needed = [live, anonymous.max(authenticated)];
        let possible = needed.into_iter().filter(|needed| *needed <= self.ids.len());
        possible.max().unwrap_or_default().saturating_sub(self.read)
    }

    /// How many of the heads are live, anonymous and authenticated.
    const fn parts(&self) -> [usize; 3] {
        [self.live, self.anonymous, self.live - self.anonymous]
    }

    /// Estimates how many sessions there are of a part of which this many were found.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of sessions")]
    fn estimate(&self, found: usize) -> Option<u64> {
        if self.share() >= 1.0 && self.read == self.records {
            return Some(found as u64);
        }
        let is_good = self.read >= self.heads_needed(found) && self.read > 0;
        is_good.then(|| (self.total() * float(found) / float(self.read)).round() as u64)
    }

    /// How many heads it takes to estimate a part of which this many were found; too many if it is impossible.
    ///
    /// The deviation of the estimate comes from the number of records and from the part among them: both are binomial.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is at least 0, and saturates")]
    fn heads_needed(&self, found: usize) -> usize {
        let of_records = (1.0 - self.share()) / float(self.records);
        let of_heads = MAX_DEVIATION * MAX_DEVIATION - of_records;
        if of_heads.is_nan() || of_heads <= 0.0 {
            return usize::MAX;
        }
        // With a few of each added, because a part of which none was found is not known to be empty.
        let part = (float(found) + PRIOR) / (float(self.read) + 2.0 * PRIOR);
        (of_heads * part / (1.0 - part) + self.total().recip()).recip().ceil() as usize
    }

    /// About how many records the app has, alive or ended.
    fn total(&self) -> f64 {
        float(self.records) / self.share()
    }

    /// The share of all positions that the list covers.
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    fn share(&self) -> f64 {
        let end = self.end.map_or(u64::MAX, |end| end.0);
        end.saturating_sub(self.skipped) as f64 / u64::MAX as f64
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of sessions in a sample are small")]
const fn float(count: usize) -> f64 {
    count as f64
}

/// The greatest standard deviation of a number that is reported: 5 % are 3.1 of them, which is one count in 500.
const MAX_DEVIATION: f64 = 0.016;

/// How many are added to the found ones and to the others: half the square of 3.1.
const PRIOR: f64 = 5.0;

/// How many records of an app are listed: enough for a deviation of 0.7 %.
const MAX_KEYS: usize = 20_000;

/// How many records are listed at once, and how many times.
const PAGE: usize = 500;
const MAX_PAGES: usize = 2000;

/// The most heads that one count reads: enough if a fifth of the records are of a part. From Redis in 5 minutes.
const MAX_HEADS: usize = 20_000;

/// How many ids are kept of each app at least, if there are many apps.
const MIN_IDS: usize = 1000;

/// How many heads are read before it is judged how many more are needed.
///
/// The larger number if there are few apps. An app with fewer records is counted exactly.
const FIRST_HEADS: RangeInclusive<usize> = 200..=1000;

/// How many heads are read at once.
const BATCH: usize = 20;
