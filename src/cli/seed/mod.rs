//! `cloakroom seed`: a store full of realistic sessions, and requests that use them.

mod fill;
mod progress;
mod requests;
mod shape;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::runtime;

pub use fill::{FillError, Seeded, fill};
pub use requests::{Sampling, write};

use super::{CliError, ConfigFile, output};
use crate::service;
use crate::store::{Handle, StoreKind};
use crate::types::{AppName, Clock as _, SystemClock, duration};
use progress::Progress;

#[derive(Debug, Args)]
pub(super) struct Seed {
    #[command(flatten)]
    config: ConfigFile,
    /// How many sessions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Whose sessions they are
    #[arg(long, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    /// The median of the bytes that a session's names and values have. Sizes spread log-normally around it
    #[arg(long, value_name = "BYTES", default_value_t = MEDIAN_BYTES)]
    size: u32,
    /// How many entries each session has
    #[arg(long, value_name = "K", default_value_t = ENTRIES, value_parser = clap::value_parser!(u32).range(1..=4096))]
    entries: u32,
    /// How many users three quarters of the sessions belong to. 0: all sessions are nobody's. Otherwise COUNT / 3
    #[arg(long, value_name = "N")]
    subjects: Option<u32>,
    /// How long ago the oldest session was created. Otherwise nine tenths of the app's idle timeout, the most
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    age: Option<Duration>,
    /// How many requests of each kind to write
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    requests: u32,
    /// The n-th session is used in proportion to 1 / n to this power; 0 uses all alike
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = exponent)]
    exponent: f64,
    /// Where open.json and save.json go. They hold tokens: who reads them can use the sessions
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// The same number draws the same sizes, ages and samples. Tokens are always new
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// What sessions to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose they are.
    pub app: String,
    /// How many.
    pub count: usize,
    /// The median of the bytes of their names and values.
    pub median_bytes: u32,
    /// How many entries each has; at least one.
    pub entries: u32,
    /// How many subjects there are.
    pub subjects: u32,
    /// How long ago the oldest was created; none: as long as the app allows.
    pub age: Option<Duration>,
    /// For the generator.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            app: AppName::DEFAULT.to_owned(),
            count: 1000,
            median_bytes: MEDIAN_BYTES,
            entries: ENTRIES,
            subjects: 333,
            age: None,
            seed: 1,
        }
    }
}

impl Seed {
    pub(super) fn run(&self) -> Result<(), CliError> {
        let loaded = self.config.load()?;
        let settings = &loaded.settings.store.clone();
        if settings.kind == StoreKind::Memory {
            return Err("store.kind is memory, which ends with this command; seed an embedded store or Redis".into());
        }
        let apps = loaded.activate()?.loaded.apps;
        let app = apps.find(&self.app).ok_or(FillError::Service(service::Error::AppUnknown))?;
        let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
        // A store may have tasks of its own.
        let _inside = runtime.enter();
        let store = Handle::open(settings)?;
        let plan = self.plan();
        let mut progress = Progress::of(plan.count);
        let filled = fill(&store, &apps, &plan, SystemClock.now(), |done| progress.show(done));
        let seeded = runtime.block_on(filled)?;
        let requests = self.requests as usize;
        write(&self.out, app, &seeded, Sampling { requests, exponent: self.exponent, seed: self.seed })?;
        let (open, save) = (self.out.join("open.json"), self.out.join("save.json"));
        let (count, open, save) = (plan.count, open.display(), save.display());
        Ok(output::answer(&format!("{count} sessions in the store, {requests} requests each in {open} and {save}"))?)
    }

    fn plan(&self) -> Plan {
        Plan {
            app: self.app.clone(),
            count: self.count as usize,
            median_bytes: self.size,
            entries: self.entries,
            subjects: self.subjects.unwrap_or(self.count.div_ceil(3)),
            age: self.age,
            seed: self.seed,
        }
    }
}

fn exponent(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=10.0).contains(number));
    number.ok_or_else(|| "write a number from 0 to 10, such as 1.0".to_owned())
}

/// What a session of a shop has.
const MEDIAN_BYTES: u32 = 1600;

const ENTRIES: u32 = 6;
