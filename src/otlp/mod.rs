//! Sends spans to a collector by OTLP, the protocol of OpenTelemetry, over gRPC.
//!
//! The library for this, opentelemetry-otlp, is not used: it and its SDK read a dozen variables of the environment, do
//! not say how many spans they drop, and are 16 packages more. What the service needs is five messages and one call. The
//! tests receive them with the messages of that library.

mod collector;
mod exporter;
mod headers;
mod messages;
mod request;
mod settings;

pub use exporter::Exporter;
pub use settings::Settings;
