//! Logs: one line for each event, to stderr.
//!
//! Events have dotted fields with units. They never contain a token, data of a session or an address.

use std::io::{self, IsTerminal as _};
use std::panic::{self, PanicHookInfo};

use serde::{Deserialize, Serialize};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Format as Lines, JsonFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer, Registry};

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

/// Whether lines on a terminal have colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// Text on a terminal has colours.
    OnTerminal,
    /// No line has colours.
    Never,
}

/// Starts the log. Fails if the process has started one already.
pub fn init(settings: &Settings, colors: Colors) -> Result<Logs, InitError> {
    let (queue, guard) = queue::open(io::stderr(), QUEUED_LINES).map_err(InitError::Thread)?;
    let terminal = io::stderr().is_terminal().then_some(colors);
    let lines = lines(settings.format, terminal, queue).with_filter(settings.level.filter());
    tracing_subscriber::registry().with(lines).try_init()?;
    panic::set_hook(Box::new(log_panic));
    Ok(Logs { _guard: guard })
}

/// Returns the layer that writes each event as a line of this format, to a terminal or to something else.
fn lines<W>(format: LogFormat, terminal: Option<Colors>, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Auto | LogFormat::Text if terminal.is_some() || format == LogFormat::Text => {
            let ansi = terminal == Some(Colors::OnTerminal);
            lines.with_ansi(ansi).event_format(LogLine::Text(Lines::default().with_ansi(ansi))).boxed()
        }
        LogFormat::Auto | LogFormat::Text | LogFormat::Json => {
            let line = LogLine::Json(Lines::default().json().flatten_event(true));
            lines.event_format(line).fmt_fields(JsonFields::new()).boxed()
        }
    }
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

/// The log lines of a test.
#[cfg(test)]
pub mod capture {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct SharedBytes(Arc<Mutex<Vec<u8>>>);

    impl io::Write for SharedBytes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines of text that an action logs.
    pub fn text_of(act: impl FnOnce()) -> Vec<String> {
        lines_of(LogFormat::Text, None, act)
    }

    pub(super) fn lines_of(format: LogFormat, terminal: Option<Colors>, act: impl FnOnce()) -> Vec<String> {
        let written = SharedBytes::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, terminal, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, act);
        let bytes = written.0.lock().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use serde_json::Value;

    use super::*;
    use crate::telemetry::CallContext;
    use crate::telemetry::spans::Tracer;

    /// An error with its cause.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failure(&'static str, #[source] Option<Box<Self>>);

    /// Returns the lines of two events with an error, the second in a call.
    fn logged(format: LogFormat, terminal: Option<Colors>, error: &Failure) -> Vec<String> {
        let log = || tracing::warn!(error = error as &dyn Error, calls = 3, "the store does not answer");
        capture::lines_of(format, terminal, || {
            log();
            CallContext::new("R", &http::HeaderMap::new(), &Tracer::default()).sync_scope(log);
        })
    }

    fn failure() -> Failure {
        let innermost = Failure("\"NOAUTH\" Authentication required", None);
        Failure("no answer", Some(Box::new(Failure("the login failed", Some(Box::new(innermost))))))
    }

    #[test]
    fn a_json_line_has_every_cause_of_its_error() {
        for line in logged(LogFormat::Json, None, &failure()) {
            let line: Value = serde_json::from_str(&line).expect(&line);

            assert_eq!(line["error"], "no answer");
            let causes = ["the login failed", "\"NOAUTH\" Authentication required"];
            assert_eq!(line["error.sources"], Value::from(&causes[..]), "{line}");
        }
    }

    #[test]
    fn a_text_line_has_every_cause_of_its_error() {
        for line in logged(LogFormat::Text, None, &failure()) {
            assert!(
                line.contains("error=no answer error.sources=[the login failed, \"NOAUTH\" Authentication required]"),
                "{line}"
            );
        }
    }

    #[test]
    fn an_error_without_a_cause_adds_no_field() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let lines = logged(format, None, &Failure("no answer", None));

            assert_eq!(lines.len(), 2);
            assert!(lines.iter().all(|line| line.contains("no answer") && !line.contains("sources")), "{lines:?}");
        }
    }

    #[test]
    fn lines_have_colors_only_on_a_terminal_and_unless_the_user_wants_none() {
        for (terminal, has_colors) in [(None, false), (Some(Colors::Never), false), (Some(Colors::OnTerminal), true)] {
            for line in logged(LogFormat::Text, terminal, &failure()) {
                assert_eq!(line.contains('\u{1b}'), has_colors, "{terminal:?}: {line}");
            }
        }
    }
}
