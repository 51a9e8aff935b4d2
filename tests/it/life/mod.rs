//! The life of the process: how it takes up what changes, how it stops, and what callers notice of it.

mod caller;
mod callers_that_go;
mod certificates;
mod key_rotation;
mod process;
mod reloading;
mod restarts;
mod stopping;
