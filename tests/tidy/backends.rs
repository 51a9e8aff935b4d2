//! Crates that only one part of the service may know.

use crate::rust_source;
use crate::tree::{Finding, Tree};

/// Crates, and the folders and files where they may be named.
const RULES: &[(&[&str], &[&str])] = &[
    (&["redis", "redb"], &["src/store/"]),
    (
        &["tonic", "tonic_types", "tonic_health", "tonic_reflection"],
        &["src/grpc/", "src/connect/", "src/server/", "src/cli/", "src/otlp/"],
    ),
    // The command line is a client of its own service.
    (&["prost", "prost_types", "tonic_prost"], &["src/grpc/", "src/connect/", "src/cli/", "src/otlp/"]),
    (&["prost_reflect"], &["src/connect/"]),
    (&["hyper", "h2"], &["src/server/"]),
    (&["tracing_subscriber"], &["src/telemetry/"]),
    (
        &["rustls", "tokio_rustls"],
        &[
            "src/tls/",
            "src/server/tls/",
            "src/cli/credentials.rs",
            "src/store/redis/connection/tls.rs",
            "src/otlp/collector.rs",
        ],
    ),
    (&["webpki_roots"], &["src/store/redis/connection/tls.rs", "src/otlp/collector.rs"]),
    (&["webpki"], &["src/server/tls/"]),
    (&["x509_parser"], &["src/tls/"]),
];

/// Checks all of `src/`.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.ending(".rs").filter(|(file, _)| file.starts_with("src/"));
    let mut findings = sources.flat_map(|(file, text)| strayed(file, text, RULES)).collect::<Vec<_>>();
    let allowed = RULES.iter().flat_map(|(_, allowed)| *allowed);
    let gone = allowed.filter(|place| !tree.has(place.trim_end_matches('/')));
    let own =
        |place: &&str| Finding::new("tests/tidy/backends.rs", 1, format!("{place} does not exist"), "correct RULES");
    findings.extend(gone.map(own));
    findings
}

/// Where the file names a crate that it must not know.
fn strayed(file: &str, text: &str, rules: &[(&[&str], &[&str])]) -> Vec<Finding> {
    let code = rust_source::code_only(text);
    let (paths, modules) = (rust_source::paths(&code), rust_source::declared_modules(&code));
    let imported = |name: &str| {
        let other = |path: &&rust_source::Path| path.segments.len() > 1 && path.segments[0] != name;
        paths.iter().filter(other).any(|path| path.imported_as.as_deref() == Some(name))
    };
    let mut findings = Vec::new();
    for (crates, allowed) in rules.iter().filter(|(_, allowed)| !allowed.iter().any(|place| file.starts_with(place))) {
        // A module may have a crate's name.
        let crates = crates.iter().filter(|name| !modules.contains(name) && !imported(name)).collect::<Vec<_>>();
        for path in paths.iter().filter(|path| crates.iter().any(|name| path.segments[0] == **name)) {
            let wrong = format!("the crate {} is named outside of {}", path.segments[0], allowed.join(", "));
            let todo = "wrap it there in a type of our own, or add an exception to RULES in tests/tidy/backends.rs";
            findings.push(Finding::new(file, path.line, wrong, todo));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[(&[&str], &[&str])] = &[(&["redis"], &["src/store/"])];

    #[test]
    fn a_backend_crate_outside_of_its_place_is_found() {
        let text = "use redis::Client;\nfn f() -> redis::RedisResult<()> {}\nuse ::redis as r;";

        let found = strayed("src/service/open.rs", text, RULES);

        assert_eq!(found.len(), 3);
        assert!(
            found[1].to_string().starts_with("src/service/open.rs:2: the crate redis is named outside of src/store/; ")
        );
        assert_eq!(strayed("src/store/redis/mod.rs", text, RULES), []);
    }

    #[test]
    fn a_module_that_is_called_as_a_crate_is_fine() {
        let texts = [
            "use crate::store::redis;\nredis::f();",
            "mod redis;\nredis::f();",
            "crate::store::redis::f();",
            "// redis::f()",
        ];

        assert!(texts.iter().all(|text| strayed("src/app/mod.rs", text, RULES).is_empty()));
    }

    #[test]
    fn a_place_that_is_gone_is_found() {
        let tree = Tree::of(&[
            ("src/store/a.rs", ""),
            ("src/grpc/a.rs", ""),
            ("src/connect/a.rs", ""),
            ("src/otlp/collector.rs", ""),
            ("src/server/tls/a.rs", ""),
            ("src/tls/a.rs", ""),
            ("src/store/redis/connection/tls.rs", ""),
            ("src/cli/a.rs", ""),
        ]);

        let gone = check(&tree).iter().map(ToString::to_string).collect::<Vec<_>>();

        assert_eq!(gone.len(), 2);
        assert!(gone[0].contains("src/telemetry/ does not exist"));
    }
}
