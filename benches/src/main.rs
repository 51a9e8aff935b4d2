//! The parts of `make bench` that are written in Rust. `run.mjs` runs them.

mod echo_server;
mod embedded_saves;
mod load;
mod memory;
mod sessions;

use clap::Parser;

/// Prints each result as one line of JSON.
#[derive(Debug, Parser)]
enum Part {
    /// Serve a bare tonic echo service
    Echo(echo_server::Echo),
    /// Call a server as fast as it responds
    Load(load::Load),
    /// Save to the embedded store from many tasks, without gRPC
    EmbeddedSaves(embedded_saves::EmbeddedSaves),
    /// Measure the memory of a session in the memory store
    Memory(memory::Memory),
}

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result {
    match Part::parse() {
        Part::Echo(echo) => echo.run(),
        Part::Load(load) => load.run(),
        Part::EmbeddedSaves(saves) => saves.run(),
        Part::Memory(memory) => memory.run(),
    }
}

#[expect(clippy::print_stdout, reason = "the results go to standard output")]
fn print(result: &serde_json::Value) {
    println!("{result}");
}
