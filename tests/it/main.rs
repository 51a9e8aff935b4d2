//! Tests from outside: what the service promises, by area.

#![expect(clippy::unwrap_used, reason = "in a test a panic is how a broken expectation is told")]

mod cli;
mod config;
