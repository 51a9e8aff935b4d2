//! The parts of `make bench` that are better done in Rust; run.mjs beside it puts them together.

mod echo;
mod kept;
mod load;
mod memory;
mod writers;

use clap::Parser;

/// Prints what it measured as one line of JSON.
#[derive(Debug, Parser)]
enum Part {
    /// Serve a bare tonic echo
    Echo(echo::Echo),
    /// Call a server as fast as it answers
    Load(load::Load),
    /// Save to the embedded store, without any call
    Writers(writers::Writers),
    /// Fill the memory store
    Memory(memory::Memory),
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome {
    match Part::parse() {
        Part::Echo(echo) => echo.run(),
        Part::Load(load) => load.run(),
        Part::Writers(writers) => writers.run(),
        Part::Memory(memory) => memory.run(),
    }
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn tell(measured: &serde_json::Value) {
    println!("{measured}");
}
