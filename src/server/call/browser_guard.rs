//! Keeps web pages away: with HTTP/1.1 a page in a browser could reach the service, on loopback too.
//!
//! A page's POST always has the header `origin`. Its other requests have `sec-fetch-site`, in every browser of today.
//! A page whose host name changes to a loopback address (DNS rebinding) calls its own origin; its `host` shows that.
//! So it does where browsers send no `sec-fetch-site`: by plain HTTP to any host that they do not take for loopback.
//!
//! The console is the one page that may call. Its calls show a credential that no other page has, and that no browser
//! adds by itself, or the certificate of a caller.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Method, Request, Version, header};

use crate::auth::Peer;
use crate::connect::Protocol;
use crate::grpc::Rejection;
use crate::server::admin_http::console;
use crate::server::context::ConnectionContext;

/// Checks a request by its headers alone.
pub(super) fn check<B>(
    request: &Request<B>,
    protocol: Option<Protocol>,
    connection: &ConnectionContext,
    peer: &Peer,
) -> Result<(), Rejection> {
    check_page(request, connection.has_console.then_some(peer))?;
    let has_tls = connection.tls.is_some();
    // Browsers speak HTTP/2 by TLS only, so a name for loopback stays a name for callers of gRPC.
    let may_be_page = request.version() < Version::HTTP_2 || has_tls;
    if !may_be_page || !peer.is_open_to_all() {
        return Ok(());
    }
    match protocol {
        _ if connection.is_on_loopback => check_host(request),
        // Browsers say that a page asks where they take the address for safe: loopback, and any by TLS.
        Some(Protocol::ForwardAuth) if !has_tls => Err(Rejection::CheckRequestRefused),
        _ => Ok(()),
    }
}

/// Refuses a request of a page. `console_user`: the peer, if the listener has the console.
fn check_page<B>(request: &Request<B>, console_user: Option<&Peer>) -> Result<(), Rejection> {
    let is_allowed = || console_user.is_some_and(|peer| is_of_console(request, peer));
    if is_of_page(request.headers()) && !is_allowed() { Err(Rejection::BrowserRefused) } else { Ok(()) }
}

/// Refuses a host that may be a page's own name for loopback.
fn check_host<B>(request: &Request<B>) -> Result<(), Rejection> {
    if has_local_host(request) { Ok(()) } else { Err(Rejection::HostRefused) }
}

/// Whether the headers show that a page sent the request.
fn is_of_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.get(&SEC_FETCH_SITE).is_some_and(|site| site != "none")
}

/// Whether a request of a page is one of the console: for one of its files, or with its user's credential.
fn is_of_console<B>(request: &Request<B>, peer: &Peer) -> bool {
    let is_file = || request.method() == Method::GET && console::is_file(request.uri().path());
    is_of_own_origin(request) && (is_file() || peer.knows_console_user(request.headers()))
}

/// Whether a request of a page comes from the origin that it goes to, whatever a proxy made of the scheme.
fn is_of_own_origin<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let host = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let Some(host) = host.or_else(|| Some(headers.get(header::HOST)?.as_bytes())) else { return false };
    let has_host = |origin: &[u8]| {
        let of_origin = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
        of_origin.is_some_and(|of_origin| of_origin.eq_ignore_ascii_case(host))
    };
    headers.get_all(&SEC_FETCH_SITE).iter().all(|site| site == "same-origin" || site == "none")
        && headers.get_all(header::ORIGIN).iter().all(|origin| has_host(origin.as_bytes()))
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
    let parts = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']'),
        None => Some(authority.split_at(authority.find(':').unwrap_or(authority.len()))),
    };
    let Some((host, rest)) = parts else { return false };
    let is_port = |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|c| c.is_ascii_digit()));
    if !rest.is_empty() && !is_port(rest) {
        return false;
    }
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
        for host in
            ["[::1].evil.example:1", "[::1]evil", "localhost:evil.example", "127.0.0.1:80:80", "[::1", "[::1]:x"]
        {
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
            assert_eq!(check_page(&request(name, value), None), Err(Rejection::BrowserRefused), "{name}: {value}");
        }
        assert_eq!(check_page(&request("sec-fetch-site", "none"), None), Ok(()));
        assert_eq!(check_page(&request("sec-fetch-mode", "cors"), None), Ok(()));
        assert_eq!(check_host(&request("host", "evil.example")), Err(Rejection::HostRefused));
        assert_eq!(check_page(&request("host", "evil.example"), None), Ok(()));
    }

    #[test]
    fn a_page_is_of_its_own_origin_if_every_header_says_so() {
        let request = |headers: &[(&str, &str)]| {
            let request = Request::post("/").header("host", "Desk.example:1");
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(()).unwrap()
        };
        let own = ("origin", "http://desk.example:1");

        for headers in [&[own][..], &[own, ("sec-fetch-site", "same-origin")], &[("origin", "https://desk.example:1")]]
        {
            assert!(is_of_own_origin(&request(headers)), "{headers:?}");
        }
        for other in
            ["http://desk.example", "http://desk.example:2", "http://evil.example", "null", "", "desk.example:1"]
        {
            assert!(!is_of_own_origin(&request(&[("origin", other)])), "{other}");
            assert!(!is_of_own_origin(&request(&[own, ("origin", other)])), "{other}");
        }
        for site in ["same-site", "cross-site", ""] {
            assert!(!is_of_own_origin(&request(&[own, ("sec-fetch-site", site)])), "{site}");
        }
        assert!(!is_of_own_origin(&Request::post("/").header("origin", "http://").body(()).unwrap()));
    }
}
