//! The tests of the whole, over real sockets.

mod saving;
mod support;
mod tokens;
