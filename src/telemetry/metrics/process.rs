//! CPU time, memory and open files of the process, under the standard names of Prometheus.
//!
//! Read from /proc. On a system without it, these metrics are missing.

use std::fs;
use std::time::Duration;

use super::{MetricKind, MetricsWriter};

/// Adds CPU time, memory and open files to a writer.
pub fn process(writer: &mut dyn MetricsWriter) {
    if let Some(seconds) = cpu_seconds() {
        writer.family("process_cpu_seconds_total", MetricKind::Counter, "CPU time of the process, user and system.");
        writer.seconds(&[], seconds);
    }
    if let Some(bytes) = resident_bytes() {
        writer.family("process_resident_memory_bytes", MetricKind::Gauge, "Memory of the process that is in RAM.");
        writer.sample(&[], bytes);
    }
    if let Some(files) = open_files() {
        writer.family("process_open_fds", MetricKind::Gauge, "Open files and sockets.").sample(&[], files);
    }
    if let Some(files) = max_files() {
        writer
            .family("process_max_fds", MetricKind::Gauge, "The most open files and sockets there may be.")
            .sample(&[], files);
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program comes before, in parentheses, and may contain any character.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(|field| field.parse::<u64>().ok());
    let (user, system) = (fields.next()??, fields.next()??);
    Some(Duration::from_millis((user + system) * MILLIS_PER_TICK).as_secs_f64())
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn open_files() -> Option<u64> {
    // One of them is the folder itself, which is open while it is read.
    let files = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(files.saturating_sub(1)).ok()
}

fn max_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The unit of CPU times in /proc: USER_HZ is 100 on all common Linux systems.
const MILLIS_PER_TICK: u64 = 10;
