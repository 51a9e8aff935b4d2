//! The `grpc-timeout` header: how long the caller waits for the response.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// A `grpc-timeout` that is not one to eight digits and one of H, M, S, m, u, n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Returns the caller's timeout, if it sent one.
pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    headers.get(&GRPC_TIMEOUT).map(|value| parse(value.as_bytes())).transpose()
}

fn parse(text: &[u8]) -> Result<Duration, Malformed> {
    let (unit, digits) = text.split_last().ok_or(Malformed)?;
    let amount = amount(digits)?;
    match unit {
        b'H' => Ok(Duration::from_secs(amount * 60 * 60)),
        b'M' => Ok(Duration::from_secs(amount * 60)),
        b'S' => Ok(Duration::from_secs(amount)),
        b'm' => Ok(Duration::from_millis(amount)),
        b'u' => Ok(Duration::from_micros(amount)),
        b'n' => Ok(Duration::from_nanos(amount)),
        _ => Err(Malformed),
    }
}

fn amount(digits: &[u8]) -> Result<u64, Malformed> {
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    Ok(digits.iter().fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0')))
}

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_specification_is_parsed() {
        assert_eq!(parse(b"99999999H"), Ok(Duration::from_secs(99_999_999 * 3600)));
        assert_eq!(parse(b"2M"), Ok(Duration::from_secs(120)));
        assert_eq!(parse(b"0S"), Ok(Duration::ZERO));
        assert_eq!(parse(b"100m"), Ok(Duration::from_millis(100)));
        assert_eq!(parse(b"7u"), Ok(Duration::from_micros(7)));
        assert_eq!(parse(b"00000001n"), Ok(Duration::from_nanos(1)));
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in ["", "S", "5", "123456789S", "-1S", "+1S", "1.5S", "1s", "1 S", "1SS", "\u{663}S"] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text}");
        }
    }
}
