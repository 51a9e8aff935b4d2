//! Requests that use seeded sessions, as load generators take them: JSON arrays, one message a line.
//!
//! Some sessions are used far more often than others: the n-th one in proportion to 1 / n to the exponent.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use fastrand::Rng;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::fill::Seeded;
use super::shape::{CART, cart};
use crate::app::App;

/// What requests to write.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// How many of each kind.
    pub requests: usize,
    /// Zipf's: 0 uses all sessions alike.
    pub exponent: f64,
    /// For the generator.
    pub seed: u64,
}

/// Writes `open.json` and `save.json` into a folder, which is made if it is missing.
pub fn write(folder: &Path, app: &App, seeded: &[Seeded], sampling: Sampling) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let zipf = Zipf::new(seeded.len(), sampling.exponent);
    let mut rng = Rng::with_seed(sampling.seed);
    let mut sample = |request: fn(&App, &Seeded, &mut Rng) -> Value| {
        let drawn = |_| {
            let seeded = &seeded[zipf.draw(&mut rng)];
            request(app, seeded, &mut rng)
        };
        (0..sampling.requests).map(drawn).collect::<Vec<_>>()
    };
    write_array(folder, "open.json", &sample(open_request))?;
    write_array(folder, "save.json", &sample(save_request))
}

fn open_request(app: &App, seeded: &Seeded, _: &mut Rng) -> Value {
    let cookie = app.cookie.attributes().name.as_str();
    json!({ "app": app.name.as_str(), "cookie_header": format!("{cookie}={}", seeded.token) })
}

/// Replaces the largest entry by another one of its size, so that sessions do not grow under load.
fn save_request(app: &App, seeded: &Seeded, rng: &mut Rng) -> Value {
    json!({
        "app": app.name.as_str(),
        "token": seeded.token,
        "changes": { "set": { CART: { "json": cart(seeded.cart_bytes, rng) } } },
        "accessed": true,
    })
}

/// Whole or not at all, and closed to everybody else: who reads it can use the sessions.
fn write_array(folder: &Path, name: &str, requests: &[Value]) -> io::Result<()> {
    let mut file = BufWriter::new(NamedTempFile::new_in(folder)?);
    let mut separator = "[\n";
    for request in requests {
        write!(file, "{separator}{request}")?;
        separator = ",\n";
    }
    writeln!(file, "\n]")?;
    file.into_inner()?.persist(folder.join(name))?;
    Ok(())
}

/// Draws numbers below a count, the small ones far more often.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: usize, exponent: f64) -> Self {
        let weight = |rank: usize| (rank as f64).powf(-exponent);
        let cumulative = (1..=count).scan(0.0, |sum, rank| {
            *sum += weight(rank);
            Some(*sum)
        });
        Self(cumulative.collect())
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        let all = self.0.last().copied().unwrap_or_default();
        let drawn = rng.f64() * all;
        self.0.partition_point(|sum| *sum <= drawn).min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of ten was drawn.
    fn drawn(exponent: f64) -> [u32; 10] {
        let (zipf, mut rng) = (Zipf::new(10, exponent), Rng::with_seed(1));
        let mut counts = [0; 10];
        for _ in 0..29_290 {
            counts[zipf.draw(&mut rng)] += 1;
        }
        counts
    }

    #[test]
    fn the_second_is_used_half_as_often_as_the_first() {
        let counts = drawn(1.0);

        assert!((9_700..10_300).contains(&counts[0]), "{counts:?}");
        assert!((4_800..5_200).contains(&counts[1]), "{counts:?}");
        assert!((900..1_100).contains(&counts[9]), "{counts:?}");
    }

    #[test]
    fn an_exponent_of_zero_uses_all_alike() {
        assert!(drawn(0.0).iter().all(|count| (2_750..3_110).contains(count)));
    }
}
