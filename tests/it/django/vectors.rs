//! Sessions that were recorded from the real Django (`tests/django/vectors.py`): read here as there.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom::django::{COOKIE_SALT, DecodedSession, ROW_SALT, SessionExpiry, SessionRejection, Signer};
use cloakroom::session::Entries;
use cloakroom::types::Time;
use serde::Deserialize;

use crate::support::django;

/// What Django loads, and the service refuses, or the other way round; docs/from-django.md lists it.
const DIFFERENT_COOKIES: [(&str, SessionRejection); 13] = [
    ("an_hour_from_the_future", SessionRejection::FromTheFuture),
    ("expiry_in_the_past", SessionRejection::Expired),
    ("expiry_in_seconds_is_over", SessionRejection::Expired),
    ("signed_2_mib", SessionRejection::TooLarge),
    ("signed_expiry_of_another_type", SessionRejection::Malformed),
    ("signed_expiry_that_is_no_time", SessionRejection::Malformed),
    ("signed_infinity", SessionRejection::Malformed),
    ("signed_latin_1", SessionRejection::Malformed),
    ("signed_name_with_a_lone_surrogate", SessionRejection::Malformed),
    ("signed_nan", SessionRejection::Malformed),
    ("signed_time_of_100_digits", SessionRejection::FromTheFuture),
    // These two Django refuses as well.
    ("too_old", SessionRejection::Expired),
    ("too_old_by_a_quarter_second", SessionRejection::Expired),
];

/// What the service reads byte for byte, and Django's `json` spells in another way.
const OTHER_TEXT: [&str; 5] = [
    "signed_expiry_beyond_any_time",
    "signed_float_beyond_64_bits",
    "signed_integer_of_5000_digits",
    "signed_utf_8",
    "signed_white_space",
];

#[derive(Deserialize)]
struct Vectors {
    meta: Meta,
    cookies: Vec<Cookie>,
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Meta {
    secret_keys: Vec<String>,
    cookie_age: u64,
    cookie_salt: String,
    row_salt: String,
}

#[derive(Deserialize)]
struct Cookie {
    name: String,
    cookie: String,
    /// In seconds since 1970.
    issued: Option<u64>,
    now: f64,
    /// JSON by name, as Django's serializer writes it. `None`: Django begins a new session.
    loaded: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Record {
    name: String,
    value: String,
    /// Whether it is the text of a row; else it is JSON.
    signed: bool,
    loaded: Option<BTreeMap<String, String>>,
}

impl Vectors {
    fn read() -> Self {
        serde_json::from_str(include_str!("vectors.json")).unwrap()
    }

    fn signer(&self, salt: &str) -> Signer {
        Signer::new(&self.meta.secret_keys, salt).unwrap()
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(self.meta.cookie_age)
    }

