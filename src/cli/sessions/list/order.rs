//! The order of a list.

use clap::ValueEnum;

use super::super::text::time;
use crate::grpc::wire::SessionInfo;
use crate::types::Time;

/// What `--sort` takes.
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

/// A field, and whether its smallest or its greatest value comes first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    field: SortField,
    pub(super) first: First,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    Smallest,
    Greatest,
}

/// The rank of a session in the ascending order of a field. Sessions of the same value are in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    value: Value,
    pub(super) id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Time(Option<Time>),
    Text(String),
    Number(u32),
}

impl Order {
    pub(super) const fn new(field: SortField, reverse: bool) -> Self {
        let smallest_first = matches!(field, SortField::Expires | SortField::Subject);
        Self { field, first: if smallest_first == reverse { First::Greatest } else { First::Smallest } }
    }

    pub(super) fn rank(self, session: &SessionInfo) -> Rank {
        let value = match self.field {
            SortField::Used => Value::Time(time(&session.access_time)),
            SortField::Created => Value::Time(time(&session.create_time)),
            SortField::Expires => Value::Time(time(&session.expire_time)),
            SortField::Subject => Value::Text(session.subject.clone()),
            SortField::Size => Value::Number(session.entry_bytes),
        };
        Rank { value, id: session.id.clone() }
    }
}
