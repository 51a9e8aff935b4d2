//! The order of a list.

use clap::ValueEnum;

use super::super::text::time;
use crate::grpc::wire::SessionInfo;
use crate::types::Time;

/// The values of `--sort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SortField {
    /// By last use, the newest first
    Used,
    /// By creation, the newest first
    Created,
    /// By expiry, the next first
    Expires,
    /// By subject, sessions without one first
    Subject,
    /// By the bytes of the entries, the largest first
    Size,
}

/// A field and a direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    field: SortField,
    pub(super) direction: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

/// The rank of a session in the ascending order of a field. Sessions of the same value are in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    value: SortValue,
    pub(super) id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortValue {
    Time(Option<Time>),
    Text(String),
    Number(u32),
}

impl Order {
    pub(super) const fn new(field: SortField, reverse: bool) -> Self {
        let is_ascending = matches!(field, SortField::Expires | SortField::Subject);
        Self { field, direction: if is_ascending == reverse { Direction::Descending } else { Direction::Ascending } }
    }

    pub(super) fn rank(self, session: &SessionInfo) -> Rank {
        let value = match self.field {
            SortField::Used => SortValue::Time(time(&session.access_time)),
            SortField::Created => SortValue::Time(time(&session.create_time)),
            SortField::Expires => SortValue::Time(time(&session.expire_time)),
            SortField::Subject => SortValue::Text(session.subject.clone()),
            SortField::Size => SortValue::Number(session.entry_bytes),
        };
        Rank { value, id: session.id.clone() }
    }
}
