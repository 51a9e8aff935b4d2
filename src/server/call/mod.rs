//! One call: its way through the server, its limits, its metrics, and the service that it is for.
//!
//! [`CallHandler::handle`] is the whole way. The other modules are its steps.

mod call_limits;
mod call_metrics;
mod call_recorder;
mod frame_lengths;
mod handler;
mod request_budget;
mod response_body;
mod services;
mod timeout;

pub(super) use call_limits::CallLimits;
pub(super) use call_metrics::CallMetrics;
pub(super) use handler::CallHandler;
pub(super) use request_budget::RequestBudget;
pub use services::{ResponseFuture, Services};
