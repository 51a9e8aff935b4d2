//! The format of log lines: that of tracing-subscriber, with the fields of the call.

use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::call_context::CallContext;

/// A format of lines, which adds the fields of the call at the end.
pub(super) enum LogLine<F> {
    /// One JSON object a line.
    Json(F),
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
        let Some(result) = CallContext::with_current(|call| {
            let mut line = String::new();
            format.format_event(context, Writer::new(&mut line), event)?;
            self.add_call(call, &mut line)?;
            writer.write_str(&line)
        }) else {
            return format.format_event(context, writer, event);
        };
        result
    }
}

impl<F> LogLine<F> {
    /// Adds the fields of a call to a complete line.
    fn add_call(&self, call: &CallContext, line: &mut String) -> fmt::Result {
        let end = match self {
            Self::Json(_) => "}\n",
            Self::Text(_) => "\n",
        };
        let Some(length) = line.strip_suffix(end).map(str::len) else { return Ok(()) };
        line.truncate(length);
        call.fields(|name, value| match self {
            Self::Json(_) => write!(line, ",\"{name}\":\"{value}\""),
            Self::Text(_) => write!(line, " {name}={value}"),
        })?;
        line.push_str(end);
        Ok(())
    }
}
