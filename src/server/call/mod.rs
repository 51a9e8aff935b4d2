//! One call: from its request to its response, with its limits, its metrics, and the service that it is for.
//!
//! [`CallHandler::handle`] does all steps in order. The other modules are the steps.

mod browser_guard;
mod call_limits;
mod call_permit;
mod call_recorder;
mod frame_lengths;
mod handler;
mod http1_request;
mod request_body;
mod request_size;
mod response_body;
mod services;
mod timeout;
mod unread_rest;

pub(super) use call_limits::CallLimits;
pub(super) use handler::CallHandler;
pub use services::{ResponseFuture, Services};
