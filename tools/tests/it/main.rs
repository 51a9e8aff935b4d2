//! Tests of the tool: the sessions that it stores, the requests that it writes, and its command line.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod command;
mod fill;
#[expect(dead_code, reason = "it is shared with the tests of the service, which use all of it")]
#[path = "../../../tests/it/support/redis.rs"]
mod redis;
