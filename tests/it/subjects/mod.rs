//! Subjects: the entry that names them, and how many sessions each may have.

mod session_limit;
mod subject_key;
