//! How a log line is written: as tracing-subscriber does, and with the call that it is about.

use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::call_context::CallContext;

/// A format of lines, with the call's fields at the end of each.
pub(super) enum LogLine<F> {
    /// One JSON object a line.
    Json(F),
    /// For people.
    Text(F),
}

impl<S, N, F> FormatEvent<S, N> for LogLine<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (Self::Json(format) | Self::Text(format)) = self;
        let Some(written) = CallContext::current(|call| {
            let mut line = String::new();
            format.format_event(context, Writer::new(&mut line), event)?;
            self.name(call, &mut line)?;
            writer.write_str(&line)
        }) else {
            return format.format_event(context, writer, event);
        };
        written
    }
}

impl<F> LogLine<F> {
    /// Adds the call to a whole line.
    fn name(&self, call: &CallContext, line: &mut String) -> fmt::Result {
        let (close, end) = match self {
            Self::Json(_) => ("}\n", "}\n"),
            Self::Text(_) => ("\n", "\n"),
        };
        let Some(open) = line.strip_suffix(close).map(str::len) else { return Ok(()) };
        line.truncate(open);
        call.fields(|name, value| match self {
            Self::Json(_) => write!(line, ",\"{name}\":\"{value}\""),
            Self::Text(_) => write!(line, " {name}={value}"),
        })?;
        line.push_str(end);
        Ok(())
    }
}