    fn cookie(&self, name: &str) -> &Cookie {
        self.cookies.iter().find(|cookie| cookie.name == name).unwrap()
    }
}

impl Cookie {
    fn now(&self) -> Time {
        Time::default() + Duration::from_secs_f64(self.now)
    }
}

fn texts(entries: &Entries) -> BTreeMap<String, String> {
    let text = |(name, json): (&str, &[u8])| (name.to_owned(), String::from_utf8(json.into()).unwrap());
    entries.iter().map(text).collect()
}

#[test]
fn a_cookie_has_the_entries_that_django_loads() {
    let vectors = Vectors::read();
    let (signer, mut count) = (vectors.signer(COOKIE_SALT), 0);

    for vector in &vectors.cookies {
        let name = vector.name.as_str();
        let read = signer.verify_cookie(&vector.cookie, vectors.lifetime(), vector.now());

        let difference = DIFFERENT_COOKIES.iter().find(|(other, _)| *other == name);
        match (read, &vector.loaded) {
            (Err(rejection), _) if difference.is_some() => assert_eq!(Some(&(name, rejection)), difference),
            (Ok(read), Some(_)) if OTHER_TEXT.contains(&name) => assert!(read.session.entries.count() > 0, "{name}"),
            (Ok(read), None) if OTHER_TEXT.contains(&name) => assert_eq!(read.session.entries.count(), 1, "{name}"),
            (Ok(read), Some(loaded)) => {
                assert_eq!(texts(&read.session.entries), *loaded, "{name}");
                assert_eq!(Some(read.issued), vector.issued.map(Time::from_seconds), "{name}");
                count += 1;
            }
            (Err(rejection), None) => {
                let pickle = name.ends_with("pickle");
                assert_eq!(rejection == SessionRejection::Pickle, pickle, "{name}: {rejection:?}");
            }
            (read, _) => panic!("{name}: {read:?}"),
        }
    }

    assert!(count > 20, "only {count} cookies were compared");
}

#[test]
fn a_forged_cookie_is_refused_for_its_signature() {
    let vectors = Vectors::read();
    let signer = vectors.signer(COOKIE_SALT);
    let forged =
        ["another_payload", "another_signature", "another_time", "of_a_foreign_key", "of_another_salt", "of_sha1"];

    for name in forged {
        let vector = vectors.cookie(name);
        let read = signer.verify_cookie(&vector.cookie, vectors.lifetime(), vector.now());
        assert_eq!(read.err(), Some(SessionRejection::BadSignature), "{name}");
    }
}

#[test]
fn the_text_of_a_value_stays_as_it_was_written() {
    let vectors = Vectors::read();
    let read = |name| {
        let vector = vectors.cookie(name);
        let read = vectors.signer(COOKIE_SALT).verify_cookie(&vector.cookie, vectors.lifetime(), vector.now());
        texts(&read.unwrap().session.entries)
    };

    let spaced = [("a", "[1, 2]"), ("b", r#"{ "c":1 }"#)];
    assert_eq!(read("signed_white_space"), spaced.map(|(name, json)| (name.to_owned(), json.to_owned())).into());
    assert_eq!(read("signed_float_beyond_64_bits")["a"], "1e999");
    assert_eq!(read("signed_utf_8")["a"], "\"é\"");
}

#[test]
fn a_cookie_expires_when_its_session_does() {
    let vectors = Vectors::read();
    let signer = vectors.signer(COOKIE_SALT);
    let issued = Time::from_seconds(1_700_000_000);
    let end = Time::from_millis(1_795_696_215_123);
    let table = [
        ("plain", SessionExpiry::Default, issued + vectors.lifetime()),
        ("expiry_with_the_browser", SessionExpiry::WithBrowser, issued + vectors.lifetime()),
        ("expiry_in_seconds", SessionExpiry::Idle(Duration::from_secs(300)), issued + Duration::from_secs(300)),
        ("expiry_longer_than_the_cookie_age", SessionExpiry::Idle(2 * vectors.lifetime()), issued + vectors.lifetime()),
        ("expiry_at_a_time", SessionExpiry::At(end), issued + vectors.lifetime()),
        (
            "expiry_at_a_time_elsewhere",
            SessionExpiry::At(end + Duration::from_secs(19_800)),
            issued + vectors.lifetime(),
        ),
        ("expiry_at_a_time_without_zone", SessionExpiry::At(end), issued + vectors.lifetime()),
        (
            "expiry_after_a_timedelta",
            SessionExpiry::At(issued + Duration::from_secs(86_400)),
            issued + Duration::from_secs(86_400),
        ),
    ];

    for (name, expiry, until) in table {
        let vector = vectors.cookie(name);
        let read = signer.verify_cookie(&vector.cookie, vectors.lifetime(), vector.now()).unwrap();
        assert_eq!((read.session.expiry, read.until), (expiry, until), "{name}");
        let late = signer.verify_cookie(&vector.cookie, vectors.lifetime(), until + Duration::from_millis(1));
        assert_eq!(late.err(), Some(SessionRejection::Expired), "{name}");
    }
}

#[test]
fn a_record_has_the_entries_that_django_loads() {
    let vectors = Vectors::read();
    let (signer, mut count) = (vectors.signer(ROW_SALT), 0);

    for vector in &vectors.records {
        let name = vector.name.as_str();
        let value = STANDARD.decode(&vector.value).unwrap();
        let read = if vector.signed { signer.verify_row(&value) } else { DecodedSession::decode(&value) };

        match (read, &vector.loaded) {
            (Ok(read), Some(loaded)) if vector.signed => {
                assert_eq!(texts(&read.entries), *loaded, "{name}");
                count += 1;
            }
            (Ok(read), Some(loaded)) => {
                // Django's cache has white space in its JSON.
                let read = texts(&read.entries).into_iter().map(|(name, json)| (name, compact(&json)));
                let loaded = loaded.iter().map(|(name, json)| (name.clone(), compact(json)));
                assert_eq!(read.collect::<BTreeMap<_, _>>(), loaded.collect(), "{name}");
                count += 1;
            }
            (Err(rejection), None) => {
                let pickles = ["signed_pickle", "pickle_of_django", "pickle_of_protocol_2"];
                assert_eq!(rejection == SessionRejection::Pickle, pickles.contains(&name), "{name}: {rejection:?}");
                let forged = ["another_payload", "of_a_foreign_key", "a_cookie"];
                assert_eq!(
                    rejection == SessionRejection::BadSignature,
                    forged.contains(&name),
                    "{name}: {rejection:?}"
                );
            }
            (read, _) => panic!("{name}: {read:?}"),
        }
    }

    assert!(count > 20, "only {count} records were compared");
}

/// Removes the white space that Python's `json` writes between tokens.
fn compact(json: &str) -> String {
    let mut text = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_string = !in_string,
            ' ' if !in_string => continue,
            _ => {}
        }
        text.push(c);
    }
    text
}

#[test]
fn signatures_made_here_equal_those_of_django() {
    let vectors = Vectors::read();
    assert_eq!((vectors.meta.cookie_salt.as_str(), vectors.meta.row_salt.as_str()), (COOKIE_SALT, ROW_SALT));
    let at = Time::from_seconds(1_700_000_000);

    let cookie = django::cookie(&vectors.meta.secret_keys[0], r#"{"a":1}"#, at);
    let row = django::row(&vectors.meta.secret_keys[0], r#"{"a":1}"#, at);

    assert_eq!(cookie, vectors.cookie("plain").cookie);
    let recorded = vectors.records.iter().find(|record| record.name == "plain" && record.signed).unwrap();
    assert_eq!(row.as_bytes(), STANDARD.decode(&recorded.value).unwrap());
}
