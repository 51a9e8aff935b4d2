//! The life of the process: how it takes up what changes, how it stops, and what callers notice of it.

mod caller;
mod certificates;
mod key_rotation;
mod process;
mod reloading;
mod restarts;
mod stopping;
