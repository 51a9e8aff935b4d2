//! The timeout that a caller asked for. tonic does not tell it, so it is read from its header.

use std::time::Duration;

use http::HeaderMap;

/// Returns the timeout of a call in milliseconds, if the caller sent one.
pub(crate) fn millis(headers: &HeaderMap) -> Option<i64> {
    let value = |name| headers.get(name)?.to_str().ok();
    let of_connect = value("connect-timeout-ms").and_then(|millis| millis.parse().ok());
    of_connect.or_else(|| of_grpc(value("grpc-timeout")?))
}

fn of_grpc(value: &str) -> Option<i64> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let amount = digits.parse::<u64>().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(amount * 60 * 60),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    };
    i64::try_from(timeout.as_millis()).ok()
}
