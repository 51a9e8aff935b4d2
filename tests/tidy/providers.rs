//! What the program may be linked with for TLS: one implementation of cryptography, and no certificates of the machine.

use crate::tree::{Finding, Tree};

/// The packages that must not be in the lock file, and why.
const REFUSED: &[(&str, &[&str])] = &[
    ("a second cryptography: where rustls is not told which one to use, it would panic", PROVIDERS),
    ("another TLS beside rustls", &["openssl", "openssl-sys", "native-tls", "tokio-native-tls"]),
    (
        "it reads the certificates of the machine at each connection",
        &["rustls-native-certs", "rustls-platform-verifier"],
    ),
];

/// The cryptography that rustls can be linked with, but for the one that is used.
const PROVIDERS: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "rustls-graviola", "rustls-openssl", "rustls-rustcrypto", "boring"];

/// The packages that must be there exactly once.
const ONCE: [&str; 2] = ["ring", "rustls"];

/// Checks the lock file, which names all packages of all features that are used.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    strayed(tree.text("Cargo.lock").unwrap_or_default())
}

fn strayed(lock: &str) -> Vec<Finding> {
    let packages = lock.lines().enumerate().filter_map(|(number, line)| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        Some((name, number + 1))
    });
    let packages = packages.collect::<Vec<_>>();
    let finding = |line, wrong| Finding::new("Cargo.lock", line, wrong, "find by `cargo tree -i` who brings it");
    let mut findings = Vec::new();
    for (why, refused) in REFUSED {
        let found = packages.iter().filter(|(name, _)| refused.contains(name));
        findings.extend(found.map(|(name, line)| finding(*line, format!("{name} is {why}"))));
    }
    for name in ONCE {
        let lines = packages.iter().filter(|(package, _)| *package == name).map(|(_, line)| *line).collect::<Vec<_>>();
        if lines.len() != 1 {
            findings
                .push(finding(lines.first().copied().unwrap_or(1), format!("{name} is there {} times", lines.len())));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &str = "[[package]]\nname = \"ring\"\n[[package]]\nname = \"rustls\"\n";

    #[test]
    fn a_second_provider_is_found() {
        let lock = format!("{USUAL}[[package]]\nname = \"aws-lc-rs\"\n");

        let found = strayed(&lock);

        assert_eq!(strayed(USUAL), []);
        assert!(found[0].to_string().starts_with("Cargo.lock:6: aws-lc-rs is a second cryptography"));
    }

    #[test]
    fn two_versions_and_a_missing_one_are_found() {
        let lock = "[[package]]\nname = \"ring\"\n[[package]]\nname = \"ring\"\n";

        let found = strayed(lock).iter().map(ToString::to_string).collect::<Vec<_>>();

        assert!(
            found[0].contains("ring is there 2 times") && found[1].contains("rustls is there 0 times"),
            "{found:?}"
        );
    }
}
