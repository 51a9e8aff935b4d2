//! What holds for the tree as a whole: layers, links, names of types, make targets and files, and words.
//!
//! Needs nothing but the standard library, so that `make lint` builds and runs it without cargo.
//! Each rule is data at the top of its file. Nothing here runs the code of the service.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]

mod backends;
mod circles;
mod conflicts;
mod layers;
mod links;
mod log_errors;
mod make_targets;
mod markdown;
mod paths;
mod providers;
mod rust_source;
mod tree;
mod type_names;
mod walk;
mod words;

use self::tree::{Finding, Tree};

#[test]
fn imports_go_down_the_layers_only() {
    none(layers::check(&Tree::read()));
}

#[test]
fn modules_that_are_not_small_import_each_other_in_no_circle() {
    none(circles::check(&Tree::read()));
}

#[test]
fn no_mark_of_a_conflict_is_left() {
    none(conflicts::check(&Tree::read()));
}

#[test]
fn backend_crates_stop_where_they_belong() {
    none(backends::check(&Tree::read()));
}

#[test]
fn every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading() {
    none(links::check(&Tree::read()));
}

#[test]
fn every_error_is_logged_with_its_causes() {
    none(log_errors::check(&Tree::read()));
}

#[test]
fn every_make_target_that_a_text_names_exists() {
    none(make_targets::check(&Tree::read()));
}

#[test]
fn every_path_that_a_page_names_exists() {
    none(paths::check(&Tree::read()));
}

#[test]
fn one_cryptography_is_linked() {
    none(providers::check(&Tree::read()));
}

#[test]
fn the_map_of_the_code_names_what_is_there() {
    none(walk::check(&Tree::read()));
}

#[test]
fn a_name_stands_for_one_type() {
    none(type_names::check(&Tree::read()));
}

#[test]
fn no_retired_word_is_left() {
    none(words::check(&Tree::read()));
}

#[test]
fn the_readme_is_read_in_three_minutes() {
    let lines = include_str!("../../README.md").lines().count();
    assert!(lines <= 180, "{lines} lines, and at most 180 are read: move something to docs/");
}

/// Fails with all findings at once.
#[track_caller]
fn none(findings: Vec<Finding>) {
    let lines = findings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(lines.is_empty(), "{} to correct:\n{}\n", lines.len(), lines.join("\n"));
}
