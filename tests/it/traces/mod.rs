//! Traces: the spans that a collector gets from a running service.

mod calls;
mod export;
mod secrets;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::Request;

/// The ids of a caller's trace and span.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Returns a configuration with an app that has a key, and this table of traces.
fn config(traces: &str) -> String {
    let key = cloakroom::token::Key::generate();
    format!("[store]\nkind = \"memory\"\n[apps.default]\nkeys = [{key:?}]\n[traces]\n{traces}\n")
}

/// Adds the trace of a caller to a request.
fn traced<T>(traceparent: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    request
}

pub(crate) fn sampled<T>(trace: &str, message: T) -> Request<T> {
    traced(&format!("00-{trace}-{PARENT}-01"), message)
}

pub(crate) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the text of an attribute, or its number as text. `None`: the span does not have it.
fn attribute(span: &Span, name: &str) -> Option<String> {
    let mut all = span.attributes.iter().filter(|attribute| attribute.key == name);
    let first = all.next()?;
    assert!(all.next().is_none(), "{name} is there twice");
    match first.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}
