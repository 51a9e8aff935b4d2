//! Files that are refused: each `invalid/*.toml`, with the words of the refusal in the `.txt` beside it.

use std::fs;
use std::path::Path;

use super::load_file;

#[test]
fn every_file_is_refused_with_its_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/config/invalid");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut count = 0;

    for path in files.filter(|path| path.extension().is_some_and(|end| end == "toml")) {
        let error = load_file(&path, &[]).expect_err(&format!("{} is accepted", path.display()));

        let refusal = error.to_string().replace(&format!("{}/", folder.display()), "");
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        assert_eq!(refusal.trim(), expected.trim(), "\n{}:\n{refusal}\n", path.display());
        assert!(!refusal.contains("s3cret"), "a secret is repeated: {refusal}");
        count += 1;
    }

    assert!(count >= 20, "only {count} files were found");
}
