//! The attributes that distinguish the spans and metrics of this process from those of others.

use super::messages::{AnyValue, AnyValueKind, KeyValue, Resource, Scope};
use crate::telemetry::spans::AttributeValue;
use crate::types::random;

/// Returns the attributes of this process. Each call returns another `service.instance.id`.
pub(super) fn resource(service_name: &str) -> Resource {
    let instance_id = format!("{:032x}", u128::from_be_bytes(random::bytes()));
    let text = |key: &str, value: String| attribute(key, &AttributeValue::from(value));
    Resource {
        attributes: vec![
            text("service.name", service_name.to_owned()),
            text("service.version", VERSION.to_owned()),
            text("service.instance.id", instance_id),
        ],
    }
}

/// Returns the program that measured.
pub(super) fn scope() -> Scope {
    Scope { name: SCOPE.to_owned(), version: VERSION.to_owned() }
}

pub(super) fn attribute(key: &str, value: &AttributeValue) -> KeyValue {
    let value = match value {
        AttributeValue::Text(text) => AnyValueKind::Text(text.clone().into_owned()),
        AttributeValue::Number(number) => AnyValueKind::Number(*number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

const SCOPE: &str = "cloakroom";
const VERSION: &str = env!("CARGO_PKG_VERSION");
