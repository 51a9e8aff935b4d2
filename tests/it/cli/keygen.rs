//! `cloakroom keygen`.

use cloakroom::token::KeyRing;

use super::program::Program;

#[test]
fn the_keys_it_prints_are_taken_as_keys() {
    let ended = Program::new(&["keygen", "--count", "3"]).run();

    let keys = ended.stdout.lines().collect::<Vec<_>>();
    assert_eq!(ended.code, Some(0));
    assert_eq!(KeyRing::parse(&keys).unwrap().ids().count(), 3);
}

#[test]
fn where_a_key_goes_is_said_apart_from_the_key() {
    let ended = Program::new(&["keygen"]).run();

    assert_eq!(ended.stdout.lines().count(), 1);
    assert!(ended.stderr.contains("keys_file"), "{}", ended.stderr);
    assert!(!ended.stderr.contains(ended.stdout.trim()));
}

#[test]
fn a_count_of_none_is_a_mistake_of_usage() {
    let ended = Program::new(&["keygen", "--count", "0"]).run();

    assert_eq!(ended.code, Some(2));
}
