//! Tools that `make tools` installed.

use std::path::PathBuf;

/// Returns the path of a tool, or its name for a lookup in `PATH`.
#[expect(clippy::disallowed_methods, reason = "the Makefile says by the environment where tools are")]
pub(crate) fn tool(name: &str) -> PathBuf {
    let folder = std::env::var("CLOAKROOM_TOOLS").unwrap_or_else(|_| ".tools/bin".to_owned());
    Some(PathBuf::from(folder).join(name)).filter(|path| path.exists()).unwrap_or_else(|| name.into())
}
