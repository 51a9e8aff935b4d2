//! Realistic sessions: their entries, subject, age, last use, user agent and address.
//!
//! They are drawn from a seeded generator, so the same seed gives the same sessions. Nothing here is secret: ids and
//! tokens come from the service.

use fastrand::Rng;

use super::Plan;

/// A session to create.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SampleSession {
    /// Names and JSON texts. The first one is [`CART`], whose size depends on the size of the session.
    pub(super) entries: Vec<(String, String)>,
    pub(super) subject: Option<String>,
    pub(super) user_agent: &'static str,
    pub(super) remote_address: String,
    /// The time of its creation: 0 is now, 1 is the greatest age ago.
    pub(super) age: f64,
    /// The time of its last use: 0 is its creation, 1 is now.
    pub(super) last_use: f64,
}

impl SampleSession {
    pub(super) fn draw(plan: &Plan, max_bytes: u32, rng: &mut Rng) -> Self {
        let bytes = f64::from(plan.median_bytes) * (SPREAD * normal(rng)).exp();
        // A cast from f64 saturates.
        let bytes = (bytes as u32).min(max_bytes) as usize;
        let mut entries = (1..plan.entries).map(|number| small_entry(number, rng)).collect::<Vec<_>>();
        let small = entries.iter().map(|(name, json)| name.len() + json.len()).sum::<usize>();
        entries.insert(0, (CART.to_owned(), cart(bytes.saturating_sub(small + CART.len()), rng)));
        let has_subject = plan.subjects > 0 && rng.f64() >= ANONYMOUS;
        Self {
            entries,
            subject: has_subject.then(|| format!("user-{}", rng.u32(..plan.subjects))),
            user_agent: AGENTS[rng.usize(..AGENTS.len())],
            remote_address: format!("198.51.100.{}", rng.u8(1..=254)),
            age: rng.f64(),
            // Most live sessions were used recently.
            last_use: rng.f64().sqrt(),
        }
    }
}

/// Returns a JSON array of article numbers that is `bytes` long, but at least 4.
pub(super) fn cart(bytes: usize, rng: &mut Rng) -> String {
    let mut json = String::from("[");
    while json.len() + ITEM_BYTES + 3 <= bytes {
        json.push_str(&format!("\"sku-{:06}\",", rng.u32(..1_000_000)));
    }
    let padding = bytes.saturating_sub(json.len() + 3);
    json + "\"" + &"x".repeat(padding) + "\"]"
}

fn small_entry(number: u32, rng: &mut Rng) -> (String, String) {
    let (name, json) = match number {
        1 => ("csrf_token", format!("\"{:032x}\"", rng.u128(..))),
        2 => ("visits", rng.u32(1..5000).to_string()),
        3 => ("locale", format!("\"{}\"", LOCALES[rng.usize(..LOCALES.len())])),
        4 => ("theme", "\"dark\"".to_owned()),
        5 => ("last_page", format!("\"/articles/{}\"", rng.u32(..100_000))),
        _ => return (format!("note_{number}"), format!("\"{:08x}\"", rng.u32(..))),
    };
    (name.to_owned(), json)
}

/// Draws from the standard normal distribution, by the method of Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    // 1 - [0, 1) is never 0, so its logarithm is finite.
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

/// The entry that takes the bytes that the other entries leave of the size of a session.
pub(super) const CART: &str = "cart";

/// The standard deviation of the logarithm of the size. One of twenty sessions is larger than 2.3 times the median.
const SPREAD: f64 = 0.5;

/// The fraction of sessions that are anonymous.
const ANONYMOUS: f64 = 0.25;

/// The length of `"sku-000000",`.
const ITEM_BYTES: usize = 13;

const LOCALES: [&str; 5] = ["en-GB", "de-DE", "fr-FR", "pt-BR", "ja-JP"];

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
     Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_is_json_of_the_requested_length() {
        for bytes in [4, 5, 16, 17, 18, 100, 1601] {
            let json = cart(bytes, &mut Rng::with_seed(7));

            assert_eq!(json.len(), bytes);
            assert!(serde_json::from_str::<Vec<String>>(&json).is_ok(), "{json}");
        }
    }

    #[test]
    fn half_of_the_sessions_are_larger_than_the_median_and_a_few_much_larger() {
        let plan = Plan { median_bytes: 1600, ..Plan::default() };
        let mut rng = Rng::with_seed(7);
        let size =
            |session: SampleSession| session.entries.iter().map(|(name, json)| name.len() + json.len()).sum::<usize>();
        let sizes = (0..4000).map(|_| size(SampleSession::draw(&plan, 65_536, &mut rng))).collect::<Vec<_>>();

        let over = |bytes| sizes.iter().filter(|size| **size > bytes).count();

        assert!((1800..2200).contains(&over(1600)), "{}", over(1600));
        assert!((100..300).contains(&over(3640)), "{}", over(3640));
    }
}
