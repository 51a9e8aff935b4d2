//! The page about NIST SP 800-63B: each of its examples is a configuration, and grants what its level grants.

use std::path::Path;
use std::time::Duration;

use cloakroom::app::App;
use cloakroom::config::load_from;

use crate::support::sessions::{HOUR, MINUTE};

const PAGE: &str = "docs/nist-800-63b.md";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The examples, each with the heading that it stands under.
fn examples() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let sections = text.split("\n## ").skip(1).filter_map(|section| {
        let (heading, rest) = section.split_once('\n')?;
        let (_, rest) = rest.split_once("```toml\n")?;
        let (example, rest) = rest.split_once("```")?;
        assert!(!rest.contains("```toml"), "one example a section");
        Some((heading.to_owned(), example.to_owned()))
    });
    sections.collect()
}

/// The app `default` of an example.
fn app(example: &str) -> App {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloakroom.toml");
    std::fs::write(&path, example).unwrap();
    let loaded = load_from(Some(&path), []).unwrap_or_else(|error| panic!("{error}\n{example}"));
    App::clone(loaded.apps.find("").unwrap())
}

#[test]
fn each_example_is_loaded_and_keeps_to_its_level() {
    let levels = [("AAL1", 30 * DAY, 30 * DAY), ("AAL2", 24 * HOUR, HOUR), ("AAL3", 12 * HOUR, 15 * MINUTE)];
    let examples = examples();
    assert_eq!(examples.len(), levels.len());

    for ((heading, example), (level, overall, inactive)) in examples.iter().zip(levels) {
        let app = app(example);

        assert_eq!(heading, level);
        assert_eq!((app.lifetimes.absolute_timeout, app.lifetimes.idle_timeout), (overall, inactive), "{level}");
        assert!(app.anonymous_lifetimes.absolute_timeout <= overall, "{level}");
        assert!(app.anonymous_lifetimes.idle_timeout <= inactive, "{level}");
        let cookie = app.cookie.attributes();
        assert!(cookie.secure && cookie.httponly && cookie.name.as_str().starts_with("__Host-"), "{level}");
    }
}

#[test]
fn the_table_says_what_the_examples_set() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();

    for (heading, example) in examples() {
        let row = text.lines().find(|line| line.starts_with(&format!("| {heading}"))).unwrap();
        let app = example.parse::<toml::Table>().unwrap()["apps"]["default"].clone();
        for key in ["absolute_timeout", "idle_timeout"] {
            assert!(row.contains(&format!("`{}`", app[key].as_str().unwrap())), "{heading}: {row}");
        }
    }
}
