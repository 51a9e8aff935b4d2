//! Facts of the machine, for a bug report: what runs there, and how large it is. No name of it, and no address.

use std::fs;
use std::thread;

/// Returns a line for each fact that is known.
pub(super) fn facts() -> String {
    let cores = thread::available_parallelism().map(|cores| cores.to_string()).ok();
    let facts = [
        ("system", field("/etc/os-release", "PRETTY_NAME=").map(|name| name.trim_matches('"').to_owned())),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("architecture", Some(std::env::consts::ARCH.to_owned())),
        ("cores", cores),
        ("memory", field("/proc/meminfo", "MemTotal:")),
        ("memory limit", first_line("/sys/fs/cgroup/memory.max")),
        ("cpu limit", first_line("/sys/fs/cgroup/cpu.max")),
        ("open files", field("/proc/self/limits", "Max open files")),
    ];
    let line = |(name, fact): (&str, Option<String>)| Some(format!("{name:<13}{}\n", fact?));
    facts.into_iter().filter_map(line).collect()
}

fn first_line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().next().map(str::to_owned)
}

fn field(path: &str, begin: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(begin)).map(|value| value.trim().to_owned())
}
