//! How far a long command is: a bar on a terminal, a few plain lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Says on stderr how far something is.
#[derive(Debug)]
pub(super) struct Progress {
    total: usize,
    start: Instant,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// Drawn over itself, when it was last drawn.
    Bar(Instant),
    /// A line for each tenth, with the last one that was said.
    Lines(usize),
}

impl Progress {
    pub(super) fn of(total: usize) -> Self {
        let start = Instant::now();
        let shape = if io::stderr().is_terminal() { Shape::Bar(start) } else { Shape::Lines(0) };
        Self { total, start, shape }
    }

    pub(super) fn show(&mut self, done: usize) {
        let tenth = tenth(done, self.total);
        let text = match &mut self.shape {
            Shape::Bar(last) if last.elapsed() < REDRAW && done < self.total => return,
            Shape::Bar(last) => {
                *last = Instant::now();
                let end = if done < self.total { "" } else { "\n" };
                format!("\r{}{end}", bar(done, self.total, self.start.elapsed()))
            }
            Shape::Lines(last) if *last == tenth => return,
            Shape::Lines(last) => {
                *last = tenth;
                format!("{done} of {} sessions\n", self.total)
            }
        };
        // A terminal that has gone is no reason to stop.
        let _: io::Result<()> = write!(io::stderr().lock(), "{text}");
    }
}

fn tenth(done: usize, total: usize) -> usize {
    done * 10 / total.max(1)
}

fn bar(done: usize, total: usize, elapsed: Duration) -> String {
    let filled = done * WIDTH / total.max(1);
    // For the eye alone: a rate needs no exact digits.
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    format!("[{}{}] {done} of {total} sessions, {rate:.0}/s ", "#".repeat(filled), ".".repeat(WIDTH - filled))
}

const WIDTH: usize = 30;

const REDRAW: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let text = bar(50, 200, Duration::from_secs(2));

        assert_eq!(text, "[#######.......................] 50 of 200 sessions, 25/s ");
    }
}
