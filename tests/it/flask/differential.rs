//! Real Flask and this crate handle the same random cookies, valid and invalid, and the results are compared.
//!
//! `tests/flask/differential.py` makes the cases and compares the results that are computed here. Deliberate
//! differences are counted by class and listed in `docs/flask-differences.md`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom::flask::{Digest, Signer, normalise};
use cloakroom::types::Time;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::environment::number;

#[derive(Deserialize)]
struct Case {
    keys: Vec<String>,
    salt: String,
    digest: Digest,
    cookie: String,
    now: u64,
    max_age: u64,
    texts: BTreeMap<String, String>,
}

impl Case {
    fn result(&self) -> Value {
        let keys = self.keys.iter().map(|key| STANDARD.decode(key).unwrap()).collect::<Vec<_>>();
        let signer = Signer::new(&keys, self.salt.as_bytes(), self.digest).unwrap();
        let now = Time::from_millis(self.now * 1000);
        let normalised = self.texts.iter().map(|(name, text)| (name, normalise(text).ok())).collect::<BTreeMap<_, _>>();
        let opened = match signer.verify(&self.cookie, Duration::from_secs(self.max_age), now) {
            Ok(opened) => opened,
            Err(rejection) => return json!({ "error": rejection.as_str(), "normalised": normalised }),
        };
        let again = signer.sign(&opened.entries, opened.permanent, now).unwrap();
        let text = |json: &[u8]| String::from_utf8(json.to_vec()).unwrap();
        let entries = opened.entries.iter().map(|(name, json)| (name, text(json))).collect::<BTreeMap<_, _>>();
        json!({ "entries": entries, "permanent": opened.permanent, "again": again, "normalised": normalised })
    }
}

/// Runs `count` cases; returns their numbers by class, or the first difference.
fn run(seed: u64, count: u64) -> Result<BTreeMap<String, u64>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut flask = Command::new(root.join(".tools/python/bin/python"));
    let flask = flask.arg(root.join("tests/flask/differential.py")).args([seed.to_string(), count.to_string()]);
    let flask = flask.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut flask = flask.expect("`make tools` installs Flask in .tools/python");
    let (mut to, from) = (flask.stdin.take().unwrap(), BufReader::new(flask.stdout.take().unwrap()));
    let mut result = Err(format!("seed {seed}: Flask's side has failed; its output is above"));
    for line in from.lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if let Some(difference) = line["differs"].as_str() {
            result = Err(difference.to_owned());
            break;
        }
        if let Some(classes) = line.get("classes") {
            result = Ok(serde_json::from_value(classes.clone()).unwrap());
            break;
        }
        let cases: Vec<Case> = serde_json::from_value(line).unwrap();
        writeln!(to, "{}", json!(cases.iter().map(Case::result).collect::<Vec<_>>())).unwrap();
    }
    flask.wait().unwrap();
    result
}

#[test]
fn flask_and_this_crate_agree_on_every_cookie() {
    let (count, seed) = (
        number("CLOAKROOM_TEST_COOKIES").unwrap_or(30_000),
        number("CLOAKROOM_TEST_SEED").unwrap_or_else(|| fastrand::u64(..1 << 40)),
    );
    println!("seeds {seed} and {}, {count} cookies; repeat with CLOAKROOM_TEST_SEED", seed + 1);

    let workers = [seed, seed + 1].map(|seed| std::thread::spawn(move || run(seed, count / 2)));
    let mut classes = BTreeMap::<String, u64>::new();
    for worker in workers {
        // The last message of the test: the one that a shortened log still has.
        let counted = worker.join().unwrap().unwrap_or_else(|difference| panic!("{difference}"));
        for (class, count) in counted {
            *classes.entry(class).or_default() += count;
        }
    }

    for (class, count) in &classes {
        println!("{count:>9}  {class}");
    }
    let page = std::fs::read_to_string("docs/flask-differences.md").unwrap();
    for class in classes.keys().filter_map(|class| class.strip_prefix("deliberate: ")) {
        assert!(
            page.to_lowercase().contains(&class.to_lowercase()),
            "docs/flask-differences.md does not list: {class}"
        );
    }
    // Without cookies of every kind the test would prove nothing.
    for class in ["opened by both as the same session", "refused by both", "(signed alike)", "value taken by both"] {
        assert!(classes.get(class).is_some_and(|n| *n > count / 20), "{class}: {classes:?}");
    }
}
