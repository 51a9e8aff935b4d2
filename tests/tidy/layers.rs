//! Layers: a module may use what stands below it, and nothing above.

use std::collections::BTreeMap;

use crate::rust_source::{self, Path};
use crate::tree::{Finding, Tree};

/// The modules of `src/`, from top to bottom.
pub(crate) const LAYERS: &[&str] = &[
    "cli",
    "config",
    "server",
    "connect",
    "grpc",
    "auth",
    "service",
    "store",
    "audit",
    "app",
    "django",
    "express",
    "flask",
    "scs",
    "signing",
    "session",
    "token",
    "cookie",
    "otlp",
    "telemetry",
    "age",
    "tls",
    "types",
];

/// They only put the layers together.
const EXEMPT: [&str; 2] = ["src/lib.rs", "src/main.rs"];

/// Checks all modules of `src/`.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let sources = tree.ending(".rs").filter(|(file, _)| file.starts_with("src/") && !EXEMPT.contains(file));
    let sources = sources.collect::<Vec<_>>();
    let modules = sources.iter().rev().map(|&(file, _)| (module(file), file)).collect::<BTreeMap<_, _>>();
    let unknown = modules.iter().filter(|(module, _)| !LAYERS.contains(module));
    let mut findings = unknown.map(|(module, file)| unlisted(file, module)).collect::<Vec<_>>();
    for (file, text) in sources {
        // A module without a layer is reported once, not at each of its imports.
        let unlisted = |used: &str| !LAYERS.contains(&used) && modules.contains_key(used);
        findings.extend(upward(file, text, LAYERS, unlisted));
    }
    findings
}

/// The imports of a file that go up, each once a line.
fn upward(file: &str, text: &str, layers: &[&str], ignored: impl Fn(&str) -> bool) -> Vec<Finding> {
    let layer = |module: &str| layers.iter().position(|name| *name == module);
    let (here, own) = (module(file), layer(module(file)));
    let of = |path: &Path| {
        let used = path.absolute(&rust_source::module(file))?.into_iter().next()?;
        match (own, layer(&used)) {
            _ if used == here || ignored(&used) => None,
            (Some(own), Some(other)) if other > own => None,
            (Some(_), Some(_)) => {
                let wrong = format!("{here} uses {used}, which is a layer above it");
                Some(Finding::new(file, path.line, wrong, "move what both need to a lower layer, or pass it in"))
            }
            (_, None) => {
                let wrong = format!("crate::{used} is none of the layers");
                Some(Finding::new(file, path.line, wrong, "name the module that has it, or add the module to LAYERS"))
            }
            (None, Some(_)) => None,
        }
    };
    let code = rust_source::code_only(text);
    let mut findings = rust_source::paths(&code).iter().filter_map(of).collect::<Vec<_>>();
    findings.dedup();
    findings
}

fn unlisted(file: &str, module: &str) -> Finding {
    Finding::new(file, 1, format!("{module} has no layer"), "add it to LAYERS in tests/tidy/layers.rs")
}

/// The module right under the crate's root that a file belongs to.
fn module(file: &str) -> &str {
    let inside = file.strip_prefix("src/").unwrap_or(file);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, text: &str) -> Vec<String> {
        upward(file, text, &["cli", "service", "store", "types"], |_| false).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_import_of_a_higher_layer_is_found() {
        let text = "//! See [`crate::cli`].\nuse crate::types::Time;\nuse crate::{\n    service::{Service, view},\n    types,\n};";
        let wrong = "store uses service, which is a layer above it";
        let todo = "move what both need to a lower layer, or pass it in";

        assert_eq!(lines("src/store/mod.rs", text), [format!("src/store/mod.rs:4: {wrong}; {todo}")]);
    }

    #[test]
    fn imports_of_the_same_and_of_lower_layers_are_fine() {
        let text = "use crate::service::view;\nuse crate::store::Store;\nfn now() -> crate::types::Time {}";

        assert_eq!(lines("src/service/open.rs", text), [""; 0]);
    }

    #[test]
    fn a_way_up_by_super_is_found() {
        let text =
            "use super::super::cli::X;\nmod tests { use super::super::redis; use super::super::super::service::Y; }";

        let found = lines("src/store/redis.rs", text);

        assert_eq!(
            found.iter().map(|line| &line[..20]).collect::<Vec<_>>(),
            ["src/store/redis.rs:1", "src/store/redis.rs:2"]
        );
    }

    #[test]
    fn code_of_tests_and_strings_of_serde_count() {
        let text = "#[serde(with = \"crate::cli::span\")]\n#[cfg(test)]\nmod tests { use crate::cli::run; }";

        assert_eq!(lines("src/types.rs", text).len(), 2);
    }

    #[test]
    fn a_name_of_the_root_that_is_no_layer_is_found() {
        assert!(lines("src/store.rs", "use crate::Cloakroom;")[0].contains("none of the layers"));
    }

    #[test]
    fn a_module_without_a_layer_is_found_once() {
        let tree = Tree::of(&[
            ("src/lib.rs", ""),
            ("src/news/a.rs", "use crate::app;"),
            ("src/news/mod.rs", ""),
            ("src/app.rs", ""),
        ]);

        let found = check(&tree);

        assert_eq!(found, [unlisted("src/news/a.rs", "news")]);
    }
}
