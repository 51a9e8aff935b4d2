//! Logs: one line for each event, to stderr.
//!
//! Events have dotted fields with units. They never contain a token, data of a session or an address.

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};

use serde::{Deserialize, Serialize};
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::format::{Format as Lines, JsonFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use super::Level;
use super::line::LogLine;
use super::queue::{self, QueueGuard};

/// The `[log]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The format of lines: `text`, `json`, or `auto`, which is text on a terminal and else JSON.
    pub format: LogFormat,
    /// The lowest level that is logged, or levels by module: `info`, or `warn,cloakroom::store=debug`.
    pub level: Level,
}

/// The format of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The running log. Dropping it writes the queued lines and ends the log.
#[derive(Debug)]
#[must_use = "logs end when this is dropped"]
pub struct Logs {
    _guard: QueueGuard,
}

/// Starts the log. Fails if the process has started one already.
pub fn init(settings: &Settings) -> Result<Logs, InitError> {
    let (queue, guard) = queue::open(io::stderr(), QUEUED_LINES).map_err(InitError::Thread)?;
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
    panic::set_hook(Box::new(log_panic));
    Ok(Logs { _guard: guard })
}

/// Logs the location of a panic, but not its message, which may contain data of a session.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    tracing::error!(panic.location = location, "the program has panicked, which is a defect");
}

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The thread that writes lines cannot be started.
    #[error("the thread that writes the log cannot be started")]
    Thread(#[source] io::Error),
    /// The process has started a log already.
    #[error("logging cannot be started")]
    AlreadyStarted(#[from] TryInitError),
}

/// The capacity of the queue: a few megabytes at most, and the lines of a few busy seconds.
const QUEUED_LINES: usize = 8192;
