//! What a session takes in the memory store: what the process grew by, over the sessions in it.

use std::fs;

use clap::Args;
use cloakroom::store::{self, Store as _};
use cloakroom::types::AppName;
use tokio::runtime::Builder;

use crate::{Outcome, kept, tell};

#[derive(Debug, Args)]
pub(crate) struct Memory {
    #[arg(long)]
    sessions: u64,
    /// Of each session
    #[arg(long)]
    bytes: usize,
}

impl Memory {
    pub(crate) fn run(&self) -> Outcome {
        let app = AppName::parse(AppName::DEFAULT)?;
        let store = store::Memory::new();
        let encoded = kept::record(self.bytes).entries.packed().len();
        let before = resident_bytes()?;
        Builder::new_current_thread().build()?.block_on(async {
            for number in 0..self.sessions {
                // Each one made anew: a copy would share its entries with all others.
                store.create(&kept::place(&app, number), &kept::record(self.bytes)).await?;
            }
            Ok::<_, store::Error>(())
        })?;
        let each = (resident_bytes()? - before) / self.sessions as f64;
        tell(&serde_json::json!({ "sessions": self.sessions, "encoded": encoded, "each": each }));
        Ok(())
    }
}

fn resident_bytes() -> Result<f64, Box<dyn std::error::Error + Send + Sync>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc says no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
