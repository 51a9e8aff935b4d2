//! A folder that the service writes to, and the folders above it.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::Finding;

/// A folder, the name of its check, and the setting that names it.
pub(super) struct FolderCheck<'a> {
    pub(super) check: &'static str,
    pub(super) setting: &'static str,
    pub(super) path: &'a Path,
}

impl FolderCheck<'_> {
    /// Looks whether this user may write there, and then for a fault of the folder's own.
    pub(super) fn examine(&self, fault: impl FnOnce(&Metadata) -> Option<Finding>) -> Finding {
        let (check, shown) = (self.check, self.path.display());
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        match fs::metadata(self.path) {
            Ok(metadata) if !metadata.is_dir() => Finding::failed(
                check,
                format!("{shown}: it is no folder"),
                format!("name another one in {}", self.setting),
            ),
            Ok(metadata) => match access(self.path, all) {
                Ok(()) => fault(&metadata)
                    .unwrap_or_else(|| Finding::ok(check, format!("{shown}: this user may write there"))),
                Err(error) => Finding::failed(
                    check,
                    format!("{shown}: this user may not write there: {error}"),
                    "give it to the user of the service, with mode 700, on a disk that takes writes",
                ),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match existing(self.path).map(|above| access(above, all)) {
                    Some(Ok(())) => {
                        Finding::ok(check, format!("{shown}: it is not there yet; the first start makes it"))
                    }
                    _ => Finding::failed(
                        check,
                        format!("{shown}: it is not there, and this user may not make it"),
                        "make it, and give it to the user of the service, with mode 700",
                    ),
                }
            }
            Err(error) => Finding::failed(
                check,
                format!("{shown}: {error}"),
                "let the user of the service into the folders above it",
            ),
        }
    }
}

/// Returns the folder, or the nearest one above it that exists.
pub(super) fn existing(folder: &Path) -> Option<&Path> {
    let here = Path::new(".");
    folder.ancestors().map(|path| if path.as_os_str().is_empty() { here } else { path }).find(|path| path.is_dir())
}
