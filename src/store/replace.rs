//! The operation that a store needs so that sessions can move from it and to it.

use crate::session::Record;
use crate::store::{Error, SessionKey, Snapshot};

/// Replaces records as a whole. No event is written: the session does not change for its users.
pub(in crate::store) trait Replace {
    /// Does the replacement if the store still has what was read, and the app's generation of then. One atomic step.
    ///
    /// Redis compares the meta field, the access time and the end: each write changes one of them.
    ///
    /// Returns whether it was done. If there was no record, the generation does not matter.
    fn replace(
        &self,
        session_key: &SessionKey,
        read: Option<&Snapshot>,
        replacement: RecordReplacement,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// The replacement of a record.
#[derive(Clone, Debug)]
pub(in crate::store) enum RecordReplacement {
    Nothing,
    /// A record that keeps its generation.
    Record(Record),
    /// A record that gets the app's generation.
    Copy(Record),
}
