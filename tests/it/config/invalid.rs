//! Files that are refused: each `invalid/*.toml` beside the words it is refused with.

use std::fs;
use std::path::Path;

use super::load_file;

#[test]
fn each_is_refused_in_these_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/config/invalid");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut seen = 0;

    for path in files.filter(|path| path.extension().is_some_and(|end| end == "toml")) {
        let error = load_file(&path, &[]).expect_err(&format!("{} is taken", path.display()));

        let said = error.to_string().replace(&format!("{}/", folder.display()), "");
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        assert_eq!(said.trim(), expected.trim(), "\n{}:\n{said}\n", path.display());
        assert!(!said.contains("s3cret"), "a secret is repeated: {said}");
        seen += 1;
    }

    assert!(seen >= 20, "only {seen} files were found");
}
