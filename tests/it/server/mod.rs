//! The server over real sockets, in front of an echo service or of the whole service with TLS.

mod caller_access;
mod calls;
mod certificate_expiry;
mod connect_calls;
mod connection_lifetime;
mod connection_limits;
mod console;
mod drain;
mod file_limit;
mod half_open_calls;
mod hostile_peers;
mod http1_bodies;
mod http1_lifetime;
mod http1_pools;
mod http1_smuggling;
mod large_requests;
mod listeners;
mod page_access;
mod removed_callers;
mod routes;
mod settings;
mod slow_readers;
mod support;
mod tls;
mod unread_requests;
mod workers;

pub(crate) use support::{raw_http1, raw_http2};
