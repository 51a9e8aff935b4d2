//! The trace of a caller, from the header `traceparent` as W3C Trace Context defines it.

use http::{HeaderMap, HeaderName};

/// The position of a call in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) id: u128,
    /// The id of the caller's span.
    pub(super) parent: u64,
    /// Whether the caller records the trace.
    pub(super) is_sampled: bool,
}

impl Trace {
    /// Reads the header. `None` if it is malformed, or is there twice.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(&TRACEPARENT).iter();
        match (all.next(), all.next()) {
            (Some(header), None) => Self::parse(header.as_bytes()),
            _ => None,
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let [v, w, b'-', middle @ .., b'-', f, g] = head else { return None };
        let (id, parent) = middle.split_at_checked(32)?;
        let parent = parent.strip_prefix(b"-")?;
        let (version, flags) = (hex(&[*v, *w])?, hex(&[*f, *g])?);
        // A later version may append fields, each after a dash.
        let rest_is_valid = if version == 0 { rest.is_empty() } else { rest.first().is_none_or(|c| *c == b'-') };
        let (id, parent) = (hex(id)?, u64::try_from(hex(parent)?).ok()?);
        let trace = Self { id, parent, is_sampled: flags & SAMPLED != 0 };
        (version != 0xff && rest_is_valid && trace.id != 0 && trace.parent != 0).then_some(trace)
    }
}

/// Parses lower-case hexadecimal digits. The specification forbids upper case.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number << 4 | u128::from(digit - b'0')),
        b'a'..=b'f' => Some(number << 4 | u128::from(digit - b'a' + 10)),
        _ => None,
    })
}

/// The flag of a trace that its caller records.
const SAMPLED: u128 = 1;

/// The length of the header in version 00.
const LENGTH: usize = 55;

/// A constant, because a name given as text would be parsed at every call.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_specifications_example_is_read() {
        let (id, parent) = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331);
        let trace = Trace { id, parent, is_sampled: true };

        assert_eq!(Trace::parse(RIGHT.as_bytes()), Some(trace));
        assert_eq!(Trace::parse(RIGHT.replacen("00", "cc", 1).as_bytes()), Some(trace));
        assert_eq!(Trace::parse(format!("{}-more", RIGHT.replacen("00", "cc", 1)).as_bytes()), Some(trace));
    }

    #[test]
    fn the_lowest_flag_says_whether_the_trace_is_sampled() {
        for (flags, is_sampled) in [("00", false), ("01", true), ("02", false), ("03", true), ("fe", false)] {
            let header = format!("{}{flags}", &RIGHT[..LENGTH - 2]);
            assert_eq!(Trace::parse(header.as_bytes()).unwrap().is_sampled, is_sampled, "{flags}");
        }
    }

    #[test]
    fn a_malformed_header_is_no_trace() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert_eq!(Trace::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn two_headers_are_no_trace() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", RIGHT.parse().unwrap());
        assert!(Trace::from_headers(&headers).is_some());

        headers.append("traceparent", RIGHT.parse().unwrap());

        assert_eq!(Trace::from_headers(&headers), None);
    }
}
