//! Logs: one line an event, to stderr.
//!
//! Events name dotted fields with units, never a token, data or an address.

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};

use serde::{Deserialize, Serialize};
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::format::{Format as Lines, JsonFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use super::Level;
use super::line::LogLine;
use super::queue::{self, Drain};

/// The `[log]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How a line is written: `text`, `json`, or `auto`: text on a terminal, else JSON.
    pub format: LogFormat,
    /// The least level, or levels by module: `info`, or `warn,cloakroom::store=debug`.
    pub level: Level,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// As text on a terminal, as JSON anywhere else.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Keeps logs flowing; dropping it writes what is still queued.
#[derive(Debug)]
#[must_use = "logs end when this is dropped"]
pub struct Logs {
    _drain: Drain,
}

/// Starts logging, once in a process.
pub fn init(settings: &Settings) -> Result<Logs, InitError> {
    let (queue, drain) = queue::open(io::stderr(), QUEUED_LINES).map_err(InitError::Thread)?;
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(queue);
    let lines = match settings.format {
        LogFormat::Auto | LogFormat::Text if terminal || settings.format == LogFormat::Text => {
            lines.with_ansi(terminal).event_format(LogLine::Text(Lines::default().with_ansi(terminal))).boxed()
        }
        LogFormat::Auto | LogFormat::Text | LogFormat::Json => {
            let line = LogLine::Json(Lines::default().json().flatten_event(true));
            lines.event_format(line).fmt_fields(JsonFields::new()).boxed()
        }
    };
    tracing_subscriber::registry().with(lines.with_filter(settings.level.filter())).try_init()?;
    panic::set_hook(Box::new(tell));
    Ok(Logs { _drain: drain })
}

/// Tells where a panic came from. Its message stays untold: it may hold what was being worked on.
fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(panic.location = place, "the program has panicked, which is a defect");
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// No thread to write them.
    #[error("the thread that writes the log cannot be started")]
    Thread(#[source] io::Error),
    /// They have been started before.
    #[error("logging cannot be started")]
    BudgetPermit(#[from] TryInitError),
}

/// A few megabytes at most, and seconds of a busy log.
const QUEUED_LINES: usize = 8192;
