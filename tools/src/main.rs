//! `cloakroom-load-data`: fills the store of a configuration and writes requests for a load generator.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cloakroom::config::ActiveConfig;
use cloakroom::store::{Handle, StoreKind};
use cloakroom::types::{AppName, Clock as _, SystemClock, duration};
use cloakroom::{config, service};
use cloakroom_load_data::{ENTRIES, FillError, MEDIAN_BYTES, Plan, Progress, Sampling, fill, write};

/// Fills a store of Cloakroom with realistic sessions, and writes requests that use them
#[derive(Debug, Parser)]
#[command(name = "cloakroom-load-data")]
struct Options {
    /// The configuration file of the service. Without it, the configuration is found as `cloakroom serve` finds it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The number of sessions to create
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// The app that the sessions belong to
    #[arg(long, value_name = "NAME", default_value = AppName::DEFAULT)]
    app: String,
    /// The median size of a session: the bytes of its names and values. Sizes spread log-normally around it
    #[arg(long, value_name = "BYTES", default_value_t = MEDIAN_BYTES)]
    size: u32,
    /// The number of entries in each session
    #[arg(long, value_name = "K", default_value_t = ENTRIES, value_parser = clap::value_parser!(u32).range(1..=4096))]
    entries: u32,
    /// The number of users that three of four sessions belong to. 0: all sessions are anonymous [default: COUNT / 3]
    #[arg(long, value_name = "N")]
    subjects: Option<u32>,
    /// How long ago the oldest session was created, such as 12h or 7d [default and maximum: nine tenths of the app's
    /// idle timeout]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    age: Option<Duration>,
    /// The number of requests of each kind to write
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    requests: u32,
    /// The n-th session is used in proportion to 1 / n to the power of this number, 0 to 10. 0: all are used alike
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = exponent)]
    exponent: f64,
    /// The folder for open.json and save.json. The files hold tokens, which give access to the sessions
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// The same number draws the same sizes, ages and samples. Tokens are always new
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Options::parse().run().await {
        Ok(report) => {
            print(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_error(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

impl Options {
    /// Returns a report of what was done.
    async fn run(&self) -> Result<String, Box<dyn Error>> {
        let loaded = config::load(self.config.as_deref())?;
        if loaded.settings.store.kind == StoreKind::Memory {
            return Err("store.kind is memory, which ends with this command; fill an embedded store or Redis".into());
        }
        loaded.prepare_default_key()?;
        let store = Handle::open(&loaded.settings.store)?;
        let ActiveConfig { loaded, .. } = loaded.activate()?;
        let apps = &loaded.apps;
        let app = apps.find(&self.app).ok_or(FillError::Service(service::Error::AppUnknown))?;
        let plan = self.plan();
        let mut progress = Progress::new(plan.count);
        let sessions = fill(&store, apps, &plan, SystemClock.now(), |done| progress.print(done)).await?;
        let requests = self.requests as usize;
        write(&self.out, app, &sessions, Sampling { requests, exponent: self.exponent, seed: self.seed })?;
        let (open, save) = (self.out.join("open.json"), self.out.join("save.json"));
        let (count, open, save) = (plan.count, open.display(), save.display());
        Ok(format!("{count} sessions in the store, {requests} requests each in {open} and {save}"))
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

#[expect(clippy::print_stdout, reason = "it is the output of the program")]
fn print(report: &str) {
    println!("{report}");
}

/// Prints an error and its causes in one line.
#[expect(clippy::print_stderr, reason = "it is the output of the program")]
fn print_error(error: &dyn Error) {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    eprintln!("cloakroom-load-data: {text}");
}
