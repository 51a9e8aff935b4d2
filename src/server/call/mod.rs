//! One call: its limits, its metrics, its body, and the service that it is for.

mod body;
pub(crate) mod budget;
mod call_limits;
pub(crate) mod call_metrics;
mod call_recorder;
mod frame_lengths;
mod services;
mod timeout;

pub(crate) use body::RecordedBody;
pub(crate) use budget::{Budget, BudgetedBody};
pub(crate) use call_limits::{CallLimits, reject};
pub(crate) use call_metrics::CallMetrics;
pub(crate) use call_recorder::CallRecorder;
pub use services::{Answer, Services};
