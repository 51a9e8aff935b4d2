//! Random sessions: what is signed as Django signs is read back, and nothing else is accepted.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::django::{COOKIE_SALT, DecodedSession, ROW_SALT, SessionRejection, Signer};
use cloakroom::types::Time;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::support::django;

const KEY: &str = "what Django signs with";

const AGE: Duration = Duration::from_secs(1_209_600);

/// A JSON value, nested a few levels.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Number, Value};
    let finite = any::<f64>().prop_filter_map("it is finite", |number| Number::from_f64(number).map(Value::Number));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        finite,
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn every_session_is_read_as_it_was_signed(
        values in prop::collection::btree_map(any::<String>(), json(), 0..6),
        seconds in 0_u64..4_000_000_000,
        compressed in any::<bool>(),
    ) {
        prop_assume!(!values.contains_key("_session_expiry"));
        let at = Time::from_seconds(seconds);
        let text = serde_json::to_string(&values).unwrap();
        let payload = if compressed { deflated(text.as_bytes()) } else { URL_SAFE_NO_PAD.encode(&text) };
        let signer = Signer::new(&["another", KEY], COOKIE_SALT).unwrap();

        let cookie = django::sign(KEY, COOKIE_SALT, &payload, at);
        let read = signer.verify_cookie(&cookie, AGE, at + AGE).unwrap();

        let text = |json: &[u8]| String::from_utf8(json.to_vec()).unwrap();
        let entries = read.session.entries.iter().map(|(name, json)| (name.to_owned(), text(json)));
        let written = values.into_iter().map(|(name, value)| (name, value.to_string()));
        prop_assert_eq!(entries.collect::<BTreeMap<_, _>>(), written.collect::<BTreeMap<_, _>>());
        prop_assert_eq!(read.issued, at);
        let rows = Signer::new(&["another", KEY], ROW_SALT).unwrap();
        let row = django::sign(KEY, ROW_SALT, &payload, at);
        prop_assert_eq!(rows.verify_row(row.as_bytes()).unwrap(), read.session);
        prop_assert_eq!(rows.verify_row(cookie.as_bytes()), Err(SessionRejection::BadSignature));
    }

    #[test]
    fn a_cookie_with_one_other_character_is_never_accepted(
        position in any::<prop::sample::Index>(),
        other in any::<char>(),
        removed in any::<bool>(),
    ) {
        let now = Time::from_seconds(1_700_000_000);
        let signer = Signer::new(&[KEY], COOKIE_SALT).unwrap();
        let good = django::cookie(KEY, r#"{"_auth_user_id":"1"}"#, now);
        let mut characters = good.chars().collect::<Vec<_>>();
        let at = position.index(characters.len());
        if removed { _ = characters.remove(at) } else { characters[at] = other }
        let changed = characters.into_iter().collect::<String>();
        prop_assume!(changed != good);

        let read = signer.verify_cookie(&changed, AGE, now);

        let is_rejected = matches!(read, Err(SessionRejection::BadSignature | SessionRejection::Malformed));
        prop_assert!(is_rejected, "{changed}: {read:?}");
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let now = Time::from_seconds(1_700_000_000);
        let signer = Signer::new(&[KEY], COOKIE_SALT).unwrap();
        let _ = DecodedSession::decode(&bytes);
        let payload = String::from_utf8_lossy(&bytes);
        let signed = [payload.clone().into_owned(), URL_SAFE_NO_PAD.encode(&bytes), format!(".{}", URL_SAFE_NO_PAD.encode(&bytes))];
        for payload in signed {
            let read = signer.verify_cookie(&django::sign(KEY, COOKIE_SALT, &payload, now), AGE, now);
            prop_assert_ne!(read.err(), Some(SessionRejection::BadSignature));
        }
        let unsigned = signer.verify_cookie(&payload, AGE, now);
        prop_assert!(matches!(unsigned, Err(SessionRejection::BadSignature | SessionRejection::Malformed)));
    }
}

fn deflated(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut deflater = flate2::Compress::new(flate2::Compression::new(6), true);
    deflater.compress_vec(bytes, &mut out, flate2::FlushCompress::Finish).unwrap();
    format!(".{}", URL_SAFE_NO_PAD.encode(out))
}

#[test]
fn a_payload_is_inflated_up_to_the_limit_and_no_further() {
    let now = Time::from_seconds(1_700_000_000);
    let signer = Signer::new(&[KEY], COOKIE_SALT).unwrap();
    let read = |length: usize| {
        let json = format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        let payload = deflated(json.as_bytes());
        assert!(payload.len() < length / 100);
        signer.verify_cookie(&django::sign(KEY, COOKIE_SALT, &payload, now), AGE, now)
    };

    assert_eq!(read(1024 * 1024).unwrap().session.entries.count(), 1);
    for length in [1024 * 1024 + 1, 100 * 1024 * 1024] {
        assert_eq!(read(length).err(), Some(SessionRejection::TooLarge));
    }
}
