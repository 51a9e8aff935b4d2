//! The known facts about a write that was done.

use std::sync::Arc;

use super::slots::Node;
use crate::store::redis::connection::waiter::Receipt;
use crate::store::redis::partitions::Slot;

/// A write that was done, and where.
#[derive(Debug)]
pub(in crate::store::redis) struct AnsweredWrite {
    /// `None`: there is one server.
    pub(in crate::store::redis) node: Option<Arc<Node>>,
    pub(in crate::store::redis) slot: Slot,
    pub(in crate::store::redis) receipt: Receipt,
}
