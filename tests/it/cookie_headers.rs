//! Cookie headers as text: any Cookie header is parsed, and every Set-Cookie is accepted by browsers.

use std::time::Duration;

use cloakroom::app::CookieSettings;
use cloakroom::cookie::{
    Attributes, Expiry, MAX_CANDIDATES, MAX_COOKIE_BYTES, MAX_HEADER_BYTES, Name, SameSite, Template, TemplateError,
    values,
};
use cloakroom::grpc::wire::Changes;
use cloakroom::types::Time;
use proptest::prelude::*;
use proptest::test_runner::Config;
use tonic::Code;

use crate::support::calls::{ChangesExt as _, json_entries, open_cookie, reason, refused, save_cookie};
use crate::support::set_cookie::{self, Av};
use crate::support::{StoreKind, TestService};

proptest! {
    #![proptest_config(Config { cases: 3000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_header_is_parsed_as_a_simple_parser_does(header in cookie_header(), name in "a|ab|session|Session") {
        let read: Vec<&str> = values(&header, &name).collect();

        prop_assert_eq!(read, simple_values(&header, &name));
    }

    #[test]
    fn any_text_is_parsed(header in any::<String>()) {
        let read: Vec<&str> = values(&header, "session").collect();

        prop_assert_eq!(read, simple_values(&header, "session"));
    }

    #[test]
    fn a_browser_reads_a_set_cookie_as_it_is_meant(attributes in attributes(), value in cookie_value(), expiry in expiry()) {
        let Ok(template) = Template::new(attributes.clone()) else { return Ok(()) };
        if let Ok(header) = template.set(&value, expiry) {
            let read = set_cookie::parse(&header).map_err(TestCaseError::fail)?;

            prop_assert!(header.len() <= MAX_COOKIE_BYTES + 1500);
            prop_assert_eq!((&read.name, &read.value), (&attributes.name.as_str().to_owned(), &value));
            prop_assert_eq!(without_times(&read.attributes), expected(&attributes));
            prop_assert_eq!(set_cookie::parse_as_browser(&header), Some(read));
        }
    }

    #[test]
    fn a_deletion_repeats_every_attribute(attributes in attributes()) {
        let Ok(template) = Template::new(attributes) else { return Ok(()) };
        let (set, deleted) = (template.set("v", Expiry::WithBrowser).unwrap(), template.delete());
        let (set, deleted) = (set_cookie::parse(&set).unwrap(), set_cookie::parse(&deleted).unwrap());

        prop_assert_eq!((&deleted.name, deleted.value.as_str()), (&set.name, ""));
        prop_assert_eq!(without_times(&deleted.attributes), set.attributes);
        prop_assert!(deleted.attributes.contains(&Av::MaxAge(0)) && deleted.attributes.contains(&Av::Expires(0)));
    }

    #[test]
    fn no_text_injects_an_attribute(text in ".{0,40}") {
        let default = flask_default();
        let templates = [
            Template::new(Attributes { path: text.clone(), ..default.clone() }),
            Template::new(Attributes { path: format!("/{text}"), ..default.clone() }),
            Template::new(Attributes { domain: Some(text.clone()), ..default.clone() }),
            Template::new(default).and_then(|template| template.named(&text)),
        ];
        for template in templates.into_iter().flatten() {
            set_cookie::parse(&template.set("v", Expiry::WithBrowser).unwrap()).map_err(TestCaseError::fail)?;
        }
    }
}

#[test]
fn hostile_headers_of_a_mebibyte_are_parsed() {
    let long = "x".repeat(MAX_HEADER_BYTES);
    for filler in [";", "=", " ", "\t", "session", "session=", "session;", "=;", ";session=", "é", "\0", "a=b; "] {
        let header: String = filler.chars().cycle().take(MAX_HEADER_BYTES).collect();

        let found = values(&header, "session").count();

        assert!(found <= MAX_CANDIDATES, "{filler:?}");
    }
    assert_eq!(values(&long, "session").count(), 0);
    assert_eq!(values(&format!("{long}; session=v"), "session").collect::<Vec<_>>(), ["v"]);
}

#[test]
fn at_most_eight_cookies_of_a_name_are_parsed() {
    let header: Vec<String> = (0..20).map(|n| format!("other=x; session={n}")).collect();

    let read: Vec<String> = values(&header.join("; "), "session").map(str::to_owned).collect();

    assert_eq!(read, ["0", "1", "2", "3", "4", "5", "6", "7"]);
}

