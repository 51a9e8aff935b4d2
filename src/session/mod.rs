//! A session: what is kept of it, what may be done to it, and who judges that.
//!
//! Pure rules over plain data. Nothing here waits, reads a clock or knows how a store keeps things.

mod changes;
mod edit;
mod end;
mod entries;
mod event;
mod head;
mod judge;
mod lifetime;
mod mark;
mod value;

pub use changes::{
    AuthenticationChange, Changes, ChangesError, LifetimeChange, MAX_NAME_BYTES, PERMANENT, PermanentChange,
    SubjectChange, subject_of,
};
pub use edit::{Counters, Edit, Edited, Limits, Refusal, Replacement, Rotation, WhenEmpty, edit, end};
pub use end::{End, EndReason, MEMORY, Outcome};
pub use entries::Entries;
pub use event::{Event, Happening};
pub use head::{
    Cause, Context, Generation, Head, Origin, PREVIOUS_MEMORY, Previous, Record, Subject, SubjectError, Version,
};
pub use judge::{By, Guard, Hold, Verdict, hold, judge};
pub use lifetime::{Lifespan, Lifespans, NewLifetime};
pub use mark::{Fingerprint, MARK_MEMORY, MAX_MARKS, Mark, Marks};
pub use value::{Kind, Value, ValueError, counter};
