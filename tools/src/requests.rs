//! Requests that use stored sessions, in a form that load generators read: JSON arrays, one message a line.
//!
//! Some sessions are used far more often than others: the n-th in proportion to 1 / n to the power of an exponent.

use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use cloakroom::app::App;
use fastrand::Rng;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::fill::StoredSession;
use super::sample::{CART, cart};

/// The requests to write.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// The number of requests of each kind.
    pub requests: usize,
    /// The exponent of Zipf's law. 0: all sessions are used alike.
    pub exponent: f64,
    /// The seed of the random generator.
    pub seed: u64,
}

/// Writes `open.json` and `save.json` to a folder, which is created if it is missing.
pub fn write(folder: &Path, app: &App, sessions: &[StoredSession], sampling: Sampling) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let zipf = Zipf::new(sessions.len(), sampling.exponent);
    let mut rng = Rng::with_seed(sampling.seed);
    let mut sample = |request: fn(&App, &StoredSession, &mut Rng) -> Value| {
        let draw = |_| {
            let session = &sessions[zipf.draw(&mut rng)];
            request(app, session, &mut rng)
        };
        (0..sampling.requests).map(draw).collect::<Vec<_>>()
    };
    write_array(folder, "open.json", &sample(open_request))?;
    write_array(folder, "save.json", &sample(save_request))
}

fn open_request(app: &App, session: &StoredSession, _: &mut Rng) -> Value {
    let cookie = app.cookie.attributes().name.as_str();
    json!({ "app": app.name.as_str(), "cookie_header": format!("{cookie}={}", session.token) })
}

/// Replaces the largest entry by another one of its size, so that sessions do not grow under load.
fn save_request(app: &App, session: &StoredSession, rng: &mut Rng) -> Value {
    json!({
        "app": app.name.as_str(),
        "token": session.token,
        "changes": { "set": { CART: { "json": cart(session.cart_bytes, rng) } } },
        "accessed": true,
    })
}

/// Writes the whole file or nothing. Only its owner can read it, because it holds tokens.
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

/// Draws numbers below a count by Zipf's law. Holds the sums of the weights up to each number.
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
        let total = self.0.last().copied().unwrap_or_default();
        let point = rng.f64() * total;
        self.0.partition_point(|sum| *sum <= point).min(self.0.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often each of ten numbers is drawn.
    fn counts(exponent: f64) -> [u32; 10] {
        let (zipf, mut rng) = (Zipf::new(10, exponent), Rng::with_seed(1));
        let mut counts = [0; 10];
        for _ in 0..29_290 {
            counts[zipf.draw(&mut rng)] += 1;
        }
        counts
    }

    #[test]
    fn the_second_is_used_half_as_often_as_the_first() {
        let counts = counts(1.0);

        assert!((9_700..10_300).contains(&counts[0]), "{counts:?}");
        assert!((4_800..5_200).contains(&counts[1]), "{counts:?}");
        assert!((900..1_100).contains(&counts[9]), "{counts:?}");
    }

    #[test]
    fn an_exponent_of_zero_uses_all_alike() {
        assert!(counts(0.0).iter().all(|count| (2_750..3_110).contains(count)));
    }
}
