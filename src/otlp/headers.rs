//! The headers of each export, from a file of their own: `authorization: Bearer …`, for example.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Parses the headers in the text of a file: one on each line. Empty lines and lines that begin with `#` do not count.
///
/// The error names the line and repeats nothing of it.
pub(super) fn parse(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = header(line).ok_or_else(|| {
            format!(
                "line {} is no header; write its name, a colon and its value, in ASCII: `authorization: Bearer ...`",
                index + 1
            )
        })?;
        if is_of_protocol(&name) {
            return Err(format!("line {}: the header {name} belongs to the protocol; remove the line", index + 1));
        }
        headers.append(name, value);
        if headers.len() > MAX_HEADERS {
            return Err(format!("there are more than {MAX_HEADERS} headers"));
        }
    }
    Ok(headers)
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let name = HeaderName::try_from(name.trim()).ok()?;
    let mut value = HeaderValue::from_str(value.trim()).ok().filter(|value| value.to_str().is_ok())?;
    value.set_sensitive(true);
    Some((name, value))
}

/// Whether gRPC or HTTP/2 has its own meaning for a header.
fn is_of_protocol(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("grpc-")
        || name.ends_with("-bin")
        || ["te", "content-type", "content-length", "host", "connection", "transfer-encoding", "upgrade"]
            .contains(&name)
}

const MAX_HEADERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_header() {
        let headers = parse("# of the vendor\n\nAuthorization: Bearer a:b=\r\n  x-scope:  team \n").unwrap();

        assert_eq!(
            (headers.len(), &headers["authorization"], &headers["x-scope"]),
            (2, &"Bearer a:b=".parse().unwrap(), &"team".parse().unwrap())
        );
        assert!(!format!("{headers:?}").contains("Bearer"));
    }

    #[test]
    fn a_wrong_line_is_named_and_not_repeated() {
        for (text, line) in [
            ("s3cret", "line 1 "),
            ("a: b\ns3 cret: c", "line 2 "),
            ("a: s3cret\u{e4}", "line 1 "),
            ("\n\nte: s3cret", "line 3:"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(line) && !error.contains("s3"), "{error}");
        }
        assert!(parse(&"a: b\n".repeat(17)).is_err());
    }
}
