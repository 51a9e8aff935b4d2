//! The signer: limits that hold for signed cookies too, and the form of cookies and values.

use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom::flask::{
    CookieRejection, Digest, KeysError, MAX_JSON_BYTES, SignError, Signer, bytes_to_json, normalise,
};
use cloakroom::session::{Entries, Value};
use cloakroom::types::Time;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

const KEY: &str = "secret-key";

fn signer() -> Signer {
    Signer::new(&[KEY], b"cookie-session", Digest::Sha1).unwrap()
}

fn now() -> Time {
    Time::from_millis(1_700_000_000_000)
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha1>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// Signs any payload with the key.
fn signed(payload: &str) -> String {
    let signed = format!("{payload}.ZVPxAA");
    let signature = hmac(&hmac(KEY.as_bytes(), b"cookie-session"), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn compressed(json: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json).unwrap();
    signed(&format!(".{}", URL_SAFE_NO_PAD.encode(encoder.finish().unwrap())))
}

/// Returns a session of one entry as JSON of this length.
fn json_of(bytes: usize) -> Vec<u8> {
    format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8)).into_bytes()
}

#[test]
fn a_signed_compression_bomb_is_refused_at_the_limit() {
    let bomb = compressed(&json_of(64 * 1024 * 1024));
    assert!(bomb.len() < 100_000);

    let outcomes = [bomb, compressed(&json_of(MAX_JSON_BYTES + 1)), compressed(&json_of(MAX_JSON_BYTES))]
        .map(|cookie| signer().verify(&cookie, Duration::ZERO, now()).map(|opened| opened.entries.bytes()));

    let fits = u32::try_from(MAX_JSON_BYTES - 5).unwrap();
    assert_eq!(outcomes, [Err(CookieRejection::TooLarge), Err(CookieRejection::TooLarge), Ok(fits)]);
}

#[test]
fn deeply_nested_json_is_refused_without_a_stack_overflow() {
    let deep = compressed(format!("{{\"a\":{}", "[".repeat(MAX_JSON_BYTES - 5)).as_bytes());

    assert_eq!(signer().verify(&deep, Duration::ZERO, now()).err(), Some(CookieRejection::Payload));
}

#[test]
fn only_one_spelling_of_base64_is_accepted() {
    let good = "eyJhIjoxfQ.ZVPxAA.kLN1Gx0L6rY_ztgI9I8kkga4vjo";
    let (spare_bits, padded) = (good.replace("4vjo", "4vjp"), format!("{good}="));

    assert!(signer().verify(good, Duration::ZERO, now()).is_ok());
    for cookie in [spare_bits, padded, good.replace('_', "/")] {
        assert_eq!(signer().verify(&cookie, Duration::ZERO, now()).err(), Some(CookieRejection::Malformed), "{cookie}");
    }
    assert_eq!(signer().verify(&signed("eyJhIjoxfQ=="), Duration::ZERO, now()).err(), Some(CookieRejection::Payload));
    assert_eq!(signer().verify(&signed("eyJhIjoxfR"), Duration::ZERO, now()).err(), Some(CookieRejection::Payload));
}

#[test]
fn the_signature_is_returned_decoded() {
    let cookie = signer().sign(&Entries::default(), Some(true), now()).unwrap();

    let opened = signer().verify(&cookie, Duration::ZERO, now()).unwrap();

    assert_eq!(URL_SAFE_NO_PAD.encode(&opened.signature), cookie.rsplit('.').next().unwrap());
    assert_eq!((opened.permanent, opened.issued), (Some(true), now()));
}

#[test]
fn keys_must_be_present_and_distinct() {
    let new = |keys: &[&str]| Signer::new(keys, b"cookie-session", Digest::Sha1).map(drop);

    assert_eq!(new(&[]), Err(KeysError::Empty));
    assert_eq!(new(&["a", ""]), Err(KeysError::EmptyKey));
    assert!(matches!(new(&["a", "b", "a"]), Err(KeysError::Repeated { .. })));
    assert_eq!(new(&["a"]), Ok(()));
}

#[test]
fn an_invalid_entry_is_named_in_the_error() {
    let entries = Entries::pack([("good", &b"1"[..]), ("wrong", b"{")]);

    let error = signer().sign(&entries, None, now()).unwrap_err();

    assert!(matches!(error, SignError::NotAnEntry(error) if error.name == "wrong"));
}

#[test]
fn values_are_written_as_python_writes_them() {
    let table = [
        (" [ 1 , 2.50, 1E3, -0, -0.0 ] ", "[1,2.5,1000.0,0,-0.0]"),
        ("{\"b\":1,\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}"),
        ("\"\\ud83d\\ude00 \\ud83d \\/ \\u007F\"", "\"\\ud83d\\ude00 \\ud83d / \\u007f\""),
        ("{\" t\":\"ab\"}", "{\" t\":[\"a\",\"b\"]}"),
        ("{\" di\":{\" t__\":1,\"x\":2}}", "{\" di\":{\" t__\":1}}"),
        ("{\" z\":[NaN,-Infinity]}", "{\" z\":[NaN,-Infinity]}"),
        ("{\" u\":\"{12345678-1234-5678-1234-56781234567A}\"}", "{\" u\":\"1234567812345678123456781234567a\"}"),
    ];

    for (json, python) in table {
        assert_eq!(normalise(json).unwrap(), python);
    }
    assert_eq!(bytes_to_json(b"\xff\x00\xfe"), "{\" b\":\"/wD+\"}");
}

#[test]
fn a_signed_session_is_verified_however_deep_it_is() {
    let nested = |levels, json: &str| format!("{}{json}{}", "[".repeat(levels), "]".repeat(levels));
    // A client may send 127 levels, and the text of a tuple becomes one more.
    for json in [nested(127, ""), nested(126, r#"{" t":["a"]}"#)] {
        let entries = Entries::pack([("a", json.as_bytes())]);
        let cookie = signer().sign(&entries, None, now()).unwrap();

        assert_eq!(signer().verify(&cookie, Duration::ZERO, now()).map(|verified| verified.entries), Ok(entries));
    }
}

#[test]
fn a_session_that_nobody_could_verify_is_not_signed() {
    let [fits, too_large] =
        [700_000, 900_000].map(|bytes| Entries::pack([("a", Value::raw(&vec![7; bytes]).stored())]));

    let cookie = signer().sign(&fits, None, now()).unwrap();
    assert!(signer().verify(&cookie, Duration::ZERO, now()).is_ok());
    assert!(matches!(signer().sign(&too_large, None, now()), Err(SignError::TooLarge { bytes: 1_200_000.. })));
}