#[tokio::test]
async fn a_header_of_a_mebibyte_is_opened_with_any_contents() {
    let service = TestService::new(StoreKind::Memory).await;
    let token = service.stored(&[("a", "1")]).await;
    for filler in [";", "=", "session=x; ", "x=y; ", "session"] {
        let tail = format!("; session={token}");
        let length = MAX_HEADER_BYTES - tail.len();
        let filling: String = filler.chars().cycle().take(length).collect();

        let session = service.open(open_cookie(&format!("{filling}{tail}"))).await.session.unwrap();

        // With this filler more than eight cookies of the name come before the right one.
        assert_eq!(json_entries(session).is_empty(), filler == "session=x; ", "{filler:?}");
    }
}

#[tokio::test]
async fn the_size_of_a_header_is_measured_in_latin_1_bytes() {
    let service = TestService::new(StoreKind::Memory).await;
    let header = "é".repeat(MAX_HEADER_BYTES);

    let opened = service.try_open(open_cookie(&header)).await;
    let too_large = refused(service.try_open(open_cookie(&format!("{header}é"))).await);

    assert!(opened.is_ok());
    assert_eq!(reason(&too_large), (Code::InvalidArgument, "COOKIE_HEADER_TOO_LARGE".to_owned()));
}

#[tokio::test]
async fn a_header_over_a_mebibyte_is_refused() {
    let service = TestService::new(StoreKind::Memory).await;
    let header = "x".repeat(MAX_HEADER_BYTES + 1);

    let opened = refused(service.try_open(open_cookie(&header)).await);
    let saved = refused(service.try_save(save_cookie(&header, Changes::default().set("a", "1"))).await);

    for status in [opened, saved] {
        assert_eq!(reason(&status), (Code::InvalidArgument, "COOKIE_HEADER_TOO_LARGE".to_owned()));
        assert_eq!(status.message(), "cookie_header has 1048577 bytes; the limit is 1048576");
    }
}

#[test]
fn attributes_have_the_order_of_werkzeug() {
    let christmas = Expiry::At { time: seconds(1_798_095_600), now: seconds(1_790_000_000) };
    let all = Attributes {
        domain: Some("example.com".to_owned()),
        path: "/app".to_owned(),
        secure: true,
        samesite: Some(SameSite::Lax),
        partitioned: true,
        ..flask_default()
    };
    let none = Attributes { secure: true, httponly: false, samesite: Some(SameSite::None), ..flask_default() };
    let strict = Attributes { samesite: Some(SameSite::Strict), ..all.clone() };

    let golden = [
        (set(&flask_default(), "abc.def.ghi", Expiry::WithBrowser), "session=abc.def.ghi; HttpOnly; Path=/"),
        (
            set(&flask_default(), "abc", christmas),
            "session=abc; Expires=Thu, 24 Dec 2026 07:00:00 GMT; HttpOnly; Path=/",
        ),
        (
            set(&all, "abc", christmas),
            "session=abc; Domain=example.com; Expires=Thu, 24 Dec 2026 07:00:00 GMT; Secure; HttpOnly; Path=/app; \
             SameSite=Lax; Partitioned",
        ),
        (set(&none, "abc", Expiry::WithBrowser), "session=abc; Secure; Path=/; SameSite=None"),
        (
            Template::new(flask_default()).unwrap().delete(),
            "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/",
        ),
        (
            Template::new(strict).unwrap().delete(),
            "session=; Domain=example.com; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Secure; HttpOnly; \
             Path=/app; SameSite=Strict; Partitioned",
        ),
    ];

    for (written, expected) in golden {
        assert_eq!(written, expected);
    }
}

