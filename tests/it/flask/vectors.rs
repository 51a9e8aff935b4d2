//! Cookies that were recorded from real Flask: verified here, and signed again.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom::flask::{CookieRejection, Digest, Signer, VerifiedCookie, normalise};
use cloakroom::types::Time;
use serde_json::Value;

/// Signatures in other spellings of base64: Flask accepts them, but never writes them.
const REFUSED_SPELLINGS: [&str; 2] = ["sig_with_4_junk_chars", "sig_std_alphabet"];

/// Cookies that one zlib makes short enough to be compressed, and another does not.
const COMPRESSION_DIFFERS: [&str; 1] = ["flashes"];

struct Vector(Value);

impl Vector {
    fn all() -> Vec<Self> {
        let file: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
        file["vectors"].as_array().unwrap().iter().cloned().map(Vector).collect()
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap()
    }

    fn time(&self, key: &str) -> Time {
        Time::from_millis(self.number(key) * 1000)
    }

    /// Builds the signer; Flask lists its keys in the opposite order.
    fn signer(&self) -> Signer {
        let bytes = |key: &Value| match key.as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => STANDARD.decode(key["bytes_b64"].as_str().unwrap()).unwrap(),
        };
        let keys = self.0["secret_keys"].as_array().unwrap().iter().rev().map(bytes).collect::<Vec<_>>();
        Signer::new(&keys, self.text("salt").as_bytes(), Digest::Sha1).unwrap()
    }

    fn open(&self) -> Result<VerifiedCookie, CookieRejection> {
        self.signer().verify(self.text("cookie"), Duration::from_secs(self.number("max_age")), self.time("now"))
    }
}

/// Returns a session's entries as one JSON text, as Flask writes them.
fn json(opened: &VerifiedCookie) -> String {
    let permanent = opened.permanent.map(|permanent| ("_permanent".to_owned(), permanent.to_string()));
    let entries = opened.entries.iter().map(|(name, json)| (name.to_owned(), String::from_utf8(json.into()).unwrap()));
    let mut items = entries.chain(permanent).collect::<Vec<_>>();
    items.sort();
    let items = items.iter().map(|(name, json)| format!("{}:{json}", normalise(&format!("{name:?}")).unwrap()));
    format!("{{{}}}", items.collect::<Vec<_>>().join(","))
}

#[test]
fn every_cookie_has_the_same_outcome_as_in_flask() {
    for vector in Vector::all() {
        let (name, outcome) = (vector.text("name"), vector.text("load_outcome"));

        let opened = vector.open();

        let refused = opened.as_ref().err();
        match outcome.split(':').next().unwrap() {
            "ok" if REFUSED_SPELLINGS.contains(&name) => {
                assert_eq!(refused, Some(&CookieRejection::Malformed), "{name}")
            }
            "ok" => assert_eq!(refused, None, "{name}"),
            "SignatureExpired" if outcome.contains("age -") => {
                assert_eq!(refused, Some(&CookieRejection::FromTheFuture), "{name}");
            }
            "SignatureExpired" => assert_eq!(refused, Some(&CookieRejection::Expired), "{name}"),
            "BadSignature" | "BadTimeSignature" => {
                assert!(
                    matches!(refused, Some(CookieRejection::BadSignature | CookieRejection::Malformed)),
                    "{name}: {refused:?}"
                );
            }
            _ => assert_eq!(refused, Some(&CookieRejection::Payload), "{name}: {outcome}"),
        }
    }
}

#[test]
fn a_cookie_of_flask_has_the_entries_that_flask_signed() {
    for vector in Vector::all().iter().filter(|vector| vector.text("kind") == "dump_load") {
        let Ok(opened) = vector.open() else { panic!("{}", vector.text("name")) };

        let tagged = normalise(vector.text("tagged_json")).unwrap();
        // A session whose only entry has the name of a tag is written under a tag itself.
        let expected = if tagged.starts_with("{\" di\"") { "{\" t\":[1,2]}".to_owned() } else { tagged };
        assert_eq!(json(&opened), expected, "{}", vector.text("name"));
        assert_eq!(opened.issued, vector.time("timestamp"));
    }
}

#[test]
fn unusual_json_is_loaded_as_flask_loads_it() {
    let table = [
        ("valid_sig_json_pairs", r#"{"a":1}"#),
        ("valid_sig_json_null", "{}"),
        ("valid_sig_whitespace_json", r#"{"a":1}"#),
        ("valid_sig_dup_keys", r#"{"a":2}"#),
        ("valid_sig_raw_utf8", r#"{"a":"\u00e9"}"#),
        ("valid_sig_compressed_short", r#"{"a":1}"#),
        ("valid_sig_bad_date", r#"{"d":{" d":"garbage"}}"#),
    ];
    let vectors = Vector::all();

    for (name, expected) in table {
        let Some(vector) = vectors.iter().find(|vector| vector.text("name") == name) else { panic!("{name}") };
        assert_eq!(json(&vector.open().unwrap()), expected, "{name}");
    }
}

#[test]
fn cookies_signed_here_equal_those_of_flask() {
    let mut equal = 0;
    for vector in Vector::all().iter().filter(|vector| vector.text("kind") == "dump_load") {
        let opened = vector.open().unwrap();

        let signed_here = vector.signer().sign(&opened.entries, opened.permanent, vector.time("timestamp")).unwrap();

        let again = vector.signer().verify(&signed_here, Duration::ZERO, vector.time("timestamp")).unwrap();
        assert_eq!(json(&again), json(&opened), "{}", vector.text("name"));
        // Outside an application Flask does not sort, and versions of zlib compress differently.
        if vector.0["in_app_context"] == true
            && !vector.text("cookie").starts_with('.')
            && !signed_here.starts_with('.')
        {
            assert_eq!(signed_here, vector.text("cookie"), "{}", vector.text("name"));
            equal += 1;
        }
        let same_compression = signed_here.starts_with('.') == vector.text("cookie").starts_with('.');
        assert_ne!(same_compression, COMPRESSION_DIFFERS.contains(&vector.text("name")), "{}", vector.text("name"));
    }
    assert!(equal > 10, "only {equal} were comparable");
}
