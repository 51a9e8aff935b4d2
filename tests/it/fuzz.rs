//! The fuzz targets, on their seeds and on mutations of them. `make fuzz` runs the same with coverage to guide it.
//!
//! `CLOAKROOM_TEST_FUZZ` sets the number of mutations of each target.

use std::path::Path;

use fastrand::Rng;

use crate::support::environment::number;

#[expect(unreachable_pub, reason = "it is the library of the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn tokens_hold() {
    run("tokens", targets::tokens, 5000);
}

#[test]
fn cookies_hold() {
    run("cookies", targets::cookies, 5000);
}

#[test]
fn flask_cookies_hold() {
    run("flask_cookies", targets::flask_cookies, 3000);
}

#[test]
fn flask_session_records_hold() {
    run("flask_session_records", targets::flask_session_records, 10_000);
}

#[test]
fn django_cookies_hold() {
    run("django_cookies", targets::django_cookies, 3000);
}

#[test]
fn django_sessions_hold() {
    run("django_sessions", targets::django_sessions, 10_000);
}

#[test]
fn express_sessions_hold() {
    run("express_sessions", targets::express_sessions, 10_000);
}

#[test]
fn scs_records_hold() {
    run("scs_records", targets::scs_records, 10_000);
}

#[test]
fn values_hold() {
    run("values", targets::values, 5000);
}

#[test]
fn configurations_hold() {
    run("configuration", targets::configuration, 300);
}

#[test]
fn frames_hold() {
    run("frames", targets::frames, 300);
}

/// Runs a target on its seeds and on mutations of them. A panic is preceded by the input.
#[expect(clippy::print_stdout, reason = "the seed repeats a failure")]
fn run(name: &str, target: fn(&[u8]), mutations: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let mut inputs = seeds.clone();
    let seed = number("CLOAKROOM_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("CLOAKROOM_TEST_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    for _ in 0..number("CLOAKROOM_TEST_FUZZ").unwrap_or(mutations) {
        let mut input = rng.choice(&seeds).cloned().unwrap_or_default();
        for _ in 0..rng.usize(1..=4) {
            mutate(&mut rng, &mut input, &seeds);
        }
        inputs.push(input);
    }
    for input in inputs {
        let shown = Shown(&input);
        target(&input);
        std::mem::forget(shown);
    }
}

/// Prints an input if the target panics.
struct Shown<'i>(&'i [u8]);

impl Drop for Shown<'_> {
    #[expect(clippy::print_stdout, reason = "the input repeats a failure")]
    fn drop(&mut self) {
        println!("input: {}", self.0.escape_ascii());
    }
}

/// Changes some bytes: flips, removes, inserts, repeats, or takes them from another seed.
fn mutate(rng: &mut Rng, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    if input.is_empty() {
        input.push(rng.u8(..));
    }
    let at = rng.usize(..input.len());
    let end = (at + rng.usize(1..=8)).min(input.len());
    match rng.u8(..6) {
        0 => input[at] ^= 1 << rng.u8(..8),
        1 => input[at] = *rng.choice(b"\0\x01\x7f\x80\xff.;=\"{}[]_-\\").unwrap_or(&0),
        2 => _ = input.drain(at..end),
        3 => input.insert(at, rng.u8(..)),
        4 => {
            let repeated = input[at..end].repeat(rng.usize(1..=200));
            input.splice(at..at, repeated);
        }
        _ => {
            let other = rng.choice(seeds).cloned().unwrap_or_default();
            let from = rng.usize(..=other.len());
            input.splice(at..end, other[from..].iter().copied());
        }
    }
}
