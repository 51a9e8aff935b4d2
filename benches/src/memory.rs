//! The memory of a session in the memory store: the growth of the process, divided by the number of sessions.

use std::fs;

use clap::Args;
use cloakroom::store::{self, Store as _};
use cloakroom::types::AppName;
use tokio::runtime::Builder;

use crate::{Result, print, sessions};

#[derive(Debug, Args)]
pub(crate) struct Memory {
    #[arg(long)]
    sessions: u64,
    /// Bytes of each session
    #[arg(long)]
    bytes: usize,
}

impl Memory {
    pub(crate) fn run(&self) -> Result {
        let app = AppName::parse(AppName::DEFAULT)?;
        let store = store::Memory::new();
        let encoded = sessions::record(self.bytes).entries.packed().len();
        let before = resident_bytes()?;
        Builder::new_current_thread().build()?.block_on(async {
            for number in 0..self.sessions {
                // Not a clone, which would share its entries with all others.
                store.create(&sessions::key(&app, number), &sessions::record(self.bytes)).await?;
            }
            Ok::<_, store::Error>(())
        })?;
        let each = (resident_bytes()? - before) / self.sessions as f64;
        print(&serde_json::json!({ "sessions": self.sessions, "encoded": encoded, "each": each }));
        Ok(())
    }
}

fn resident_bytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("/proc/self/status has no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
