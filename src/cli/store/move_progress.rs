//! How far a move of sessions has come, as text: the share that is done, the rate and the time left.
//!
//! All of it is an estimate, for the service only estimates how many records the previous store has.

use std::time::{Duration, Instant};

use crate::cli::layout::cut;
use crate::grpc::wire::MigrateStoreResponse;

/// The progress of a move, according to its responses so far.
#[derive(Debug)]
pub(super) struct MoveProgress {
    is_dry_run: bool,
    /// How many passes over the records of the previous store have begun.
    passes: u32,
    /// When this pass began.
    begin: Instant,
    now: Instant,
    /// How many records this pass looks at.
    total: u64,
    left: u64,
    /// How many sessions were moved by all passes.
    moved: u64,
}

impl MoveProgress {
    pub(super) const fn new(is_dry_run: bool, now: Instant) -> Self {
        Self { is_dry_run, passes: 0, begin: now, now, total: 0, left: 0, moved: 0 }
    }

    /// Takes a response that has come now. Returns whether the number of records is known.
    pub(super) const fn add(&mut self, response: &MigrateStoreResponse, now: Instant) -> bool {
        if response.left_count > self.left {
            self.passes += 1;
            (self.begin, self.total) = (now, response.left_count);
        }
        (self.left, self.now) = (response.left_count, now);
        self.moved = response.live_count + response.ended_count;
        self.passes > 0
    }

    /// A line for a terminal, with a bar if there is room for one.
    pub(super) fn bar(&self, columns: usize) -> String {
        let (step, figures) = (self.step(), self.figures());
        // The last column stays free: some terminals begin a new line there.
        let columns = columns.saturating_sub(1);
        let room = columns.saturating_sub(step.len() + figures.len() + "  []".len()).min(LONGEST_BAR);
        if room < SHORTEST_BAR {
            return cut(format!("{step} {figures}"), columns);
        }
        let done = self.percent() as usize * room / 100;
        format!("{step} [{}{}] {figures}", "#".repeat(done), "-".repeat(room - done))
    }

    /// A line for a log.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", self.step(), self.figures())
    }

    const fn step(&self) -> &'static str {
        match (self.is_dry_run, self.passes) {
            (true, _) => "counting",
            (false, 0 | 1) => "moving",
            (false, _) => "checking",
        }
    }

    fn figures(&self) -> String {
        let Self { total, moved, is_dry_run, .. } = self;
        let looked_at = self.looked_at();
        let elapsed = self.now.saturating_duration_since(self.begin).as_secs_f64();
        let mut text = format!("{} % of about {total}", self.percent());
        if looked_at > 0 && elapsed > 0.0 {
            text += &format!(", {:.0}/s", looked_at as f64 / elapsed);
            if self.left > 0 {
                text += &format!(", {} left", time_left(elapsed * self.left as f64 / looked_at as f64));
            }
        }
        let verb = if *is_dry_run { "would move" } else { "moved" };
        format!("{text}, {moved} {verb}")
    }

    const fn looked_at(&self) -> u64 {
        self.total.saturating_sub(self.left)
    }

    /// At most 99: that a pass is over is known only when the move ends or another pass begins.
    fn percent(&self) -> u64 {
        let percent = u128::from(self.looked_at()) * 100 / u128::from(self.total.max(1));
        u64::try_from(percent).unwrap_or_default().min(99)
    }
}

/// Writes a time in its two largest units.
fn time_left(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_TIME).min(LONGEST_TIME).as_secs();
    let unit = match seconds {
        0..3600 => 1,
        3600..86_400 => 60,
        _ => 3600,
    };
    humantime::format_duration(Duration::from_secs(seconds / unit * unit)).to_string()
}

const LONGEST_BAR: usize = 30;
const SHORTEST_BAR: usize = 5;
/// A year, as it is written.
const LONGEST_TIME: Duration = Duration::from_secs(31_557_600);

#[cfg(test)]
mod tests {
    use super::*;

    fn response(left: u64, live: u64) -> MigrateStoreResponse {
        MigrateStoreResponse { left_count: left, live_count: live, ..Default::default() }
    }

    /// The progress after these responses, each with the second in which it comes.
    fn after(responses: &[(u64, MigrateStoreResponse)]) -> MoveProgress {
        let begin = Instant::now();
        let mut progress = MoveProgress::new(false, begin);
        for (seconds, response) in responses {
            progress.add(response, begin + Duration::from_secs(*seconds));
        }
        progress
    }

    #[test]
    fn the_share_the_rate_and_the_time_left_are_those_of_the_pass() {
        let begun = [(5, response(0, 0)), (10, response(120_000, 0))];
        let half = [(70, response(60_000, 59_000))];
        let again = [(131, response(0, 118_000)), (132, response(121_000, 118_000)), (133, response(96_800, 118_100))];

        let lines = [&begun[..], &[&begun[..], &half].concat(), &[&begun[..], &half, &again].concat()]
            .map(|responses| after(responses).line());

        assert_eq!(
            lines,
            [
                "moving: 0 % of about 120000, 0 moved",
                "moving: 50 % of about 120000, 1000/s, 1m left, 59000 moved",
                "checking: 20 % of about 121000, 24200/s, 4s left, 118100 moved",
            ]
        );
    }

    #[test]
    fn a_pass_that_goes_on_although_its_estimate_is_used_up_is_never_done() {
        let progress = after(&[(0, response(100, 0)), (10, response(0, 100)), (20, response(0, 200))]);

        assert_eq!(progress.line(), "moving: 99 % of about 100, 5/s, 200 moved");
    }

    #[test]
    fn nothing_is_said_before_the_number_of_records_is_known() {
        let now = Instant::now();
        let mut progress = MoveProgress::new(true, now);

        let known = [0, 0, 7, 0].map(|left| progress.add(&response(left, 0), now));

        assert_eq!(known, [false, false, true, true]);
        assert_eq!(progress.line(), "counting: 99 % of about 7, 0 would move");
    }

    #[test]
    fn the_bar_takes_the_room_that_the_figures_leave() {
        let progress = after(&[(0, response(400, 0)), (10, response(100, 300))]);
        let figures = "75 % of about 400, 30/s, 3s left, 300 moved";

        let [wide, narrow, narrowest] = [200, 65, 40].map(|columns| progress.bar(columns));

        assert_eq!(wide, format!("moving [{}{}] {figures}", "#".repeat(22), "-".repeat(8)));
        assert_eq!(narrow, format!("moving [########---] {figures}"));
        assert!(narrowest.starts_with("moving 75 %") && narrowest.chars().count() < 40, "{narrowest}");
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        assert_eq!([0.0, 59.9, 3599.0, 7384.0, 90_061.0].map(time_left), ["0s", "59s", "59m 59s", "2h 3m", "1day 1h"]);
        assert_eq!([f64::MAX, f64::NAN].map(time_left), ["1year"; 2]);
    }
}
