//! The format of log lines: that of tracing-subscriber, with the causes of errors and the fields of the call.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::iter::successors;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::call_context::CallContext;

/// A format of lines, which adds the fields of the call at the end.
pub(super) enum LogLine<F> {
    /// One JSON object a line.
    Json(F),
    /// Text, which has the causes of errors already.
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
        let mut more = self.causes(event);
        CallContext::with_current(|call| self.add_call(call, &mut more)).unwrap_or(Ok(()))?;
        if more.is_empty() {
            return format.format_event(context, writer, event);
        }
        let mut line = String::new();
        format.format_event(context, Writer::new(&mut line), event)?;
        let end = match self {
            Self::Json(_) => "}\n",
            Self::Text(_) => "\n",
        };
        match line.strip_suffix(end) {
            Some(line) => write!(writer, "{line}{more}{end}"),
            None => writer.write_str(&line),
        }
    }
}

impl<F> LogLine<F> {
    /// Returns the fields with the causes of the event's errors. tracing-subscriber writes them in text, but not in
    /// JSON.
    fn causes(&self, event: &Event<'_>) -> String {
        let mut causes = JsonCauses(String::new());
        if matches!(self, Self::Json(_)) {
            event.record(&mut causes);
        }
        causes.0
    }

    /// Adds the fields of a call.
    fn add_call(&self, call: &CallContext, fields: &mut String) -> fmt::Result {
        call.fields(|name, value| match self {
            Self::Json(_) => write!(fields, ",\"{name}\":\"{value}\""),
            Self::Text(_) => write!(fields, " {name}={value}"),
        })
    }
}

/// Collects the causes of each error of an event, outermost first, under the name that they have in text.
struct JsonCauses(String);

impl Visit for JsonCauses {
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let causes: Vec<String> =
            successors(error.source(), |&error| error.source()).map(ToString::to_string).collect();
        if !causes.is_empty() {
            let causes = serde_json::Value::from(causes);
            write!(self.0, ",\"{field}.sources\":{causes}").expect("a String takes any text");
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
