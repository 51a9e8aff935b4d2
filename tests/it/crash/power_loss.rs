//! Losses of power under the embedded store: what was acknowledged is there, and the files open.
//!
//! The writers of the crash test run on a disk that records each write and sync. From that, the test makes the files as
//! a loss of power at any moment may leave them: of what was not synced, each page may be there, older, or torn.

use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use tempfile::tempdir;

use super::{PREFIX, Report, lines, spawn, this_binary};
use crate::support::disk::{Disk, Entry, Files};
use crate::support::environment::number;

#[test]
fn acknowledged_writes_survive_a_loss_of_power_and_another_one_during_recovery() {
    let losses: u32 = number("CLOAKROOM_TEST_POWER_LOSSES").unwrap_or(LOSSES);
    for _ in 0..losses.div_ceil(LOSSES) {
        let seed = number("CLOAKROOM_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("CLOAKROOM_TEST_SEED={seed}");
        lose_power(Rng::with_seed(seed));
    }
}

/// Loses power in the life of one store.
fn lose_power(mut rng: Rng) {
    let disk = Disk::new();
    let mut folder = tempdir().unwrap();
    let (mut files, mut report) = (Files::default(), Report::default());

    for round in 0..LOSSES / LOSSES_OF_ROUND {
        run_writers(&disk, folder.path(), round, rng.usize(1..MAX_LINES));
        let record = disk.take_record();
        // Before that, the store was made for the first time, and nothing was acknowledged.
        let opened = if round == 0 { record.iter().position(is_report).unwrap() } else { 0 };
        let mut times = (0..LOSSES_OF_ROUND).map(|_| rng.usize(opened..record.len())).collect::<Vec<_>>();
        times.sort_unstable();
        let mut record = record.iter().enumerate().peekable();
        let mut advance = |files: &mut Files, report: &mut Report, time: usize| {
            while let Some((_, entry)) = record.next_if(|(at, _)| *at <= time) {
                files.apply(entry);
                if let Entry::Printed(text) = entry {
                    text.lines().for_each(|line| report.read(line));
                }
            }
        };

        for time in times {
            advance(&mut files, &mut report, time);
            let lost = tempdir().unwrap();
            files.lose_power(folder.path(), lost.path(), &mut rng);
            report.check(lost.path());
        }
        if rng.bool() {
            // The writers were killed only: the next ones find everything, and what was not synced still is not.
            advance(&mut files, &mut report, usize::MAX);
        } else {
            let lost = tempdir().unwrap();
            files.lose_power(folder.path(), lost.path(), &mut rng);
            (files, folder) = (Files::read(lost.path()), lost);
        }
    }

    assert!(report.saves() > 0 && report.ends() > 0, "{} saves, {} ends", report.saves(), report.ends());
}

/// Runs writers in a folder, and kills them when they have reported so much.
fn run_writers(disk: &Disk, folder: &Path, round: u32, reports: usize) {
    let mut command = Command::new(this_binary());
    command.envs(disk.environment(folder));
    let mut child = spawn(command, "crash::write_until_killed", folder, round);
    let lines = lines(&mut child);
    let seen = lines.iter().filter(|line| line.contains(PREFIX)).take(reports).count();
    child.kill().expect("the writers can be killed");
    child.wait().expect("the writers have ended");
    assert_eq!(seen, reports, "the writers have ended by themselves");
}

fn is_report(entry: &Entry) -> bool {
    matches!(entry, Entry::Printed(text) if text.contains(PREFIX))
}

/// How often power is lost, for each store that is made; `CLOAKROOM_TEST_POWER_LOSSES` sets how often in all.
const LOSSES: u32 = 80;

/// How often during one run of the writers.
const LOSSES_OF_ROUND: u32 = 20;

/// The most that writers report in one run: enough for some checkpoints.
const MAX_LINES: usize = 2000;
