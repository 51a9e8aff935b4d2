//! Rewrites Python's JSON as RFC 8259 JSON, from which Flask's serializer reads the same objects.
//!
//! A dict of one item whose key looks like a tag is escaped as in Flask. A float that is not finite gets a tag of
//! Cloakroom's clients. All else stays the same byte for byte, except for white space between tokens.

use std::borrow::Cow;

use super::super::read::{Build, ItemKey, JsonFlaw, read_as, read_items};
use super::super::value::PyValue;

/// The tag of a float that is not finite: `{" f":"NaN"}`, `{" f":"Infinity"}`, `{" f":"-Infinity"}`.
pub const FLOAT: &str = " f";

/// Flask's own tags, and [`FLOAT`].
pub(super) const TAGS: [&str; 7] = [" di", " t", " b", " m", " u", " d", FLOAT];

/// Rewrites one value of Flask's tagged JSON as RFC 8259 JSON; `None` if it is not JSON or nested too deep.
pub fn strict(json: &str) -> Option<Cow<'_, str>> {
    // An escape contains a backslash: the tag in any other spelling is found by it.
    let suspects = ["NaN", "Infinity", "\" f\"", "\\u0020f", "\\u0066"];
    if !suspects.iter().any(|suspect| json.contains(suspect)) {
        return Some(Cow::Borrowed(json));
    }
    read_as(&Rewriter { tags: &[FLOAT] }, json, MAX_DEPTH).ok().map(Cow::Owned)
}

/// Reads the items of a JSON object without tags, in their order, as Flask's tagged JSON.
pub(super) fn items(json: &str) -> Option<Vec<(String, String)>> {
    let items = read_items(&Rewriter { tags: &TAGS }, json, MAX_DEPTH + 1).ok()?;
    items.into_iter().map(|(key, json)| Some((key.name.as_str()?.to_owned(), json))).collect()
}

/// Writes a dict of one item as Flask does if its key looks like a tag.
pub(super) fn escaped(key: &str, value: &str) -> String {
    format!("{{\" di\":{{\"{key}__\":{value}}}}}")
}

/// Writes a float that is not finite under its tag.
pub(super) fn not_finite(name: &str) -> String {
    format!("{{\"{FLOAT}\":\"{name}\"}}")
}

/// Builds JSON text again.
struct Rewriter {
    /// The keys that look like tags.
    tags: &'static [&'static str],
}

impl Build for Rewriter {
    type Value = String;

    fn scalar(&self, text: &str, _: PyValue) -> Result<String, JsonFlaw> {
        Ok(match text {
            "NaN" | "Infinity" | "-Infinity" => not_finite(text),
            _ => text.to_owned(),
        })
    }

    fn list(&self, items: Vec<String>) -> String {
        format!("[{}]", items.join(","))
    }

    fn dict(&self, items: Vec<(ItemKey<'_>, String)>) -> Result<String, JsonFlaw> {
        if let [(key, value)] = items.as_slice()
            && let Some(tag) = self.tags.iter().find(|tag| key.name.as_str() == Some(**tag))
        {
            return Ok(escaped(tag, value));
        }
        let items = items.iter().map(|(key, value)| format!("{}:{value}", key.text)).collect::<Vec<_>>();
        Ok(format!("{{{}}}", items.join(",")))
    }
}

/// The most levels of a value, without those that escaped tags add.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_that_is_not_finite_gets_a_tag() {
        let table = [
            ("NaN", r#"{" f":"NaN"}"#),
            ("[1,Infinity,-Infinity]", r#"[1,{" f":"Infinity"},{" f":"-Infinity"}]"#),
            (r#"{"a":NaN,"b":1e+16}"#, r#"{"a":{" f":"NaN"},"b":1e+16}"#),
            (r#""NaN""#, r#""NaN""#),
            (r#"{" f":"NaN"}"#, r#"{" di":{" f__":"NaN"}}"#),
            (r#"{"\u0020f":1}"#, r#"{" di":{" f__":1}}"#),
            (r#"[{" f":{" f":NaN}}]"#, r#"[{" di":{" f__":{" di":{" f__":{" f":"NaN"}}}}}]"#),
            (r#"{" f":1,"b":2}"#, r#"{" f":1,"b":2}"#),
            (r#"{" t":[1,NaN]}"#, r#"{" t":[1,{" f":"NaN"}]}"#),
            (r#""\ud800 NaN \" \\""#, r#""\ud800 NaN \" \\""#),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ];

        for (json, expected) in table {
            let strict = strict(json).unwrap();
            assert_eq!(strict, expected);
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&strict).is_ok(), "{strict}");
        }
    }

    #[test]
    fn text_that_is_not_json_is_refused() {
        for json in ["[NaN", "NaN 1", "[NaN,]", "{\"a\"NaN}", "{NaN:1}", "\"NaN", "[nan,NaN]", &"[NaN".repeat(200)] {
            assert_eq!(strict(json), None, "{json}");
        }
    }

    #[test]
    fn a_dict_that_looks_like_a_tag_is_escaped() {
        let items = items(r#" {"a": {" t": [1, {" b": "x"}]}, " t": 1, "b" : {" t":1, "c":[]}} "#).unwrap();

        let expected =
            [("a", r#"{" di":{" t__":[1,{" di":{" b__":"x"}}]}}"#), (" t", "1"), ("b", r#"{" t":1,"c":[]}"#)];
        assert_eq!(items, expected.map(|(name, json)| (name.to_owned(), json.to_owned())));
    }
}
