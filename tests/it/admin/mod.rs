//! AdminService and the HTTP pages beside it.

mod http_pages;
mod revocation_races;
mod sessions;
mod subject_index;
