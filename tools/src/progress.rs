//! The progress of a long command: a bar on a terminal, a few plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Prints progress to stderr.
#[derive(Debug)]
pub struct Progress {
    total: usize,
    start: Instant,
    style: Style,
}

#[derive(Debug)]
enum Style {
    /// One line that is drawn again and again. Holds the time of the last drawing.
    Bar(Instant),
    /// One line for each tenth. Holds the tenth that was printed last.
    Lines(usize),
}

impl Progress {
    /// Starts to measure the time for `total` sessions.
    pub fn new(total: usize) -> Self {
        let start = Instant::now();
        let style = if io::stderr().is_terminal() { Style::Bar(start) } else { Style::Lines(0) };
        Self { total, start, style }
    }

    /// Prints that `done` sessions are done, unless the last print was only a moment ago.
    pub fn print(&mut self, done: usize) {
        let tenth = done * 10 / self.total.max(1);
        let text = match &mut self.style {
            Style::Bar(last) if last.elapsed() < REDRAW_INTERVAL && done < self.total => return,
            Style::Bar(last) => {
                *last = Instant::now();
                let end = if done < self.total { "" } else { "\n" };
                format!("\r{}{end}", bar(done, self.total, self.start.elapsed()))
            }
            Style::Lines(last) if *last == tenth => return,
            Style::Lines(last) => {
                *last = tenth;
                format!("{done} of {} sessions\n", self.total)
            }
        };
        // Nothing else depends on the progress, so an error of stderr does not stop the command.
        let _: io::Result<()> = write!(io::stderr().lock(), "{text}");
    }
}

fn bar(done: usize, total: usize, elapsed: Duration) -> String {
    let filled = done * WIDTH / total.max(1);
    // Printed as a whole number, so the precision of f64 is enough.
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    format!("[{}{}] {done} of {total} sessions, {rate:.0}/s ", "#".repeat(filled), ".".repeat(WIDTH - filled))
}

const WIDTH: usize = 30;

const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_filled_in_proportion_to_the_progress() {
        let text = bar(50, 200, Duration::from_secs(2));

        assert_eq!(text, "[#######.......................] 50 of 200 sessions, 25/s ");
    }
}
