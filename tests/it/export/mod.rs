//! Exports and imports, by the program: between all stores that keep sessions, repeated, and with damaged files.

mod files;
mod moves;
mod place;
