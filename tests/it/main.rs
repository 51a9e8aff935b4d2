//! What the parts promise together: real stores, real files, time passed in.

mod conformance;
mod crash;
