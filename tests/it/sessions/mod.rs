//! The life of a session: open, save, touch, and the ways to end.

mod anonymous;
mod authentication;
mod changes;
mod cookie_attributes;
mod cookie_header_writes;
mod counters;
mod creation;
mod destruction;
mod empty;
mod ended;
mod lifetimes;
mod limits;
mod lost_answers;
mod open;
mod races;
mod request_age;
mod save;
mod touch;