#[test]
fn attributes_that_browsers_refuse_are_refused_with_advice() {
    let domain = |domain: &str| Attributes { domain: Some(domain.to_owned()), ..flask_default() };
    let path = |path: &str| Attributes { path: path.to_owned(), ..flask_default() };
    let named = |name: &str| Attributes { name: Name::parse(name).unwrap(), ..flask_default() };
    let secure = |name: &str| Attributes { secure: true, ..named(name) };
    let host = "secure = true, path = \"/\" and no domain";
    let domain_message = "domain: it has to be a host name such as example.com, without port or leading dot";

    let refused = [
        (Attributes { partitioned: true, ..flask_default() }, "partitioned: browsers refuse it without secure = true"),
        (
            Attributes { samesite: Some(SameSite::None), ..flask_default() },
            "samesite: browsers refuse None without secure = true",
        ),
        (named("__Secure-s"), "name: browsers refuse a __Secure- cookie without secure = true"),
        (named("__SECURE-s"), "name: browsers refuse a __Secure- cookie without secure = true"),
        (named("__Host-s"), &format!("name: browsers refuse a __Host- cookie without {host}")),
        (named("__host-s"), &format!("name: browsers refuse a __Host- cookie without {host}")),
        (
            Attributes { domain: Some("example.com".to_owned()), ..secure("__Host-s") },
            &format!("name: browsers refuse a __Host- cookie without {host}"),
        ),
        (
            Attributes { path: "/app".to_owned(), ..secure("__Host-s") },
            &format!("name: browsers refuse a __Host- cookie without {host}"),
        ),
        (
            Attributes { httponly: false, ..secure("__Http-s") },
            "name: browsers refuse a __Http- cookie without secure = true and httponly = true",
        ),
        (
            Attributes { httponly: false, ..secure("__Host-Http-s") },
            "name: browsers refuse a __Host-Http- cookie without secure = true, httponly = true, path = \"/\" and no \
             domain",
        ),
        (domain(""), domain_message),
        (domain(".example.com"), domain_message),
        (domain("example.com:8080"), domain_message),
        (domain("example.com."), domain_message),
        (domain("bücher.example"), domain_message),
        (domain("exa mple.com"), domain_message),
        (domain("a.com; Path=/x"), domain_message),
        (domain("-a.com"), domain_message),
        (domain(&"a.".repeat(127)), domain_message),
        (path(""), PATH_MESSAGE),
        (path("app"), PATH_MESSAGE),
        (path("/a;b"), PATH_MESSAGE),
        (path("/a\r\nSet-Cookie: x=y"), PATH_MESSAGE),
        (path("/é"), PATH_MESSAGE),
        (path("/a "), PATH_MESSAGE),
        (path("/a b"), PATH_MESSAGE),
        (path("/\u{7f}"), PATH_MESSAGE),
        (path(&format!("/{}", "a".repeat(1024))), PATH_MESSAGE),
    ];

    for (attributes, message) in refused {
        assert_eq!(Template::new(attributes.clone()).unwrap_err().to_string(), message, "{attributes:?}");
    }
}

#[test]
fn invalid_names_and_values_are_refused() {
    let template = Template::new(flask_default()).unwrap();
    let name_message = "name: it has to be 1 to 256 letters, digits and !#$%&'*+-.^_`|~ (RFC 6265bis)";

    for name in ["", " ", "a b", "a=b", "a;b", "a,b", "é", "a\n", "\"a\"", "(a)", "a@b", &"a".repeat(257)] {
        assert_eq!(template.named(name).unwrap_err().to_string(), name_message, "{name:?}");
    }
    for value in [" ", "a b", "a;b", "a,b", "a\"b", "a\\b", "é", "a\nb", "\0", "\u{7f}"] {
        assert_eq!(template.set(value, Expiry::WithBrowser).unwrap_err(), TemplateError::Value, "{value:?}");
    }
}

#[test]
fn a_cookie_has_at_most_4096_bytes() {
    let template = Template::new(flask_default()).unwrap();
    let value = "v".repeat(MAX_COOKIE_BYTES - "session".len());

    let fits = template.set(&value, Expiry::WithBrowser);
    let over = template.set(&format!("{value}v"), Expiry::WithBrowser).unwrap_err();

    assert!(fits.is_ok());
    assert_eq!(over.to_string(), "value: name and value have 4097 bytes; browsers drop a cookie over 4096");
}

#[test]
fn a_cookie_expires_within_400_days() {
    let now = seconds(2_208_988_800);
    let in_days = |days: u64| now + Duration::from_secs(days * 86_400);
    let date = |time| set(&flask_default(), "v", Expiry::At { time, now });

    assert_eq!(date(in_days(400)), "session=v; Expires=Mon, 04 Feb 2041 00:00:00 GMT; HttpOnly; Path=/");
    assert_eq!(date(in_days(401)), date(in_days(400)));
    assert_eq!(date(Time::MAX), date(in_days(400)));
    let last = set(&flask_default(), "v", Expiry::At { time: Time::MAX, now: Time::MAX });
    assert_eq!(last, "session=v; Expires=Fri, 31 Dec 9999 23:59:59 GMT; HttpOnly; Path=/");
    assert_eq!(date(in_days(31)), "session=v; Expires=Wed, 01 Feb 2040 00:00:00 GMT; HttpOnly; Path=/");
}

