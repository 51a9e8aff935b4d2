//! Samples: parts of a store from which the number of live sessions is estimated, without reading all of them.
//!
//! Each session has a position in its store, which depends on its id alone, and ids are hashes. So the sessions before
//! any position are a random sample: a tenth of the positions has about a tenth of every app's sessions, of live and of
//! ended ones alike. A store has the positions that it can read in order at little cost.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, SessionKey, Snapshot};
use crate::types::AppName;

/// Samples of a store's sessions.
pub trait Sample {
    /// Lists sessions of these apps, alive or ended, in the order of their positions, from this one on.
    ///
    /// It costs about as much as a scan of `limit` sessions, whatever the number of sessions and apps. Redis lists a
    /// session twice if it resizes its table meanwhile.
    fn sample_keys(
        &self,
        apps: &BTreeSet<AppName>,
        from: Position,
        limit: usize,
    ) -> impl Future<Output = Result<SampledKeys, Error>> + Send;

    /// Reads the records of sessions, without their entries, each as [`load`](super::Store::load) would.
    ///
    /// `None` if there is no record, or if its bytes are not one: a sample does without it.
    fn sample_heads(
        &self,
        session_keys: &[SessionKey],
    ) -> impl Future<Output = Result<Vec<Option<Snapshot>>, Error>> + Send;
}

/// A position in a store: the part of all positions before it, in units of 2^-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// The sessions between two positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampledKeys {
    /// About `limit` at most. They may be none, even if more follow.
    pub session_keys: Vec<SessionKey>,
    /// The position after them; `None`: there are no more sessions.
    pub next: Option<Position>,
    /// How many positions were left out, for each app where some were: they would have cost too much.
    pub skipped: BTreeMap<AppName, u64>,
}
