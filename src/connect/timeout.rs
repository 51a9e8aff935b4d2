//! The `connect-timeout-ms` header: how long the caller waits for the response.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::grpc::Rejection;

/// Returns the caller's timeout, if it sent one. Fails if that is not one to ten digits.
pub fn from_headers(headers: &HeaderMap) -> Result<Option<Duration>, Rejection> {
    headers.get(&CONNECT_TIMEOUT_MS).map(|value| parse(value.as_bytes())).transpose()
}

fn parse(digits: &[u8]) -> Result<Duration, Rejection> {
    if !(1..=10).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Rejection::ConnectTimeoutMalformed);
    }
    Ok(Duration::from_millis(digits.iter().fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0'))))
}

static CONNECT_TIMEOUT_MS: HeaderName = HeaderName::from_static("connect-timeout-ms");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_ten_digits_are_a_timeout() {
        assert_eq!(parse(b"0"), Ok(Duration::ZERO));
        assert_eq!(parse(b"2500"), Ok(Duration::from_millis(2500)));
        assert_eq!(parse(b"9999999999"), Ok(Duration::from_millis(9_999_999_999)));
        for text in ["", "12345678901", "-1", "+1", "1.5", "1s", " 1"] {
            assert_eq!(parse(text.as_bytes()), Err(Rejection::ConnectTimeoutMalformed), "{text}");
        }
    }
}
