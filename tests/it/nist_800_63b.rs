//! The page about NIST SP 800-63B: each example is a valid configuration within the limits of its level.

use std::path::Path;
use std::time::Duration;

use cloakroom::app::App;
use cloakroom::config::load_from;

use crate::support::sessions::{HOUR, MINUTE};

const PAGE: &str = "docs/nist-800-63b.md";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the examples, each with its heading.
fn examples() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let sections = text.split("\n## ").skip(1).filter_map(|section| {
        let (heading, rest) = section.split_once('\n')?;
        let (_, rest) = rest.split_once("```toml\n")?;
        let (example, rest) = rest.split_once("```")?;
        assert!(!rest.contains("```toml"), "a section has one example");
        Some((heading.to_owned(), example.to_owned()))
    });
    sections.collect()
}

/// Loads an example and returns its app `default`.
fn app(example: &str) -> App {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloakroom.toml");
    std::fs::write(&path, example).unwrap();
    let loaded = load_from(Some(&path), []).unwrap_or_else(|error| panic!("{error}\n{example}"));
    App::clone(loaded.apps.find("").unwrap())
}

#[test]
fn each_example_is_within_the_limits_of_its_level() {
    let levels = [("AAL1", 30 * DAY, 30 * DAY), ("AAL2", 24 * HOUR, HOUR), ("AAL3", 12 * HOUR, 15 * MINUTE)];
    let examples = examples();
    assert_eq!(examples.len(), levels.len());

    for ((heading, example), (level, absolute, idle)) in examples.iter().zip(levels) {
        let app = app(example);

        assert_eq!(heading, level);
        assert_eq!((app.lifetimes.absolute_timeout, app.lifetimes.idle_timeout), (absolute, idle), "{level}");
        assert!(app.anonymous_lifetimes.absolute_timeout <= absolute, "{level}");
        assert!(app.anonymous_lifetimes.idle_timeout <= idle, "{level}");
        let cookie = app.cookie.attributes();
        assert!(cookie.secure && cookie.httponly && cookie.name.as_str().starts_with("__Host-"), "{level}");
    }
}

#[test]
fn the_table_has_the_timeouts_of_the_examples() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();

    for (heading, example) in examples() {
        let row = text.lines().find(|line| line.starts_with(&format!("| {heading}"))).unwrap();
        let app = example.parse::<toml::Table>().unwrap()["apps"]["default"].clone();
        for key in ["absolute_timeout", "idle_timeout"] {
            assert!(row.contains(&format!("`{}`", app[key].as_str().unwrap())), "{heading}: {row}");
        }
    }
}
