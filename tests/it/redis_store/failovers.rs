//! Failovers that are repeated, and what they did to the calls meanwhile.
//!
//! `make failovers` prints the figures as a table, and fails if a goal is missed. No other run judges a time, for on a
//! machine that does something else a time says nothing about the service.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use super::counters::{Counter, Found};
use crate::support::environment::{number, text};

/// How many times each fault is tried.
pub(super) fn rounds() -> u64 {
    number("CLOAKROOM_TEST_FAILOVERS").unwrap_or(1)
}

/// Whether nothing else runs on this machine, so that times can be judged.
pub(super) fn are_judged() -> bool {
    text(TABLE).is_some()
}

/// What one fault did, in all its rounds.
#[derive(Default)]
pub(super) struct Failovers {
    rounds: u64,
    /// The longest time between two increments of one counter, of those whose server had the fault.
    gap: Duration,
    /// The longest time from a promotion until the service could write.
    ready: Duration,
    errors: i64,
    /// The same of all other counters.
    gap_elsewhere: Duration,
    errors_elsewhere: i64,
    acknowledged: i64,
    lost: i64,
    twice: i64,
}

/// What a fault may do at most.
#[derive(Clone, Copy)]
pub(super) struct Goals {
    pub(super) gap: Duration,
    pub(super) ready: Duration,
    pub(super) errors: i64,
}

impl Failovers {
    /// Adds a round. The counters of these partitions were at a server that had the fault.
    pub(super) fn add(&mut self, counters: &[Counter], had_fault: impl Fn(u16) -> bool, found: Found, ready: Duration) {
        self.rounds += 1;
        self.ready = self.ready.max(ready);
        for Counter { partition, acknowledged, failed, gap, .. } in counters {
            let (longest, errors) = match had_fault(*partition) {
                true => (&mut self.gap, &mut self.errors),
                false => (&mut self.gap_elsewhere, &mut self.errors_elsewhere),
            };
            *longest = (*longest).max(*gap);
            *errors += failed;
            self.acknowledged += acknowledged;
        }
        self.lost += found.lost;
        self.twice += found.twice;
    }

    /// Fails if a write was lost or done twice; one round alone may lose those that were under way. Adds a row to the
    /// table if there is one, and then also fails if another goal is missed.
    pub(super) fn judge(&self, fault: &str, goals: Goals) {
        let losses = (self.rounds > 1).then_some((self.lost, self.twice));
        assert_eq!(losses.unwrap_or_default(), (0, 0), "{fault}: lost, done twice");
        let Some(table) = text(TABLE) else { return };
        let Self { rounds, gap, ready, errors, gap_elsewhere, errors_elsewhere, acknowledged, lost, twice } = self;
        let [gap_text, ready_text, elsewhere_text] =
            [gap, ready, gap_elsewhere].map(|time| format!("{:.2} s", time.as_secs_f64()));
        let mut file = OpenOptions::new().create(true).append(true).open(table).unwrap();
        writeln!(
            file,
            "{fault}|{rounds}|{gap_text}|{ready_text}|{errors}|{elsewhere_text}|{errors_elsewhere}|{acknowledged}|{lost}|{twice}"
        )
        .unwrap();
        assert!(*gap <= goals.gap, "{fault}: a gap of {gap:?}; the goal is {:?}", goals.gap);
        assert!(*ready <= goals.ready, "{fault}: ready after {ready:?}; the goal is {:?}", goals.ready);
        assert!(*errors <= goals.errors, "{fault}: {errors} errors");
        assert_eq!((*errors_elsewhere, *lost, *twice), (0, 0, 0), "{fault}: errors elsewhere, lost, done twice");
    }
}

/// Names the file of the table. The make target writes its first line.
const TABLE: &str = "CLOAKROOM_TEST_FAILOVER_TABLE";
