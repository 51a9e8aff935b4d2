//! Metrics: what the page and a collector get from a running service.

mod exemplars;
mod export;
mod values;

/// Returns a configuration with an app that has a key, and this table of metrics.
fn config(metrics: &str) -> String {
    let key = cloakroom::token::Key::generate();
    format!("[store]\nkind = \"memory\"\n[apps.default]\nkeys = [{key:?}]\n[metrics]\n{metrics}\n")
}
