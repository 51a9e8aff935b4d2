//! Keeps web pages away: with HTTP/1.1 a page in a browser could reach the service, on loopback too.
//!
//! A page's POST always has the header `origin`. Its other requests have `sec-fetch-site`, in every browser of today.
//! A page whose host name changes to a loopback address (DNS rebinding) calls its own origin; its `host` shows that.
//! So it does where browsers send no `sec-fetch-site`: by plain HTTP to any host that they do not take for loopback.

use std::net::IpAddr;

use http::{HeaderName, Request, header};

use crate::grpc::Rejection;

/// Checks a request by its headers alone. `asks_host`: the listener is on loopback, and nobody is asked who calls.
pub(super) fn check<B>(request: &Request<B>, asks_host: bool) -> Result<(), Rejection> {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || headers.get(&SEC_FETCH_SITE).is_some_and(|site| site != "none") {
        return Err(Rejection::BrowserRefused);
    }
    if asks_host && !has_local_host(request) {
        return Err(Rejection::HostRefused);
    }
    Ok(())
}

/// Whether every host that the request names is a loopback address or `localhost`.
fn has_local_host<B>(request: &Request<B>) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    request.uri().authority().map(http::uri::Authority::as_str).into_iter().chain(hosts).all(is_local)
}

/// Whether a host, which may have a port, is a loopback address or `localhost`.
///
/// `0.0.0.0` and `::ffff:127.0.0.1` are not: they lead to loopback as well, but browsers send no `sec-fetch-site` there.
fn is_local(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host.is_empty() || host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_and_localhost_are_local() {
        for host in ["localhost", "LOCALHOST:50051", "127.0.0.1", "127.0.0.1:80", "127.9.9.9", "[::1]", "[::1]:50051"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "evil.example:50051", "localhost.evil.example", "127.0.0.1.evil.example:80"] {
            assert!(!is_local(host), "{host}");
        }
        for host in ["0.0.0.0:50052", "[::]:50052", "[::ffff:7f00:1]:50052", "[::ffff:127.0.0.1]", "10.0.0.7:1"] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_request_with_a_sign_of_a_page_is_refused() {
        let request = |name: &str, value: &str| Request::post("/").header(name, value).body(()).unwrap();

        for (name, value) in [
            ("origin", "null"),
            ("origin", "http://127.0.0.1"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", ""),
        ] {
            assert_eq!(check(&request(name, value), false), Err(Rejection::BrowserRefused), "{name}: {value}");
        }
        assert_eq!(check(&request("sec-fetch-site", "none"), true), Ok(()));
        assert_eq!(check(&request("sec-fetch-mode", "cors"), true), Ok(()));
        assert_eq!(check(&request("host", "evil.example"), true), Err(Rejection::HostRefused));
        assert_eq!(check(&request("host", "evil.example"), false), Ok(()));
    }
}
