//! Tests of the program's commands, run as processes.

mod banner;
mod check;
mod cookie;
mod data_files;
mod doctor;
mod first_start;
mod healthcheck;
mod keygen;
mod operator_commands;
pub(crate) mod program;
mod secured;
mod serve;
mod sessions;
mod terminal;
mod why;
