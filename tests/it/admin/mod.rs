//! AdminService and the HTTP pages beside it.

pub(crate) mod http_pages;
mod live_count;
mod lost_sessions;
mod revocation_races;
mod session_ends;
mod sessions;
mod subject_index;
