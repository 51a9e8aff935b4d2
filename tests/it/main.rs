//! The tests of the whole, over real sockets.

mod server;
