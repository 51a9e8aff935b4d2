//! `cloakroom keygen`.

use cloakroom::token::KeyRing;

use super::program::Program;

#[test]
fn the_printed_keys_are_valid() {
    let ended = Program::new(&["keygen", "--count", "3"]).run();

    let keys = ended.stdout.lines().collect::<Vec<_>>();
    assert_eq!(ended.code, Some(0));
    assert_eq!(KeyRing::parse(&keys).unwrap().ids().count(), 3);
}

#[test]
fn the_explanation_is_on_stderr_and_holds_no_key() {
    let ended = Program::new(&["keygen"]).run();

    assert_eq!(ended.stdout.lines().count(), 1);
    assert!(ended.stderr.contains("keys_file"), "{}", ended.stderr);
    assert!(!ended.stderr.contains(ended.stdout.trim()));
}

#[test]
fn a_count_of_zero_is_a_usage_error() {
    let ended = Program::new(&["keygen", "--count", "0"]).run();

    assert_eq!(ended.code, Some(2));
}
