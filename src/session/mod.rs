//! A session: its record, the changes to it, and the rules that allow them.
//!
//! Pure rules over plain data. Nothing here waits, reads a clock or knows a store.

mod changes;
mod edit;
mod effect;
mod end;
mod entries;
mod event;
mod head;
mod idempotency;
mod judge;
mod lifetime;
mod previous_token;
mod request_context;
mod subject;
mod subject_key;
mod value;
mod version;

pub use changes::{
    AuthenticationChange, Changes, ChangesError, LifetimeChange, MAX_NAME_BYTES, PERMANENT, PermanentChange,
    SubjectChange,
};
pub use edit::{Counters, Done, Edit, EditError, Limits, Replacement, Rotation, WhenEmpty, edit, end};
pub use effect::WriteEffect;
pub use end::{End, EndReason, TOMBSTONE_TTL};
pub use entries::Entries;
pub use event::{Event, EventKind};
pub use head::{Head, ImportedFrom, Record};
pub use idempotency::{Fingerprint, IDEMPOTENCY_TTL, IdempotencyRecord, IdempotencyRecords, MAX_IDEMPOTENCY_RECORDS};
pub use judge::{Authority, Denial, Precondition, TokenMatch, end_time, judge, match_token};
pub use lifetime::{LifetimeLimits, Lifetimes, NewLifetime};
pub use previous_token::{PREVIOUS_TOKEN_TTL, PreviousToken, ReplacementCause};
pub use request_context::RequestContext;
pub use subject::{Subject, SubjectError};
pub use subject_key::{SubjectKey, find_child, subject_of};
pub(crate) use value::line_and_column;
pub use value::{Value, ValueError, ValueKind, counter};
pub use version::{Generation, Version};
