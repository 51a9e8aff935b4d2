//! Exports and imports, by the program and from a running service: between all stores, repeated, and with damaged files.

mod corrupt;
mod drill;
mod encrypted;
mod files;
mod hot;
mod moves;
mod place;
mod restarts;
