//! Cloakroom keeps the sessions of web applications.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cookie;
pub mod entropy;
pub mod grpc;
pub mod server;
pub mod service;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod token;
