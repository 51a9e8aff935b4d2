//! Keys that a listing of Redis may have twice.

use std::collections::BTreeSet;
use std::fmt::Debug;

/// Takes each that was listed once.
///
/// Redis lists a few keys twice if it shrinks its table between two pages, and it does so whenever another test has
/// deleted many keys of the same server.
pub(crate) fn each_listed<T: Clone + Debug + Ord>(listed: Vec<T>) -> BTreeSet<T> {
    let each: BTreeSet<T> = listed.iter().cloned().collect();
    let twice = listed.len() - each.len();
    assert!(twice <= 3 + each.len() / 10, "{twice} of {} were listed twice: {listed:?}", each.len());
    each
}
