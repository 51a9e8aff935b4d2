//! Requests that are sent again.

mod late_retries;
mod records;
mod request_ids;
