//! The formats of express-session and connect-redis: what the real packages have written (`tests/express/vectors.mjs`).

use std::collections::BTreeMap;

use cloakroom::express::{DecodedRecord, SidRejection, Signer};
use serde::Deserialize;

/// Sessions as the real packages have written them.
#[derive(Deserialize)]
pub(crate) struct Vectors {
    pub(crate) meta: Meta,
    pub(crate) sessions: Vec<Vector>,
}

#[derive(Deserialize)]
pub(crate) struct Meta {
    pub(crate) secrets: Vec<String>,
    /// In seconds since 1970.
    pub(crate) now: u64,
}

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    /// As it is in the header.
    pub(crate) cookie: String,
    pub(crate) key: String,
    pub(crate) value: String,
    /// After how many seconds Redis expires it; `None` for never.
    pub(crate) seconds: Option<u64>,
    /// JSON by name. `None`: express-session begins a new session.
    pub(crate) loaded: Option<BTreeMap<String, String>>,
}

/// What express-session reads, and the service refuses: a name is Unicode text.
pub(crate) const REFUSED: &str = "lone_surrogate_in_a_name";

pub(crate) fn vectors() -> Vectors {
    // It has names that are no Unicode text, which only Python and JavaScript read.
    serde_json::from_str(&include_str!("vectors.json").replace(r#""\ud800": "1""#, r#""refused": "1""#)).unwrap()
}

#[test]
fn a_cookie_gives_the_id_of_its_record() {
    let vectors = vectors();
    let signer = Signer::new(&vectors.meta.secrets).unwrap();

    for vector in vectors.sessions {
        let sid = signer.verify(&vector.cookie).map(|sid| sid.as_str().to_owned());

        match vector.loaded {
            Some(_) => {
                let id = sid.unwrap();
                assert!(
                    ["sess:", "shop:"].map(|prefix| format!("{prefix}{id}")).contains(&vector.key),
                    "{}",
                    vector.name
                );
            }
            None => assert_eq!(sid, Err(SidRejection::BadSignature), "{}", vector.name),
        }
    }
}

#[test]
fn a_record_has_the_entries_that_express_session_loads() {
    for vector in vectors().sessions {
        let decoded = DecodedRecord::decode(vector.value.as_bytes());

        let Some(loaded) = vector.loaded.filter(|_| vector.name != REFUSED) else {
            assert!(decoded.is_none() || vector.name != REFUSED);
            continue;
        };
        let entries = decoded.unwrap().entries;
        let texts = entries.iter().map(|(name, json)| (name.to_owned(), String::from_utf8(json.into()).unwrap()));
        assert_eq!(texts.collect::<BTreeMap<_, _>>(), loaded, "{}", vector.name);
    }
}

#[test]
fn a_changed_cookie_is_refused() {
    let vectors = vectors();
    let signer = Signer::new(&vectors.meta.secrets).unwrap();
    let cookie = &vectors.sessions[0].cookie;

    for position in 0..cookie.len() {
        let replacement = if &cookie[position..=position] == "A" { "B" } else { "A" };
        let changed = format!("{}{replacement}{}", &cookie[..position], &cookie[position + 1..]);
        assert!(signer.verify(&changed).is_err(), "{changed}");
    }
}