#[test]
fn settings_that_browsers_refuse_are_refused_when_the_app_is_built() {
    let build = |cookie| {
        let settings = cloakroom::app::Settings { cookie, ..Default::default() };
        settings.build("shop").unwrap_err().to_string()
    };

    let partitioned = build(CookieSettings { partitioned: true, ..Default::default() });
    let host = build(CookieSettings {
        name: "__Host-s".to_owned(),
        secure: true,
        path: "/a".to_owned(),
        ..Default::default()
    });

    assert_eq!(partitioned, "cookie.partitioned: browsers refuse it without secure = true");
    assert!(host.starts_with("cookie.name: browsers refuse a __Host- cookie without"), "{host}");
}

/// Finds the cookies of a name by simple splitting.
fn simple_values<'h>(header: &'h str, name: &str) -> Vec<&'h str> {
    let blank = |c: char| c == ' ' || c == '\t';
    let mut found = Vec::new();
    for pair in header.split(';') {
        let Some(at) = pair.find('=') else { continue };
        if pair[..at].trim_matches(blank) == name && found.len() < MAX_CANDIDATES {
            found.push(pair[at + 1..].trim_matches(blank));
        }
    }
    found
}

fn cookie_header() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "ab", "session", "Session", "=", "==", ";", "; ", " ", "\t", "\"", "x", "\u{a0}", "é", ",", "\r\n", "\0",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn cookie_value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[A-Za-z0-9._-]{0,200}",
        1 => "[\\x20-\\x7e]{0,20}",
        1 => (4000_usize..4200).prop_map(|length| "v".repeat(length)),
        1 => any::<String>(),
    ]
}

fn expiry() -> impl Strategy<Value = Expiry> {
    let time = || (0..=Time::MAX.millis()).prop_map(Time::from_millis);
    prop_oneof![Just(Expiry::WithBrowser), (time(), time()).prop_map(|(time, now)| Expiry::At { time, now })]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let names = "session|__Host-s|__Secure-s|__Http-s|__Host-Http-s|__hOST-s|[!-~]{1,8}|a{250,256}";
    let domains = "example\\.com|a|127\\.0\\.0\\.1|[a-z.-]{0,12}|[ -~]{0,12}|(abc\\.){60,64}com";
    let paths = "/|/app|/[ -~]{0,12}|[ -~]{0,12}|/[a-z/]{1020,1026}|/ | /|/a\\t";
    let samesite = prop::option::of(prop::sample::select(vec![SameSite::Strict, SameSite::Lax, SameSite::None]));
    let name = names.prop_filter_map("no name", |name| Name::parse(&name).ok());
    (name, prop::option::of(domains), paths, any::<[bool; 3]>(), samesite).prop_map(
        |(name, domain, path, [httponly, secure, partitioned], samesite)| Attributes {
            name,
            domain,
            path,
            httponly,
            secure,
            samesite,
            partitioned,
        },
    )
}

/// Returns the attributes as they are expected in the header, in its order.
fn expected(attributes: &Attributes) -> Vec<Av> {
    let Attributes { domain, path, httponly, secure, samesite, partitioned, .. } = attributes;
    let all = [
        domain.clone().map(Av::Domain),
        secure.then_some(Av::Secure),
        httponly.then_some(Av::HttpOnly),
        Some(Av::Path(path.clone())),
        samesite.map(|samesite| Av::SameSite(samesite.as_str().to_owned())),
        partitioned.then_some(Av::Partitioned),
    ];
    all.into_iter().flatten().collect()
}

fn without_times(attributes: &[Av]) -> Vec<Av> {
    attributes.iter().filter(|av| !matches!(av, Av::Expires(_) | Av::MaxAge(_))).cloned().collect()
}

/// Returns the attributes of Flask's cookie by default.
fn flask_default() -> Attributes {
    Attributes {
        name: Name::parse("session").unwrap(),
        domain: None,
        path: "/".to_owned(),
        httponly: true,
        secure: false,
        samesite: None,
        partitioned: false,
    }
}

fn set(attributes: &Attributes, value: &str, expiry: Expiry) -> String {
    Template::new(attributes.clone()).unwrap().set(value, expiry).unwrap()
}

fn seconds(seconds: u64) -> Time {
    Time::from_millis(seconds * 1000)
}

const PATH_MESSAGE: &str = "path: it has to begin with / and be at most 1024 printable characters without ; and space";
