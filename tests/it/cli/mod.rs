//! The program, run as a person runs it.

mod banner;
mod check;
mod cookie;
mod healthcheck;
mod keygen;
mod load;
mod operating;
pub(crate) mod program;
mod secured;
mod seed;
mod serve;
mod sessions;
