//! The program, run as a person runs it.

mod banner;
mod check;
mod cookie;
mod healthcheck;
mod keygen;
mod operating;
pub(crate) mod program;
mod secured;
mod serve;
mod sessions;
