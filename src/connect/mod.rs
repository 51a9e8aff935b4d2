//! The Connect protocol: converts its calls to gRPC calls and back, for any gRPC service.
//!
//! Unary calls are plain POST requests with one message, in binary or in JSON. Streams are the frames of gRPC, with
//! another last frame. The specification is <https://connectrpc.com/docs/protocol>. GET requests and compression are
//! not served. The check requests of reverse proxies (`forward_auth`, and `ext_authz` by gRPC) are a third way to call.
//! This layer contains no sockets, limits or metrics: the server has the same ones for all protocols.

mod call;
mod envelope;
mod error;
mod ext_authz;
mod forward_auth;
mod json_check;
mod protocol;
mod request;
mod schema;
mod status_format;
mod stream;
mod timeout;

pub use call::{call, check};
pub use protocol::{Codec, Protocol};
pub use schema::Schema;
pub use stream::failed_stream;
pub use timeout::from_headers as timeout;
